//! The one writer of a log: builds frames in a group buffer, writes it by `pwrite`, and goes from segment to segment.
//!
//! Never seen by two threads at once: its engine keeps it under a lock. It does not sync; it says what has to be
//! ([`Appender::capture`]).

use std::collections::VecDeque;
use std::sync::Arc;

use varve_format::{
    BatchFlags, Bound, DATA_START, FOOTER_LEN, FRAME_HEADER_LEN, Footer, FrameKind, FramePlace, SegmentHeader, State,
    frame_len, place_frame,
};
use varve_io::File;

use crate::begin::{fresh_header, state_frame};
use crate::directory::Directory;
use crate::durable::DurablePlace;
use crate::error::{Error, Result};
use crate::failure::Failure;
use crate::options::{RECORD_OVERHEAD, SegmentOptions, room};
use crate::prepare::{Prepared, Preparer};
use crate::segment::{Sealed, Segment};
use crate::set::SegmentSet;

/// Bytes of the group buffer. 64 KiB costs 5 % more an append (more writes), 1 MiB gains nothing.
pub const BUFFER_LEN: usize = 256 << 10;

/// More sealed segments than this are not left unsynced: each holds an open file.
const MOST_UNSYNCED: usize = 64;

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
    /// Every record below it is durable then.
    pub next_index: u64,
}

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

    active: Arc<Segment>,
    file: Arc<dyn File>,
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
    rotations: u64,
}

/// Where a recovery left off.
#[derive(Debug)]
pub struct Resume {
    /// The active segment.
    pub active: Arc<Segment>,
    /// Its file.
    pub file: Arc<dyn File>,
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
        Self {
            directory: directory.clone(),
            options,
            preparer: Preparer::new(directory),
            set,
            failure,
            durable,
            state: resume.state,
            file: resume.file,
            limit: header.capacity - FOOTER_LEN,
            start: resume.active.written(),
            filled: 0,
            buffer: vec![0; BUFFER_LEN].into_boxed_slice(),
            positions: resume.positions,
            next_index: resume.next_index,
            payload_bytes: resume.payload_bytes,
            sealed_payload_bytes,
            ready: VecDeque::new(),
            unsynced: Vec::new(),
            names_unsynced: false,
            captured: resume.durable,
            rotations: 0,
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
            self.rotate(len as u64)?;
        }
        if self.filled + len > BUFFER_LEN {
            self.flush()?;
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

    /// Makes sure that records of these lengths fit, in this order, so that a batch is refused before its first frame, if the disk is full.
    pub fn reserve(&mut self, payloads: impl Iterator<Item = usize>) -> Result<()> {
        self.failure.check()?;
        let reserved = self.make_ready(payloads);
        if reserved.is_err() {
            self.ready.drain(..).for_each(|ready| ready.discard(&self.directory));
        }
        reserved
    }

    fn make_ready(&mut self, payloads: impl Iterator<Item = usize>) -> Result<()> {
        let state = self.state_frame_len();
        let (mut left, mut capacity, mut used) = (self.limit - self.position(), self.active.header.capacity, 0);
        for payload in payloads {
            let len = frame_len(payload) as u64;
            if len > left {
                capacity = loop {
                    match self.ready.get(used).map(|ready| ready.capacity) {
                        Some(capacity) if room(capacity, state) >= len => break capacity,
                        Some(_) => self.ready.remove(used).into_iter().for_each(|small| small.discard(&self.directory)),
                        None => {
                            let wanted = self.options.capacity_after(capacity, len, state);
                            let least = len + (wanted - room(wanted, state));
                            self.ready.push_back(self.preparer.take(least, wanted)?);
                        }
                    }
                };
                used += 1;
                left = room(capacity, state);
            }
            left -= len;
        }
        Ok(())
    }

    /// Hands what is buffered to the system.
    pub fn flush(&mut self) -> Result<()> {
        self.failure.check()?;
        if self.filled > 0 {
            self.write_buffer()?;
            self.ask_ahead();
        }
        Ok(())
    }

    fn write_buffer(&mut self) -> Result<()> {
        if let Err(error) = self.file.write_at(&[&self.buffer[..self.filled]], self.start) {
            return Err(self.fail(error));
        }
        self.start += self.filled as u64;
        self.filled = 0;
        self.active.set_written(self.start);
        Ok(())
    }

    fn write(&self, parts: &[&[u8]], position: u64) -> Result<()> {
        self.failure.check()?;
        self.file.write_at(parts, position).map_err(|error| self.fail(error))
    }

    /// A write into the active segment failed.
    #[cold]
    fn fail(&self, error: varve_io::Error) -> Error {
        self.failure.set(Error::Io(error.at(&self.active.path())))
    }

    /// When the active segment is half full, the next one is made ready.
    fn ask_ahead(&self) {
        if self.start > self.limit / 2 && self.ready.is_empty() {
            let capacity = self.options.capacity_after(self.active.header.capacity, 0, self.state_frame_len());
            // Zeros are synced ahead only for those who sync: for others it would double what the disk has to take.
            let durable = self.durable.get();
            self.preparer.ask(capacity, durable.segment == self.active.header.id && durable.position > DATA_START);
        }
    }

    fn state_frame_len(&self) -> u64 {
        frame_len(varve_format::StateFields::LEN + self.state.codec.len()) as u64
    }

    /// Seals the active segment and begins the next, which has room for a frame of `needed` bytes. Nothing is synced.
    #[cold]
    pub fn rotate(&mut self, needed: u64) -> Result<()> {
        self.failure.check()?;
        let state = self.state_frame_len();
        let wanted = self.options.capacity_after(self.active.header.capacity, needed, state);
        let least = needed + (wanted - room(wanted, state));
        let prepared = loop {
            match self.ready.pop_front() {
                Some(ready) if ready.capacity >= least => break ready,
                Some(small) => small.discard(&self.directory),
                None => break self.preparer.take(least, wanted)?,
            }
        };
        self.seal_and_begin(prepared).map_err(|error| match error {
            Error::NoSpace(error) => self.failure.set(Error::Io(error)),
            error => self.failure.set(error),
        })
    }

    fn seal_and_begin(&mut self, prepared: Prepared) -> Result<()> {
        self.write_buffer()?;
        let end = Sealed { data_end: self.start, next_index: self.next_index };
        let footer = self.footer();
        self.write(&[&footer], self.limit)?;

        let old = self.active.header;
        let header = SegmentHeader {
            id: old.id + 1,
            first_index: self.next_index,
            generation: old.generation,
            generation_start: old.generation_start,
            log: old.log,
            previous_link: old.link,
            ..fresh_header(&self.directory, &self.options, prepared.capacity)
        }
        .sealed();
        self.state.durable = self.durable.get();
        let frames = state_frame(&self.state, &header);
        let file = prepared.activate(&self.directory, &header, &frames, false)?;
        let written = DATA_START + frames.len() as u64;
        let next = Arc::new(Segment::active(&self.directory, header, Arc::clone(&file), written));

        let positions = Vec::with_capacity(self.positions.len());
        let sealed = std::mem::replace(&mut self.active, Arc::clone(&next));
        sealed.seal(end, std::mem::replace(&mut self.positions, positions));
        self.unsynced.push(sealed);
        self.names_unsynced = true;
        self.file = file;
        self.limit = header.capacity - FOOTER_LEN;
        self.start = written;
        self.sealed_payload_bytes += std::mem::take(&mut self.payload_bytes);
        self.rotations += 1;
        self.set.push(next);
        Ok(())
    }

    fn footer(&self) -> Vec<u8> {
        let header = &self.active.header;
        let durable = self.durable.get();
        let payload = Footer {
            next_index: self.next_index,
            records: self.next_index - header.first_index,
            payload_bytes: self.payload_bytes,
            data_end: self.start,
            durable_segment: durable.segment,
            durable_position: durable.position,
            sealed_micros: self.directory.machine().now_micros(),
            min_time: 0,
            max_time: 0,
        }
        .encode();
        let place = FramePlace {
            position: self.limit,
            distance: self.durable.distance(header.id, self.limit),
            ..self.place(FrameKind::Footer, BatchFlags::ALONE)
        };
        [place_frame(&place, &payload).as_slice(), &payload].concat()
    }

    /// Hands what is buffered to the system, and says what a sync has to do. What it returns is taken off the appender's own list.
    pub fn capture(&mut self) -> Result<Captured> {
        self.flush()?;
        let mut segments: Vec<_> = self.unsynced.drain(..).collect();
        #[cfg(feature = "mutants")]
        if varve_format::Mutant::ActiveOnly.is_on() {
            segments.clear();
        }
        let bound = Bound { segment: self.active.header.id, position: self.start };
        if bound != self.captured {
            segments.push(Arc::clone(&self.active));
        }
        self.captured = bound;
        Ok(Captured {
            segments: segments.into_iter().filter_map(|one| one.unsynced_file().map(|file| (one, file))).collect(),
            names: std::mem::take(&mut self.names_unsynced),
            bound,
            log: self.active.header.log,
            next_index: self.next_index,
        })
    }

    /// True if so many files wait for a sync that one should be made soon.
    pub fn wants_sync(&self) -> bool {
        self.unsynced.len() > MOST_UNSYNCED
    }

    /// Position of record `index`, and the segment, if it is in the active one.
    #[inline]
    pub fn position_of(&self, index: u64) -> Option<(&Arc<Segment>, u64)> {
        let at = usize::try_from(index.checked_sub(self.active.header.first_index)?).ok()?;
        self.positions.get(at).map(|entry| (&self.active, u64::from(*entry) * 8))
    }

    /// The payload of the record at `position` of the active segment, if it is still in the buffer.
    #[inline]
    pub fn buffered_record(&self, position: u64) -> Option<&[u8]> {
        let frame = self.buffered(self.active.header.id, position)?;
        let (head, payload) = frame.split_first_chunk::<FRAME_HEADER_LEN>()?;
        payload.get(..varve_format::FrameHeader::decode(head).length as usize)
    }

    /// The bytes from `position` of `segment` on, as far as they are in the buffer.
    #[inline]
    pub fn buffered(&self, segment: u64, position: u64) -> Option<&[u8]> {
        let from = usize::try_from(position.checked_sub(self.start)?).ok()?;
        if segment != self.active.header.id || from >= self.filled {
            return None;
        }
        self.buffer.get(from..self.filled)
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
