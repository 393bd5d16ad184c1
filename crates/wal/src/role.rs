//! What a log is to this process: its writer, or one that follows the writer of another.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use varve_io::{Lock, Watch};
use varve_segment::{Follower, Segment};

use crate::appender_lock::AppenderLock;
use crate::error::{Error, Result};
use crate::group_commit::GroupCommit;
use crate::segments::RecordPosition;
use crate::writer::Wal;

/// One of the two.
#[derive(Debug)]
pub(crate) enum Role {
    Writer(Writer),
    Following(Following),
}

/// It has the lock of the directory.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) appender: AppenderLock,
    pub(crate) commit: Arc<GroupCommit>,
    pub(crate) lock: Mutex<Option<Box<dyn Lock>>>,
    /// One segment is rewritten at a time.
    pub(crate) rewrites: Mutex<()>,
}

/// It has no lock, and writes nothing.
#[derive(Debug)]
pub(crate) struct Following {
    pub(crate) follower: Mutex<Follower>,
    pub(crate) watch: Mutex<Option<Box<dyn Watch>>>,
    pub(crate) durable_index: AtomicU64,
}

/// Who is to be woken. Read and changed under the lock of the end of the log, so plain loads do.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    /// By the next record.
    pub(crate) appended: AtomicBool,
    /// By the next commit.
    pub(crate) committed: AtomicBool,
}

impl Wakes {
    /// Everybody who waits is to be woken; false if nobody does.
    pub(crate) fn take_all(&self) -> bool {
        [&self.appended, &self.committed].map(|wake| wake.swap(false, Ordering::Relaxed)) != [false; 2]
    }
}

impl Following {
    pub(crate) fn follower(&self) -> MutexGuard<'_, Follower> {
        self.follower.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begun when the segments of a log are exchanged, ended when indexes and readers know of it. Under the lock of the end of the log.
pub(crate) struct Exchange<'a>(&'a AtomicU64);

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Wal {
    /// Segments are about to be exchanged. Who reads meanwhile looks again (a sequence lock: odd while it lasts).
    pub(crate) fn exchange(&self) -> Exchange<'_> {
        self.exchanges.fetch_add(1, Ordering::AcqRel);
        Exchange(&self.exchanges)
    }

    /// Number of the exchange after which this is looked at. Waits for one under way.
    #[inline]
    pub(crate) fn change(&self) -> u64 {
        loop {
            let change = self.exchanges.load(Ordering::Acquire);
            if change.is_multiple_of(2) {
                return change;
            }
            // It lasts as long as that lock is held.
            drop(self.active_end());
        }
    }

    /// True if nothing has been exchanged since.
    #[inline]
    pub(crate) fn change_is(&self, change: u64) -> bool {
        self.exchanges.load(Ordering::Acquire) == change
    }

    /// What `look` finds while no segments are exchanged.
    #[inline]
    pub(crate) fn steady<R>(&self, mut look: impl FnMut() -> R) -> R {
        loop {
            let change = self.change();
            let seen = look();
            if self.change_is(change) {
                return seen;
            }
        }
    }

    /// The writer's side, or the error of a log that is only read.
    #[inline]
    pub(crate) fn writing(&self) -> Result<&Writer> {
        match &self.role {
            Role::Writer(writer) => Ok(writer),
            Role::Following(_) => Err(Error::ReadOnly),
        }
    }

    /// An error if the log is closed, or only read.
    pub fn check_writable(&self) -> Result<()> {
        self.writing()?;
        self.check_open()
    }

    /// The segment and position of record `index`, if it is in the active segment.
    pub(crate) fn active_position(&self, index: u64) -> Option<(Arc<Segment>, u64)> {
        let owned = |(segment, position): (&Arc<Segment>, u64)| (Arc::clone(segment), position);
        match &self.role {
            Role::Writer(writer) => writer.appender.lock().position_of(index).map(owned),
            Role::Following(following) => following.follower().position_of(index).map(owned),
        }
    }

    /// The end of the log: the active segment, where its next frame will be, and the index of its next record.
    pub(crate) fn active_end(&self) -> (Arc<Segment>, u64, u64) {
        match &self.role {
            Role::Writer(writer) => {
                let appender = writer.appender.lock();
                let (segment, position) = appender.end();
                (Arc::clone(segment), position, appender.next_index())
            }
            Role::Following(following) => {
                let follower = following.follower();
                let (segment, position) = follower.end();
                (Arc::clone(segment), position, follower.visible())
            }
        }
    }

    /// Index of the record at `position`, if that is in the active segment.
    pub(crate) fn active_index_at(&self, position: RecordPosition) -> Option<u64> {
        match &self.role {
            Role::Writer(writer) => {
                let appender = writer.appender.lock();
                appender.index_at(position.offset).filter(|_| appender.end().0.header.id == position.segment)
            }
            Role::Following(following) => {
                let follower = following.follower();
                follower.index_at(position.offset).filter(|_| follower.end().0.header.id == position.segment)
            }
        }
    }

    /// Copies what is still in the group buffer.
    pub(crate) fn copy_tail(&self, segment: u64, position: u64, slab: &mut [u8]) -> usize {
        match &self.role {
            Role::Writer(writer) => writer.appender.lock().copy_tail(segment, position, slab),
            Role::Following(_) => 0,
        }
    }
}
