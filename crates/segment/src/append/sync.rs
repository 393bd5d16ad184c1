//! What is handed to the system, what a sync has to do, and the state that is no record.

use std::sync::Arc;

use varve_format::{BatchFlags, Bound, FRAME_HEADER_LEN, FrameKind, State, frame_len, place_frame};
use varve_io::File;

use super::{Appender, BUFFER_LEN};
use crate::error::Result;
use crate::segment::Segment;

/// More sealed segments than this are not left unsynced: each holds an open file.
const MOST_UNSYNCED: usize = 64;

/// More than these are waited for.
const MOST_OPEN: usize = 256;

/// The same of one of many logs.
const FEW_UNSYNCED: usize = 1;
const FEW_OPEN: usize = 4;

/// What a sync has to do, and what it will have made durable then.
#[derive(Debug)]
pub struct Captured {
    /// Segments with unsynced bytes, in order.
    pub segments: Vec<(Arc<Segment>, Arc<dyn File>)>,
    /// The directory has names that are not synced.
    pub names: bool,
    /// Everything before it is durable then.
    pub bound: Bound,
    /// The log.
    pub log: u64,
    /// Every record below it is durable then, unless the log is cut meanwhile.
    pub next_index: u64,
    /// Number of the capture.
    pub ticket: u64,
}

impl Appender {
    /// The state as it is now, whether it is written or not.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Changes the state. It is written with what is handed over next: one frame, however often it has changed.
    pub fn change_state(&mut self, change: impl FnOnce(&mut State)) {
        change(&mut self.state);
        self.state_unwritten = true;
    }

    pub(super) fn state_frame_len(&self) -> u64 {
        frame_len(self.state.encoded_len()) as u64
    }

    /// Makes sure that the active segment has room for a state, so that one that is changed can be written.
    pub fn make_room_for_state(&mut self) -> Result<()> {
        self.failure.check()?;
        if self.has_room(self.state_frame_len()) {
            return Ok(());
        }
        self.wake()?;
        if self.has_room(self.state_frame_len()) { Ok(()) } else { self.rotate(0) }
    }

    /// Puts the state into the buffer, if it has changed. Never between the records of a batch.
    pub fn settle_state(&mut self) -> Result<()> {
        if !self.state_unwritten {
            return Ok(());
        }
        #[cfg(feature = "mutants")]
        if varve_format::Mutant::NoStateAtSync.is_on() {
            return Ok(());
        }
        // The segment that begins where there is no room carries it.
        self.make_room_for_state()?;
        if !self.state_unwritten {
            return Ok(());
        }
        self.state.durable = self.durable.get();
        let payload = self.state.encode();
        self.put_control(&payload)?;
        self.state_unwritten = false;
        Ok(())
    }

    /// Puts a control frame into the buffer. The caller has seen to the room in the segment.
    pub(super) fn put_control(&mut self, payload: &[u8]) -> Result<()> {
        let len = frame_len(payload.len());
        if self.filled + len > BUFFER_LEN {
            self.write_buffer()?;
        }
        let header = place_frame(&self.place(FrameKind::Control, BatchFlags::ALONE), payload);
        let frame = &mut self.buffer[self.filled..self.filled + len];
        frame.fill(0);
        frame[..FRAME_HEADER_LEN].copy_from_slice(&header);
        frame[FRAME_HEADER_LEN..FRAME_HEADER_LEN + payload.len()].copy_from_slice(payload);
        self.filled += len;
        Ok(())
    }

    /// Hands what is buffered, and the state, to the system.
    pub fn flush(&mut self) -> Result<()> {
        self.settle_state()?;
        self.flush_buffer()
    }

    /// Hands what is buffered to the system.
    pub(super) fn flush_buffer(&mut self) -> Result<()> {
        self.failure.check()?;
        if self.filled > 0 {
            self.write_buffer()?;
            self.ask_ahead();
        }
        Ok(())
    }

    /// The number of the capture by which everything so far will be durable: the last one, if it took all there is.
    pub fn ticket(&self) -> u64 {
        self.captures + u64::from(self.state_unwritten || self.bound() != self.captured)
    }

    /// Hands what is buffered to the system, and says what a sync has to do. A state that has changed since it was settled waits for the next. What it returns is taken off the appender's own list.
    pub fn capture(&mut self) -> Result<Captured> {
        self.flush_buffer()?;
        // The file of a segment that takes no more frames is handed over: this sync is its last. The active one keeps its own, for it may be sealed
        // while the sync is under way, and then has to be synced once more.
        let handed = |one: Arc<Segment>| one.take_file().map(|file| (one, file));
        let mut segments: Vec<_> = self.unsynced.drain(..).filter_map(handed).collect();
        #[cfg(feature = "mutants")]
        if varve_format::Mutant::ActiveOnly.is_on() {
            segments.clear();
        }
        let bound = Bound { segment: self.active.header.id, position: self.start };
        if bound != self.captured {
            segments.extend(self.active.unsynced_file().map(|file| (Arc::clone(&self.active), file)));
            self.captures += 1;
        }
        self.captured = bound;
        Ok(Captured {
            segments,
            names: std::mem::take(&mut self.names_unsynced),
            bound,
            log: self.active.header.log,
            next_index: self.next_index,
            ticket: self.captures,
        })
    }

    /// True if so many files wait that nothing more should be added before they are synced: a process has so many descriptors.
    pub fn needs_sync(&self) -> bool {
        self.unsynced.len() > if self.options.thrifty { FEW_OPEN } else { MOST_OPEN }
    }

    /// True if so many files wait for a sync that one should be made soon.
    pub fn wants_sync(&self) -> bool {
        self.unsynced.len() > if self.options.thrifty { FEW_UNSYNCED } else { MOST_UNSYNCED }
    }
}
