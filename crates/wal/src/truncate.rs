//! Dropping records from either end, and marking them as committed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use varve_segment::{Error as SegmentError, Segment};

use crate::appender_lock::Locked;
use crate::error::{Error, Result};
use crate::listen::News;
use crate::options::MAX_INDEX;
use crate::retention::Removed;
use crate::role::Role;
use crate::writer::Wal;

impl Wal {
    /// Drops every record from `next_index` on. Atomic: at whichever step the process dies, all of it has happened or nothing, and what was dropped
    /// never comes back; durable with the next sync. [`Error::Busy`] if a reader has returned one of them.
    pub fn truncate_after(self: &Arc<Self>, next_index: u64) -> Result<()> {
        let mut appender = self.writer()?;
        let (first, next) = (self.first_index(), appender.next_index());
        if next_index < first || next_index > next {
            let index = next_index.saturating_sub(1);
            return Err(Error::OutOfRange { index, first: first.saturating_sub(1), last: next.saturating_sub(1) });
        }
        if next_index == next {
            return Ok(());
        }
        if let Some(index) = self.places.beyond(next_index) {
            return Err(Error::Busy { index });
        }
        let exchange = self.exchange();
        self.announce(appender.cut(next_index, false))?;
        self.moved_back(&appender, next_index);
        drop(exchange);
        self.moved(appender, true)
    }

    /// Drops every record; the next one gets `next_index`, which may be any. Atomic, and durable with the next sync.
    pub fn reset(self: &Arc<Self>, next_index: u64) -> Result<()> {
        if next_index > MAX_INDEX {
            return Err(Error::OutOfRange { index: next_index, first: 0, last: MAX_INDEX });
        }
        let mut appender = self.writer()?;
        let exchange = self.exchange();
        self.announce(appender.cut(next_index, true))?;
        self.first_index.store(next_index, Ordering::Release);
        self.committed.store(next_index, Ordering::Release);
        self.moved_back(&appender, next_index);
        drop(exchange);
        self.moved(appender, true)
    }

    /// Under the lock of `_appender`.
    fn moved_back(&self, _appender: &Locked<'_>, next_index: u64) {
        if let Role::Writer(writer) = &self.role {
            writer.commit.cut(next_index);
        }
        self.next_index.store(next_index, Ordering::Release);
        self.committed.fetch_min(next_index, Ordering::AcqRel);
        self.places.cut(next_index);
    }

    /// Drops every record before `index`. Atomic, and durable with the next sync; whole segments leave the disk after it.
    pub fn truncate_before(self: &Arc<Self>, index: u64) -> Result<()> {
        let mut appender = self.writer()?;
        let (first, next) = (self.first_index(), appender.next_index());
        if index > next {
            return Err(Error::OutOfRange { index, first, last: next });
        }
        if index <= first {
            return Ok(());
        }
        if index == next && !appender.is_segment_empty() {
            // So that the segment of the last record can go, too. Where there is no room for another, it stays.
            match appender.rotate(0) {
                Err(SegmentError::NoSpace(_)) => {}
                rotated => self.announce(rotated)?,
            }
        }
        let all = self.set.all();
        let whole = all.iter().skip(1).take_while(|next| next.header.first_index <= index).count();
        self.trim(appender, index, whole).map(drop)
    }

    /// Drops all segments up to the one with this id, but never the last one.
    pub(crate) fn drop_through(self: &Arc<Self>, id: u64) -> Result<Removed> {
        let appender = self.writer()?;
        let all = self.set.all();
        let count = all.partition_point(|segment| segment.header.id <= id).min(all.len().saturating_sub(1));
        let Some(next) = all.get(count).filter(|_| count > 0) else { return Ok(Removed::default()) };
        let before = self.first_index();
        let index = next.header.first_index.max(before);
        let gone = self.trim(appender, index, count)?;
        let bytes = gone.iter().map(|segment| segment.written()).sum();
        Ok(Removed { segments: gone.len() as u64, entries: index - before, bytes })
    }

    /// Moves the first index, and takes the first `count` segments out of the log.
    fn trim(self: &Arc<Self>, mut appender: Locked<'_>, index: u64, count: usize) -> Result<Vec<Arc<Segment>>> {
        self.announce(appender.make_room_for_state())?;
        appender.change_state(|state| {
            state.first_index = index;
            state.commit = state.commit.max(index);
        });
        self.announce(appender.settle_state())?;
        let exchange = self.exchange();
        let gone = self.set.retire_first(count, appender.bound());
        appender.forget_segments(&gone);
        self.first_index.store(index, Ordering::Release);
        self.committed.fetch_max(index, Ordering::AcqRel);
        self.places.trimmed();
        drop(exchange);
        self.moved(appender, !gone.is_empty())?;
        Ok(gone)
    }

    /// Marks all records below `count` as committed. Never moves back. Kept across opens by the next sync.
    pub fn commit(self: &Arc<Self>, count: u64) -> Result<()> {
        let mut appender = self.writer()?;
        let (first, next) = (self.first_index(), appender.next_index());
        if count > next {
            let index = count - 1;
            return Err(Error::OutOfRange { index, first: first.saturating_sub(1), last: next.saturating_sub(1) });
        }
        if count <= self.committed() {
            return Ok(());
        }
        appender.change_state(|state| state.commit = count);
        self.committed.store(count, Ordering::Release);
        let wakes = self.wakes.committed.swap(false, Ordering::Relaxed);
        drop(appender);
        if wakes {
            self.listeners.tell(&News::Moved);
        }
        Ok(())
    }

    /// Wakes all who wait; with `sync` what has been dropped is made durable soon, so that its files can go.
    fn moved(self: &Arc<Self>, appender: Locked<'_>, sync: bool) -> Result<()> {
        let (bound, woken) = (appender.bound(), self.wakes.take_all());
        let rotations = appender.rotations();
        self.let_go(appender, rotations);
        if woken {
            self.listeners.tell(&News::Moved);
        }
        if sync
            && self.set.has_retired()
            && let Role::Writer(writer) = &self.role
        {
            #[cfg(feature = "mutants")]
            if varve_format::Mutant::EarlyUnlink.is_on() {
                let all = varve_format::Bound { segment: u64::MAX, position: u64::MAX };
                let _early = self.set.sweep(&self.directory, all, false);
            }
            self.announce(writer.commit.request(self, bound))?;
        }
        Ok(())
    }
}
