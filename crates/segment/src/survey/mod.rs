//! What a directory holds, found by looking: which segments make the log, where it stops, and what is known to be durable.
//! Changes nothing. The rules are those of `docs/formats/segment.md`, "Recovery".

mod end;
mod walk;

use std::path::PathBuf;
use std::sync::Arc;

use varve_format::{Bound, SegmentHeader, State};

use self::walk::Walk;
use crate::candidate::Candidate;
use crate::care::Care;
use crate::directory::Directory;
use crate::durable::DurableFile;
use crate::error::{Error, Result};
use crate::name::FileName;
use crate::options::SegmentOptions;
use crate::segment::{Sealed, Segment};

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
    /// They were removed on purpose, from a segment that was rewritten.
    pub removed: bool,
}

impl Gap {
    /// How many of the records `first..next` it takes.
    pub fn within(&self, first: u64, next: u64) -> u64 {
        self.to.min(next).saturating_sub(self.from.max(first))
    }
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
    /// Records that count: fewer than the indexes it spans, where it ends with a gap.
    pub(crate) records: u64,
    /// When it was sealed, if that is known; else when it was created.
    pub(crate) sealed_micros: i64,
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

impl Piece {
    /// How it ends, as a sealed segment.
    pub(crate) fn end(&self) -> Sealed {
        Sealed {
            data_end: self.end,
            next_index: self.next_index,
            records: self.records,
            payload_bytes: self.payload_bytes,
            sealed_micros: self.sealed_micros,
        }
    }

    /// The segment, as its readers see it.
    pub(crate) fn into_sealed(self, directory: &Directory) -> Arc<Segment> {
        let end = self.end();
        Arc::new(Segment::sealed(directory, self.header, end, self.positions, self.damaged))
    }
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
    /// Segments that a recovery has cut off: their bytes are kept aside.
    pub(crate) dropped: Vec<u64>,
    /// Segments that were dropped on purpose, by a truncation from either end: their files are only not gone yet.
    pub(crate) discarded: Vec<u64>,
    /// Files that a process left behind: temporary ones, and sidecars of segments that were removed.
    pub(crate) leftovers: Vec<FileName>,
}

impl Survey {
    /// Index of the first record: what the newest state says; without one, where the first segment begins.
    pub(crate) fn first_index(&self) -> u64 {
        let first = || self.pieces.first().map_or(0, |piece| piece.header.first_index);
        self.state.as_ref().map_or_else(first, |state| state.first_index)
    }
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
    let (found, hid) = look(directory, options, verify, skip, true, care)?;
    // A state that is no part of the log after all has hidden nothing.
    let first = found.pieces.first().map_or(0, |piece| piece.header.first_index);
    if hid && found.state.as_ref().is_none_or(|state| state.first_index < first) {
        return Ok(look(directory, options, verify, skip, false, care)?.0);
    }
    Ok(found)
}

/// True for what may go at the next open. A sidecar behind all segments tells that there was one more.
fn is_left(name: &FileName, ids: &[u64]) -> bool {
    match name {
        FileName::Prepared(_) => true,
        FileName::Sidecar(id) | FileName::Digest(id) => {
            ids.last().is_some_and(|last| id < last) && ids.binary_search(id).is_err()
        }
        _ => false,
    }
}

fn look(
    directory: &Directory,
    options: &SegmentOptions,
    verify: bool,
    skip: bool,
    may_hide: bool,
    care: &Care,
) -> Result<(Survey, bool)> {
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
        loose: Vec::new(),
        slot: None,
        may_hide,
        hid: false,
        newest: None,
        survey: Survey {
            leftovers: names.iter().copied().filter(|name| is_left(name, &ids)).collect(),
            ids,
            ..Survey::default()
        },
        names,
    };
    walk.survey.last_id = walk.survey.ids.last().copied().unwrap_or(0);
    for name in &walk.names {
        if let FileName::Torn { segment, .. }
        | FileName::Lost { segment, .. }
        | FileName::Sidecar(segment)
        | FileName::Producers(segment) = name
        {
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
        walk.visit(candidate, &candidates[i..], i == last)?;
        care.done_segment(capacity(candidate));
    }
    walk.finish()?;
    walk.look_behind(&candidates)?;
    Ok((walk.survey, walk.hid))
}
