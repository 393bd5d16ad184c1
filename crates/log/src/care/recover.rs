//! Repairing a damaged log in place.

use std::path::Path;
use std::sync::Arc;

use varve_format::{EngineKind, LogState};
use varve_io::Machine;
use varve_segment::{Care, Directory, FileName, remains};
use varve_wal::{RecoverReport, WalOptions, recover_of};

use super::intact::{count, end_of};
use super::salvage::lowest_next;
use super::{as_it_is, log_state};
use crate::error::Result;
use crate::open::Mend;
use crate::snapshot;
use crate::writer::Log;

/// Repairs the log at `dir`, which nobody may have open: keeps all messages before the first damage, and sets the rest aside in `.lost` files. Nothing
/// is deleted but what is derived: key tables and digests of what was cut off. Safe to interrupt anywhere. `care` shows how far it is, and may call it
/// off as long as nothing has been changed.
///
/// Offsets of messages that were cut off are not given again, as far as they can still be read; a producer's batch among them is forgotten, so that it
/// is written when it is sent again. `entries` and `kept_entries` count messages.
pub fn recover(machine: Arc<dyn Machine>, dir: &Path, care: &Care) -> Result<RecoverReport> {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    let options = WalOptions { kind: EngineKind::Log, ..WalOptions::default() }.resolve()?;
    // Where no state is left at all.
    let state = LogState { key_seed: machine.random(), ..LogState::default() };
    let directory = Directory::new(Arc::clone(&machine), &dir);
    if !directory.names()?.iter().any(|name| matches!(name, FileName::Segment(_) | FileName::Lost { .. })) {
        return Ok(recover_of(EngineKind::Log, state.encode(), machine, &dir, care)?);
    }
    let lock = directory.lock()?;
    let found = remains(&directory, &options, care)?;
    let mut mend = Mend { next_offset: 0, producers: None };
    let mut intact = None;
    if !found.found.ok {
        let start =
            found.state.as_ref().map(|state| log_state(&dir, state)).transpose()?.unwrap_or_default().start_offset;
        intact = Some(count(&found, start, care)?);
        mend.next_offset = end_of(&found)?.max(lowest_next(&directory, &found)?);
        let log = found.set.all().first().map_or(0, |segment| segment.header.log);
        mend.producers = snapshot::newest(&directory, log, |_| None)?;
    }
    if care.is_aborted() {
        return Err(varve_segment::Error::Aborted.into());
    }
    if !found.found.ok {
        forget_derived(&directory)?;
    }
    drop(found);
    drop(lock);
    let report = recover_of(EngineKind::Log, state.encode(), Arc::clone(&machine), &dir, care)?;
    let log_options = as_it_is(&machine, &dir)?;
    let log = Log::open_mended(machine, &dir, &log_options, mend)?;
    log.sync()?;
    let kept_entries = log.count(log.start_offset(), log.next_offset())?;
    log.close()?;
    Ok(RecoverReport { entries: intact.unwrap_or(kept_entries), kept_entries, ..report })
}

/// Key tables and snapshots of producers would go on telling of messages that are cut off.
fn forget_derived(directory: &Directory) -> Result<()> {
    for id in snapshot::names(directory)? {
        directory.unlink(FileName::Producers(id))?;
    }
    for name in directory.names()? {
        if matches!(name, FileName::KeyTable { .. } | FileName::PreparedKeyTable(_)) {
            directory.unlink(name)?;
        }
    }
    directory.sync()?;
    Ok(())
}
