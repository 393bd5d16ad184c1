//! What is known of a segment's entries without reading them: which holds which offset, and when its messages were.

use varve_format::{Digest, Point};

/// Entries between two steps of the greatest time: a search by time reads so many at most, and of groups, each of which tells its own, one.
pub(crate) const STEP: u64 = 16;

/// One entry, as the outline sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Offset of its first message.
    pub(crate) base: u64,
    /// Offsets it stands for, from there on.
    pub(crate) span: u64,
    /// Its messages.
    pub(crate) messages: u64,
    /// The greatest of their times.
    pub(crate) max_time: i64,
    /// Bytes that it is smaller for its compression.
    pub(crate) saved: u64,
}

/// Where an offset is, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Located {
    /// Number of the entry in its segment.
    pub(crate) entry: u64,
    /// The entry stands for the offset; else it is the first behind it.
    pub(crate) holds: bool,
}

/// Grows an entry at a time.
#[derive(Debug, Clone)]
pub(crate) struct Outline(Digest, Follows);

/// Whether the next entry follows on the one before without a gap in the numbers of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    On,
    Gap,
}

impl Default for Outline {
    fn default() -> Self {
        let (points, steps) = (Vec::new(), Vec::new());
        let digest = Digest { entries: 0, base: 0, end: 0, messages: 0, max_time: i64::MIN, saved: 0, points, steps };
        Self(digest, Follows::On)
    }
}

impl Outline {
    /// That of a segment that was read from its digest.
    pub(crate) fn of(digest: Digest) -> Self {
        Self(digest, Follows::On)
    }

    /// For its file.
    pub(crate) fn digest(&self) -> &Digest {
        &self.0
    }

    /// An empty one, of a segment whose first message will have an offset of `base` at least.
    pub(crate) fn at(base: u64) -> Self {
        let mut outline = Self::default();
        (outline.0.base, outline.0.end) = (base, base);
        outline
    }

    /// Offset of its first message; of an empty one, of the first that may come.
    pub(crate) fn base(&self) -> u64 {
        self.0.base
    }

    /// Offset after its last message.
    pub(crate) fn end(&self) -> u64 {
        self.0.end
    }

    pub(crate) fn entries(&self) -> u64 {
        self.0.entries
    }

    pub(crate) fn messages(&self) -> u64 {
        self.0.messages
    }

    pub(crate) fn max_time(&self) -> i64 {
        self.0.max_time
    }

    /// Bytes that the segment is smaller for the compression of its groups.
    pub(crate) fn saved(&self) -> u64 {
        self.0.saved
    }

    /// Compression has saved so many more, in entries that are there.
    pub(crate) fn save(&mut self, bytes: u64) {
        self.0.saved += bytes;
    }

    /// Bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.points.capacity() * size_of::<Point>() + self.0.steps.capacity() * 8
    }

    /// Adds the next entry. False if it cannot follow: its offsets do not lie behind those before, or too far.
    #[inline]
    #[must_use]
    pub(crate) fn push(&mut self, entry: &Entry) -> bool {
        let digest = &mut self.0;
        if entry.base < digest.end {
            return false;
        }
        if digest.end == digest.base {
            (digest.base, digest.end) = (entry.base, entry.base);
        }
        if entry.base != digest.end || entry.span != 1 || self.1 == Follows::Gap {
            let (Ok(number), Ok(offset), Ok(span)) =
                (u32::try_from(digest.entries), u32::try_from(entry.base - digest.base), u32::try_from(entry.span))
            else {
                return false;
            };
            let max_time = digest.max_time.max(entry.max_time);
            digest.points.push(Point { entry: number, offset, span, max_time });
        }
        self.1 = Follows::On;
        digest.end = entry.base + entry.span;
        digest.messages += entry.messages;
        digest.saved = digest.saved.saturating_add(entry.saved);
        digest.max_time = digest.max_time.max(entry.max_time);
        match digest.steps.last_mut() {
            Some(last) if !digest.entries.is_multiple_of(STEP) => *last = digest.max_time,
            _ => digest.steps.push(digest.max_time),
        }
        digest.entries += 1;
        true
    }

    /// Goes to the entry of this number: those before it are lost.
    pub(crate) fn skip_to(&mut self, entry: u64) {
        while self.0.entries < entry {
            if self.0.entries.is_multiple_of(STEP) {
                self.0.steps.push(self.0.max_time);
            }
            self.0.entries += 1;
            self.1 = Follows::Gap;
        }
    }

    /// The first entry that holds `offset`, or offsets behind it; `None` behind the last one.
    pub(crate) fn find(&self, offset: u64) -> Option<Located> {
        let digest = &self.0;
        if offset >= digest.end || digest.entries == 0 {
            return None;
        }
        let Some(relative) = offset.checked_sub(digest.base) else {
            return Some(Located { entry: 0, holds: false });
        };
        let behind = digest.points.partition_point(|point| u64::from(point.offset) <= relative);
        let next = digest.points.get(behind).map_or(digest.entries, |point| u64::from(point.entry));
        let Some(point) = behind.checked_sub(1).and_then(|at| digest.points.get(at)) else {
            return Some(Located { entry: relative.min(next), holds: relative < next });
        };
        let end = u64::from(point.offset) + u64::from(point.span);
        let Some(past) = relative.checked_sub(end) else {
            return Some(Located { entry: u64::from(point.entry), holds: true });
        };
        let entry = (u64::from(point.entry) + 1).saturating_add(past);
        Some(Located { entry: entry.min(next), holds: entry < next })
    }

    /// Offset after the last entry that is there below this number; `None` if none is known to be. The entry before it must be there.
    pub(crate) fn end_before(&self, entry: u64) -> Option<u64> {
        let digest = &self.0;
        let last = entry.min(digest.entries).checked_sub(1)?;
        let behind = digest.points.partition_point(|point| u64::from(point.entry) <= last);
        let (from, number) = match behind.checked_sub(1).and_then(|at| digest.points.get(at)) {
            Some(point) => (digest.base + u64::from(point.offset) + u64::from(point.span), u64::from(point.entry)),
            None => (digest.base + 1, 0),
        };
        Some((from + (last - number)).min(digest.end))
    }

    /// First offset of the entry of this number, which must be there; `None` behind the last one.
    pub(crate) fn base_of(&self, entry: u64) -> Option<u64> {
        let digest = &self.0;
        if entry >= digest.entries {
            return None;
        }
        match digest.points.iter().find(|point| u64::from(point.entry) == entry) {
            Some(point) => Some(digest.base + u64::from(point.offset)),
            None if entry == 0 => Some(digest.base),
            None => self.end_before(entry),
        }
    }

    /// An entry at most [`STEP`] single messages before the first that comes up to `time`, and no group before it; `None` if none does.
    pub(crate) fn find_time(&self, time: i64) -> Option<u64> {
        let at = self.0.steps.partition_point(|step| *step < time);
        let behind = self.0.points.partition_point(|point| point.max_time < time);
        let passed =
            behind.checked_sub(1).and_then(|at| self.0.points.get(at)).map_or(0, |point| u64::from(point.entry) + 1);
        (at < self.0.steps.len()).then_some(passed.max(at as u64 * STEP))
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Outline};

    fn entry(base: u64, span: u64, time: i64) -> Entry {
        Entry { base, span, messages: span, max_time: time, saved: 0 }
    }

    #[test]
    fn offsets_are_found_in_singles_in_groups_and_behind_holes() {
        let mut outline = Outline::at(100);
        let entries = [(100, 1), (101, 1), (102, 64), (166, 1), (167, 1), (170, 1), (171, 1), (200, 3), (203, 1)];
        for (base, span) in entries {
            assert!(outline.push(&entry(base, span, 0)));
        }
        for offset in 100..204 {
            let expected = entries.iter().position(|(base, span)| offset < base + span);
            let (base, _) = entries[expected.unwrap_or(0)];
            let found =
                outline.find(offset).map(|found| (Some(usize::try_from(found.entry).unwrap_or(0)), found.holds));
            assert_eq!(found, Some((expected, offset >= base)), "{offset}");
        }
        assert_eq!(outline.find(204), None);
        assert_eq!(outline.find(3).map(|found| found.holds), Some(false));
        assert!(!outline.push(&entry(203, 1, 0)), "offsets never go back");
    }

    #[test]
    fn entries_tell_their_offsets_and_gaps_are_passed_over() {
        // By number: base and span; those left out are lost.
        let entries =
            [(0, 100, 1), (1, 101, 64), (2, 165, 1), (3, 166, 1), (6, 200, 1), (7, 201, 2), (8, 210, 1), (9, 211, 1)];
        let mut outline = Outline::at(100);
        for (number, base, span) in entries {
            outline.skip_to(number);
            assert!(outline.push(&entry(base, span, 0)));
        }
        for (number, base, span) in entries {
            assert_eq!(outline.base_of(number), Some(base), "{number}");
            assert_eq!(outline.end_before(number + 1), Some(base + span), "{number}");
        }
        assert_eq!(outline.base_of(10), None);
        assert_eq!(outline.end_before(0), None);
        assert_eq!(outline.end_before(99), Some(212), "behind the last there is nothing more");
        assert_eq!(Outline::at(7).end_before(5), None);
    }

    #[test]
    fn the_first_entry_that_comes_up_to_a_time_is_among_those_found() {
        let times: Vec<i64> = (0..100).map(|i| (i * 37) % 50 + i / 10).collect();
        let mut outline = Outline::at(0);
        for (i, time) in (0..).zip(&times) {
            assert!(outline.push(&entry(i, 1, *time)));
        }
        for time in -1..70 {
            let expected = times.iter().position(|one| *one >= time).map(|at| at as u64 / 16 * 16);
            assert_eq!(outline.find_time(time), expected, "{time}");
        }
        // A group tells for itself, and for the single messages before it.
        let spans = [1, 64, 64, 1, 1, 64, 1];
        let times = [5, 9, 20, 3, 30, 25, 40];
        let (mut outline, mut base) = (Outline::at(0), 0);
        for (span, time) in spans.into_iter().zip(times) {
            assert!(outline.push(&entry(base, span, time)));
            base += span;
        }
        let found: Vec<_> = [5, 6, 10, 20, 21, 30, 31, 41].map(|time| outline.find_time(time)).into();
        assert_eq!(found, [Some(0), Some(0), Some(2), Some(2), Some(3), Some(3), Some(6), None]);
    }
}
