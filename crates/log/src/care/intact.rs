//! What can be read of a damaged log: how many messages, and where they end.

use varve_segment::{Care, Remains};

use crate::entry;
use crate::error::Result;
use crate::outline::Entry;

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

/// Messages of an entry that are held: those from `start` on.
pub(super) fn held(payload: &[u8], entry: &Entry, start: u64, body: &mut Vec<u8>) -> Result<u64, &'static str> {
    if entry.base >= start {
        return Ok(entry.messages);
    }
    let mut count = 0;
    if entry.base + entry.span > start {
        entry::each_message(payload, body, &mut |message| {
            count += u64::from(message.offset >= start);
            true
        })?;
    }
    Ok(count)
}

/// Messages held that can be read, before and behind damage.
pub(super) fn count(found: &Remains, start: u64, care: &Care) -> Result<u64> {
    let (mut count, mut body) = (0, Vec::new());
    found.each_record(found.first_index, found.next_index, care, |_, _, payload| -> Result<()> {
        // What is intact, and no entry, holds none.
        if let Ok((entry, _)) = entry::outline(payload) {
            count += held(payload, &entry, start, &mut body).unwrap_or(0);
        }
        Ok(())
    })?;
    Ok(count)
}
