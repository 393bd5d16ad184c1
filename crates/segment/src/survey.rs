//! What a directory holds, found by looking: which segments make the log, where it stops, and what is known to be durable.
//! Changes nothing. The rules are those of `docs/formats/segment.md`, "Recovery".

use std::path::PathBuf;

use varve_format::{Bound, DATA_START, DurableSlot, FOOTER_LEN, FrameKind, SegmentHeader, State};
use varve_io::Access;

use crate::candidate::Candidate;
use crate::care::Care;
use crate::contents::{Lost, OpenBatch, scan};
use crate::directory::Directory;
use crate::durable::DurableFile;
use crate::error::{Error, Result};
use crate::name::FileName;
use crate::options::SegmentOptions;
use crate::scan::{Scanner, Step, payload_bytes};

/// A range of records that is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The file that is damaged, or missing.
    pub path: PathBuf,
    /// Where the damage begins.
    pub position: u64,
    /// How many bytes it takes, where that is known.
    pub bytes: u64,
    /// First record lost.
    pub from: u64,
    /// Index after the last one lost.
    pub to: u64,
}

/// A place that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub position: u64,
    /// What is wrong.
    pub reason: &'static str,
}

/// Where the log stops being whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: Bound,
    /// Index of the record that would be there.
    pub(crate) index: u64,
    pub(crate) reason: &'static str,
}

/// A segment that is part of the log.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) header: SegmentHeader,
    /// Position behind its last frame that counts.
    pub(crate) end: u64,
    pub(crate) next_index: u64,
    pub(crate) payload_bytes: u64,
    /// Of its records, divided by 8, if it has been scanned.
    pub(crate) positions: Option<Vec<u32>>,
    /// It has a footer.
    pub(crate) sealed: bool,
    /// Nothing lies between its end and the footer's place.
    pub(crate) clean: bool,
    /// Some of its records are lost.
    pub(crate) damaged: bool,
    /// Why it ends where it does.
    pub(crate) reason: &'static str,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) state: Option<State>,
    /// The greatest durable bound found anywhere.
    pub(crate) bound: Bound,
    /// Where the log stops being whole, if it does.
    pub(crate) stop: Option<Place>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) flaws: Vec<Flaw>,
    /// Ids of all segment files, in order, in the log or not.
    pub(crate) ids: Vec<u64>,
    pub(crate) last_generation: u64,
    /// The log, if there is one.
    pub(crate) log: Option<u64>,
    /// Greatest id in any name, of a segment or of what was set aside, and in any bound: ids are never used again.
    pub(crate) last_id: u64,
    /// Segments that a cut has dropped from the log.
    pub(crate) dropped: Vec<u64>,
    /// Temporary files that a process left behind.
    pub(crate) leftovers: Vec<FileName>,
}

/// Looks at all of `directory`. With `verify` every frame is read; else only those that are not known to be durable. With
/// `skip` it goes on behind damage.
pub(crate) fn survey(
    directory: &Directory,
    options: &SegmentOptions,
    verify: bool,
    skip: bool,
    care: &Care,
) -> Result<Survey> {
    let names = directory.names()?;
    let mut ids: Vec<u64> =
        names.iter().filter_map(|name| if let FileName::Segment(id) = name { Some(*id) } else { None }).collect();
    ids.sort_unstable();
    let slot = DurableFile::read(directory)?;
    let mut walk = Walk {
        directory,
        verify,
        skip,
        open_batch: None,
        slot: None,
        survey: Survey {
            leftovers: names.iter().copied().filter(|name| matches!(name, FileName::Prepared(_))).collect(),
            ids,
            ..Survey::default()
        },
        names,
    };
    walk.survey.last_id = walk.survey.ids.last().copied().unwrap_or(0);
    for name in &walk.names {
        if let FileName::Torn { segment, .. } | FileName::Sidecar(segment) = name {
            walk.survey.last_id = walk.survey.last_id.max(*segment);
        }
    }
    let mut candidates = Vec::new();
    for id in walk.survey.ids.clone() {
        let candidate = walk.candidate(id, options)?;
        let carried =
            [candidate.footer.map(|footer| footer.durable()), candidate.state.as_ref().map(|state| state.durable)];
        walk.survey.bound = carried.into_iter().flatten().fold(walk.survey.bound, Bound::max);
        walk.survey.last_generation =
            candidate.header.map_or(0, |header| header.generation).max(walk.survey.last_generation);
        candidates.push(candidate);
    }
    // A slot of another log, copied here, says nothing of this one.
    if let Some(slot) = slot.filter(|slot| walk.survey.log.is_none_or(|log| log == slot.log)) {
        walk.survey.bound = walk.survey.bound.max(slot.bound());
        walk.slot = Some(slot);
        walk.survey.log = Some(slot.log);
    }
    walk.survey.last_id = walk.survey.last_id.max(walk.survey.bound.segment);
    let capacity = |candidate: &Candidate| candidate.header.map_or(0, |header| header.capacity);
    care.expect(candidates.len() as u64, candidates.iter().map(capacity).sum());
    let last = candidates.len().saturating_sub(1);
    for (i, candidate) in candidates.iter().enumerate() {
        if care.is_aborted() {
            return Err(Error::Aborted);
        }
        walk.visit(candidate, i == last)?;
        care.done_segment(capacity(candidate));
    }
    walk.finish()?;
    walk.look_behind(&candidates)?;
    Ok(walk.survey)
}

struct Walk<'d> {
    directory: &'d Directory,
    verify: bool,
    skip: bool,
    open_batch: Option<OpenBatch>,
    /// The newest slot, if it is of this log.
    slot: Option<DurableSlot>,
    names: Vec<FileName>,
    survey: Survey,
}

impl Walk<'_> {
    fn path(&self, id: u64) -> PathBuf {
        self.directory.file(FileName::Segment(id))
    }

    fn flaw(&mut self, id: u64, position: u64, reason: &'static str) {
        let path = self.path(id);
        self.survey.flaws.push(Flaw { path, position, reason });
    }

    fn candidate(&mut self, id: u64, options: &SegmentOptions) -> Result<Candidate> {
        let (candidate, damaged_copy) = Candidate::read(self.directory, id, options)?;
        if let Some(position) = damaged_copy {
            self.flaw(id, position, "one copy of the header is damaged; the other is used");
        }
        if let Some(header) = candidate.header
            && *self.survey.log.get_or_insert(header.log) != header.log
        {
            let what = "a segment of another log; move it out of the directory".into();
            return Err(Error::Unsupported { path: self.path(id), what });
        }
        Ok(candidate)
    }

    /// Index behind the log so far.
    fn extent(&self) -> Option<u64> {
        self.survey.pieces.last().map(|piece| piece.next_index)
    }

    fn visit(&mut self, candidate: &Candidate, last: bool) -> Result<()> {
        let Some(header) = candidate.header else {
            self.stop_at(Bound { segment: candidate.id, position: 0 }, "the segment's header is damaged");
            return Ok(());
        };
        let Some(extent) = self.extent() else {
            if self.survey.stop.is_none() || self.skip {
                return self.accept(candidate, header, last);
            }
            return Ok(());
        };
        let may_reset = candidate.state.as_ref().is_some_and(|state| state.first_index >= header.first_index);
        let generation = self.survey.pieces.last().map_or(0, |piece| piece.header.generation);
        if header.is_cut() && header.generation > generation && (header.first_index <= extent || may_reset) {
            self.cut(header.first_index)?;
            let held: Vec<u64> = self.survey.pieces.iter().map(|piece| piece.header.id).collect();
            let before = self.survey.ids.iter().copied().filter(|id| *id < header.id && !held.contains(id));
            self.survey.dropped = before.collect();
            return self.accept(candidate, header, last);
        }
        if self.survey.stop.is_some() && !self.skip {
            return Ok(());
        }
        let previous = self.survey.pieces.last().map(|piece| piece.header);
        let continues = previous.is_some_and(|previous| {
            header.id == previous.id + 1
                && header.generation == previous.generation
                && header.generation_start == previous.generation_start
                && header.previous_link == previous.link
        });
        if continues && header.first_index == extent {
            return self.accept(candidate, header, last);
        }
        let end = self
            .survey
            .pieces
            .last()
            .map_or(Bound::default(), |piece| Bound { segment: piece.header.id, position: piece.end });
        let reason = self.survey.pieces.last().map_or("", |piece| piece.reason);
        self.stop_at(end, if continues { reason } else { "the segment that should follow is missing" });
        if self.skip && header.first_index >= extent && header.generation >= generation {
            self.lose_open_batch(extent);
            if header.first_index > extent {
                if let Some(piece) = self.survey.pieces.last_mut() {
                    piece.damaged = true;
                }
                let path = self.path(end.segment);
                self.survey.gaps.push(Gap {
                    path,
                    position: end.position,
                    bytes: 0,
                    from: extent,
                    to: header.first_index,
                });
            }
            return self.accept(candidate, header, last);
        }
        Ok(())
    }

    /// The log is not whole from `at` on, unless a later cut drops that place from it.
    fn stop_at(&mut self, at: Bound, reason: &'static str) {
        if self.survey.stop.is_none() {
            let index = self.extent().unwrap_or(0);
            self.survey.stop = Some(Place { at, index, reason });
        }
    }

    /// Drops all from `first_index` on.
    fn cut(&mut self, first_index: u64) -> Result<()> {
        while self.survey.pieces.last().is_some_and(|piece| piece.header.first_index > first_index) {
            self.survey.pieces.pop();
        }
        if let Some(piece) = self.survey.pieces.last_mut()
            && piece.next_index > first_index
        {
            let keep = usize::try_from(first_index - piece.header.first_index).unwrap_or(usize::MAX);
            let file = self.directory.open(FileName::Segment(piece.header.id), Access::Read)?;
            let (positions, end) = match piece.positions.take() {
                Some(positions) => (positions, piece.end),
                None => {
                    let found = scan(&*file, &piece.header, None, false)?;
                    (found.positions, found.end)
                }
            };
            piece.end = positions.get(keep).map_or(end, |entry| u64::from(*entry) * 8);
            piece.payload_bytes = payload_bytes(&*file, piece.header.salt, piece.end)?;
            piece.positions = Some(positions[..keep.min(positions.len())].to_vec());
            piece.next_index = first_index;
            piece.sealed = true;
        }
        // What a cut leaves stands: a truncation keeps only what had been whole.
        self.open_batch = None;
        if self.survey.stop.is_some_and(|stop| stop.index >= first_index) {
            self.survey.stop = None;
        }
        self.survey.gaps.retain(|gap| gap.from < first_index);
        Ok(())
    }

    fn accept(&mut self, candidate: &Candidate, header: SegmentHeader, last: bool) -> Result<()> {
        let known = candidate.footer.filter(|footer| {
            let end = Bound { segment: header.id, position: footer.data_end };
            !last && !self.verify && !self.skip && self.open_batch.is_none() && end <= self.survey.bound
        });
        if let Some(state) = &candidate.state {
            self.survey.state = Some(state.clone());
        }
        if let Some(footer) = known {
            self.survey.pieces.push(Piece {
                header,
                end: footer.data_end,
                next_index: footer.next_index,
                payload_bytes: footer.payload_bytes,
                positions: None,
                sealed: true,
                clean: true,
                damaged: false,
                reason: "",
            });
            return Ok(());
        }
        let file = self.directory.open(FileName::Segment(header.id), Access::Read)?;
        let found = scan(&*file, &header, self.open_batch, self.skip)?;
        self.survey.bound = self.survey.bound.max(found.bound);
        if found.state.is_some() {
            self.survey.state = found.state;
        }
        let mut piece = Piece {
            header,
            end: found.end,
            next_index: header.first_index + found.positions.len() as u64,
            payload_bytes: found.payload_bytes,
            sealed: false,
            // Without the state that every segment begins with nothing may be added to it.
            clean: found.last_byte.is_none() && found.end > DATA_START,
            damaged: !found.gaps.is_empty(),
            reason: found.reason,
            positions: Some(found.positions),
        };
        if let Some(footer) = candidate.footer {
            // A footer that promises more than is there tells of a loss.
            piece.sealed = footer.data_end == piece.end && footer.next_index == piece.next_index;
            if !piece.sealed {
                piece.clean = false;
                piece.reason =
                    if piece.reason.is_empty() { "frames are missing before the footer" } else { piece.reason };
            }
        }
        if candidate.footer_torn {
            // A new footer must not be written over what is left of another.
            piece.reason = if piece.clean { "the footer is damaged" } else { piece.reason };
            piece.clean = false;
            self.flaw(header.id, header.capacity - FOOTER_LEN, "the footer is damaged; the frames tell what it said");
        }
        let path = self.path(header.id);
        if found.lost_batch.is_some() {
            self.open_batch = found.lost_batch;
            self.lose_open_batch(header.first_index);
        }
        if let Some(loss) = found.gaps.first()
            && self.survey.stop.is_none()
        {
            let at = Bound { segment: header.id, position: loss.position };
            self.survey.stop = Some(Place { at, index: loss.from, reason: piece.reason });
        }
        let gap = |lost: Lost| Gap {
            path: path.clone(),
            position: lost.position,
            bytes: lost.bytes,
            from: lost.from,
            to: lost.to,
        };
        self.survey.gaps.extend(found.gaps.into_iter().map(gap));
        self.open_batch = found.open_batch;
        self.survey.pieces.push(piece);
        Ok(())
    }

    /// The records of a batch whose end is lost are lost too.
    fn lose_open_batch(&mut self, extent: u64) {
        let Some(batch) = self.open_batch.take() else { return };
        for piece in &mut self.survey.pieces {
            if piece.next_index > batch.index
                && let Some(positions) = &mut piece.positions
            {
                let from = usize::try_from(batch.index.saturating_sub(piece.header.first_index)).unwrap_or(usize::MAX);
                positions.iter_mut().skip(from).for_each(|entry| *entry = 0);
                piece.damaged = true;
            }
        }
        let path = self.path(batch.at.segment);
        self.survey.gaps.push(Gap { path, position: batch.at.position, bytes: 0, from: batch.index, to: extent });
    }

    /// The records before the first segment that is left, and behind the last frame that is: their indexes are not used again.
    fn lose_ends(&mut self) {
        let state_first = self.survey.state.as_ref().map(|state| state.first_index);
        if let (Some(piece), Some(from)) = (self.survey.pieces.first_mut(), state_first)
            && piece.header.first_index > from
        {
            piece.damaged = true;
            let (id, to) = (piece.header.id, piece.header.first_index);
            let path = self.path(id.saturating_sub(1));
            self.survey.gaps.insert(0, Gap { path, position: 0, bytes: 0, from, to });
        }
        if let (Some(piece), Some(slot)) = (self.survey.pieces.last_mut(), self.slot)
            && slot.segment >= piece.header.generation_start
            && slot.next_index > piece.next_index
        {
            piece.damaged = true;
            let (id, position, from) = (piece.header.id, piece.end, piece.next_index);
            piece.next_index = slot.next_index;
            let path = self.path(id);
            self.survey.gaps.push(Gap { path, position, bytes: 0, from, to: slot.next_index });
        }
    }

    /// How the log ends.
    fn finish(&mut self) -> Result<()> {
        if let Some(piece) = self.survey.pieces.last() {
            let end = Bound { segment: piece.header.id, position: piece.end };
            let (whole, reason) = (piece.sealed || piece.clean, piece.reason);
            if !whole {
                self.stop_at(end, reason);
            }
        }
        if let Some(batch) = self.open_batch {
            let unended = Place { at: batch.at, index: batch.index, reason: "a batch is not ended" };
            self.survey.stop = Some(self.survey.stop.filter(|stop| stop.at <= batch.at).unwrap_or(unended));
            if self.skip {
                let extent = self.extent().unwrap_or(batch.index);
                self.lose_open_batch(extent);
            }
        }
        if self.skip {
            self.lose_ends();
        }
        let next = self.extent();
        let held_segments = |name: &FileName| matches!(name, FileName::Torn { .. } | FileName::Sidecar(_));
        let had_segments = self.survey.bound > Bound::default() || self.names.iter().any(held_segments);
        if next.is_none() && self.survey.stop.is_none() && had_segments {
            let at = Bound { segment: self.survey.last_id, position: 0 };
            self.survey.bound = self.survey.bound.max(Bound { position: 1, ..at });
            self.survey.stop = Some(Place { at, index: 0, reason: "the segment is missing" });
        }
        if let (Some(first), Some(state)) = (self.survey.pieces.first(), &self.survey.state)
            && first.header.first_index > state.first_index
        {
            let at = Bound { segment: first.header.id, position: 0 };
            self.survey.stop =
                Some(Place { at, index: state.first_index, reason: "the segments before it are missing" });
        }
        // The last segment known to have been durable must be there, and whole, also where a file behind it is unreadable.
        let last = self.survey.pieces.last().map(|piece| Bound { segment: piece.header.id, position: piece.end });
        if let Some(last) = last
            && self.survey.bound > last
            && self.survey.stop.is_none_or(|stop| stop.at > last && stop.at >= self.survey.bound)
        {
            let index = next.unwrap_or(0);
            self.survey.stop =
                Some(Place { at: last, index, reason: "records that were durable are missing behind it" });
        }
        Ok(())
    }

    /// Behind the stop, intact frames may tell that more was durable.
    fn look_behind(&mut self, candidates: &[Candidate]) -> Result<()> {
        let Some(stop) = self.survey.stop else { return Ok(()) };
        for candidate in candidates.iter().filter(|candidate| candidate.id >= stop.at.segment) {
            let Some(header) = candidate.header else { continue };
            let file = self.directory.open(FileName::Segment(header.id), Access::Read)?;
            let mut scanner = Scanner::new(&*file, header.salt, header.capacity - FOOTER_LEN)?;
            loop {
                match scanner.step()? {
                    Step::Frame { frame, .. } => {
                        let state = if frame.kind == FrameKind::Control { State::decode(frame.payload) } else { None };
                        let carried = [frame.durable(candidate.id), state.map(|state| state.durable)];
                        self.survey.bound = carried.into_iter().flatten().fold(self.survey.bound, Bound::max);
                    }
                    Step::End => break,
                    Step::Bad(_) => {
                        if !scanner.resync()? {
                            break;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
