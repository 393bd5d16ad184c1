//! What is known of a segment's entries without reading them: which holds which offset, and when its messages were.

use varve_format::{Digest, Point};

/// Entries between two steps of the greatest time: a search by time reads so many at most.
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
            digest.points.push(Point { entry: number, offset, span });
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

    /// The first of [`STEP`] entries among which is the first whose messages come up to `time`; `None` if none does.
    pub(crate) fn find_time(&self, time: i64) -> Option<u64> {
        let at = self.0.steps.partition_point(|step| *step < time);
        (at < self.0.steps.len()).then_some(at as u64 * STEP)
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
    }
}
