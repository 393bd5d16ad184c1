//! Removing from the start: the log begins later, and segments that lie wholly before leave the disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Removed;
use crate::error::Result;
use crate::writer::Log;

impl Log {
    /// Drops every message below `to`. Atomic, and durable with the next sync; whole segments leave the disk after it.
    pub(crate) fn trim_to(self: &Arc<Self>, to: u64) -> Result<Removed> {
        let start = self.start_offset();
        let next = self.next_offset();
        if to > start {
            self.count_and_drop(start, to, next)
        } else {
            self.drop_segments(to, next).map(|(segments, bytes)| Removed { segments, entries: 0, bytes })
        }
    }

    fn count_and_drop(self: &Arc<Self>, start: u64, to: u64, next: u64) -> Result<Removed> {
        let entries = self.count(start, to)?;
        let mut tail = self.tail.lock();
        self.change_state(&mut tail, |state| {
            state.start_offset = to;
            state.high_water = state.high_water.max(to);
        })?;
        self.begin_at(to);
        self.high_water.fetch_max(to, Ordering::AcqRel);
        drop(tail);
        let (segments, bytes) = self.drop_segments(to, next)?;
        Ok(Removed { segments, entries, bytes })
    }

    /// Takes segments that hold nothing from `to` on out of the log.
    fn drop_segments(self: &Arc<Self>, to: u64, next: u64) -> Result<(u64, u64)> {
        let before: Vec<_> = self.wal.segments().into_iter().filter(|segment| !segment.pending_deletion).collect();
        if to == next || self.sealed.all().first().is_some_and(|one| one.end <= to) {
            self.settle_producers()?;
        }
        let tail = self.tail.lock();
        let emptied = (to == next && tail.next_offset == to).then_some(tail.seen);
        drop(tail);
        if let Some(index) = emptied {
            // The active one, too, if all of it is dropped, and nothing has been added meanwhile.
            self.wal.truncate_before(index)?;
            self.settle_tail();
        }
        let sealed = self.sealed.all();
        let last = sealed.iter().take_while(|one| one.end <= to).last();
        if let Some(last) = last
            && let Some(end) = last.segment.end()
        {
            self.wal.truncate_before(end.next_index)?;
        }
        let first = self.wal.first_index();
        let stays = self.wal.segment_set().all().first().map_or(0, |segment| segment.header.id);
        self.sealed.drop_below(stays);
        let gone = before.iter().filter(|segment| segment.id < stays && segment.next_index <= first);
        Ok(gone.fold((0, 0), |(segments, bytes), segment| (segments + 1, bytes + segment.bytes)))
    }
}
