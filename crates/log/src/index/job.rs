//! Work on tables that needs no lock: the caller takes it, runs it on another thread, and installs what came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use varve_format::KEY_PREFIX_BITS;

use super::error::{IndexError, Result};
use super::merge::Merge;
use super::name::Name;
use super::table::Table;
use super::tail::Tail;
use super::write::{Gate, Place, Span, TableWriter};

/// Entries between two looks at whether the work is called off.
const PIECE: u64 = 4096;

/// Work to be done without any lock on the index. Dropping it is giving it up: it is offered again.
#[derive(Debug)]
pub struct Job {
    pub(super) gate: Arc<Gate>,
    pub(super) place: Place,
    pub(super) work: Work,
}

#[derive(Debug)]
pub(super) enum Work {
    /// Write the frozen tail as a table.
    Write(Arc<Tail>),
    /// Make one table of several, without the messages below `start`.
    Merge { tables: Vec<Arc<Table>>, start: u64, under_way: Option<Box<Merge>> },
    /// Remove the files of tables that are no more needed.
    Remove(Vec<Name>),
}

/// What came of a piece of a [`Job`].
#[derive(Debug)]
pub enum Progress {
    /// There is more to do.
    More(Job),
    /// It has come to its end, whatever that is.
    Done(Done),
}

/// A [`Job`] that has come to its end; for [`super::KeyIndex::install`].
#[derive(Debug)]
pub struct Done {
    pub(super) gate: Arc<Gate>,
    pub(super) outcome: Result<Outcome>,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Written(Table),
    Merged { of: Vec<Arc<Table>>, into: Table },
    Removed(Vec<Name>),
}

impl Job {
    /// True of a merge: it may take long, and nobody waits for it.
    pub fn is_merge(&self) -> bool {
        matches!(self.work, Work::Merge { .. })
    }

    /// Does it all. `is_held` tells of an offset whether its message is still held; it may say no only of one that no crash brings back.
    /// Ends early, with nothing done, when `stop` becomes true.
    ///
    /// A frozen tail takes some 20 ms and a sync of 2 MiB; a merge some 30 ns an entry and a sync.
    pub fn run(self, is_held: &dyn Fn(u64) -> bool, stop: &AtomicBool) -> Done {
        let mut job = self;
        loop {
            match job.work(u64::MAX, is_held, stop) {
                Progress::More(more) => job = more,
                Progress::Done(done) => return done,
            }
        }
    }

    /// Does a piece of it: at most about `entries` entries of a merge, or all of what is no merge. For threads that have other work as well.
    pub fn work(mut self, entries: u64, is_held: &dyn Fn(u64) -> bool, stop: &AtomicBool) -> Progress {
        let mut left = entries.max(1);
        let outcome = loop {
            match self.step(left.min(PIECE), is_held, stop) {
                Ok(Some(outcome)) => break Ok(outcome),
                Ok(None) if left > PIECE => left -= PIECE,
                Ok(None) => return Progress::More(self),
                Err(error) => break Err(error),
            }
        };
        Progress::Done(Done { gate: self.gate, outcome })
    }

    fn step(&mut self, entries: u64, is_held: &dyn Fn(u64) -> bool, stop: &AtomicBool) -> Result<Option<Outcome>> {
        if stop.load(Ordering::Relaxed) || self.gate.is_closed() {
            return Err(IndexError::Aborted);
        }
        match &mut self.work {
            Work::Write(tail) => Ok(Some(Outcome::Written(write(&self.place, tail, &self.gate, stop)?))),
            Work::Remove(names) => {
                let names = std::mem::take(names);
                for name in &names {
                    self.gate.pass(|| remove(&self.place, *name))?;
                }
                Ok(Some(Outcome::Removed(names)))
            }
            Work::Merge { tables, start, under_way } => {
                let merge = match under_way {
                    Some(merge) => merge,
                    None => match Merge::begin(&self.place, tables, *start)? {
                        Some(merge) => under_way.insert(Box::new(merge)),
                        None => return Err(IndexError::Aborted),
                    },
                };
                if merge.go_on(entries, is_held)? {
                    return Ok(None);
                }
                let Some(merge) = under_way.take() else { return Err(IndexError::Aborted) };
                let into = merge.finish(&self.gate)?;
                Ok(Some(Outcome::Merged { of: std::mem::take(tables), into }))
            }
        }
    }
}

fn write(place: &Place, tail: &Tail, gate: &Gate, stop: &AtomicBool) -> Result<Table> {
    let span = Span { from: tail.from, to: tail.next, base: tail.base() };
    let mut writer = TableWriter::create(place, span, tail.len() as u64)?;
    let mut count = 0;
    tail.sorted(KEY_PREFIX_BITS, |hash, offset| {
        count += 1;
        if count % PIECE == 0 && stop.load(Ordering::Relaxed) {
            return Err(IndexError::Aborted);
        }
        writer.push(prefix(hash), span.base + u64::from(offset))
    })?;
    writer.finish(gate)
}

/// As much of a hash as tables keep.
#[inline]
pub(super) fn prefix(hash: u64) -> u64 {
    hash >> (64 - KEY_PREFIX_BITS)
}

/// Removes a file that may be gone already.
pub(super) fn remove(place: &Place, name: Name) -> Result<()> {
    match place.machine.unlink(&place.path(name)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
