//! Where what can be read of a damaged log ends.

use varve_segment::{Care, Remains};

use crate::entry;
use crate::error::Result;

/// Offset behind the last message that can be read.
pub(super) fn end_of(found: &Remains) -> Result<u64> {
    let mut end = 0;
    for segment in found.set.all().iter().rev() {
        let from = segment.header.first_index.max(found.first_index);
        let next = segment.end().map_or(found.next_index, |end| end.next_index);
        if from < next {
            found.each_record(from, next, &Care::default(), |_, _, payload| -> Result<()> {
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
