//! The log itself: one lock around the appender, everything else beside it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use varve_format::{BatchFlags, Bound, FRAME_HEADER_LEN, frame_len};
use varve_segment::{Captured, Directory, Error as SegmentError, Failure, SegmentOptions, SegmentSet};

use crate::appender_lock::Locked;
use crate::error::{Error, Result};
use crate::listen::{Listener, Listeners, News};
use crate::options::{MAX_BATCH_BYTES, MAX_INDEX};
use crate::owner::Owner;
use crate::place::Places;
use crate::retention::Retainer;
use crate::role::{Role, Wakes};
use crate::segments::SegmentInfo;
use crate::stats::RecoveryReport;

/// A log that is open. Shared by all threads of a process; opened by [`crate::open_shared`], or by [`Wal::open`] where there is but one.
#[derive(Debug)]
pub struct Wal {
    pub(crate) directory: Directory,
    pub(crate) options: SegmentOptions,
    pub(crate) role: Role,
    pub(crate) set: Arc<SegmentSet>,
    pub(crate) failure: Arc<Failure>,
    /// Index of the next record: what readers may see ends before it.
    pub(crate) next_index: AtomicU64,
    pub(crate) first_index: AtomicU64,
    /// Number of committed records, counted from index 0.
    pub(crate) committed: AtomicU64,
    /// How often segments were exchanged, twice: odd while they are.
    pub(crate) exchanges: AtomicU64,
    pub(crate) wakes: Wakes,
    pub(crate) places: Places,
    pub(crate) retainer: Retainer,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) recovery: RecoveryReport,
    pub(crate) closed: AtomicBool,
    pub(crate) max_record: u64,
    pub(crate) owner: Option<Arc<Owner>>,
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

    /// Index after the last committed record.
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Every record below it is durable.
    pub fn durable_index(&self) -> u64 {
        match &self.role {
            Role::Writer(writer) => writer.commit.durable_index(),
            Role::Following(following) => following.durable_index.load(Ordering::Acquire).min(self.next_index()),
        }
    }

    /// Longest record in bytes.
    pub fn max_record(&self) -> u64 {
        self.max_record
    }

    /// The error that the log has failed with, if it has.
    pub fn failed(&self) -> Option<SegmentError> {
        self.failure.get().cloned()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// An error if the log is closed.
    pub fn check_open(&self) -> Result<()> {
        if self.is_closed() { Err(Error::Closed) } else { Ok(()) }
    }

    /// The appender, if the log takes writes. A thread that panicked while it had the lock leaves the log failed.
    #[inline]
    pub(crate) fn writer(&self) -> Result<Locked<'_>> {
        let appender = self.writing()?.appender.lock();
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        self.failure.check()?;
        Ok(appender)
    }

    pub(crate) fn announce<R>(&self, outcome: std::result::Result<R, SegmentError>) -> Result<R> {
        outcome.map_err(|error| {
            if let Role::Writer(writer) = &self.role {
                writer.commit.tell_failure();
            }
            error.into()
        })
    }

    /// Index of the next record as readers see it moves, under the appender's lock.
    #[inline]
    fn publish(self: &Arc<Self>, next_index: u64, rotations: u64, appender: Locked<'_>) {
        self.next_index.store(next_index, Ordering::Release);
        let wakes = self.wakes.appended.load(Ordering::Relaxed);
        if wakes || appender.rotations() != rotations || appender.was_woken() {
            self.published(appender, rotations);
        }
    }

    /// Gives the appender up; if it has rotated since it had done so `rotations` times, that is seen to.
    pub(crate) fn let_go(self: &Arc<Self>, appender: Locked<'_>, rotations: u64) {
        if appender.rotations() != rotations || appender.was_woken() {
            self.changed(appender, rotations);
        }
    }

    /// Sees to what has changed since it had rotated `rotations` times: what was opened, and what was begun.
    #[cold]
    fn changed(self: &Arc<Self>, mut appender: Locked<'_>, rotations: u64) {
        let woken = appender.take_woken();
        if appender.rotations() == rotations {
            drop(appender);
        } else {
            self.rotated(appender);
        }
        if let Some(owner) = self.owner.as_ref().filter(|_| woken) {
            owner.woken(self);
        }
    }

    #[cold]
    fn published(self: &Arc<Self>, appender: Locked<'_>, rotations: u64) {
        let wakes = self.wakes.appended.swap(false, Ordering::Relaxed);
        self.let_go(appender, rotations);
        if wakes {
            self.listeners.tell(&News::Moved);
        }
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
        self.publish(index + 1, rotations, appender);
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
        self.publish(first + ends.len() as u64, rotations, appender);
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
    pub fn flush(self: &Arc<Self>) -> Result<()> {
        let mut appender = self.writer()?;
        let rotations = appender.rotations();
        self.announce(appender.flush())?;
        self.let_go(appender, rotations);
        Ok(())
    }

    /// Makes everything so far durable, and returns the index below which that holds.
    pub fn sync(self: &Arc<Self>) -> Result<u64> {
        let mut appender = self.writer()?;
        let rotations = appender.rotations();
        self.announce(appender.settle_state())?;
        let target = appender.bound();
        self.let_go(appender, rotations);
        self.reach(target)?;
        Ok(self.durable_index())
    }

    pub(crate) fn reach(&self, target: Bound) -> Result<()> {
        self.writing()?.commit.reach(target, || self.capture())?;
        self.sweep();
        Ok(())
    }

    /// What is to be synced, and how often the log had been cut by then.
    pub(crate) fn capture(&self) -> std::result::Result<(Captured, u64), SegmentError> {
        let Ok(writer) = self.writing() else { return Err(SegmentError::Aborted) };
        let mut appender = writer.appender.lock();
        Ok((appender.capture()?, writer.commit.cuts()))
    }

    /// Asks the log's own thread for a sync of everything so far. Gives a ticket: listeners are told when it, or a later one, is reached.
    pub fn request_sync(self: &Arc<Self>) -> Result<u64> {
        let mut appender = self.writer()?;
        let rotations = appender.rotations();
        self.announce(appender.flush())?;
        let (target, ticket) = (appender.bound(), appender.ticket());
        self.let_go(appender, rotations);
        let requested = self.writing()?.commit.request(self, target);
        self.announce(requested)?;
        Ok(ticket)
    }

    /// The last ticket of [`Wal::request_sync`] that has been reached.
    pub fn durable_ticket(&self) -> u64 {
        self.writing().map_or(0, |writer| writer.commit.durable_ticket())
    }

    /// Has `listener` told of what happens. Returns a number to take it away with.
    pub fn listen(&self, listener: Listener) -> u64 {
        self.listeners.add(listener)
    }

    /// Takes a listener away. It may be told once more, of what is under way.
    pub fn unlisten(self: &Arc<Self>, id: u64) {
        self.listeners.remove(id);
        self.object_no_more(id);
    }

    /// Asks that listeners be told, once, when the log has moved on from `seen`: index of the next record, or of the first that is not committed
    /// if `gated`. False if it has by now, and they will not be.
    pub fn wake_at(&self, seen: u64, gated: bool) -> bool {
        let wait = || {
            let (now, wake) = if gated {
                (self.committed(), &self.wakes.committed)
            } else {
                (self.next_index(), &self.wakes.appended)
            };
            let waits = now == seen && !self.is_closed();
            if waits {
                wake.store(true, Ordering::Relaxed);
            }
            waits
        };
        // Under the lock that everything takes that moves the log: whatever comes after it sees that somebody waits.
        match &self.role {
            Role::Writer(writer) => {
                let _appender = writer.appender.lock();
                wait()
            }
            Role::Following(following) => {
                let _follower = following.follower();
                wait()
            }
        }
    }

    /// Begins a new segment. Does nothing where the active one has no record yet.
    pub fn rotate(self: &Arc<Self>) -> Result<()> {
        let mut appender = self.writer()?;
        if appender.is_segment_empty() {
            return Ok(());
        }
        let rotations = appender.rotations();
        let rotated = appender.rotate(0);
        self.announce(rotated)?;
        self.changed(appender, rotations);
        Ok(())
    }

    /// Passes over the indexes up to `to`, whose records are lost. For a salvage.
    pub fn skip_to(&self, to: u64) -> Result<()> {
        let mut appender = self.writer()?;
        self.announce(appender.skip_to(to))?;
        self.next_index.store(to, Ordering::Release);
        Ok(())
    }

    /// Files with unsynced bytes stay open: not too many of them. Retention looks at the log when it has a new segment.
    #[cold]
    fn rotated(self: &Arc<Self>, appender: Locked<'_>) {
        let (wanted, needed, bound) = (appender.wants_sync(), appender.needs_sync(), appender.bound());
        let active = appender.end().0.header;
        drop(appender);
        if let Some(sealed) = self.set.by_id(active.id.saturating_sub(1)) {
            self.listeners.tell(&News::Rotated(SegmentInfo::of(&sealed, active.first_index)));
        }
        if wanted && let Role::Writer(writer) = &self.role {
            // Where the thread does not keep up, who writes waits.
            let _told_by_the_next_write =
                if needed { self.reach(bound) } else { writer.commit.request(self, bound).map_err(Error::from) };
        }
        if self.retainer.rules().is_some() {
            let wal = Arc::downgrade(self);
            self.directory.machine().spawn(Box::new(move || {
                if let Some(wal) = wal.upgrade() {
                    let _told_by_who_asks = wal.begin_retention();
                }
            }));
        }
    }

    /// Removes the files of segments that are no more part of the log, as far as that is durable and nobody holds them. What cannot be removed is
    /// tried again by the next sweep, or by the next open.
    pub fn sweep(&self) {
        let Role::Writer(writer) = &self.role else { return };
        if self.set.has_retired() {
            let (gone, _tried_again) = self.set.sweep(&self.directory, writer.commit.durable(), self.is_closed());
            for segment in gone {
                self.listeners.tell(&News::Deleted(SegmentInfo::of(&segment, segment.header.first_index)));
            }
        }
    }

    /// Writes and syncs what is there, gives unused space back, and lets go of the lock. Anything after it is [`Error::Closed`]; a second close does nothing.
    /// A log that has failed closes with its error; what was durable stays so.
    pub fn close(&self) -> Result<()> {
        let writer = match &self.role {
            Role::Writer(writer) => writer,
            Role::Following(following) => {
                self.closed.store(true, Ordering::Release);
                let watch = following.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
                drop(watch);
                return Ok(());
            }
        };
        // Under the lock that every write takes: nothing is added behind the bound that is synced here.
        let mut appender = writer.appender.lock();
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let settled = self.failure.check().and_then(|()| appender.settle_state());
        let target = appender.bound();
        drop(appender);
        self.stop_retention();
        let synced = settled.map_err(Error::from).and_then(|()| self.reach(target));
        writer.commit.stop();
        let mut appender = writer.appender.lock();
        let settled = synced.and_then(|()| {
            let captured = appender.capture()?;
            // One that rests has settled before.
            if appender.is_resting() { Ok(()) } else { Ok(writer.commit.settle(&captured)?) }
        });
        appender.close();
        if self.owner.is_some() && settled.is_ok() && appender.rest() {
            writer.commit.let_go();
        }
        drop(appender);
        writer.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
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
