//! The walk through the segments of a directory, in order.

use std::path::PathBuf;

use varve_format::{Bound, DATA_START, DurableSlot, FOOTER_LEN, FrameKind, Origin, SegmentHeader, State};
use varve_io::Access;

use super::{Flaw, Gap, Piece, Place, Survey};
use crate::candidate::Candidate;
use crate::contents::{Lost, OpenBatch, scan};
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::name::FileName;
use crate::options::SegmentOptions;
use crate::scan::{Scanner, Step, payload_bytes};

pub(super) struct Walk<'d> {
    pub(super) directory: &'d Directory,
    pub(super) verify: bool,
    pub(super) skip: bool,
    pub(super) open_batch: Option<OpenBatch>,
    /// Segments that are no part of the log so far, and were not dropped by a cut.
    pub(super) loose: Vec<u64>,
    /// The newest slot, if it is of this log.
    pub(super) slot: Option<DurableSlot>,
    pub(super) names: Vec<FileName>,
    /// What lies before a place where the log is not whole may be hidden by a state behind it.
    pub(super) may_hide: bool,
    /// Something was.
    pub(super) hid: bool,
    /// Where the newest state is, and its first index, once that was looked for.
    pub(super) newest: Option<Option<(u64, u64)>>,
    pub(super) survey: Survey,
}

impl Walk<'_> {
    fn path(&self, id: u64) -> PathBuf {
        self.directory.file(FileName::Segment(id))
    }

    fn flaw(&mut self, id: u64, position: u64, reason: &'static str) {
        let path = self.path(id);
        self.survey.flaws.push(Flaw { path, position, reason });
    }

    pub(super) fn candidate(&mut self, id: u64, options: &SegmentOptions) -> Result<Candidate> {
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

    /// Looks at the next segment; `behind` begins with it.
    pub(super) fn visit(&mut self, candidate: &Candidate, behind: &[Candidate], last: bool) -> Result<()> {
        self.place(candidate, behind, last)?;
        if self.survey.pieces.last().is_none_or(|piece| piece.header.id != candidate.id) {
            self.loose.push(candidate.id);
        }
        Ok(())
    }

    fn place(&mut self, candidate: &Candidate, behind: &[Candidate], last: bool) -> Result<()> {
        let Some(header) = candidate.header else {
            self.stop_at(Bound { segment: candidate.id, position: 0 }, "the segment's header is damaged");
            return Ok(());
        };
        if header.is_cut() && candidate.state.is_none() && !self.skip {
            // It was not synced: what it cuts is still there, and what is dropped is told by its state alone.
            self.stop_at(Bound { segment: candidate.id, position: 0 }, "the segment's first state is damaged");
            return Ok(());
        }
        let Some(extent) = self.extent() else {
            if self.survey.stop.is_none() || self.skip {
                return self.accept(candidate, header, last);
            }
            return self.pass_hidden(candidate, header, behind, last);
        };
        let may_reset = candidate.state.as_ref().is_some_and(|state| state.first_index >= header.first_index);
        let generation = self.survey.pieces.last().map_or(0, |piece| piece.header.generation);
        if header.is_cut()
            && header.generation > generation
            && (header.first_index <= extent || may_reset)
            && self.ends_the_right_one(&header)
        {
            let on_purpose = header.origin == Origin::Truncation as u8;
            // What was dropped before a log was cut where it begins may be there in part.
            let is_hidden = self.survey.stop.is_some_and(|stop| stop.index < header.first_index);
            if may_reset && (on_purpose || is_hidden) {
                self.begin_anew();
            }
            self.cut(header.first_index, on_purpose)?;
            self.drop_loose(on_purpose);
            return self.accept(candidate, header, last);
        }
        if self.survey.stop.is_some() && !self.skip {
            return if header.generation >= generation {
                self.pass_hidden(candidate, header, behind, last)
            } else {
                Ok(())
            };
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
        if header.generation >= generation && self.may_hide && self.hides(behind, header.first_index)? {
            // What lies before it is dropped, and its files were being removed, in whatever order the disk chose.
            self.hid = true;
            self.begin_anew();
            self.drop_loose(true);
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

    /// False for a truncation that ended a segment that is not there, where it should be.
    fn ends_the_right_one(&self, header: &SegmentHeader) -> bool {
        let before = |piece: &&Piece| piece.header.first_index < header.first_index;
        let ended = self.survey.pieces.iter().rev().find(before);
        header.previous_link == 0 || ended.is_none_or(|piece| piece.header.link == header.previous_link)
    }

    /// Behind a place where the log is not whole: it begins anew, if all that lies before is hidden.
    fn pass_hidden(
        &mut self,
        candidate: &Candidate,
        header: SegmentHeader,
        behind: &[Candidate],
        last: bool,
    ) -> Result<()> {
        if !self.may_hide || !self.hides(behind, header.first_index)? {
            return Ok(());
        }
        self.hid = true;
        self.begin_anew();
        self.drop_loose(true);
        self.accept(candidate, header, last)
    }

    /// True if the newest state in the segments `behind` drops all records below `first_index`.
    fn hides(&mut self, behind: &[Candidate], first_index: u64) -> Result<bool> {
        let newest = match self.newest {
            Some(newest) => newest,
            None => self.newest_state(behind)?,
        };
        self.newest = Some(newest);
        let first = behind.first().map_or(0, |candidate| candidate.id);
        Ok(newest.is_some_and(|(id, hidden)| id >= first && hidden >= first_index))
    }

    fn newest_state(&self, behind: &[Candidate]) -> Result<Option<(u64, u64)>> {
        for candidate in behind.iter().rev() {
            let Some(header) = &candidate.header else { continue };
            let file = self.directory.open(FileName::Segment(header.id), Access::Read)?;
            if let Some(state) = scan(&*file, header, None, false)?.state {
                return Ok(Some((header.id, state.first_index)));
            }
        }
        Ok(None)
    }

    /// Nothing of what lies before is part of the log, whole or not.
    fn begin_anew(&mut self) {
        self.loose.extend(self.survey.pieces.drain(..).map(|piece| piece.header.id));
        self.survey.gaps.clear();
        (self.open_batch, self.survey.stop) = (None, None);
    }

    /// Segments that are no part of the log have been dropped by the cut that comes now.
    fn drop_loose(&mut self, on_purpose: bool) {
        let loose = std::mem::take(&mut self.loose);
        let survey = &mut self.survey;
        if on_purpose { survey.discarded.extend(loose) } else { survey.dropped.extend(loose) }
    }

    /// Drops all from `first_index` on; a truncation takes segments that keep no record whole.
    fn cut(&mut self, first_index: u64, on_purpose: bool) -> Result<()> {
        let goes = |piece: &Piece| {
            piece.header.first_index > first_index || (on_purpose && piece.header.first_index == first_index)
        };
        while let Some(piece) = self.survey.pieces.pop_if(|piece| goes(piece)) {
            self.loose.push(piece.header.id);
        }
        // Where a torn tail was cut, even if no record was in it, the footer tells of more than is there.
        if let Some(piece) = self.survey.pieces.last_mut()
            && (piece.next_index > first_index || (!on_purpose && piece.positions.is_none()))
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
            piece.payload_bytes = payload_bytes(&*file, piece.header.salt, 0, piece.end)?;
            piece.positions = Some(positions[..keep.min(positions.len())].to_vec());
            piece.records = keep.min(positions.len()) as u64;
            piece.next_index = first_index;
            piece.sealed = true;
        }
        // What a cut leaves stands: a truncation keeps only what had been whole.
        self.open_batch = None;
        if self.survey.stop.is_some_and(|stop| stop.index >= first_index) {
            self.survey.stop = None;
        }
        self.survey.gaps.retain(|gap| gap.from < first_index);
        // The records behind the cut are there again.
        self.survey.gaps.iter_mut().for_each(|gap| gap.to = gap.to.min(first_index));
        Ok(())
    }

    /// A range of records that a salvage could not fill: not there, and no damage.
    fn note_gap(&mut self, id: u64, position: u64, from: u64, to: u64) {
        let path = self.path(id);
        self.survey.gaps.push(Gap { path, position, bytes: 0, from, to });
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
            let from = header.first_index + footer.records;
            if footer.next_index > from {
                self.note_gap(header.id, footer.data_end, from, footer.next_index);
            }
            self.survey.pieces.push(Piece {
                header,
                end: footer.data_end,
                next_index: footer.next_index,
                payload_bytes: footer.payload_bytes,
                records: footer.records,
                sealed_micros: footer.sealed_micros,
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
            self.survey.state.clone_from(&found.state);
        } else {
            self.look_at_last_state()?;
        }
        let mut piece = Piece {
            header,
            end: found.end,
            next_index: found.next_index(&header),
            payload_bytes: found.payload_bytes,
            records: found.positions.len() as u64,
            sealed_micros: candidate.footer.map_or(header.created_micros, |footer| footer.sealed_micros),
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
        if let Some((position, to)) = found.skipped {
            self.note_gap(header.id, position, header.first_index + piece.records, to);
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

    /// Of a segment known to be durable only the first state has been looked at. Another may follow it, where nothing behind repeats it.
    fn look_at_last_state(&mut self) -> Result<()> {
        if let Some(piece) = self.survey.pieces.last().filter(|piece| piece.positions.is_none()) {
            let file = self.directory.open(FileName::Segment(piece.header.id), Access::Read)?;
            let found = scan(&*file, &piece.header, None, false)?;
            self.survey.state = found.state.or(self.survey.state.take());
        }
        Ok(())
    }

    /// How the log ends.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.look_at_last_state()?;
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
        let held_segments =
            |name: &FileName| matches!(name, FileName::Torn { .. } | FileName::Lost { .. } | FileName::Sidecar(_));
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
    pub(super) fn look_behind(&mut self, candidates: &[Candidate]) -> Result<()> {
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
