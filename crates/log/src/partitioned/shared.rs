//! One log of partitions a directory in a process.

use std::path::Path;
use std::sync::Arc;

use varve_io::Machine;
use varve_wal::{Registry, Shared};

use super::{PartitionedLog, PartitionedOptions, settings};
use crate::error::{Error, Result};

/// One opener's hold on a log of partitions.
pub type Handle = varve_wal::Handle<PartitionedLog>;

static LOGS: Registry<PartitionedLog> = Registry::new();

/// Opens the log of partitions at `dir`, or joins those who have it open in this process. Options that are given must be the open one's. With
/// `read_only` it is not locked: it is that of the writer in this process, if there is one, and follows that of another if not.
pub fn open_shared(machine: &Arc<dyn Machine>, dir: &Path, options: &PartitionedOptions) -> Result<Handle> {
    varve_wal::open_engine(machine, dir, options)
}

/// Hands what all logs of partitions of this process have buffered to the system.
pub fn flush_all() {
    varve_wal::flush_engines::<PartitionedLog>();
}

impl Shared for PartitionedLog {
    type Options = PartitionedOptions;
    type Error = Error;

    fn registry() -> &'static Registry<Self> {
        &LOGS
    }

    fn resolve(options: &PartitionedOptions) -> Result<(bool, bool)> {
        settings::check(options.partitions)?;
        options.log.wal(0).resolve()?;
        Ok((options.log.create.unwrap_or(true), options.log.read_only))
    }

    fn open(machine: Arc<dyn Machine>, dir: &Path, options: &PartitionedOptions, follow: bool) -> Result<Arc<Self>> {
        if follow { Self::follow(machine, dir, options) } else { Self::open(machine, dir, options) }
    }

    fn join(&self, options: &PartitionedOptions) -> Result<()> {
        let has = self.logs.len();
        if let Some(asked) = options.partitions.filter(|asked| usize::try_from(*asked) != Ok(has)) {
            return Err(Error::invalid(format!(
                "the log is open with partitions {has}, and was asked for with {asked}; use the same value"
            )));
        }
        self.there().try_for_each(|(_, log)| log.join(&options.log))
    }

    fn settle(self: &Arc<Self>) -> Result<()> {
        self.sync()
    }

    fn end(&self) -> Result<()> {
        self.close()
    }

    fn hand_over(self: &Arc<Self>) {
        let _too_late_to_tell = self.flush();
    }
}
