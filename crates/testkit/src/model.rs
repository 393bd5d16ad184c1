//! What a log may hold: all that was tried, and how much of it must be there.

use std::sync::Arc;

use varve_format::frame_len;

use crate::failure::Failure;

/// A record that was tried.
#[derive(Debug, Clone)]
struct Attempt {
    bytes: Arc<[u8]>,
    /// Index of the first record of its batch.
    batch: u64,
}

/// The history of one log.
#[derive(Debug, Clone)]
pub struct Model {
    first: u64,
    records: Vec<Attempt>,
    disk: u64,
    os: u64,
}

impl Model {
    /// Of a log that begins at index `first`.
    pub fn new(first: u64) -> Self {
        Self { first, records: Vec::new(), disk: first, os: first }
    }

    /// Index of the first record.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Index after all that was tried.
    pub fn next(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// Every record below it was acknowledged as durable, or returned by a log that was opened again.
    pub fn disk(&self) -> u64 {
        self.disk
    }

    /// Every record below it was acknowledged as the system's.
    pub fn os(&self) -> u64 {
        self.os
    }

    /// Records that are tried as one batch.
    pub fn attempt(&mut self, batch: impl IntoIterator<Item = Arc<[u8]>>) {
        let first = self.next();
        self.records.extend(batch.into_iter().map(|bytes| Attempt { bytes, batch: first }));
    }

    /// All so far was handed to the system.
    pub fn flushed(&mut self) {
        self.os = self.next();
    }

    /// All so far is durable.
    pub fn synced(&mut self) {
        (self.os, self.disk) = (self.next(), self.next());
    }

    /// The machine lost power: what only the system had may be gone.
    pub fn lost_power(&mut self) {
        self.os = self.disk;
    }

    /// A log that was opened again ends at `next`: what lies behind must never come back, what lies before never vanish.
    pub fn reopened(&mut self, next: u64) {
        self.records.truncate(usize::try_from(next - self.first).unwrap_or(usize::MAX));
        self.synced();
    }

    /// The bytes of record `index`.
    pub fn get(&self, index: u64) -> Option<&[u8]> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.records.get(at).map(|attempt| &*attempt.bytes)
    }

    /// Where a log that hands `pending` bytes of frames to the system no more ends: whole batches only.
    pub fn without_buffered(&self, pending: usize) -> Result<u64, Failure> {
        let (mut left, mut next) = (pending, self.next());
        for attempt in self.records.iter().rev() {
            if left == 0 {
                break;
            }
            let len = frame_len(attempt.bytes.len());
            left = left.checked_sub(len).ok_or_else(|| Failure::new("part of a frame is in the buffer"))?;
            next = next.min(attempt.batch);
            if left == 0 {
                return Ok(attempt.batch);
            }
        }
        if left == 0 { Ok(next) } else { Err(Failure::new("more bytes are in the buffer than were appended")) }
    }

    /// An error unless a log may end at `next` after a crash that keeps what was acknowledged below `least`.
    pub fn admits(&self, next: u64, least: u64) -> Result<(), Failure> {
        if next < least {
            return Err(Failure::new(format!("the log ends at {next}; all below {least} was acknowledged")));
        }
        if next > self.next() {
            return Err(Failure::new(format!("the log ends at {next}; only {} was ever appended", self.next())));
        }
        let inside = usize::try_from(next - self.first).ok().and_then(|at| self.records.get(at));
        match inside {
            Some(attempt) if attempt.batch != next => {
                Err(Failure::new(format!("the log ends at {next}, within the batch that begins at {}", attempt.batch)))
            }
            _ => Ok(()),
        }
    }
}
