//! What producers have written, kept in a file: batches whose entries were removed since are known all the same, and an open reads the newest
//! entries alone.
//!
//! A snapshot holds all batches below an offset, and names a segment before which no later ones are. It is written when all it tells of is durable,
//! after each rotation, and before entries are removed: the state of the log names the snapshot then without which it cannot be opened.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use varve_format::{LogState, Origin, ProducerSnapshot, Provenance};
use varve_segment::{Directory, FileName, Segment};

use crate::entry;
use crate::error::Result;
use crate::producers::Producers;
use crate::sealed::corrupt;
use crate::tail::{LockedTail, Tail};
use crate::writer::Log;

/// Longest file that is read: that of ten times as many producers as are remembered.
const MOST_BYTES: u64 = 16 << 20;

/// The snapshots of an open log.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    /// One is to be written in the background.
    asked: AtomicBool,
    /// Held while one is written.
    newest: Mutex<Newest>,
}

#[derive(Debug, Default)]
struct Newest {
    /// Its segment, and its offset.
    written: Option<(u64, u64)>,
    closed: bool,
}

impl Snapshots {
    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None is written any more.
    pub(crate) fn close(&self) {
        self.newest().closed = true;
    }
}

/// Segments that have a file of producers in `directory`, the last one first.
pub(crate) fn names(directory: &Directory) -> Result<Vec<u64>> {
    let id = |name| if let FileName::Producers(id) = name { Some(id) } else { None };
    let mut ids: Vec<_> = directory.names()?.into_iter().filter_map(id).collect();
    ids.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
    Ok(ids)
}

/// The file of producers of segment `id`, if it is intact.
pub(crate) fn read(directory: &Directory, id: u64) -> Option<ProducerSnapshot> {
    let bytes = directory.read_derived(FileName::Producers(id), MOST_BYTES)?;
    ProducerSnapshot::decode(&bytes).filter(|snapshot| snapshot.segment.0 == id)
}

/// The newest intact snapshot of `log`. `link` tells the link of a segment that is there: a snapshot of another of that id is of no use.
pub(crate) fn newest(
    directory: &Directory,
    log: u64,
    link: impl Fn(u64) -> Option<u64>,
) -> Result<Option<ProducerSnapshot>> {
    let fits = |found: &ProducerSnapshot| {
        let (id, expected) = found.segment;
        found.log == log && link(id).is_none_or(|link| link == expected)
    };
    Ok(names(directory)?.into_iter().find_map(|id| read(directory, id).filter(fits)))
}

impl Log {
    /// What the state of the log says of who writes is changed before the first entry by which it changes: every segment that begins in it, or after
    /// it, says so then. Gives the state before, if it was changed.
    pub(crate) fn foretell(&self, tail: &mut LockedTail<'_>, provenance: &Provenance) -> Result<Option<LogState>> {
        let epoch = provenance.leader_epoch.filter(|epoch| tail.state.leader_epoch.is_none_or(|seen| *epoch > seen));
        let first = provenance.producer.is_some() && tail.state.producers.is_none();
        if epoch.is_none() && !first {
            return Ok(None);
        }
        let before = tail.state.clone();
        self.change_state(tail, |state| {
            state.leader_epoch = state.leader_epoch.max(epoch);
            state.producers = state.producers.or(first.then_some(0));
        })?;
        Ok(Some(before))
    }

    /// Finds what producers have written before the active segment, the last one of `segments`. Where that cannot be known, it is an error, unless
    /// `anyway`: then what is in the entries has to do, and in `told`.
    pub(crate) fn look_for_producers(
        &self,
        tail: &mut Tail,
        segments: &[Arc<Segment>],
        anyway: bool,
        told: Option<&ProducerSnapshot>,
    ) -> Result<()> {
        // One that is not there yet has no directory to look into.
        let Some(active) = segments.last().filter(|_| !self.wal.is_to_come()) else { return Ok(()) };
        let is_recovery =
            |segment: &Arc<Segment>| segment.header.origin & !(Origin::Rewritten as u8) == Origin::Recovery as u8;
        // Of entries at a torn end the state may not tell yet.
        let begun = segments.iter().rposition(|segment| !is_recovery(segment)).unwrap_or(0);
        let link = |id| segments.iter().find(|one| one.header.id == id).map(|one| one.header.link);
        let found = newest(self.wal.directory(), active.header.log, link)?;
        let needed = tail.state.producers;
        let found = found.or_else(|| told.cloned());
        let found = found.filter(|found| told.is_some() || needed.is_none_or(|needed| found.segment.0 >= needed));
        let from = match (&found, needed) {
            (Some(found), _) => {
                tail.producers = Producers::of(found);
                tail.remembered = found.offset;
                segments.partition_point(|segment| segment.header.id < found.segment.0).min(begun)
            }
            (None, Some(needed)) if needed > 0 && !anyway => {
                let path = self.wal.directory().file(FileName::Producers(needed));
                let reason = "what producers have written is not known: the file is damaged or missing";
                return Err(varve_segment::Error::Corrupt { path, position: 0, index: None, reason }.into());
            }
            (None, Some(_)) => 0,
            (None, None) => begun,
        };
        let Some(from) = segments.get(from).filter(|from| from.header.id < active.header.id) else { return Ok(()) };
        let from = from.header.first_index.max(self.wal.first_index());
        entry::each(&self.wal, from, active.header.first_index, |index, payload| {
            let (entry, provenance) = entry::outline(payload).map_err(|bad| corrupt(&self.wal, index, bad.reason()))?;
            tail.stamped(&provenance, entry.base);
            Ok(())
        })
    }

    /// Has a snapshot written in the background.
    #[cold]
    pub(crate) fn keep_producers_soon(&self) {
        if self.snapshots.asked.swap(true, Ordering::AcqRel) {
            return;
        }
        let log = std::sync::Weak::clone(&self.me);
        // Not one of the directory's chores, which a close waits for while it has the lock that a sync takes.
        self.machine().spawn(Box::new(move || {
            if let Some(log) = log.upgrade() {
                log.snapshots.asked.store(false, Ordering::Release);
                let _tried_again_with_the_next_segment = log.keep_producers(false);
            }
        }));
    }

    /// Writes a snapshot of now, durably, unless there is one that tells the same. The one before stays; with `alone` none does. Gives its segment.
    pub(crate) fn keep_producers(&self, alone: bool) -> Result<u64> {
        let mut newest = self.snapshots.newest();
        if newest.closed {
            return Err(varve_wal::Error::Closed.into());
        }
        self.settle_tail();
        let tail = self.tail.lock();
        if let Some((id, _)) = newest.written.filter(|(_, offset)| *offset >= tail.stamped && !alone) {
            return Ok(id);
        }
        let snapshot = tail.producers.snapshot(&tail.segment.header, tail.next_offset);
        drop(tail);
        // A batch that is remembered and lost would never be written again.
        self.wal.sync()?;
        let (directory, (id, _)) = (self.wal.directory(), snapshot.segment);
        directory.replace_durably(FileName::Producers(id), &snapshot.encode())?;
        newest.written = Some((id, snapshot.offset));
        let others: Vec<u64> = names(directory)?.into_iter().filter(|other| *other != id).collect();
        let before = others.iter().copied().find(|other| *other < id).filter(|_| !alone);
        let gone: Vec<u64> = others.into_iter().filter(|other| Some(*other) != before).collect();
        for other in &gone {
            directory.unlink(FileName::Producers(*other))?;
        }
        if alone || gone.iter().any(|other| *other > id) {
            // What they tell is wrong.
            directory.sync()?;
        }
        Ok(id)
    }

    /// Before entries are removed: what they tell of producers is in a snapshot, durably, and the log is not opened without it.
    pub(crate) fn settle_producers(&self) -> Result<()> {
        if self.tail.lock().state.producers.is_none() {
            return Ok(());
        }
        let id = self.keep_producers(false)?;
        let mut tail = self.tail.lock();
        if tail.state.producers < Some(id) {
            self.change_state(&mut tail, |state| state.producers = Some(id))?;
        }
        drop(tail);
        self.wal.sync()?;
        Ok(())
    }
}
