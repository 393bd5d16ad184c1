//! The one writer of a log: builds frames in a group buffer, writes it by `pwrite`, and goes from segment to segment.
//!
//! Never seen by two threads at once: its engine keeps it under a lock. It does not sync; it says what has to be
//! ([`Appender::capture`]).

mod look;
mod reserve;
mod rest;
mod rotate;
mod sync;

use std::collections::VecDeque;
use std::sync::Arc;

use varve_format::{
    BatchFlags, Bound, FOOTER_LEN, FRAME_HEADER_LEN, FrameKind, FramePlace, State, frame_len, place_frame,
};
use varve_io::File;

pub use sync::Captured;

use crate::directory::Directory;
use crate::durable::DurablePlace;
use crate::error::{Error, Result};
use crate::failure::Failure;
use crate::options::{RECORD_OVERHEAD, SegmentOptions};
use crate::prepare::{Prepared, Preparer};
use crate::segment::Segment;
use crate::set::SegmentSet;

/// Bytes of the group buffer. 64 KiB costs 5 % more an append (more writes), 1 MiB gains nothing.
pub const BUFFER_LEN: usize = 256 << 10;

/// The writer of a log.
#[derive(Debug)]
pub struct Appender {
    directory: Directory,
    options: SegmentOptions,
    preparer: Arc<Preparer>,
    set: Arc<SegmentSet>,
    failure: Arc<Failure>,
    durable: Arc<DurablePlace>,
    state: State,
    /// The state has changed since it was written.
    state_unwritten: bool,

    active: Arc<Segment>,
    /// `None` while it rests, or has not begun: `limit` is 0 then, so that whatever is to be written meets that first.
    file: Option<Arc<dyn File>>,
    /// Frames end before it.
    limit: u64,
    /// Position in the file of the first byte in the buffer.
    start: u64,
    filled: usize,
    buffer: Box<[u8]>,
    /// Of the active segment's records, divided by 8.
    positions: Vec<u32>,
    next_index: u64,
    /// Sum of the lengths of the active segment's records, and of all others.
    payload_bytes: u64,
    sealed_payload_bytes: u64,
    /// Segments made ready for the batch that is about to be written.
    ready: VecDeque<Prepared>,

    unsynced: Vec<Arc<Segment>>,
    names_unsynced: bool,
    /// What the last capture covers: whether there is anything to sync.
    captured: Bound,
    captures: u64,
    rotations: u64,
    /// Its file has been opened since [`Appender::take_woken`] was asked last.
    woken: bool,
}

/// Where a recovery left off.
#[derive(Debug)]
pub struct Resume {
    /// The active segment.
    pub active: Arc<Segment>,
    /// Its file; `None`: it is made when it is first written to.
    pub file: Option<Arc<dyn File>>,
    /// Of its records, divided by 8.
    pub positions: Vec<u32>,
    /// Sum of their lengths.
    pub payload_bytes: u64,
    /// Index of the next record.
    pub next_index: u64,
    /// The state of the directory.
    pub state: State,
    /// What is durable.
    pub durable: Bound,
}

impl Appender {
    /// Goes on where a recovery left off.
    pub fn new(
        directory: &Directory,
        options: SegmentOptions,
        set: Arc<SegmentSet>,
        failure: Arc<Failure>,
        resume: Resume,
        sealed_payload_bytes: u64,
    ) -> Self {
        let durable = Arc::new(DurablePlace::default());
        durable.set(resume.durable);
        let header = resume.active.header;
        let is_awake = resume.file.is_some();
        Self {
            directory: directory.clone(),
            options,
            preparer: Preparer::new(directory),
            set,
            failure,
            durable,
            state: resume.state,
            state_unwritten: false,
            file: resume.file,
            limit: if is_awake { header.capacity - FOOTER_LEN } else { 0 },
            start: resume.active.written(),
            filled: 0,
            buffer: vec![0; if is_awake { BUFFER_LEN } else { 0 }].into_boxed_slice(),
            positions: resume.positions,
            next_index: resume.next_index,
            payload_bytes: resume.payload_bytes,
            sealed_payload_bytes,
            ready: VecDeque::new(),
            unsynced: Vec::new(),
            names_unsynced: false,
            captured: resume.durable,
            captures: 0,
            rotations: 0,
            woken: false,
            active: resume.active,
        }
    }

    /// Index of the next record.
    #[inline]
    pub fn next_index(&self) -> u64 {
        self.next_index
    }

    /// Bytes accepted and not yet written: at most [`BUFFER_LEN`].
    pub fn pending(&self) -> usize {
        self.filled
    }

    /// Segments begun since the log was opened.
    pub fn rotations(&self) -> u64 {
        self.rotations
    }

    /// Sum of the lengths of all records.
    pub fn payload_bytes(&self) -> u64 {
        self.sealed_payload_bytes + self.payload_bytes
    }

    /// Takes records of so many bytes, the last ones, out of that sum: they are of a batch that failed half way, and never seen.
    #[cold]
    pub fn forget(&mut self, bytes: u64) {
        let here = bytes.min(self.payload_bytes);
        self.payload_bytes -= here;
        self.sealed_payload_bytes -= bytes - here;
    }

    /// A sealed segment was rewritten: the sum of the lengths of its records was `before`, and is `after`.
    pub fn exchange_payload(&mut self, before: u64, after: u64) {
        self.sealed_payload_bytes = self.sealed_payload_bytes.saturating_sub(before) + after;
    }

    /// Takes segments that are gone out of that sum.
    pub fn forget_segments(&mut self, segments: &[Arc<Segment>]) {
        let gone: u64 = segments.iter().filter_map(|segment| segment.end()).map(|end| end.payload_bytes).sum();
        self.sealed_payload_bytes = self.sealed_payload_bytes.saturating_sub(gone);
    }

    /// Where the log ends, what is buffered included.
    pub fn bound(&self) -> Bound {
        Bound { segment: self.active.header.id, position: self.position() }
    }

    /// The active segment, and where its next frame will be.
    pub fn end(&self) -> (&Arc<Segment>, u64) {
        (&self.active, self.position())
    }

    /// True if the active segment has no record.
    pub fn is_segment_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// True if so many bytes of frames fit the active segment.
    #[inline]
    pub fn has_room(&self, bytes: u64) -> bool {
        self.position() + bytes <= self.limit
    }

    /// Where frames are told of the durable bound.
    pub fn durable(&self) -> &Arc<DurablePlace> {
        &self.durable
    }

    #[inline]
    fn position(&self) -> u64 {
        self.start + self.filled as u64
    }

    /// Longest payload of a record.
    #[inline]
    pub fn max_record(&self) -> u64 {
        self.options.segment_size - RECORD_OVERHEAD
    }

    /// Adds one record and returns its index. `batch`: what ties it to its neighbours. The caller has checked the length against
    /// [`Appender::max_record`]. An error before the first byte is written (a full disk) leaves everything as it was; any other fails the log.
    /// bench: append
    #[inline]
    pub fn append(&mut self, payload: &[u8], batch: BatchFlags) -> Result<u64> {
        let len = frame_len(payload.len());
        if self.position() + len as u64 > self.limit {
            self.make_room(len as u64)?;
        }
        if self.filled + len > BUFFER_LEN {
            self.flush_buffer()?;
            if len > BUFFER_LEN {
                return self.append_large(payload, batch);
            }
        }
        let header = place_frame(&self.place(FrameKind::Record, batch), payload);
        let frame = &mut self.buffer[self.filled..self.filled + len];
        if let Some(padding) = frame.last_chunk_mut::<8>() {
            *padding = [0; 8];
        }
        frame[..FRAME_HEADER_LEN].copy_from_slice(&header);
        frame[FRAME_HEADER_LEN..FRAME_HEADER_LEN + payload.len()].copy_from_slice(payload);
        let index = self.count(payload.len());
        self.filled += len;
        Ok(index)
    }

    /// Past the buffer, straight into the file.
    #[cold]
    fn append_large(&mut self, payload: &[u8], batch: BatchFlags) -> Result<u64> {
        let len = frame_len(payload.len());
        let header = place_frame(&self.place(FrameKind::Record, batch), payload);
        let padding = &[0; 8][..len - FRAME_HEADER_LEN - payload.len()];
        self.write(&[&header, payload, padding], self.start)?;
        let index = self.count(payload.len());
        self.start += len as u64;
        self.active.set_written(self.start);
        self.ask_ahead();
        Ok(index)
    }

    /// Counts a record whose frame begins at the position.
    #[inline]
    fn count(&mut self, payload: usize) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "a segment has at most 2^30 bytes")]
        self.positions.push((self.position() / 8) as u32);
        self.payload_bytes += payload as u64;
        let index = self.next_index;
        self.next_index += 1;
        index
    }

    #[inline]
    fn place(&self, kind: FrameKind, batch: BatchFlags) -> FramePlace {
        let position = self.position();
        let header = &self.active.header;
        #[expect(clippy::cast_possible_truncation, reason = "a segment has room for fewer than 2^26 frames")]
        let index = (self.next_index - header.first_index) as u32;
        FramePlace {
            salt: header.salt,
            position,
            kind,
            batch,
            index,
            distance: self.durable.distance(header.id, position),
        }
    }

    fn write_buffer(&mut self) -> Result<()> {
        if self.filled == 0 {
            return Ok(());
        }
        let file = self.wake()?;
        if let Err(error) = file.write_at(&[&self.buffer[..self.filled]], self.start) {
            return Err(self.fail(error));
        }
        self.start += self.filled as u64;
        self.filled = 0;
        self.active.set_modified(self.directory.machine().now_micros());
        self.active.set_written(self.start);
        Ok(())
    }

    fn write(&mut self, parts: &[&[u8]], position: u64) -> Result<()> {
        self.failure.check()?;
        self.wake()?.write_at(parts, position).map_err(|error| self.fail(error))
    }

    /// A write into the active segment failed.
    #[cold]
    fn fail(&self, error: varve_io::Error) -> Error {
        self.failure.set(Error::Io(error.at(&self.active.path())))
    }

    /// Fails the log: whoever worked on it panicked, and may have left it half done.
    #[cold]
    pub fn abandon(&self) {
        self.failure.set(Error::Panicked);
    }

    /// Gives back what was prepared ahead. For a close.
    pub fn close(&mut self) {
        self.preparer.close();
        self.directory.settle();
        self.ready.drain(..).for_each(|ready| ready.discard(&self.directory));
    }
}
