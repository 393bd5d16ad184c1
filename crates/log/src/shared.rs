//! One log a directory in a process.

use std::path::Path;
use std::sync::Arc;

use varve_io::Machine;
use varve_wal::{Registry, Shared};

use crate::error::{Error, Result};
use crate::options::LogOptions;
use crate::writer::Log;

/// One opener's hold on a log.
pub type Handle = varve_wal::Handle<Log>;

static LOGS: Registry<Log> = Registry::new();

/// Opens the log at `dir`, or joins those who have it open in this process. Options that are given must be the open log's. With `read_only` the log
/// is not locked: it is that of the writer in this process, if there is one, and follows that of another if not.
pub fn open_shared(machine: &Arc<dyn Machine>, dir: &Path, options: &LogOptions) -> Result<Handle> {
    varve_wal::open_engine(machine, dir, options)
}

/// Hands what all logs of this process have buffered to the system.
pub fn flush_all() {
    varve_wal::flush_engines::<Log>();
}

impl Shared for Log {
    type Options = LogOptions;
    type Error = Error;

    fn registry() -> &'static Registry<Self> {
        &LOGS
    }

    fn resolve(options: &LogOptions) -> Result<(bool, bool)> {
        options.wal(0).resolve()?;

        Ok((options.create.unwrap_or(true), options.read_only))
    }

    fn open(machine: Arc<dyn Machine>, dir: &Path, options: &LogOptions, follow: bool) -> Result<Arc<Self>> {
        if follow { Self::follow(machine, dir, options) } else { Self::open(machine, dir, options) }
    }

    fn join(&self, options: &LogOptions) -> Result<()> {
        self.wal.agree(&options.wal(0))?;
        options.agree(&self.tail.lock().state)?;
        self.agree_on_retention(options.retention)
    }

    fn settle(self: &Arc<Self>) -> Result<()> {
        self.wal.failed().map_or_else(|| self.sync().map(drop), |error| Err(error.into()))
    }

    fn end(&self) -> Result<()> {
        self.close()
    }

    fn hand_over(self: &Arc<Self>) {
        let _too_late_to_tell = self.flush();
    }
}
