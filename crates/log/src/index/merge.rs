//! Which tables become one, and how.

use std::sync::Arc;

use varve_format::KeyTableHeader;

use super::error::Result;
use super::table::{Scan, Table};
use super::write::{Gate, Place, Span, TableWriter};

/// Tables of one tier that become one, and how much larger the tables of a tier are than those of the one below.
const RATIO: u64 = 4;

/// Tables that are merged at once, at most.
const MOST_INPUTS: usize = 16;

/// Tables that an index has, at most, before neighbours of different tiers are merged, too.
const MOST_TABLES: usize = 40;

/// Tables up to this size are of the lowest tier.
const LOWEST_TIER: u64 = 1 << 12;

fn tier(table: &Table) -> u32 {
    (u64::from(table.header.count) / LOWEST_TIER).checked_ilog2().map_or(0, |bits| 1 + bits / RATIO.ilog2())
}

/// The neighbours among `tables`, oldest first, that are to become one table; `None` where all is as it should be.
///
/// In any row of neighbours of tier `n` and below, [`RATIO`] tables of tier `n` are merged, with what lies between them. So an entry is written once a tier.
pub(super) fn choose(tables: &[Arc<Table>]) -> Option<&[Arc<Table>]> {
    let tiers: Vec<u32> = tables.iter().map(|table| tier(table)).collect();
    for wanted in 0..=tiers.iter().copied().max()? {
        let mut row = Vec::new();
        for at in 0..=tiers.len() {
            match tiers.get(at) {
                Some(tier) if *tier <= wanted => {
                    if *tier == wanted {
                        row.push(at);
                    }
                }
                _ => {
                    if let Some(found) = of_row(tables, &row) {
                        return Some(found);
                    }
                    row.clear();
                }
            }
        }
    }
    let crowded = tables.len() > MOST_TABLES;
    let smallest = || tables.windows(4).filter(|row| fits(row)).min_by_key(|row| entries(row));
    if crowded { smallest() } else { None }
}

/// The tables from the first in `row` on that one table can hold, if they are enough.
fn of_row<'a>(tables: &'a [Arc<Table>], row: &[usize]) -> Option<&'a [Arc<Table>]> {
    let enough = usize::try_from(RATIO).ok()?;
    let found = row.windows(enough).find_map(|few| {
        let (first, last) = (*few.first()?, *few.last()?);
        tables.get(first..=last).filter(|inputs| inputs.len() <= MOST_INPUTS && fits(inputs))
    })?;
    // As many more as fit: what has piled up goes in one merge.
    let first = tables.iter().position(|table| Arc::ptr_eq(table, &found[0]))?;
    let ends = row.iter().rev().filter(|end| **end >= first + found.len());
    let more = ends.filter_map(|end| tables.get(first..=*end));
    let mut more = more.filter(|inputs| inputs.len() <= MOST_INPUTS && fits(inputs));
    Some(more.next().unwrap_or(found))
}

fn entries(tables: &[Arc<Table>]) -> u64 {
    tables.iter().map(|table| u64::from(table.header.count)).sum()
}

/// What a table made of `tables` stands for.
fn span(tables: &[Arc<Table>]) -> Option<Span> {
    let (first, last) = (tables.first()?.header, tables.last()?.header);
    let with_entries = tables.iter().map(|table| table.header).find(|header| header.count > 0);
    let base = with_entries.map_or(last.to, |header: KeyTableHeader| header.base);
    Some(Span { from: first.from, to: last.to, base })
}

/// True if one table can hold all of them.
fn fits(tables: &[Arc<Table>]) -> bool {
    span(tables).is_some_and(|span| u32::try_from(span.to - span.base).is_ok())
}

/// A merge under way. It holds two buffers of 64 KiB and one block an input, however large the tables are.
#[derive(Debug)]
pub(super) struct Merge {
    inputs: Vec<Input>,
    writer: TableWriter,
    /// Messages below are dropped.
    start: u64,
}

#[derive(Debug)]
struct Input {
    scan: Scan,
    next: Option<(u64, u64)>,
}

impl Merge {
    /// Begins to make one table of `tables`, neighbours, oldest first; `None` if no table can hold them.
    pub(super) fn begin(place: &Place, tables: &[Arc<Table>], start: u64) -> Result<Option<Self>> {
        let Some(span) = span(tables) else { return Ok(None) };
        let writer = TableWriter::create(place, span, entries(tables))?;
        let mut inputs = Vec::with_capacity(tables.len());
        for table in tables {
            let mut scan = table.scan();
            inputs.push(Input { next: scan.next()?, scan });
        }
        Ok(Some(Self { inputs, writer, start }))
    }

    /// Takes over up to `entries` entries, of those that are held; false if there are no more.
    pub(super) fn go_on(&mut self, entries: u64, is_held: &dyn Fn(u64) -> bool) -> Result<bool> {
        for _ in 0..entries {
            // Of equal prefixes the older table has the lower offsets, and comes first.
            let least = self.inputs.iter_mut().filter(|input| input.next.is_some()).min_by_key(|input| input.next);
            let Some(least) = least else { return Ok(false) };
            if let Some((prefix, offset)) = std::mem::replace(&mut least.next, least.scan.next()?)
                && offset >= self.start
                && is_held(offset)
            {
                self.writer.push(prefix, offset)?;
            }
        }
        Ok(true)
    }

    /// Gives the new table its name. The old ones are still there.
    pub(super) fn finish(self, gate: &Gate) -> Result<Table> {
        // A page that could not be read while it was taken over ends here, at the latest.
        self.inputs.iter().try_for_each(|input| input.scan.readable())?;
        self.writer.finish(gate)
    }
}
