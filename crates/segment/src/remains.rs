//! What is left of a damaged log: every intact record, before and behind the damage. Only reads.

use varve_format::State;

use crate::care::Care;
use crate::directory::Directory;
use crate::error::Result;
use crate::inspect::{Inspection, calmly, inspect};
use crate::options::SegmentOptions;
use crate::recover::hidden;
use crate::set::SegmentSet;
use crate::survey::survey;

/// The records that can be read.
#[derive(Debug)]
pub struct Remains {
    /// The directory as it is.
    pub found: Inspection,
    /// The segments that hold them.
    pub set: SegmentSet,
    /// The newest state that can be read.
    pub state: Option<State>,
    /// Index of the first record, lost or not.
    pub first_index: u64,
    /// Index after the last, lost or not.
    pub next_index: u64,
    /// The mark of the last segment.
    pub marker: u32,
}

/// Looks for what is left in `directory`.
pub fn remains(directory: &Directory, options: &SegmentOptions, care: &Care) -> Result<Remains> {
    let found = inspect(directory, options, true, care)?;
    let mut log = calmly(|| survey(directory, options, true, true, care))?;
    let state = log.state.take();
    let first = log.pieces.first().map_or(0, |piece| piece.header.first_index);
    let first_index = state.as_ref().map_or(first, |state| state.first_index);
    log.state.clone_from(&state);
    hidden(&mut log);
    let (next_index, marker) =
        log.pieces.last().map_or((first_index, 0), |piece| (piece.next_index, piece.header.marker));
    let segments = log.pieces.into_iter().map(|piece| piece.into_sealed(directory)).collect();
    let next_index = next_index.max(first_index);
    Ok(Remains { found, set: SegmentSet::new(segments), state, first_index, next_index, marker })
}
