//! Reading records one after another, hundreds a call: bytes are copied in chunks into the caller's slab and verified there.
//!
//! Copying first and walking the copy is twice as fast as walking cold pages and then copying; and what has been verified
//! is what is handed out, whatever happens to the file meanwhile.

use std::ops::Range;
use std::sync::Arc;

use varve_format::{BadFrame, FRAME_HEADER_LEN, Frame, FrameKind};

use crate::error::Result;
use crate::segment::{Hold, Segment, whole_pages};
use crate::set::SegmentSet;

/// Records that one call of [`Cursor::fill`] finds at most.
pub const FILL_RECORDS: usize = 256;

/// Length of a [`Table`]: start and end of each record, and the first one's index in two halves.
pub const TABLE_LEN: usize = 2 * FILL_RECORDS + 2;

/// Where the records are in the slab: `[2i]` and `[2i + 1]` are start and end of the i-th, the last two entries the lower and upper 32 bits of the index of the first.
pub type Table = [u32; TABLE_LEN];

/// Index of the first record of a table.
#[inline]
pub fn first_of(table: &Table) -> u64 {
    u64::from(table[TABLE_LEN - 2]) | u64::from(table[TABLE_LEN - 1]) << 32
}

/// The first `count` records of a table: the index of each, and where it is in the slab.
pub fn places(table: &Table, count: usize) -> impl Iterator<Item = (u64, Range<usize>)> {
    let ranges = table.as_chunks::<2>().0.iter().take(count).map(|[start, end]| *start as usize..*end as usize);
    (first_of(table)..).zip(ranges)
}

/// Outcome of a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// So many records, of consecutive indexes. 0: the end, as it is now.
    Records(usize),
    /// The next record needs a slab of so many bytes.
    Needs(usize),
}

/// A place in the log's order. Moves forward over segments; keeps the segment it stands in alive.
#[derive(Debug)]
pub struct Cursor {
    segment: Hold,
    position: u64,
    /// Index of the next record.
    index: u64,
    /// Bytes that the last full table took: no more are copied than will be looked at.
    chunk: usize,
}

/// How far one chunk went.
struct Walked {
    records: usize,
    used: usize,
    stop: Stop,
}

enum Stop {
    /// All of the chunk was used, or the last frame in it is cut off.
    Chunk(usize),
    /// As many as fit the table, or as may be seen.
    Full,
    Bad(BadFrame),
}

impl Cursor {
    /// At record `index`, whose frame is at `position` of `segment`; or at the end, where it will be.
    pub fn new(segment: Arc<Segment>, position: u64, index: u64) -> Self {
        Self { segment: Hold::new(segment), position, index, chunk: usize::MAX }
    }

    /// Index of the next record.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The segment it stands in.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// The next records below `limit`, verified where they lie in the file of [`Cursor::segment`], as far as they are in whole pages that are written.
    pub fn fill_views(&mut self, set: &SegmentSet, limit: u64, table: &mut Table) -> Result<Fill> {
        loop {
            let end = self.segment.end();
            let written = self.segment.written();
            if self.position >= written && end.is_some() && self.index < limit {
                let Some(next) = set.after(self.segment.header.id) else { return Ok(Fill::Records(0)) };
                self.go_to(next);
                continue;
            }
            let whole = whole_pages(written);
            if self.index >= limit || self.position >= whole {
                return Ok(Fill::Records(0));
            }
            let map = self.segment.map()?;
            let (from, to) = (usize::try_from(self.position).unwrap_or(0), usize::try_from(whole).unwrap_or(0));
            let bytes = map.slice(from..to);
            let walked = self.walk(&bytes, limit, table);
            if map.is_faulted() {
                let otherwise = self.segment.lost(self.index);
                return Err(self.segment.unreadable(&*map, otherwise));
            }
            #[expect(clippy::cast_possible_truncation, reason = "a segment has at most 2^30 bytes")]
            table[..2 * walked.records].iter_mut().for_each(|place| *place += from as u32);
            match walked.stop {
                _ if walked.records > 0 => return Ok(Fill::Records(walked.records)),
                Stop::Full => return Ok(Fill::Records(0)),
                Stop::Chunk(_) if walked.used > 0 => {}
                Stop::Chunk(_) => return Ok(Fill::Records(0)),
                Stop::Bad(bad) => self.pass_damage(bad)?,
            }
        }
    }

    fn go_to(&mut self, next: Arc<Segment>) {
        self.index = self.index.max(next.header.first_index);
        self.segment = Hold::new(next);
        self.position = Segment::START;
    }

    /// The next records below `limit`. `tail` copies what is still in the group buffer: it is given the segment's id, the position and the slab.
    /// bench: read
    pub fn fill(
        &mut self,
        set: &SegmentSet,
        limit: u64,
        slab: &mut [u8],
        table: &mut Table,
        mut tail: impl FnMut(u64, u64, &mut [u8]) -> usize,
    ) -> Result<Fill> {
        while self.index < limit {
            if slab.is_empty() {
                return Ok(Fill::Needs(FRAME_HEADER_LEN));
            }
            // The end first: if it is there, `written` will not move any more.
            let end = self.segment.end();
            let written = self.segment.written();
            let mut most = usize::MAX;
            let copied = if self.position < written {
                let left = usize::try_from(written - self.position).unwrap_or(usize::MAX);
                // A frame that claims to end behind what is written is none: no slab would do for it.
                most = left;
                let len = left.min(slab.len()).min(self.chunk);
                let map = self.segment.map()?;
                let from = usize::try_from(self.position).unwrap_or(usize::MAX);
                slab[..len].copy_from_slice(map.slice(from..from + len).as_ref());
                if map.is_faulted() {
                    let otherwise = self.segment.lost(self.index);
                    return Err(self.segment.unreadable(&*map, otherwise));
                }
                len
            } else if end.is_some() {
                let Some(next) = set.after(self.segment.header.id) else { return Ok(Fill::Records(0)) };
                self.go_to(next);
                continue;
            } else {
                match tail(self.segment.header.id, self.position, slab) {
                    // Written or sealed since we looked; or a record that is being added, which nobody may see yet.
                    0 if self.segment.written() > self.position || self.segment.end().is_some() => continue,
                    0 => return Ok(Fill::Records(0)),
                    copied => copied,
                }
            };
            let walked = self.walk(&slab[..copied], limit, table);
            let chunk_limited = copied == self.chunk;
            self.chunk = match walked.stop {
                Stop::Full => walked.used + walked.used / 8,
                _ => usize::MAX,
            };
            match walked.stop {
                _ if walked.records > 0 => return Ok(Fill::Records(walked.records)),
                Stop::Full => return Ok(Fill::Records(0)),
                Stop::Chunk(needs) if walked.used == 0 && !chunk_limited && needs > slab.len() && needs <= most => {
                    return Ok(Fill::Needs(needs));
                }
                Stop::Chunk(_) if walked.used > 0 || chunk_limited => {}
                Stop::Chunk(_) => self.pass_damage(BadFrame::Header)?,
                Stop::Bad(bad) => self.pass_damage(bad)?,
            }
        }
        Ok(Fill::Records(0))
    }

    /// Verifies frames in `bytes`, which begin at the position, and moves behind them.
    fn walk(&mut self, bytes: &[u8], limit: u64, table: &mut Table) -> Walked {
        let header = self.segment.header;
        let known = if self.segment.is_damaged() { self.segment.positions().ok() } else { None };
        let is_lost =
            |index: u32| known.as_ref().is_some_and(|known| known.get(index as usize).is_none_or(|entry| *entry == 0));
        let mut walked = Walked { records: 0, used: 0, stop: Stop::Chunk(0) };
        while walked.used < bytes.len() {
            let position = self.position + walked.used as u64;
            let frame = match Frame::read(&bytes[walked.used..], header.salt, position) {
                Ok(frame) => frame,
                Err(BadFrame::Short(needs)) => {
                    walked.stop = Stop::Chunk(needs);
                    break;
                }
                Err(bad) => {
                    walked.stop = Stop::Bad(bad);
                    break;
                }
            };
            if frame.kind == FrameKind::Record && !is_lost(frame.index) {
                let index = header.first_index + u64::from(frame.index);
                let next = self.index + walked.records as u64;
                // Where records are lost before this one, it begins a table of its own.
                let is_full = next >= limit || walked.records == FILL_RECORDS || (index != next && walked.records > 0);
                let is_wrong = index < next || (index > next && !self.segment.is_damaged());
                if is_full || (index >= limit && !is_wrong) {
                    walked.stop = Stop::Full;
                    break;
                }
                if is_wrong {
                    walked.stop = Stop::Bad(BadFrame::Header);
                    break;
                }
                self.index = if walked.records == 0 { index } else { self.index };
                let start = walked.used + FRAME_HEADER_LEN;
                #[expect(clippy::cast_possible_truncation, reason = "a slab is smaller than 4 GiB: a record is")]
                let range = [start as u32, (start + frame.payload.len()) as u32];
                table[2 * walked.records..2 * walked.records + 2].copy_from_slice(&range);
                walked.records += 1;
            }
            walked.used += frame.len();
        }
        #[expect(clippy::cast_possible_truncation, reason = "two halves")]
        let halves = [self.index as u32, (self.index >> 32) as u32];
        table[TABLE_LEN - 2..].copy_from_slice(&halves);
        self.position += walked.used as u64;
        self.index += walked.records as u64;
        walked
    }

    /// Goes to the next record that is not lost, if it is known that some are; otherwise tells of the damage.
    #[cold]
    fn pass_damage(&mut self, bad: BadFrame) -> Result<()> {
        if !self.segment.is_damaged() {
            return Err(self.segment.corrupt(self.position, Some(self.index), bad.reason()));
        }
        let positions = self.segment.positions()?;
        let first = self.segment.header.first_index;
        let here = self.position;
        let next = (first..).zip(positions.iter()).find(|(_, entry)| u64::from(**entry) * 8 > here);
        match next {
            Some((index, entry)) => {
                self.position = u64::from(*entry) * 8;
                self.index = index;
            }
            None => self.position = self.segment.written(),
        }
        Ok(())
    }
}
