//! Many logs in one directory: a log of partitions, with one lock, one thread for their syncs and one retention.
//!
//! Each partition is a [`Log`] in a subdirectory, `0000` and so on, which is made by the first message, or other change, that goes to it: before that it
//! is open, and takes no place. All that exist are opened when the whole is; of at most [`varve_wal::MOST_AWAKE`] of them, and half as many for a
//! moment, files are open at the same time.

mod append;
mod care;
mod copies;
mod listen;
mod open;
mod partitioner;
mod settings;
mod shared;
mod sync;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use varve_io::{Lock, Watch};
use varve_segment::Directory;
use varve_wal::Owner;

use crate::error::{Error, Result};
use crate::options::LogOptions;
use crate::writer::Log;

pub use append::Written;
pub use care::{Enforced, PartitionedRemoval, RetentionStats};
pub use copies::{PartitionedBackup, PartitionedRecovery};
pub use listen::PartitionListener;
pub use partitioner::murmur2;
pub(crate) use settings::refuse_partitions;
pub use shared::{Handle as PartitionedHandle, flush_all as flush_all_partitioned, open_shared as open_partitioned};

use listen::Listeners;
use sync::Rounds;

/// What is asked for at open.
#[derive(Debug, Clone, Default)]
pub struct PartitionedOptions {
    /// How many partitions, 1 to 4,096. Needed to create; more than there are adds some, fewer is an error.
    pub partitions: Option<u32>,
    /// Of each of them. Its rules of retention are for each partition alone.
    pub log: LogOptions,
}

/// A log of partitions that is open. Shared by all threads of a process; opened by [`open_partitioned`], or by [`PartitionedLog::open`] where there is
/// but one.
#[derive(Debug)]
pub struct PartitionedLog {
    me: Weak<Self>,
    directory: Directory,
    /// Tells it from others.
    id: u64,
    options: PartitionedOptions,
    /// All of them are there, unless another process writes: then those that it has made.
    logs: Vec<OnceLock<Arc<Log>>>,
    /// `None` where another process writes.
    owner: Option<Arc<Owner>>,
    lock: Mutex<Option<Box<dyn Lock>>>,
    /// Where the next message without a key goes.
    turn: AtomicUsize,
    /// Epoch and sequence of the last batch of producers that wrote lately.
    producers: Mutex<HashMap<u64, (u32, u64)>>,
    rounds: Mutex<Rounds>,
    listeners: Listeners,
    /// How often retention was asked for.
    retentions: AtomicU64,
    /// Of the directory and of subdirectories that are being made, where another process writes.
    watches: Mutex<HashMap<Option<usize>, Box<dyn Watch>>>,
    closed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PartitionedLog {
    /// Its directory.
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// How many partitions it has.
    pub fn partitions(&self) -> usize {
        self.logs.len()
    }

    /// True if another process writes it.
    pub fn is_following(&self) -> bool {
        self.owner.is_none()
    }

    /// The log of a partition, which is open as long as the whole is: it is not to be closed. `None`: another process writes, and has not made it yet.
    pub fn find(&self, partition: usize) -> Result<Option<&Arc<Log>>> {
        let Some(place) = self.logs.get(partition) else {
            let last = self.logs.len().saturating_sub(1);
            return Err(Error::invalid(format!("partition is {partition}; there are 0 to {last}")));
        };
        self.check_open()?;
        match place.get() {
            None => self.look_for(partition),
            found => Ok(found),
        }
    }

    /// The same, of one that is there.
    pub fn log(&self, partition: usize) -> Result<&Arc<Log>> {
        self.find(partition)?.ok_or_else(|| varve_wal::Error::ReadOnly.into())
    }

    /// Those that are there.
    fn there(&self) -> impl Iterator<Item = (usize, &Arc<Log>)> {
        self.logs.iter().enumerate().filter_map(|(partition, log)| Some((partition, log.get()?)))
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Relaxed) { Err(varve_wal::Error::Closed.into()) } else { Ok(()) }
    }

    fn check_writable(&self) -> Result<()> {
        if self.owner.is_none() {
            return Err(varve_wal::Error::ReadOnly.into());
        }
        self.check_open()
    }
}

impl Drop for PartitionedLog {
    fn drop(&mut self) {
        // Never closed: what was accepted is still written and synced. Nobody is left to be told of an error.
        let _nobody_to_tell: Result<()> = self.close();
    }
}
