//! The entries of a log that can be read, before and behind damage.

use std::sync::Arc;

use varve_segment::{Care, Cursor, Error as SegmentError, Fill, Remains, Segment, TABLE_LEN};

use crate::entry;
use crate::error::Result;

const SLAB: usize = 256 << 10;

/// Hands the entries of `found` from index `from` on, up to `next`, to `read`, with their segments and indexes.
pub(super) fn each_intact(
    found: &Remains,
    from: u64,
    next: u64,
    care: &Care,
    mut read: impl FnMut(&Arc<Segment>, u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let Some(first) = found.set.find(from) else { return Ok(()) };
    let position = first.position_from(from)?;
    let mut cursor = Cursor::new(first, position, from);
    let (mut slab, mut table) = (vec![0; SLAB], [0; TABLE_LEN]);
    let mut segment: Option<Arc<Segment>> = None;
    loop {
        if care.is_aborted() {
            return Err(SegmentError::Aborted.into());
        }
        let count = match cursor.fill(&found.set, next, &mut slab, &mut table, |_, _, _| 0)? {
            Fill::Needs(bytes) => {
                slab.resize(bytes, 0);
                continue;
            }
            Fill::Records(0) => return Ok(()),
            Fill::Records(count) => count,
        };
        let first = u64::from(table[TABLE_LEN - 2]) | u64::from(table[TABLE_LEN - 1]) << 32;
        for (index, place) in (first..).zip(table.as_chunks::<2>().0.iter().take(count)) {
            let holds = |one: &Arc<Segment>| {
                let first = one.header.first_index;
                index >= first && one.end().is_none_or(|end| index < end.next_index)
            };
            if !segment.as_ref().is_some_and(holds) {
                segment = found.set.find(index);
            }
            if let Some(segment) = &segment {
                read(segment, index, slab.get(place[0] as usize..place[1] as usize).unwrap_or_default())?;
            }
        }
    }
}

/// Offset behind the last message that can be read.
pub(super) fn end_of(found: &Remains) -> Result<u64> {
    let mut end = 0;
    for segment in found.set.all().iter().rev() {
        let from = segment.header.first_index.max(found.first_index);
        let next = segment.end().map_or(found.next_index, |end| end.next_index);
        if from < next {
            each_intact(found, from, next, &Care::default(), |_, _, payload| {
                if let Ok((entry, _)) = entry::outline(payload) {
                    end = end.max(entry.base + entry.span);
                }
                Ok(())
            })?;
        }
        if end > 0 {
            break;
        }
    }
    Ok(end)
}
