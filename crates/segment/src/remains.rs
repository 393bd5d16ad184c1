//! What is left of a damaged log: every intact record, before and behind the damage. Only reads.

use std::sync::Arc;

use varve_format::State;

use crate::care::Care;
use crate::cursor::{Cursor, Fill, TABLE_LEN, places};
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::inspect::{Inspection, calmly, inspect};
use crate::options::SegmentOptions;
use crate::recover::hidden;
use crate::segment::Segment;
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
    let first_index = log.first_index();
    hidden(&mut log);
    let state = log.state.take();
    let (next_index, marker) =
        log.pieces.last().map_or((first_index, 0), |piece| (piece.next_index, piece.header.marker));
    let segments = log.pieces.into_iter().map(|piece| piece.into_sealed(directory)).collect();
    let next_index = next_index.max(first_index);
    Ok(Remains { found, set: SegmentSet::new(segments), state, first_index, next_index, marker })
}

/// Bytes of records that are read at once.
const SLAB: usize = 256 << 10;

impl Remains {
    /// Hands the records from index `from` on, up to `next`, to `read`, with their segments and indexes; those that are lost are passed over.
    pub fn each_record<E: From<Error>>(
        &self,
        from: u64,
        next: u64,
        care: &Care,
        mut read: impl FnMut(&Arc<Segment>, u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(first) = self.set.find(from) else { return Ok(()) };
        let position = first.position_from(from)?;
        let mut cursor = Cursor::new(first, position, from);
        let (mut slab, mut table) = (vec![0; SLAB], [0; TABLE_LEN]);
        let mut segment: Option<Arc<Segment>> = None;
        loop {
            if care.is_aborted() {
                return Err(Error::Aborted.into());
            }
            let count = match cursor.fill(&self.set, next, &mut slab, &mut table, |_, _, _| 0)? {
                Fill::Needs(bytes) => {
                    slab.resize(bytes, 0);
                    continue;
                }
                Fill::Records(0) => return Ok(()),
                Fill::Records(count) => count,
            };
            for (index, place) in places(&table, count) {
                let holds = |one: &Arc<Segment>| {
                    let first = one.header.first_index;
                    index >= first && one.end().is_none_or(|end| index < end.next_index)
                };
                if !segment.as_ref().is_some_and(holds) {
                    segment = self.set.find(index);
                }
                if let Some(segment) = &segment {
                    read(segment, index, slab.get(place).unwrap_or_default())?;
                }
            }
        }
    }
}
