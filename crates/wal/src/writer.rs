//! The log itself: one lock around the appender, everything else beside it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use varve_format::{BatchFlags, Bound, FRAME_HEADER_LEN, frame_len};
use varve_io::Lock;
use varve_segment::{Captured, Directory, Error as SegmentError, Failure, SegmentOptions, SegmentSet};

use crate::appender_lock::{AppenderLock, Locked};
use crate::error::{Error, Result};
use crate::group_commit::{GroupCommit, Listener};
use crate::options::{MAX_BATCH_BYTES, MAX_INDEX};
use crate::stats::RecoveryReport;

/// A log that is open for writing. Shared by all threads of a process; opened by [`crate::open_shared`], or by [`Wal::open`] where there is but one.
#[derive(Debug)]
pub struct Wal {
    pub(crate) directory: Directory,
    pub(crate) options: SegmentOptions,
    pub(crate) appender: AppenderLock,
    pub(crate) set: Arc<SegmentSet>,
    pub(crate) commit: Arc<GroupCommit>,
    pub(crate) failure: Arc<Failure>,
    /// Index of the next record: what readers may see ends before it.
    pub(crate) next_index: AtomicU64,
    pub(crate) first_index: AtomicU64,
    pub(crate) recovery: RecoveryReport,
    pub(crate) lock: Mutex<Option<Box<dyn Lock>>>,
    pub(crate) closed: AtomicBool,
    pub(crate) max_record: u64,
}

impl Wal {
    /// Its directory.
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// Index of the first record.
    pub fn first_index(&self) -> u64 {
        self.first_index.load(Ordering::Acquire)
    }

    /// Index of the next record; equal to [`Wal::first_index`] in an empty log.
    #[inline]
    pub fn next_index(&self) -> u64 {
        self.next_index.load(Ordering::Acquire)
    }

    /// Every record below it is durable.
    pub fn durable_index(&self) -> u64 {
        self.commit.durable_index()
    }

    /// Longest record in bytes.
    pub fn max_record(&self) -> u64 {
        self.max_record
    }

    /// The error that the log has failed with, if it has.
    pub fn failed(&self) -> Option<SegmentError> {
        self.failure.get().cloned()
    }

    /// The appender, whether the log takes writes or not. A thread that panicked while it had the lock leaves the log failed.
    #[inline]
    pub(crate) fn appender(&self) -> Locked<'_> {
        self.appender.lock()
    }

    #[inline]
    fn writer(&self) -> Result<Locked<'_>> {
        let appender = self.appender();
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        self.failure.check()?;
        Ok(appender)
    }

    fn announce<R>(&self, outcome: std::result::Result<R, SegmentError>) -> Result<R> {
        outcome.map_err(|error| {
            self.commit.tell_failure();
            error.into()
        })
    }

    /// Adds a record, as one of its own, and returns its index. With `expected`, only if it gets that index.
    #[inline]
    pub fn append(self: &Arc<Self>, payload: &[u8], expected: Option<u64>) -> Result<u64> {
        if payload.len() as u64 > self.max_record {
            return Err(self.too_large("a record", payload.len() as u64, self.max_record));
        }
        let mut appender = self.writer()?;
        let next = appender.next_index();
        if next >= MAX_INDEX || expected.is_some_and(|expected| expected != next) {
            return Err(conflict(expected, next));
        }
        let rotations = appender.rotations();
        let index = match appender.append(payload, BatchFlags::ALONE) {
            Ok(index) => index,
            Err(error) => return self.announce(Err(error)),
        };
        self.next_index.store(index + 1, Ordering::Release);
        if appender.rotations() != rotations {
            self.rotated(appender);
        }
        Ok(index)
    }

    /// Adds records as one batch, and returns the index of the first: record i is `data[ends[i - 1]..ends[i]]`. Of no records: the next index.
    pub fn append_packed(self: &Arc<Self>, data: &[u8], ends: &[u32], expected: Option<u64>) -> Result<u64> {
        let total = self.check_packed(data, ends)?;
        let mut appender = self.writer()?;
        let first = appender.next_index();
        if first + ends.len() as u64 > MAX_INDEX || expected.is_some_and(|expected| expected != first) {
            return Err(conflict(expected, first));
        }
        let rotations = appender.rotations();
        // No frame takes more than 23 bytes beside its payload.
        if !appender.has_room(total + ends.len() as u64 * 23) {
            self.announce(appender.reserve(lengths(ends)))?;
        }
        let (mut start, last) = (0, ends.len().saturating_sub(1));
        for (i, end) in ends.iter().enumerate() {
            let end = *end as usize;
            let batch = BatchFlags { more: i < last, continued: i > 0 };
            if let Err(error) = appender.append(&data[start..end], batch) {
                appender.forget(start as u64);
                return self.announce(Err(error));
            }
            start = end;
        }
        self.next_index.store(first + ends.len() as u64, Ordering::Release);
        if appender.rotations() != rotations {
            self.rotated(appender);
        }
        Ok(first)
    }

    fn check_packed(&self, data: &[u8], ends: &[u32]) -> Result<u64> {
        // Empty records take their headers, too.
        let headers = ends.len() as u64 * FRAME_HEADER_LEN as u64;
        if headers > MAX_BATCH_BYTES {
            return Err(self.too_large("a batch, by its headers alone,", headers, MAX_BATCH_BYTES));
        }
        let mut start = 0;
        for end in ends {
            if *end < start || *end as usize > data.len() {
                let message =
                    format!("ends must rise and stay within the {} bytes of data; {end} follows {start}", data.len());
                return Err(Error::invalid(message));
            }
            if u64::from(end - start) > self.max_record {
                return Err(self.too_large("a record", u64::from(end - start), self.max_record));
            }
            start = *end;
        }
        if u64::from(start) > MAX_BATCH_BYTES {
            return Err(self.too_large("a batch", u64::from(start), MAX_BATCH_BYTES));
        }
        Ok(u64::from(start))
    }

    #[cold]
    fn too_large(&self, what: &'static str, bytes: u64, limit: u64) -> Error {
        Error::Segment(SegmentError::TooLarge { what, bytes, limit })
    }

    /// Hands what is buffered to the system.
    pub fn flush(&self) -> Result<()> {
        let mut appender = self.writer()?;
        let flushed = appender.flush();
        self.announce(flushed)
    }

    /// Makes everything so far durable, and returns the index below which that holds.
    pub fn sync(&self) -> Result<u64> {
        let target = self.writer()?.bound();
        self.reach(target)?;
        Ok(self.durable_index())
    }

    fn reach(&self, target: Bound) -> Result<()> {
        Ok(self.commit.reach(target, || self.capture())?)
    }

    pub(crate) fn capture(&self) -> std::result::Result<Captured, SegmentError> {
        self.appender().capture()
    }

    /// Asks the log's own thread for a sync of everything so far, and returns the index it will reach. Listeners are told when it has.
    pub fn request_sync(self: &Arc<Self>) -> Result<u64> {
        let mut appender = self.writer()?;
        self.announce(appender.flush())?;
        let (target, next_index) = (appender.bound(), appender.next_index());
        drop(appender);
        let requested = self.commit.request(self, target);
        self.announce(requested)?;
        Ok(next_index)
    }

    /// Has `listener` told of each round of syncs, and of a failure. Returns a number to take it away with.
    pub fn listen(&self, listener: Listener) -> u64 {
        self.commit.listen(listener)
    }

    /// Takes a listener away. It may be told once more, by a round under way.
    pub fn unlisten(&self, id: u64) {
        self.commit.unlisten(id);
    }

    /// Begins a new segment. Does nothing where the active one has no record yet.
    pub fn rotate(self: &Arc<Self>) -> Result<()> {
        let mut appender = self.writer()?;
        if appender.is_segment_empty() {
            return Ok(());
        }
        let rotated = appender.rotate(0);
        self.announce(rotated)?;
        self.rotated(appender);
        Ok(())
    }

    /// Files with unsynced bytes stay open: not too many of them.
    #[cold]
    fn rotated(self: &Arc<Self>, appender: Locked<'_>) {
        let (wanted, bound) = (appender.wants_sync(), appender.bound());
        drop(appender);
        if wanted {
            let _told_by_the_next_write = self.commit.request(self, bound);
        }
    }

    /// Writes and syncs what is there, gives unused space back, and lets go of the lock. Anything after it is [`Error::Closed`]; a second close does nothing.
    /// A log that has failed closes with its error; what was durable stays so.
    pub fn close(&self) -> Result<()> {
        // Under the lock that every write takes: nothing is added behind the bound that is synced here.
        let appender = self.appender();
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let target = appender.bound();
        drop(appender);
        let synced = self.failure.check().map_err(Error::from).and_then(|()| self.reach(target));
        self.commit.stop();
        let mut appender = self.appender();
        let settled = synced.and_then(|()| {
            let captured = appender.capture()?;
            Ok(self.commit.settle(&captured)?)
        });
        appender.close();
        drop(appender);
        self.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        settled
    }
}

fn lengths(ends: &[u32]) -> impl Iterator<Item = usize> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(ends.iter().copied()).map(|(start, end)| (end - start) as usize)
}

#[cold]
fn conflict(expected: Option<u64>, next: u64) -> Error {
    match expected {
        Some(expected) if expected != next => Error::Conflict { expected, next },
        _ => Error::OutOfRange { index: next, first: 0, last: MAX_INDEX - 1 },
    }
}

const _: () = assert!(frame_len(1) - 1 == 23, "the bound of append_packed");
