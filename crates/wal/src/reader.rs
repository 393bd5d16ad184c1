//! Reading: one record by its index, or all of them in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use varve_segment::{Cursor, Fill, Segment, Table};

use crate::error::{Error, Result};
use crate::writer::Wal;

impl Wal {
    /// Hands the verified bytes of record `index` to `read`. `None`: there is no such record (any more, or yet), or it is lost and the
    /// log was opened to go on behind damage. A record still in the group buffer is read under the log's lock: `read` must be short.
    /// bench: get
    pub fn get<R>(&self, index: u64, read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        if index < self.first_index() || index >= self.next_index() {
            return Ok(None);
        }
        let appender = self.appender();
        let (segment, position) = match appender.position_of(index) {
            Some((segment, position)) => {
                if let Some(payload) = appender.buffered_record(position) {
                    return Ok(Some(read(payload)));
                }
                (Arc::clone(segment), position)
            }
            None => {
                drop(appender);
                let Some(segment) = self.set.find(index) else { return Ok(None) };
                let Some(position) = sealed_position(&segment, index)? else { return Ok(None) };
                return Ok(Some(segment.record(index, position, read)?));
            }
        };
        drop(appender);
        Ok(Some(segment.record(index, position, read)?))
    }

    /// A reader at `from`, up to `to` (excluded), or to the end as it is at each step.
    pub fn reader(self: &Arc<Self>, from: u64, to: Option<u64>) -> Result<WalReader> {
        Ok(WalReader { cursor: self.cursor(from)?, wal: Arc::clone(self), to: to.unwrap_or(u64::MAX) })
    }

    fn cursor(&self, from: u64) -> Result<Cursor> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        let (first, next) = (self.first_index(), self.next_index());
        if from < first || from > next {
            return Err(Error::OutOfRange { index: from, first, last: next });
        }
        let appender = self.appender();
        if let Some((segment, position)) = appender.position_of(from) {
            return Ok(Cursor::new(Arc::clone(segment), position, from));
        }
        if from == appender.next_index() {
            let (segment, position) = appender.end();
            return Ok(Cursor::new(Arc::clone(segment), position, from));
        }
        drop(appender);
        let Some(segment) = self.set.find(from) else {
            return Err(Error::OutOfRange { index: from, first, last: next });
        };
        let position = segment.position_from(from)?;
        Ok(Cursor::new(segment, position, from))
    }
}

/// Position of a record in a sealed segment; `None` if it is lost, and is known to be.
fn sealed_position(segment: &Segment, index: u64) -> Result<Option<u64>> {
    match segment.position_of(index)? {
        None if !segment.is_damaged() => Err(segment.lost(index).into()),
        position => Ok(position),
    }
}

/// Goes through records in order. Stays where the log ends now, and goes on from there.
#[derive(Debug)]
pub struct WalReader {
    wal: Arc<Wal>,
    cursor: Cursor,
    to: u64,
}

impl WalReader {
    /// Index of the next record.
    pub fn index(&self) -> u64 {
        self.cursor.index()
    }

    /// Copies the next records into `slab`, verified, and says in `table` where they are.
    pub fn fill(&mut self, slab: &mut [u8], table: &mut Table) -> Result<Fill> {
        if self.wal.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        let limit = self.wal.next_index().min(self.to);
        let tail = |segment, position, slab: &mut [u8]| self.wal.appender().copy_tail(segment, position, slab);
        Ok(self.cursor.fill(&self.wal.set, limit, slab, table, tail)?)
    }

    /// Moves to record `index`.
    pub fn seek(&mut self, index: u64) -> Result<()> {
        self.cursor = self.wal.cursor(index)?;
        Ok(())
    }
}
