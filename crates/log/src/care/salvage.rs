//! Copying all that is intact of a damaged log into a new one.

use std::path::Path;
use std::sync::Arc;

use varve_format::{EngineKind, LogState};
use varve_io::Machine;
use varve_segment::{Care, Directory, FileName, Remains};
use varve_wal::{RecoverReport, Wal, WalOptions, salvage_of};

use super::intact::held;
use super::log_state;
use crate::entry;
use crate::error::Result;
use crate::producers::Producers;
use crate::snapshot;

/// Segments of the copy, unless those of the log were larger.
const SEGMENT_SIZE: u64 = 16 << 20;

/// Copies every intact entry of the log at `from`, before and behind damage, into a new log at `to`: messages keep their offsets, and the log its
/// settings, cursors and producers. `from` is only read, and may be open. `to` must be missing or empty; where the salvage fails or is called off, what
/// it wrote there is removed.
///
/// Entries that are lost are a gap of the copy, too: its recovery lists it, between the offsets of the messages on both sides. `entries` and
/// `kept_entries` of the report count messages.
pub fn salvage(machine: Arc<dyn Machine>, from: &Path, to: &Path, care: &Care) -> Result<RecoverReport> {
    let report = salvage_of(EngineKind::Log, machine, from, to, care, |source, target, found| {
        copy(source, target, found, care)
    })?;
    // All that is intact is copied.
    Ok(RecoverReport { entries: report.kept_entries, ..report })
}

fn copy(source: &Directory, target: &Directory, found: &Remains, care: &Care) -> Result<u64> {
    let mut state = match &found.state {
        Some(state) => log_state(source.path(), state)?,
        None => LogState { key_seed: target.machine().random(), ..LogState::default() },
    };
    state.next_offset = lowest_next(source, found)?;
    // What producers wrote is in the copy's entries, or in its snapshot.
    state.producers = state.producers.map(|_| 0);
    let capacity = found.set.all().iter().map(|segment| segment.header.capacity).max().unwrap_or(0);
    let options = WalOptions {
        kind: EngineKind::Log,
        engine: state.encode(),
        segment_size: Some(capacity.max(SEGMENT_SIZE)),
        codec: found.state.as_ref().map_or_else(String::new, |state| state.codec.clone()),
        marker: Some(found.marker),
        ..WalOptions::default()
    };
    let wal = Wal::open(Arc::clone(target.machine()), target.path(), &options)?;
    let copied = copy_entries(&wal, source, found, &mut state, care);
    let closed = wal.close();
    let kept = copied?;
    closed?;
    Ok(kept)
}

fn copy_entries(wal: &Arc<Wal>, source: &Directory, found: &Remains, state: &mut LogState, care: &Care) -> Result<u64> {
    let id = found.set.all().first().map_or(0, |segment| segment.header.log);
    let before = snapshot::newest(source, id, |_| None)?;
    let (mut producers, from) = before.as_ref().map_or_else(Default::default, |one| (Producers::of(one), one.offset));
    let (mut kept, mut expected, mut end, mut body) = (0, found.first_index, 0, Vec::new());
    found.each_record(found.first_index, found.next_index, care, |_, index, payload| -> Result<()> {
        pass_over_lost(wal, found, expected, index)?;
        expected = index + 1;
        let invalid = |reason: &str| crate::error::Error::invalid(format!("entry {index}: {reason}"));
        let (entry, provenance) = entry::outline(payload).map_err(|bad| invalid(bad.reason()))?;
        if entry.base < end {
            return Err(invalid("its offsets do not lie behind those before"));
        }
        end = entry.base + entry.span;
        if let Some(producer) = provenance.producer.filter(|_| entry.base >= from) {
            producers.note(&producer.into(), entry.base);
        }
        state.leader_epoch = state.leader_epoch.max(provenance.leader_epoch);
        wal.append(payload, None)?;
        kept += held(payload, &entry, state.start_offset, &mut body).map_err(invalid)?;
        Ok(())
    })?;
    pass_over_lost(wal, found, expected, found.next_index)?;
    state.next_offset = state.next_offset.max(end);
    if !producers.is_empty() {
        wal.sync()?;
        let header = wal.active_segment().header;
        let snapshot = producers.snapshot(&header, state.next_offset);
        wal.directory().replace_durably(FileName::Producers(header.id), &snapshot.encode())?;
        state.producers = Some(header.id);
    }
    wal.change_engine_state(state.encode())?;
    wal.sync()?;
    Ok(kept)
}

/// Entries of the indexes `from..to` that are lost are a gap of the copy; those that were removed are none.
fn pass_over_lost(wal: &Arc<Wal>, found: &Remains, from: u64, to: u64) -> Result<()> {
    if from < to {
        let lost: u64 = found.found.gaps.iter().filter(|gap| !gap.removed).map(|gap| gap.within(from, to)).sum();
        if lost > 0 {
            wal.skip_to(wal.next_index() + lost)?;
        }
    }
    Ok(())
}

/// No message that is added to what was `found` in `directory` may get a lower offset, as far as state and indexes tell.
pub(super) fn lowest_next(directory: &Directory, found: &Remains) -> Result<u64> {
    let mut next = 0;
    if let Some(state) = &found.state {
        let state = log_state(directory.path(), state)?;
        let cursors = state.cursors.iter().map(|cursor| cursor.offset);
        next = cursors.fold(state.next_offset.max(state.start_offset).max(state.high_water), u64::max);
    }
    for name in directory.names()? {
        match name {
            FileName::KeyTable { to, .. } => next = next.max(to),
            FileName::Producers(id) => {
                next = next.max(snapshot::read(directory, id).map_or(0, |snapshot| snapshot.offset));
            }
            _ => {}
        }
    }
    Ok(next)
}
