//! Reading a log in every way there is, and comparing it with the model.

use std::sync::Arc;

use varve_wal::{Fill, TABLE_LEN, Wal, WalReader, first_of};

use crate::failure::Failure;
use crate::model::{Model, Point};

/// Hands every record from `from` on, with its index, to `each`.
pub fn read_all(
    wal: &Arc<Wal>,
    from: u64,
    slab: usize,
    each: impl FnMut(u64, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    read_on(&mut wal.reader(from, None)?, slab, usize::MAX, each)
}

/// Hands what a reader comes upon in the next `fills` steps to `each`.
pub(crate) fn read_on(
    reader: &mut WalReader,
    slab: usize,
    fills: usize,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut slab = vec![0; slab];
    let mut table = [0; TABLE_LEN];
    for _ in 0..fills {
        match reader.fill(&mut slab, &mut table)? {
            Fill::Records(0) => return Ok(()),
            Fill::Records(count) => {
                let first = first_of(&table);
                for (index, ends) in (first..).zip(table.as_chunks::<2>().0.iter().take(count)) {
                    each(index, slab.get(ends[0] as usize..ends[1] as usize).unwrap_or_default())?;
                }
            }
            Fill::Needs(bytes) if bytes > slab.len() => slab.resize(bytes, 0),
            Fill::Needs(bytes) => {
                return Err(Failure::new(format!("a slab of {} bytes is refused for {bytes}", slab.len())));
            }
        }
    }
    Ok(())
}

/// An error unless record `index` is there, with these bytes.
pub(crate) fn same(point: &Point, index: u64, bytes: &[u8], by: &str) -> Result<(), Failure> {
    match point.get(index) {
        Some(expected) if expected == bytes => Ok(()),
        Some(expected) => Err(Failure::new(format!(
            "record {index}, read by {by}, has {} bytes that are not the {} appended",
            bytes.len(),
            expected.len()
        ))),
        None => Err(Failure::new(format!("record {index}, read by {by}, is none"))),
    }
}

/// An error unless the log holds what the newest state of the model does, by reader and (with `gets`) one by one.
pub fn verify(wal: &Arc<Wal>, model: &Model, gets: bool) -> Result<(), Failure> {
    verify_at(wal, model.now(), gets)
}

/// The same for one state.
pub(crate) fn verify_at(wal: &Arc<Wal>, point: &Point, gets: bool) -> Result<(), Failure> {
    let (first, next) = (wal.first_index(), wal.next_index());
    if (first, next) != (point.first(), point.next()) {
        let (begin, end) = (point.first(), point.next());
        return Err(Failure::new(format!("the log is {first} to {next}, not {begin} to {end}")));
    }
    let mut expected = first;
    read_all(wal, first, 64 << 10, |index, bytes| {
        if index != expected {
            return Err(Failure::new(format!("the reader gives record {index} in place of {expected}")));
        }
        expected += 1;
        same(point, index, bytes, "reader")
    })?;
    if expected != next {
        return Err(Failure::new(format!("the reader ends at {expected}, the log at {next}")));
    }
    for index in (first..next).filter(|_| gets) {
        match wal.get(index, |bytes| same(point, index, bytes, "get"))? {
            Some(compared) => compared?,
            None => return Err(Failure::new(format!("get finds no record {index}"))),
        }
        let Some(position) = wal.position_of(index)? else {
            return Err(Failure::new(format!("record {index} has no position")));
        };
        if wal.index_at(position)? != Some(index) {
            return Err(Failure::new(format!("another record than {index} is at {position:?}")));
        }
    }
    let stats = wal.stats();
    if (stats.entries, stats.first_index, stats.next_index) != (next - first, first, next) {
        return Err(Failure::new(format!("stats are wrong: {stats:?}")));
    }
    // What is dropped from the segment that the log begins in is still counted.
    let segments = wal.segments();
    let whole =
        segments.iter().find(|segment| !segment.pending_deletion).is_some_and(|begin| begin.first_index == first);
    if stats.bytes < point.bytes() || (whole && stats.bytes != point.bytes()) {
        return Err(Failure::new(format!("stats count {} bytes of records; there are {}", stats.bytes, point.bytes())));
    }
    for outside in [first.wrapping_sub(1), next, next + 1, u64::MAX] {
        if wal.get(outside, <[u8]>::len)?.is_some() || wal.position_of(outside)?.is_some() {
            return Err(Failure::new(format!("record {outside} is found in a log of {first} to {next}")));
        }
    }
    Ok(())
}
