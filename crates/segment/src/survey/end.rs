//! How a log ends: what is lost behind the last segment, and what tells that more was durable.

use varve_format::{Bound, FOOTER_LEN, FrameKind, State};
use varve_io::Access;

use super::walk::Walk;
use super::{Gap, Place};
use crate::candidate::Candidate;
use crate::contents::scan;
use crate::error::Result;
use crate::name::FileName;
use crate::scan::{Scanner, Step};

impl Walk<'_> {
    /// The records of a batch whose end is lost are lost too.
    pub(super) fn lose_open_batch(&mut self, extent: u64) {
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
        self.survey.gaps.push(Gap {
            path,
            position: batch.at.position,
            bytes: 0,
            from: batch.index,
            to: extent,
            removed: false,
        });
    }

    /// A truncation at `first_index` kept the first records of a batch, and damage lies behind them: it took what was cut, and they stand.
    pub(super) fn regain(&mut self, first_index: u64) -> Result<()> {
        let lost = |from: u64, gap: &Gap| if gap.to >= from { from.min(gap.from) } else { from };
        let from = self.survey.gaps.iter().rev().fold(first_index, lost);
        let begin = self.survey.pieces.partition_point(|piece| piece.next_index <= from);
        let Some(pieces) = self.survey.pieces.get(begin..).filter(|_| from < first_index) else { return Ok(()) };
        let (mut regained, mut open_batch) = (Vec::new(), None);
        for (i, piece) in pieces.iter().enumerate() {
            let file = self.directory.open(FileName::Segment(piece.header.id), Access::Read)?;
            let found = scan(&*file, &piece.header, open_batch, false)?;
            let next_index = found.next_index(&piece.header);
            let is_last = i + 1 == pieces.len();
            if next_index < if is_last { first_index } else { piece.next_index } {
                return Ok(());
            }
            open_batch = found.open_batch;
            regained.push((next_index, found));
        }
        self.survey.gaps.retain(|gap| gap.from < from);
        let mut skipped = Vec::new();
        for (piece, (next_index, found)) in self.survey.pieces.iter_mut().skip(begin).zip(regained) {
            let behind = piece.header.first_index + found.positions.len() as u64;
            skipped.extend(found.skipped.map(|(position, to)| (piece.header, position, behind, to)));
            (piece.end, piece.next_index, piece.payload_bytes) = (found.end, next_index, found.payload_bytes);
            piece.records = found.positions.len() as u64;
            (piece.positions, piece.damaged, piece.reason) = (Some(found.positions), false, found.reason);
        }
        skipped.iter().for_each(|(header, position, from, to)| self.note_gap(header, *position, *from, *to));
        self.survey.stop = self.survey.stop.filter(|stop| stop.index < from);
        Ok(())
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
            self.survey.gaps.insert(0, Gap { path, position: 0, bytes: 0, from, to, removed: false });
        }
        if let (Some(piece), Some(slot)) = (self.survey.pieces.last_mut(), self.slot)
            && slot.segment >= piece.header.generation_start
            && slot.next_index > piece.next_index
        {
            piece.damaged = true;
            let (id, position, from) = (piece.header.id, piece.end, piece.next_index);
            piece.next_index = slot.next_index;
            let path = self.path(id);
            self.survey.gaps.push(Gap { path, position, bytes: 0, from, to: slot.next_index, removed: false });
        }
    }

    /// Of a segment known to be durable only the first state has been looked at. Another may follow it, where nothing behind repeats it.
    pub(super) fn look_at_last_state(&mut self) -> Result<()> {
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
        if let Some(piece) = self.survey.pieces.last().filter(|piece| !piece.sealed) {
            // What tells of how it once ended, before a power loss took that end, must not be believed when it ends anew with as many records.
            let is_of_it = |name: &&FileName| matches!(name, FileName::Sidecar(id) | FileName::Digest(id) if *id == piece.header.id);
            self.survey.leftovers.extend(self.names.iter().filter(is_of_it));
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
