//! The walk through the segments of a directory, in order.

use std::path::PathBuf;

use varve_format::{Bound, DATA_START, DurableSlot, FOOTER_LEN, SegmentHeader};
use varve_io::Access;

use super::{Flaw, Gap, Piece, Place, Survey};
use crate::candidate::Candidate;
use crate::contents::{Lost, OpenBatch, scan};
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::name::FileName;
use crate::options::SegmentOptions;
use crate::scan::payload_bytes;

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
    pub(super) fn path(&self, id: u64) -> PathBuf {
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

    /// Where a footer that was believed ends the log elsewhere than at `first_index`, at which the next segment continues it, the frames tell.
    fn look_at_end(&mut self, first_index: u64) -> Result<()> {
        let Some(piece) = self.survey.pieces.last_mut() else { return Ok(()) };
        if piece.positions.is_some() || piece.next_index == first_index {
            return Ok(());
        }
        let file = self.directory.open(FileName::Segment(piece.header.id), Access::Read)?;
        let found = scan(&*file, &piece.header, None, false)?;
        (piece.end, piece.next_index) = (found.end, found.next_index(&piece.header));
        (piece.payload_bytes, piece.records) = (found.payload_bytes, found.positions.len() as u64);
        (piece.sealed, piece.clean, piece.reason) = (false, false, found.reason);
        piece.positions = Some(found.positions);
        let header = piece.header;
        self.open_batch = found.open_batch;
        self.survey.gaps.retain(|gap| gap.path != self.directory.file(FileName::Segment(header.id)));
        if let Some((position, to)) = found.skipped {
            let from = header.first_index + piece.records;
            self.note_gap(&header, position, from, to);
        }
        Ok(())
    }

    /// Index behind the log so far.
    pub(super) fn extent(&self) -> Option<u64> {
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
        if self.survey.pieces.last().is_some_and(|piece| header.continues(&piece.header)) {
            self.look_at_end(header.first_index)?;
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
            let on_purpose = header.is_truncation();
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
        let continues = self.survey.pieces.last().is_some_and(|piece| header.continues(&piece.header));
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
                    removed: false,
                });
            }
            return self.accept(candidate, header, last);
        }
        Ok(())
    }

    /// The log is not whole from `at` on, unless a later cut drops that place from it.
    pub(super) fn stop_at(&mut self, at: Bound, reason: &'static str) {
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
        if self.skip && on_purpose {
            self.regain(first_index)?;
        }
        let mut damaged = false;
        // Where a torn tail was cut, even if no record was in it, the footer tells of more than is there.
        if let Some(piece) = self.survey.pieces.last_mut()
            && (piece.next_index > first_index || (!on_purpose && piece.positions.is_none()))
        {
            let keep = usize::try_from(first_index - piece.header.first_index).unwrap_or(usize::MAX);
            let file = self.directory.open(FileName::Segment(piece.header.id), Access::Read)?;
            let (positions, end, next_index) = match piece.positions.take() {
                Some(positions) => (positions, piece.end, first_index),
                None => {
                    let found = scan(&*file, &piece.header, None, false)?;
                    let next_index = found.next_index(&piece.header).min(first_index);
                    (found.positions, found.end, next_index)
                }
            };
            if next_index == first_index {
                // Of those that are cut, the first that is there tells where they begin.
                let behind = positions.iter().skip(keep).find(|entry| **entry != 0);
                piece.end = behind.map_or(end, |entry| u64::from(*entry) * 8);
                piece.payload_bytes = payload_bytes(&*file, piece.header.salt, 0, piece.end)?;
                piece.positions = Some(positions[..keep.min(positions.len())].to_vec());
                piece.records = keep.min(positions.len()) as u64;
                piece.next_index = first_index;
                piece.sealed = true;
            } else if piece.next_index > first_index {
                // What the cut should leave is damaged.
                (piece.end, piece.next_index, damaged) = (end, next_index, true);
            }
            // Else the footer is believed, as that of any segment that is known to be durable: damage is met by who reads it.
        }
        // A truncation leaves only what had been whole. A recovery cuts where a batch begins that is not ended, unless it went on behind damage.
        if !on_purpose && self.open_batch.is_some_and(|batch| batch.index < first_index) {
            self.lose_open_batch(first_index);
        }
        self.open_batch = None;
        if self.survey.stop.is_some_and(|stop| stop.index >= first_index) {
            self.survey.stop = None;
        }
        if let Some(piece) = self.survey.pieces.last().filter(|_| damaged) {
            self.stop_at(Bound { segment: piece.header.id, position: piece.end }, "frames are missing before the cut");
        }
        self.survey.gaps.retain(|gap| gap.from < first_index);
        // The records behind the cut are there again.
        self.survey.gaps.iter_mut().for_each(|gap| gap.to = gap.to.min(first_index));
        Ok(())
    }

    /// A range of records that a salvage could not fill: not there, and no damage.
    pub(super) fn note_gap(&mut self, header: &SegmentHeader, position: u64, from: u64, to: u64) {
        let path = self.path(header.id);
        let removed = header.is_rewritten();
        self.survey.gaps.push(Gap { path, position, bytes: 0, from, to, removed });
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
                self.note_gap(&header, footer.data_end, from, footer.next_index);
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
            self.note_gap(&header, position, header.first_index + piece.records, to);
        }
        let gap = |lost: Lost| Gap {
            path: path.clone(),
            position: lost.position,
            bytes: lost.bytes,
            from: lost.from,
            to: lost.to,
            removed: false,
        };
        self.survey.gaps.extend(found.gaps.into_iter().map(gap));
        self.open_batch = found.open_batch;
        self.survey.pieces.push(piece);
        Ok(())
    }
}
