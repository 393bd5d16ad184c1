//! The segments of a log, as its users see them.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use varve_segment::{Hold, Segment, Span};

use crate::error::{Error, Result};
use crate::writer::Wal;

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number.
    pub id: u64,
    /// Its file.
    pub path: PathBuf,
    /// Index of its first record.
    pub first_index: u64,
    /// Index after its last.
    pub next_index: u64,
    /// Records in it.
    pub entries: u64,
    /// Bytes of the file that are used.
    pub bytes: u64,
    /// Length of the file.
    pub capacity: u64,
    /// It takes no more records.
    pub sealed: bool,
    /// When it was begun, in microseconds since the Unix epoch.
    pub created_micros: i64,
    /// When it was last written to.
    pub modified_micros: i64,
    /// The user's mark.
    pub marker: u32,
    /// Tells it from others that had its id: from what it was before it was rewritten.
    pub salt: u64,
    /// What the engine that stands on the log counts in it, where it counts otherwise; there as soon as it knows.
    pub span: Arc<OnceLock<Span>>,
    /// Readers, views and pins that hold it.
    pub references: usize,
    /// It is no more part of the log; its file goes when nobody holds it.
    pub pending_deletion: bool,
}

impl SegmentInfo {
    pub(crate) fn of(segment: &Segment, next_index: u64) -> Self {
        let header = &segment.header;
        let end = segment.end();
        let next_index = end.map_or(next_index, |end| end.next_index);
        Self {
            id: header.id,
            path: segment.path(),
            first_index: header.first_index,
            next_index,
            entries: end.map_or(next_index.saturating_sub(header.first_index), |end| end.records),
            bytes: segment.written(),
            capacity: header.capacity,
            sealed: end.is_some(),
            created_micros: header.created_micros,
            modified_micros: segment.modified_micros(),
            marker: header.marker,
            salt: header.salt,
            span: Arc::clone(&segment.span),
            references: segment.holds(),
            pending_deletion: segment.is_retired(),
        }
    }
}

/// Where a record lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPosition {
    /// Id of the segment.
    pub segment: u64,
    /// Position of the frame in its file.
    pub offset: u64,
}

/// Keeps a segment's file where it is.
#[derive(Debug)]
pub struct Pin {
    hold: Option<Hold>,
    wal: Arc<Wal>,
}

impl Pin {
    /// A private map of the whole pages of its file that are written, for views; `None` where there is no whole page.
    pub fn private_map(&self) -> Result<Option<varve_io::PrivateMap>> {
        let Some(hold) = &self.hold else { return Ok(None) };
        self.wal.or_gone(hold.header.first_index, hold.private_map())
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.hold.take();
        self.wal.sweep();
    }
}

impl Wal {
    /// All segments, in order; those whose files only wait to be removed first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let next_index = self.next_index();
        let mut waiting = self.set.waiting();
        waiting.sort_by_key(|segment| segment.header.id);
        let there = self.set.all().into_iter().filter(|segment| !segment.is_to_come());
        waiting.into_iter().chain(there).map(|segment| SegmentInfo::of(&segment, next_index)).collect()
    }

    /// Keeps the file of a segment where it is until the pin is dropped, whatever is removed from the log meanwhile.
    pub fn pin(self: &Arc<Self>, id: u64) -> Result<Pin> {
        self.check_open()?;
        let Some(hold) = self.set.hold(id) else {
            let ids = self.set.all();
            let at = |segment: Option<&Arc<Segment>>| segment.map_or(0, |segment| segment.header.id);
            return Err(Error::OutOfRange { index: id, first: at(ids.first()), last: at(ids.last()) });
        };
        Ok(Pin { hold: Some(hold), wal: Arc::clone(self) })
    }

    /// The same of the segment that has this salt, too: of one that was rewritten there may be two, as long as the old one is held.
    pub fn pin_salted(self: &Arc<Self>, id: u64, salt: u64) -> Result<Pin> {
        self.check_open()?;
        let hold = self.set.hold_salted(id, salt).ok_or(Error::OutOfRange { index: id, first: id, last: id })?;
        Ok(Pin { hold: Some(hold), wal: Arc::clone(self) })
    }

    /// Where record `index` lies; `None` if there is no such record.
    pub fn position_of(&self, index: u64) -> Result<Option<RecordPosition>> {
        let found = self.seen(|| self.located(index))?;
        Ok(found.map(|(segment, offset)| RecordPosition { segment: segment.header.id, offset }))
    }

    /// Index of the record at `position`; `None` if none of the log is there.
    pub fn index_at(&self, position: RecordPosition) -> Result<Option<u64>> {
        self.seen(|| self.index_now(position))
    }

    fn index_now(&self, position: RecordPosition) -> Result<Option<u64>> {
        self.check_open()?;
        let index = match self.active_index_at(position) {
            Some(index) => Some(index),
            None => match self.set.by_id(position.segment).filter(|segment| segment.end().is_some()) {
                Some(segment) => self.or_gone(segment.header.first_index, segment.index_at(position.offset))?,
                None => None,
            },
        };
        Ok(index.filter(|index| *index >= self.first_index() && *index < self.next_index()))
    }
}
