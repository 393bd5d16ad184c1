//! What one segment holds: a walk through its frames that checks that each follows from the one before.

use varve_format::{
    Bound, DATA_START, FOOTER_LEN, FRAME_HEADER_LEN, Frame, FrameKind, GapFields, SegmentHeader, State,
};
use varve_io::File;

use crate::error::Result;
use crate::scan::{Scanner, Step};

/// A batch whose end has not been seen yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenBatch {
    pub(crate) at: Bound,
    pub(crate) index: u64,
}

/// What a walk through one segment found.
pub(crate) struct Found {
    pub(crate) positions: Vec<u32>,
    pub(crate) end: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) bound: Bound,
    pub(crate) state: Option<State>,
    pub(crate) open_batch: Option<OpenBatch>,
    /// Position behind the last byte that is not zero, if there is one behind the end.
    pub(crate) last_byte: Option<u64>,
    pub(crate) reason: &'static str,
    pub(crate) gaps: Vec<Lost>,
    /// A batch that began in an earlier segment, and whose end is lost in this one.
    pub(crate) lost_batch: Option<OpenBatch>,
    /// It ends with a gap: where that lies, and the index of the record that follows.
    pub(crate) skipped: Option<(u64, u64)>,
}

/// Bytes that are no frames, and the records that were in them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost {
    pub(crate) position: u64,
    pub(crate) bytes: u64,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

pub(crate) fn scan(
    file: &dyn File,
    header: &SegmentHeader,
    open_batch: Option<OpenBatch>,
    skip: bool,
) -> Result<Found> {
    let mut scanner = Scanner::new(file, header.salt, header.capacity - FOOTER_LEN)?;
    let mut found = Found {
        positions: Vec::new(),
        end: DATA_START,
        payload_bytes: 0,
        bound: Bound::default(),
        state: None,
        open_batch,
        last_byte: None,
        reason: "",
        gaps: Vec::new(),
        lost_batch: None,
        skipped: None,
    };
    // Set behind damage, until a record begins a batch: those before it belong to one that is lost.
    let mut batch_lost = false;
    loop {
        let bad = match scanner.step()? {
            Step::End => break,
            Step::Bad(bad) => bad,
            Step::Frame { position, frame } => match found.take(header, position, &frame, &mut batch_lost, skip) {
                Ok(()) => continue,
                Err(reason) => {
                    found.reason = reason;
                    found.last_byte = Some(position + frame.len() as u64);
                    return Ok(found);
                }
            },
        };
        found.reason = bad.reason();
        found.last_byte = scanner.last_byte()?;
        if found.last_byte.is_none() || !skip {
            break;
        }
        let from = scanner.position();
        if !scanner.resync()? {
            break;
        }
        let first = found.lose_batch(header);
        let to = header.first_index + found.positions.len() as u64;
        found.gaps.push(Lost { position: from, bytes: scanner.position() - from, from: first, to });
        batch_lost = true;
    }
    if file.len()? < header.capacity {
        found.reason = "the file has been cut short";
        found.last_byte = found.last_byte.or(Some(found.end));
    } else if found.last_byte.is_none() {
        found.reason = "frames are missing";
    }
    Ok(found)
}

impl Found {
    /// Adds a frame; an error where it cannot be the next one.
    fn take(
        &mut self,
        header: &SegmentHeader,
        position: u64,
        frame: &Frame<'_>,
        batch_lost: &mut bool,
        skip: bool,
    ) -> std::result::Result<(), &'static str> {
        let next = self.positions.len() as u64;
        let index = u64::from(frame.index);
        if let Some(bound) = frame.durable(header.id) {
            self.bound = self.bound.max(bound);
        }
        // Behind damage indexes may jump, but not further than lost frames could have led.
        let may_jump = skip && *batch_lost && index > next && index <= position / FRAME_HEADER_LEN as u64;
        if index != next && !may_jump {
            return Err("a record is missing, or here twice");
        }
        match frame.kind {
            FrameKind::Footer => return Err("a footer lies among the frames"),
            FrameKind::Control => {
                // What a build must know of it would have raised the format version: others are passed over.
                if let Some(state) = State::decode(frame.payload) {
                    self.bound = self.bound.max(state.durable);
                    self.state = Some(state);
                } else if let Some(gap) = GapFields::read(frame.payload) {
                    // Of a batch that goes on in the next segment records may have been removed.
                    let in_batch = self.open_batch.is_some() && !header.is_rewritten();
                    if gap.from != header.first_index + next || in_batch || self.skipped.is_some() {
                        return Err("a gap does not fit the records before it");
                    }
                    self.skipped = Some((position, gap.to));
                }
            }
            FrameKind::Record if self.skipped.is_some() => return Err("a record lies behind a gap"),
            FrameKind::Record => {
                let began_before = next == 0 && self.open_batch.is_none();
                if frame.batch.continued != self.open_batch.is_some() && !began_before && !*batch_lost {
                    return Err("a batch is broken");
                }
                if index > next {
                    self.positions.resize(usize::try_from(index).unwrap_or(0), 0);
                }
                *batch_lost &= frame.batch.continued;
                if *batch_lost {
                    self.positions.push(0);
                } else {
                    self.positions.push(u32::try_from(position / 8).unwrap_or(0));
                    self.payload_bytes += frame.payload.len() as u64;
                    #[cfg(feature = "mutants")]
                    if varve_format::Mutant::HalfBatches.is_on() {
                        self.end = position + frame.len() as u64;
                        return Ok(());
                    }
                    if !frame.batch.more {
                        self.open_batch = None;
                    } else if self.open_batch.is_none() {
                        let at = Bound { segment: header.id, position };
                        self.open_batch = Some(OpenBatch { at, index: header.first_index + index });
                    }
                }
                if let Some(gap) = self.gaps.last_mut()
                    && (index > next || *batch_lost)
                {
                    gap.to = header.first_index + if *batch_lost { index + 1 } else { index };
                }
            }
        }
        self.end = position + frame.len() as u64;
        Ok(())
    }

    /// Index after the last record, or after the gap behind it.
    pub(crate) fn next_index(&self, header: &SegmentHeader) -> u64 {
        self.skipped.map_or(header.first_index + self.positions.len() as u64, |(_, to)| to)
    }

    /// The records of the batch that is not ended are lost. Gives the first record that is.
    fn lose_batch(&mut self, header: &SegmentHeader) -> u64 {
        let next = header.first_index + self.positions.len() as u64;
        let Some(batch) = self.open_batch.take() else { return next };
        let first = batch.index.max(header.first_index);
        let from = usize::try_from(first - header.first_index).unwrap_or(usize::MAX);
        self.positions.iter_mut().skip(from).for_each(|entry| *entry = 0);
        if batch.at.segment != header.id {
            self.lost_batch = Some(batch);
        }
        first
    }
}
