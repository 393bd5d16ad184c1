//! The log itself, and how messages come into it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use varve_format::{LogState, Producer as Stamped, Provenance};
use varve_wal::{Gap, MAX_INDEX, Wal};

use crate::bodies::Bodies;
use crate::care::Uses;
use crate::entry::{self, Input};
use crate::error::{Error, Result};
use crate::options::Compression;
use crate::outline::Entry;
use crate::places::Mirrors;
use crate::producers::Producer;
use crate::retention::Retainer;
use crate::sealed::Sealed;
use crate::snapshot::Snapshots;
use crate::tail::{LockedTail, Tail, TailLock};

/// Most bytes of one batch, and so of one message: as of the record log's batches.
pub const MAX_BATCH_BYTES: u64 = varve_wal::MAX_BATCH_BYTES;

/// A log that is open. Shared by all threads of a process; opened by [`crate::open_shared`], or by [`Log::open`] where there is but one.
#[derive(Debug)]
pub struct Log {
    pub(crate) me: Weak<Self>,
    pub(crate) wal: Arc<Wal>,
    pub(crate) tail: TailLock,
    pub(crate) sealed: Sealed,
    /// Offset of the first message that the active segment holds, or may come to hold.
    pub(crate) active_base: AtomicU64,
    pub(crate) next_offset: AtomicU64,
    pub(crate) start_offset: AtomicU64,
    pub(crate) high_water: AtomicU64,
    pub(crate) bodies: Bodies,
    pub(crate) key_seed: u64,
    pub(crate) time_index: bool,
    pub(crate) key_index: bool,
    /// How often segments were rewritten, twice: odd while one is.
    pub(crate) rewrites: AtomicU64,
    pub(crate) removing: Mutex<()>,
    pub(crate) snapshots: Snapshots,
    pub(crate) uses: Uses,
    pub(crate) retainer: Retainer,
    /// What the open found missing, by offsets.
    pub(crate) gaps: OnceLock<Vec<Gap>>,
    pub(crate) mirrors: Mirrors,
    /// A search for keys without an index has files in the directory.
    pub(crate) scratched: AtomicBool,
}

/// What an append depends on, and how it is done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditions {
    /// The first message must get this offset.
    pub expected: Option<u64>,
    /// Who writes it, so that it is not written twice.
    pub producer: Option<Producer>,
    /// Epoch of the leader that writes.
    pub leader_epoch: Option<u64>,
    /// How it is compressed.
    pub compression: Compression,
    /// The producer writes to other logs too: its sequence may have gaps here.
    pub gaps: bool,
}

impl Log {
    /// Its directory.
    pub fn dir(&self) -> &Path {
        self.wal.dir()
    }

    /// The record log that its entries are in.
    pub fn wal(&self) -> &Arc<Wal> {
        &self.wal
    }

    /// Lowest offset still held; the next one, if none is.
    pub fn start_offset(&self) -> u64 {
        self.start_offset.load(Ordering::Acquire)
    }

    /// Offset of the next message.
    #[inline]
    pub fn next_offset(&self) -> u64 {
        self.catch_up();
        self.next_offset.load(Ordering::Acquire)
    }

    /// Offset after the last committed message.
    pub fn high_water_mark(&self) -> u64 {
        let next = self.next_offset();
        self.high_water.load(Ordering::Acquire).clamp(self.start_offset().min(next), next)
    }

    /// Looks at what another process has written since, where the log is only followed here.
    #[inline]
    pub fn catch_up(&self) {
        if self.wal.is_following() {
            self.follow_on();
        }
    }

    /// Epoch and sequence of the last batch of a producer.
    pub(crate) fn last_batch_of(&self, producer: u64) -> Option<(u32, u64)> {
        self.tail.lock().producers.last_of(producer)
    }

    /// An error if an option is out of its range, or the leader or producer is fenced.
    fn check(tail: &Tail, conditions: &Conditions) -> Result<Option<u64>> {
        if let (Some(epoch), Some(seen)) = (conditions.leader_epoch, tail.state.leader_epoch)
            && epoch < seen
        {
            return Err(Error::Fenced { producer: None, epoch, seen });
        }
        if let Some(batch) = &conditions.producer
            && let Some(offset) = tail.producers.find(batch, conditions.gaps)?
        {
            return Ok(Some(offset));
        }
        match conditions.expected {
            Some(expected) if expected != tail.next_offset => Err(Error::Conflict { expected, next: tail.next_offset }),
            _ => Ok(None),
        }
    }

    /// Adds one message and returns its offset. bench: log-append
    #[inline]
    pub fn append(&self, input: &Input<'_>) -> Result<u64> {
        let mut tail = self.tail_with_room(1)?;
        let tail = &mut *tail;
        let offset = tail.next_offset;
        tail.scratch.clear();
        entry::write_single(&mut tail.scratch, offset, input, Provenance::NONE);
        let index = self.put_one(tail)?;
        self.note(tail, index, &Entry { base: offset, span: 1, messages: 1, max_time: input.time, saved: 0 })?;
        self.index_key(tail, input.key, offset)?;
        self.next_offset.store(offset + 1, Ordering::Release);
        Ok(offset)
    }

    #[inline]
    fn put_one(&self, tail: &mut Tail) -> Result<u64> {
        if tail.next_offset >= MAX_INDEX {
            return Err(Error::OutOfRange { what: "offset", offset: tail.next_offset, first: 0, last: MAX_INDEX - 1 });
        }
        Ok(self.wal.append(&tail.scratch, None)?)
    }

    /// The same on conditions: with a producer that has written it before, it is not written again, and its offset is that of then.
    pub fn append_on(&self, input: &Input<'_>, conditions: &Conditions) -> Result<u64> {
        self.append_batch(std::slice::from_ref(input), conditions)
    }

    /// Adds messages as one batch, whole or not at all, and returns the offset of the first. Of no messages: the next offset.
    pub fn append_batch(&self, inputs: &[Input<'_>], conditions: &Conditions) -> Result<u64> {
        let mut tail = self.tail_with_room(inputs.len())?;
        self.wal.check_writable()?;
        if let Some(offset) = Self::check(&tail, conditions)? {
            return Ok(offset);
        }
        let first = tail.next_offset;
        if inputs.is_empty() {
            return Ok(first);
        }
        let next = first + inputs.len() as u64;
        if next > MAX_INDEX {
            return Err(Error::OutOfRange { what: "offset", offset: next, first: 0, last: MAX_INDEX });
        }
        let bytes: u64 = inputs.iter().map(|input| input.len() as u64).sum();
        if bytes > MAX_BATCH_BYTES {
            return Err(Error::too_large("a batch", bytes, MAX_BATCH_BYTES));
        }
        let count = u32::try_from(inputs.len()).unwrap_or(u32::MAX);
        let producer =
            conditions.producer.map(|Producer { id, epoch, sequence }| Stamped { id, epoch, sequence, count });
        let provenance = Provenance { producer, leader_epoch: conditions.leader_epoch };
        let before = self.foretell(&mut tail, &provenance)?;
        let index = match self.put(&mut tail, first, inputs, provenance, &conditions.compression) {
            Ok(index) => index,
            Err(error) => {
                if let Some(before) = before {
                    let _log_has_failed = self.change_state(&mut tail, |state| *state = before);
                }
                return Err(error);
            }
        };
        let mut base = first;
        for (i, group) in (index..).zip(entry::groups(inputs)) {
            self.note(&mut tail, i, &entry::of_group(base, group))?;
            base += group.len() as u64;
        }
        let saved = tail.packer.take_saved();
        tail.outline.save(saved);
        for (offset, input) in (first..).zip(inputs) {
            self.index_key(&mut tail, input.key, offset)?;
        }
        tail.stamped(&provenance, first);
        self.next_offset.store(next, Ordering::Release);
        Ok(first)
    }

    /// Writes the entries of a batch. Gives the index of the first.
    fn put(
        &self,
        tail: &mut Tail,
        base: u64,
        inputs: &[Input<'_>],
        provenance: Provenance,
        compression: &Compression,
    ) -> Result<u64> {
        let Tail { scratch, ends, packer, .. } = tail;
        scratch.clear();
        ends.clear();
        let _of_a_batch_that_failed = packer.take_saved();
        let mut offset = base;
        for group in entry::groups(inputs) {
            // Who wrote it is said once a batch.
            let provenance = if offset == base { provenance } else { Provenance::NONE };
            match group {
                [input] if compression.codec == varve_codec::Codec::None => {
                    entry::write_single(scratch, offset, input, provenance);
                }
                _ => packer.write_group(scratch, offset, group, provenance, compression)?,
            }
            ends.push(
                u32::try_from(scratch.len())
                    .map_err(|_| Error::too_large("a batch", scratch.len() as u64, MAX_BATCH_BYTES))?,
            );
            offset += group.len() as u64;
        }
        Ok(self.wal.append_packed(scratch, ends, None)?)
    }

    /// Changes what is kept in the state of the log, and has it written with what is handed over next.
    pub(crate) fn change_state(&self, tail: &mut LockedTail<'_>, change: impl FnOnce(&mut LogState)) -> Result<()> {
        let mut state = tail.state.clone();
        change(&mut state);
        state.next_offset = tail.next_offset;
        self.wal.change_engine_state(state.encode())?;
        tail.state = state;
        Ok(())
    }

    /// Commits all messages below `to`: who reads by the high-water mark may see them. Never moves back.
    pub fn advance_high_water_mark(&self, to: u64) -> Result<()> {
        let mut tail = self.tail.lock();
        self.wal.check_writable()?;
        if to > tail.next_offset {
            let first = self.start_offset();
            return Err(Error::OutOfRange { what: "the high-water mark", offset: to, first, last: tail.next_offset });
        }
        if to <= self.high_water.load(Ordering::Acquire) {
            return Ok(());
        }
        self.change_state(&mut tail, |state| state.high_water = to)?;
        self.high_water.store(to, Ordering::Release);
        drop(tail);
        self.wal.wake_committed();
        Ok(())
    }

    /// Asks that listeners be told, once, when the log has moved on from `seen`: the next offset, or the high-water mark if `gated`. False if it has by
    /// now, and they will not be.
    pub fn wake_at(&self, seen: u64, gated: bool) -> bool {
        self.catch_up();
        let tail = self.tail.lock();
        let now = if gated { self.high_water_now(&tail) } else { tail.next_offset };
        if now != seen || self.wal.check_open().is_err() {
            return false;
        }
        if gated {
            self.wal.await_committed();
            return true;
        }
        // Under the lock that every append takes: nothing comes between.
        self.wal.wake_at(tail.seen, false)
    }

    fn high_water_now(&self, tail: &Tail) -> u64 {
        let next = tail.next_offset;
        self.high_water.load(Ordering::Acquire).clamp(self.start_offset().min(next), next)
    }

    /// Offset below which everything is durable.
    pub fn durable_offset(&self) -> u64 {
        let next = self.next_offset();
        let durable = self.wal.durable_index();
        if durable >= self.wal.next_index() {
            return next;
        }
        self.offset_of_entry(durable).unwrap_or_else(|| self.start_offset()).min(next)
    }

    /// Hands what is buffered to the system.
    pub fn flush(&self) -> Result<()> {
        Ok(self.wal.flush()?)
    }

    /// Makes everything so far durable, and returns the offset below which that holds.
    pub fn sync(&self) -> Result<u64> {
        let next = self.next_offset();
        self.wal.sync()?;
        Ok(next)
    }
}
