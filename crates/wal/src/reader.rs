//! Reading: one record by its index, or all of them in order.

use std::sync::Arc;

use varve_format::FRAME_HEADER_LEN;
use varve_segment::{Cursor, Fill, Segment, Table};

use crate::error::{Error, Result};
use crate::place::{Mirror, Place};
use crate::role::Role;
use crate::writer::Wal;

/// Where less room than this is left in a slab, nothing more is read ahead into it.
const LEAST_AHEAD: usize = 16 << 10;

impl Wal {
    /// Hands the verified bytes of record `index` to `read`. `None`: there is no such record (any more, or yet), or it is lost and that is
    /// known. A record still in the group buffer is read under the log's lock: `read` must be short.
    /// bench: get
    pub fn get<R>(&self, index: u64, mut read: impl FnMut(&[u8]) -> R) -> Result<Option<R>> {
        self.seen(|| self.get_now(index, &mut read))
    }

    fn get_now<R>(&self, index: u64, read: &mut impl FnMut(&[u8]) -> R) -> Result<Option<R>> {
        self.check_open()?;
        if index < self.first_index() || index >= self.next_index() {
            return Ok(None);
        }
        let active = match &self.role {
            Role::Writer(writer) => {
                let appender = writer.appender.lock();
                match appender.position_of(index) {
                    Some((segment, position)) => {
                        if let Some(payload) = appender.buffered_record(position) {
                            return Ok(Some(read(payload)));
                        }
                        Some((Arc::clone(segment), position))
                    }
                    None => None,
                }
            }
            Role::Following(_) => self.active_position(index),
        };
        if let Some((segment, position)) = active {
            return Ok(Some(self.or_gone(index, segment.record(index, position, read))?));
        }
        let Some(segment) = self.set.find(index) else { return Ok(None) };
        let found = match segment.position_of(index) {
            Ok(Some(position)) => segment.record(index, position, read).map(Some),
            Ok(None) if segment.may_miss(index) => return Ok(None),
            Ok(None) => Err(segment.lost(index)),
            Err(error) => Err(error),
        };
        match self.or_gone(index, found) {
            // Cut or dropped since it was looked for.
            Err(_) if index < self.first_index() || index >= self.next_index() => Ok(None),
            found => found,
        }
    }

    /// Verifies record `index` where it lies, and gives the id of its segment, and start and end of the record in that file. `None`: it is not there, or
    /// not in whole pages that are written; [`Wal::get`] tells.
    pub fn place_of(&self, index: u64) -> Result<Option<(u64, u64, u64)>> {
        self.seen(|| self.place_now(index))
    }

    fn place_now(&self, index: u64) -> Result<Option<(u64, u64, u64)>> {
        let found = self.located(index)?;
        let Some((segment, position)) = found.filter(|(segment, position)| *position < segment.whole_pages()) else {
            return Ok(None);
        };
        let len = self.or_gone(index, segment.record(index, position, <[u8]>::len))?;
        let start = position + FRAME_HEADER_LEN as u64;
        let end = start + len as u64;
        Ok((end <= segment.whole_pages()).then_some((segment.header.id, start, end)))
    }

    /// The segment and position of record `index`; `None` if it is not there. To be asked while no segments are exchanged.
    pub(crate) fn located(&self, index: u64) -> Result<Option<(Arc<Segment>, u64)>> {
        self.check_open()?;
        if index < self.first_index() || index >= self.next_index() {
            return Ok(None);
        }
        if let Some(found) = self.active_position(index) {
            return Ok(Some(found));
        }
        let Some(segment) = self.set.find(index) else { return Ok(None) };
        let position = self.or_gone(index, segment.position_of(index))?;
        Ok(position.map(|position| (segment, position)))
    }

    /// What `look` finds while no segments are exchanged. Of a log that is followed: where it met a segment that its writer has rewritten since, once more.
    pub(crate) fn seen<R>(&self, mut look: impl FnMut() -> Result<R>) -> Result<R> {
        match self.steady(&mut look) {
            Err(Error::OutOfRange { .. }) if self.take_rewritten() => self.steady(look),
            seen => seen,
        }
    }

    /// A file may have been removed since it was looked for: by retention, or by the writer that is followed.
    pub(crate) fn or_gone<R>(&self, index: u64, outcome: varve_segment::Result<R>) -> Result<R> {
        outcome.map_err(|error| {
            let (first, last) = (self.first_index(), self.next_index());
            let follows = matches!(self.role, Role::Following(_));
            if error.is_missing() && (follows || index < first || index >= last) {
                return Error::OutOfRange { index, first, last };
            }
            error.into()
        })
    }

    /// A reader at `from`, up to `to` (excluded), or to the end as it is at each step.
    pub fn reader(self: &Arc<Self>, from: u64, to: Option<u64>) -> Result<WalReader> {
        self.reader_with(ReaderOptions { from, to, ..ReaderOptions::default() })
    }

    /// A reader.
    pub fn reader_with(self: &Arc<Self>, options: ReaderOptions) -> Result<WalReader> {
        let ReaderOptions { from, to, gated, waits, mirror } = options;
        let place = Arc::new(Place::new(from, !waits, mirror));
        // Known before it stands somewhere: no truncation between the two goes unnoticed.
        self.places.add(&place);
        let cursor = self.cursor(from)?;
        Ok(WalReader { cursor: Some(cursor), wal: Arc::clone(self), to: to.unwrap_or(u64::MAX), gated, place })
    }

    fn cursor(&self, from: u64) -> Result<Cursor> {
        self.seen(|| self.cursor_now(from))
    }

    fn cursor_now(&self, from: u64) -> Result<Cursor> {
        self.check_open()?;
        let (first, next) = (self.first_index(), self.next_index());
        if from < first || from > next {
            return Err(Error::OutOfRange { index: from, first, last: next });
        }
        if let Some((segment, position)) = self.active_position(from) {
            return Ok(Cursor::new(segment, position, from));
        }
        let (segment, position, next) = self.active_end();
        // Where a follower has seen half of a batch, what comes next may lie in an earlier segment.
        if from == next && from >= segment.header.first_index {
            return Ok(Cursor::new(segment, position, from));
        }
        let Some(segment) = self.set.find(from) else {
            return Err(Error::OutOfRange { index: from, first, last: next });
        };
        let position = self.or_gone(from, segment.position_from(from))?;
        Ok(Cursor::new(segment, position, from))
    }
}

/// How a reader reads.
#[derive(Debug, Default)]
pub struct ReaderOptions {
    /// Index of its first record.
    pub from: u64,
    /// Index that it does not return any more.
    pub to: Option<u64>,
    /// It stops at the last committed record.
    pub gated: bool,
    /// It waits for more: it blocks no truncation of what it has returned, but is overtaken by it.
    pub waits: bool,
    /// Who keeps its place, where that is not the reader itself.
    pub mirror: Option<Box<dyn Mirror>>,
}

/// Goes through records in order. Stays where the log ends now, and goes on from there. Holds the segment it stands in.
#[derive(Debug)]
pub struct WalReader {
    wal: Arc<Wal>,
    /// `None` only while it is dropped.
    cursor: Option<Cursor>,
    to: u64,
    gated: bool,
    place: Arc<Place>,
}

impl WalReader {
    /// Index of the next record.
    pub fn index(&self) -> u64 {
        self.cursor.as_ref().map_or(0, Cursor::index)
    }

    /// Its log.
    pub fn wal(&self) -> &Arc<Wal> {
        &self.wal
    }

    /// Id of the segment it stands in.
    pub fn segment_id(&self) -> u64 {
        self.cursor.as_ref().map_or(0, |cursor| cursor.segment().header.id)
    }

    /// Salt of the segment it stands in: tells it from others that have its id.
    pub fn segment_salt(&self) -> u64 {
        self.cursor.as_ref().map_or(0, |cursor| cursor.segment().header.salt)
    }

    /// Copies the next records into `slab`, verified, and says in `table` where they are.
    pub fn fill(&mut self, slab: &mut [u8], table: &mut Table) -> Result<Fill> {
        self.step(|wal, cursor, limit| {
            let tail = |segment, position, slab: &mut [u8]| wal.copy_tail(segment, position, slab);
            cursor.fill(&wal.set, limit, slab, table, tail)
        })
    }

    /// Fills table after table, as far as `slab` has room: for who reads ahead. Positions are those in the whole slab. Gives the number of tables
    /// that have records, and their counts in `counts`; or that the first record needs a larger slab.
    pub fn fill_many(&mut self, slab: &mut [u8], tables: &mut [Table], counts: &mut [u32]) -> Result<Fill> {
        let (mut used, mut filled) = (0, 0);
        for (table, count) in tables.iter_mut().zip(counts) {
            let Some(rest) = slab.get_mut(used..).filter(|rest| filled == 0 || rest.len() >= LEAST_AHEAD) else {
                break;
            };
            let step = match self.fill(rest, table) {
                // What was filled before it is intact; the next call meets it again.
                Err(_) if filled > 0 => break,
                step => step?,
            };
            match step {
                Fill::Needs(bytes) if filled == 0 => return Ok(Fill::Needs(bytes)),
                Fill::Needs(_) | Fill::Records(0) => break,
                Fill::Records(records) => {
                    let places = &mut table[..2 * records];
                    let base = u32::try_from(used).unwrap_or(u32::MAX);
                    places.iter_mut().for_each(|place| *place += base);
                    used = (places.last().map_or(used, |end| *end as usize) + 7) & !7;
                    *count = u32::try_from(records).unwrap_or(0);
                    filled += 1;
                }
            }
        }
        Ok(Fill::Records(filled))
    }

    /// Verifies the next records where they are, and says in `table` where in the file of [`WalReader::segment_id`] that is. 0 of them: what comes next
    /// is not in whole pages that are written, or there is nothing; [`WalReader::fill`] tells.
    pub fn fill_views(&mut self, table: &mut Table) -> Result<Fill> {
        self.step(|wal, cursor, limit| cursor.fill_views(&wal.set, limit, table))
    }

    fn step(&mut self, mut read: impl FnMut(&Wal, &mut Cursor, u64) -> varve_segment::Result<Fill>) -> Result<Fill> {
        loop {
            self.wal.check_open()?;
            let change = self.wal.change();
            if self.place.is_interrupted() {
                self.rewind()?;
            }
            let end = if self.gated { self.wal.committed() } else { self.wal.next_index() };
            let limit = end.min(self.to);
            let Some(cursor) = &mut self.cursor else { return Ok(Fill::Records(0)) };
            let index = cursor.index();
            let filled = self.wal.or_gone(index, read(&self.wal, cursor, limit));
            if self.wal.change_is(change) {
                let filled = filled?;
                if matches!(filled, Fill::Records(count) if count > 0) {
                    self.place.move_to(cursor.index());
                }
                return Ok(filled);
            }
            // Segments were exchanged under it: what it has read may be of both. From its place once more.
            self.place.interrupt();
        }
    }

    /// Goes back to its place: what was filled and not returned is filled again.
    pub fn rewind(&mut self) -> Result<()> {
        match self.place.resume() {
            Some(next) => {
                self.cursor = Some(self.wal.cursor(next)?);
                Ok(())
            }
            None => {
                let (first, last) = (self.wal.first_index(), self.wal.next_index());
                Err(Error::OutOfRange { index: self.index(), first, last })
            }
        }
    }

    /// Moves to record `index`.
    pub fn seek(&mut self, index: u64) -> Result<()> {
        self.cursor = Some(self.wal.cursor(index)?);
        self.place.settle(index);
        Ok(())
    }
}

impl Drop for WalReader {
    fn drop(&mut self) {
        self.cursor.take();
        // What it held may go now.
        self.wal.sweep();
    }
}
