//! The end of a log: what is known of the entries of the active segment, and what every append changes. Under one lock.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use spin::Yield;
use spin::mutex::{SpinMutex, SpinMutexGuard};
use varve_format::{LogState, Provenance};
use varve_segment::Segment;

use crate::entry::{self, Packer};
use crate::error::Result;
use crate::index::{KeyIndex, key_hash};
use crate::outline::{Entry, Outline};
use crate::producers::Producers;
use crate::sealed::corrupt;
use crate::writer::Log;

/// What every append changes.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The active segment.
    pub(crate) segment: Arc<Segment>,
    pub(crate) outline: Outline,
    /// Index of the entry that is looked at next: that of the next record, unless another process writes.
    pub(crate) seen: u64,
    pub(crate) next_offset: u64,
    pub(crate) state: LogState,
    pub(crate) producers: Producers,
    /// Batches with lower offsets are in `producers`, whoever tells of them again.
    pub(crate) remembered: u64,
    /// Offset behind the first message of the last batch of a producer.
    pub(crate) stamped: u64,
    /// [`Log::moves`] when the segments were looked at last; for who follows another process.
    pub(crate) moves: u64,
    /// Bytes of entries that are being made, and where each ends.
    pub(crate) scratch: Vec<u8>,
    pub(crate) ends: Vec<u32>,
    pub(crate) packer: Packer,
    pub(crate) keys: Option<KeyIndex>,
    /// Part of the key index waits to be written, and that is under way.
    pub(crate) keys_wait: bool,
}

/// See `docs/decisions/0005-a-lock-that-yields.md`: the same lock as around the appender, taken before it.
#[derive(Debug)]
pub(crate) struct TailLock(SpinMutex<Tail, Yield>);

/// The tail, locked.
pub(crate) struct LockedTail<'a>(SpinMutexGuard<'a, Tail>);

impl TailLock {
    pub(crate) fn new(tail: Tail) -> Self {
        Self(SpinMutex::new(tail))
    }

    #[inline]
    pub(crate) fn lock(&self) -> LockedTail<'_> {
        LockedTail(self.0.lock())
    }
}

impl Deref for LockedTail<'_> {
    type Target = Tail;

    #[inline]
    fn deref(&self) -> &Tail {
        &self.0
    }
}

impl DerefMut for LockedTail<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Tail {
        &mut self.0
    }
}

impl Log {
    /// Takes note of the entry at `index`, which has been added to the record log.
    #[inline]
    pub(crate) fn note(&self, tail: &mut Tail, index: u64, entry: &Entry) -> Result<()> {
        while tail.segment.end().is_some_and(|end| index >= end.next_index) {
            self.go_on(tail);
        }
        let number = index.saturating_sub(tail.segment.header.first_index);
        if number != tail.outline.entries() {
            tail.outline.skip_to(number);
        }
        if !tail.outline.push(entry) {
            return Err(corrupt(&self.wal, index, "an entry's offset does not follow the one before"));
        }
        tail.seen = index + 1;
        tail.next_offset = entry.base + entry.span;
        Ok(())
    }

    /// The active segment has been sealed: the one behind it is active now.
    #[cold]
    pub(crate) fn go_on(&self, tail: &mut Tail) {
        let Some(next) = self.wal.segment_set().after(tail.segment.header.id) else { return };
        let end = tail.outline.end();
        let outline = std::mem::replace(&mut tail.outline, Outline::at(end));
        let sealed = std::mem::replace(&mut tail.segment, next);
        self.sealed.push(&self.wal, &sealed, outline);
        self.active_base.store(end, Ordering::Release);
        if !tail.producers.is_empty() {
            self.keep_producers_soon();
        }
    }

    /// Reads the entries that have come to the record log by another way than an append here: at open, and from another process.
    pub(crate) fn absorb(&self, tail: &mut Tail) -> Result<()> {
        let (moves, sealed) = (self.moves(), self.sealed.len());
        let absorbed = self.absorb_now(tail);
        if absorbed.is_err() {
            // Some entries may be known without their keys.
            tail.keys = None;
        }
        if self.moves() != moves {
            // Entries have got other indexes meanwhile: what is known may be some of both, and is looked at again.
            self.sealed.truncate(sealed);
            tail.outline = Outline::default();
        }
        absorbed
    }

    fn absorb_now(&self, tail: &mut Tail) -> Result<()> {
        let next = self.wal.next_index();
        let from = tail.seen.max(self.wal.first_index());
        if from >= next {
            return Ok(());
        }
        let (mut keys, mut body) = (tail.keys.is_some().then(Vec::new), Vec::new());
        entry::each(&self.wal, from, next, |index, payload| {
            if let Some(keys) = &mut keys {
                let noted = entry::each_message(payload, &mut body, &mut |message| {
                    keys.push((key_hash(self.key_seed, message.key), message.offset));
                    true
                });
                noted.map_err(|reason| corrupt(&self.wal, index, reason))?;
            }
            let (entry, provenance) = entry::outline(payload).map_err(|bad| corrupt(&self.wal, index, bad.reason()))?;
            self.note(tail, index, &entry)?;
            if !self.wal.is_following() {
                tail.stamped(&provenance, entry.base);
            }
            Ok(())
        })?;
        tail.seen = next;
        // Where the index has no room, it is opened again when it is asked: the writer has written tables by then.
        let known = tail.keys.as_mut().zip(keys);
        if known.is_some_and(|(index, keys)| keys.into_iter().any(|(hash, at)| index.insert(hash, at).is_err())) {
            tail.keys = None;
        }
        Ok(())
    }
}

impl Tail {
    /// The key index, if there is one, takes so many messages more.
    #[inline]
    pub(crate) fn has_key_room(&self, count: usize) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.room() >= count)
    }

    /// Takes note of who wrote the batch whose first message has this offset.
    pub(crate) fn stamped(&mut self, provenance: &Provenance, offset: u64) {
        if let Some(producer) = &provenance.producer {
            if offset >= self.remembered {
                self.producers.note(&(*producer).into(), offset);
                self.stamped = offset + 1;
            }
            self.state.producers = self.state.producers.or(Some(0));
        }
        if let Some(epoch) = provenance.leader_epoch {
            self.state.leader_epoch = self.state.leader_epoch.max(Some(epoch));
        }
    }
}
