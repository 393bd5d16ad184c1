//! Reading a log in every way there is, and comparing it with the model.

use std::sync::Arc;

use varve_wal::{Fill, TABLE_LEN, Wal};

use crate::failure::Failure;
use crate::model::Model;

/// Hands every record from `from` on, with its index, to `each`.
pub fn read_all(
    wal: &Arc<Wal>,
    from: u64,
    slab: usize,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut reader = wal.reader(from, None)?;
    let mut slab = vec![0; slab];
    let mut table = [0; TABLE_LEN];
    loop {
        match reader.fill(&mut slab, &mut table)? {
            Fill::Records(0) => return Ok(()),
            Fill::Records(count) => {
                let first = u64::from(table[TABLE_LEN - 2]) | u64::from(table[TABLE_LEN - 1]) << 32;
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
}

fn same(model: &Model, index: u64, bytes: &[u8], by: &str) -> Result<(), Failure> {
    match model.get(index) {
        Some(expected) if expected == bytes => Ok(()),
        Some(expected) => Err(Failure::new(format!(
            "record {index}, read by {by}, has {} bytes that are not the {} appended",
            bytes.len(),
            expected.len()
        ))),
        None => Err(Failure::new(format!("record {index}, read by {by}, was never appended"))),
    }
}

/// An error unless the log holds what the model holds, from its first record up to its own end, by reader and (with `gets`) one by one.
pub fn verify(wal: &Arc<Wal>, model: &Model, gets: bool) -> Result<(), Failure> {
    let (first, next) = (wal.first_index(), wal.next_index());
    if first != model.first() {
        return Err(Failure::new(format!("the log begins at {first}, not at {}", model.first())));
    }
    let mut expected = first;
    read_all(wal, first, 64 << 10, |index, bytes| {
        if index != expected {
            return Err(Failure::new(format!("the reader gives record {index} in place of {expected}")));
        }
        expected += 1;
        same(model, index, bytes, "reader")
    })?;
    if expected != next {
        return Err(Failure::new(format!("the reader ends at {expected}, the log at {next}")));
    }
    for index in (first..next).filter(|_| gets) {
        match wal.get(index, |bytes| same(model, index, bytes, "get"))? {
            Some(compared) => compared?,
            None => return Err(Failure::new(format!("get finds no record {index}"))),
        }
    }
    let stats = wal.stats();
    if (stats.entries, stats.first_index, stats.next_index) != (next - first, first, next) {
        return Err(Failure::new(format!("stats are wrong: {stats:?}")));
    }
    let bytes: u64 = (first..next).filter_map(|index| model.get(index)).map(|bytes| bytes.len() as u64).sum();
    if stats.bytes != bytes {
        return Err(Failure::new(format!("stats count {} bytes of records; there are {bytes}", stats.bytes)));
    }
    for outside in [first.wrapping_sub(1), next, next + 1, u64::MAX] {
        if wal.get(outside, <[u8]>::len)?.is_some() {
            return Err(Failure::new(format!("get finds record {outside} in a log of {first} to {next}")));
        }
    }
    Ok(())
}
