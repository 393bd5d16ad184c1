//! Places in the record log, told by offsets: to who reads messages, indexes of entries say nothing.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use varve_wal::{Gap, Mirror, Pin, SegmentInfo, Span};

use crate::error::Result;
use crate::outline::Outline;
use crate::reader::Place;
use crate::tail::Tail;
use crate::writer::Log;

fn span_of(outline: &Outline) -> Span {
    Span { first: outline.base(), next: outline.end(), entries: outline.messages() }
}

/// A mark of a segment, which fits into a number of JavaScript: no two files of a log that are there have the same.
fn mark_of(salt: u64) -> u64 {
    salt & ((1 << 53) - 1)
}

/// Readers that have messages ahead of those they have returned.
#[derive(Debug, Default)]
pub(crate) struct Mirrors(Mutex<Vec<Weak<dyn Mirror>>>);

impl Mirrors {
    fn list(&self) -> MutexGuard<'_, Vec<Weak<dyn Mirror>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, mirror: &Arc<dyn Mirror>) {
        let mut list = self.list();
        // Now and then those that are gone are dropped: never more than half of the list.
        if list.len() == list.capacity() {
            list.retain(|mirror| mirror.strong_count() > 0);
        }
        list.push(Arc::downgrade(mirror));
    }

    fn interrupt(&self) {
        let live: Vec<_> = self.list().iter().filter_map(Weak::upgrade).collect();
        live.iter().for_each(|mirror| mirror.interrupt());
    }
}

impl Log {
    /// The log begins at `start` now: readers look whether what they have ahead is still there.
    pub(crate) fn begin_at(&self, start: u64) {
        if self.start_offset.swap(start, Ordering::AcqRel) < start {
            self.mirrors.interrupt();
        }
    }

    /// Verifies the entry at `index` where it lies in its file. `None`: it is not in whole pages that are written, or entries have moved since `moves`.
    pub(crate) fn place_of(&self, index: u64, moves: u64) -> Result<Option<Place>> {
        let Some((id, _, end)) = self.wal.place_of(index)? else { return Ok(None) };
        let segment = self.wal.segment_set().by_id(id);
        let place = segment
            .zip(u32::try_from(end).ok())
            .map(|(segment, end)| Place { mark: mark_of(segment.header.salt), end });
        Ok(place.filter(|_| self.moves() == moves))
    }

    /// Keeps the file where a reader has found a message in place; `None` if it has gone.
    pub fn pin_marked(&self, mark: u64) -> Result<Option<Pin>> {
        let found = self.wal.segments().into_iter().find(|segment| mark_of(segment.salt) == mark);
        found.map(|segment| Ok(self.wal.pin_salted(segment.id, segment.salt)?)).transpose()
    }

    /// All segments, in order; those whose files only wait to be removed first. Each has its offsets in `span`.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.catch_up();
        let tail = self.tail.lock();
        note_sealed(&tail);
        let (active, end) = (tail.segment.header.salt, tail.outline.end());
        let mut segments = self.wal.segments();
        for segment in segments.iter_mut().filter(|segment| segment.span.get().is_none()) {
            // One that was begun since is empty.
            let span = if segment.salt == active {
                span_of(&tail.outline)
            } else {
                Span { first: end, next: end, entries: 0 }
            };
            segment.span = Arc::new(OnceLock::from(span));
        }
        segments
    }

    /// Has every segment that is sealed know its offsets: one that an append has just filled does, when this returns.
    pub fn settle_spans(&self) {
        self.catch_up();
        note_sealed(&self.tail.lock());
    }

    /// Has what the open found missing told by offsets.
    pub(crate) fn note_gaps(&self) {
        let gaps: Vec<Gap> = self.wal.stats().recovery.gaps.into_iter().filter(|gap| !gap.removed).collect();
        if gaps.is_empty() {
            return;
        }
        let tail = self.tail.lock();
        let active = (tail.segment.header.first_index, tail.outline.clone());
        drop(tail);
        let told = gaps.iter().map(|gap| self.by_offset(gap, &gaps, &active)).collect();
        let _once_an_open = self.gaps.set(told);
    }

    /// `gap` as the messages on both sides bound it, whatever was lost between them; without a range, where that is nothing.
    fn by_offset(&self, gap: &Gap, gaps: &[Gap], active: &(u64, Outline)) -> Gap {
        let (mut from, mut to) = (gap.from, gap.to);
        // Gaps next to each other are one to who stands on its edge.
        while let Some(before) = gaps.iter().find(|before| before.to == from && before.from < from) {
            from = before.from;
        }
        while let Some(behind) = gaps.iter().find(|behind| behind.from == to && behind.to > to) {
            to = behind.to;
        }
        let bounds =
            if gap.to > gap.from { (self.end_before(from, active), self.base_from(to, active)) } else { (0, 0) };
        let (from, to) = if bounds.0 < bounds.1 { bounds } else { (0, 0) };
        Gap { from, to, ..gap.clone() }
    }

    /// Offset behind the last message before the entry at `index`.
    fn end_before(&self, index: u64, active: &(u64, Outline)) -> u64 {
        let (first, outline) = active;
        let in_active = index.checked_sub(*first).and_then(|entry| outline.end_before(entry));
        let in_sealed = || {
            self.sealed.all().iter().rev().find_map(|one| {
                let entry = index.checked_sub(one.segment.header.first_index)?;
                self.sealed.outline(&self.wal, one).ok()?.end_before(entry)
            })
        };
        in_active.or_else(in_sealed).unwrap_or(0).max(self.start_offset())
    }

    /// Offset of the first message from the entry at `index` on; the next one, where there is none.
    fn base_from(&self, index: u64, active: &(u64, Outline)) -> u64 {
        let in_sealed = self.sealed.all().iter().find_map(|one| {
            if one.segment.end().is_some_and(|end| end.next_index <= index) {
                return None;
            }
            let entry = index.saturating_sub(one.segment.header.first_index);
            self.sealed.outline(&self.wal, one).ok()?.base_of(entry)
        });
        let (first, outline) = active;
        let in_active = || outline.base_of(index.saturating_sub(*first));
        in_sealed.or_else(in_active).unwrap_or_else(|| self.next_offset())
    }
}

/// All entries of the active segment are known here; it may be sealed already, and the next entry is still to come.
fn note_sealed(tail: &Tail) {
    if tail.segment.end().is_some_and(|end| tail.seen >= end.next_index) {
        let _known_before = tail.segment.span.set(span_of(&tail.outline));
    }
}
