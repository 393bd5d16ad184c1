//! Which tables of a directory make an index.

use std::sync::Arc;

use varve_io::EntryKind;

use super::error::{IndexError, Result};
use super::job::remove;
use super::name::Name;
use super::table::Table;
use super::write::Place;

/// How often a directory is looked at again whose tables vanish meanwhile.
const ATTEMPTS: usize = 8;

/// What was found.
#[derive(Debug)]
pub(super) struct Survey {
    /// Neighbours without a hole, oldest first, from the start on.
    pub(super) tables: Vec<Arc<Table>>,
    /// Files of ours that are none of them.
    stray: Vec<Name>,
}

/// The files of ours in a directory.
fn names(place: &Place) -> Result<Vec<Name>> {
    let entries = match place.machine.list(&place.dir) {
        // A log that is one of many has no directory before it is written to.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        entries => entries?,
    };
    let files = entries.into_iter().filter(|entry| entry.kind == EntryKind::File);
    Ok(files.filter_map(|entry| Name::parse(&entry.name)).collect())
}

/// Finds the tables that stand for the messages from `start` on, up to `end` at most, without a hole. Changes nothing.
pub(super) fn survey(place: &Place, start: u64, end: u64) -> Result<Survey> {
    let mut attempt = 1;
    loop {
        match look(place, start, end) {
            // A table was merged away while we looked: the one that took it in is there.
            Err(error) if is_missing(&error) && attempt < ATTEMPTS => attempt += 1,
            looked => return looked,
        }
    }
}

fn is_missing(error: &IndexError) -> bool {
    let missing = |error: &varve_io::Error| {
        error.kind() == std::io::ErrorKind::NotFound && error.operation() == varve_io::Operation::Open
    };
    matches!(error, IndexError::Io(error) if missing(error))
}

fn look(place: &Place, start: u64, end: u64) -> Result<Survey> {
    let mut stray = names(place)?;
    let mut tables: Vec<Arc<Table>> = Vec::new();
    loop {
        // The widest of those that go on where the last one ends: what it was made of may still be there.
        let at = tables.last().map(|table| table.header.to);
        let mut candidates: Vec<(u64, u64)> = stray.iter().filter_map(|name| going_on(*name, at, start, end)).collect();
        candidates.sort_unstable_by_key(|(from, to)| (*to, std::cmp::Reverse(*from)));
        let mut found = None;
        while let Some((from, to)) = candidates.pop() {
            if let Some(table) = Table::open(&*place.machine, &place.dir, from, to, place.belongs)? {
                found = Some(table);
                break;
            }
        }
        let Some(table) = found else { return Ok(Survey { tables, stray }) };
        stray.retain(|name| *name != table.name());
        tables.push(Arc::new(table));
    }
}

/// The range of a table that may come next, where the last one ends at `at`.
fn going_on(name: Name, at: Option<u64>, start: u64, end: u64) -> Option<(u64, u64)> {
    let Name::Table { from, to } = name else { return None };
    let follows = at.map_or(from <= start && start < to, |at| from == at);
    (follows && from < to && to <= end).then_some((from, to))
}

impl Survey {
    /// Removes what is no part of the index, durably: a table that stays behind could be believed once offsets have been given again.
    pub(super) fn clean(&self, place: &Place) -> Result<()> {
        self.stray.iter().try_for_each(|name| remove(place, *name))?;
        if self.stray.is_empty() { Ok(()) } else { place.sync() }
    }
}

/// Removes, durably, every table that stands for messages from `kept` on.
pub(super) fn remove_behind(place: &Place, kept: u64) -> Result<()> {
    let stale: Vec<Name> = names(place)?.into_iter().filter(|name| !name.ends_by(kept)).collect();
    stale.iter().try_for_each(|name| remove(place, *name))?;
    // Also for what was removed before: jobs remove names without waiting for the disk.
    place.sync()
}
