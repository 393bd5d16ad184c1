//! Repairing a damaged log in place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_format::EngineKind;
use varve_io::Machine;
use varve_segment::{Care, Directory, Inspection, repair};

use crate::check::{CheckReport, Damage};
use crate::error::Result;
use crate::options::WalOptions;

/// What a repair found and did.
#[derive(Debug, Clone)]
pub struct RecoverReport {
    /// There was no damage.
    pub ok: bool,
    /// Segments found.
    pub segments: usize,
    /// Records that could be read.
    pub entries: u64,
    /// Bytes of the segment files.
    pub bytes: u64,
    /// All that was not as it should be.
    pub damage: Vec<Damage>,
    /// Records that are left.
    pub kept_entries: u64,
    /// Files that hold what was set aside; absolute where the directory was given so.
    pub set_aside: Vec<PathBuf>,
}

impl RecoverReport {
    pub(crate) fn new(found: Inspection, kept_entries: u64, set_aside: Vec<PathBuf>) -> Self {
        let CheckReport { ok, segments, entries, bytes, damage } = CheckReport::from(found);
        Self { ok, segments, entries, bytes, damage, kept_entries, set_aside }
    }
}

/// Repairs the log at `dir`, which nobody may have open: keeps all before the first damage, and sets the rest aside in `.lost` files. Nothing is
/// deleted. Safe to interrupt anywhere. `care` shows how far it is, and may call it off as long as nothing has been changed.
pub fn recover(machine: Arc<dyn Machine>, dir: &Path, care: &Care) -> Result<RecoverReport> {
    recover_of(EngineKind::Wal, Vec::new(), machine, dir, care)
}

/// The same of the records of another engine, whose state is `engine` where none can be read.
pub fn recover_of(
    kind: EngineKind,
    engine: Vec<u8>,
    machine: Arc<dyn Machine>,
    dir: &Path,
    care: &Care,
) -> Result<RecoverReport> {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    let options = WalOptions { kind, engine, ..WalOptions::default() }.resolve()?;
    let directory = Directory::new(machine, &dir);
    if directory.names()?.is_empty() {
        // No log: not even a lock is to be left in it.
        let none = varve_segment::inspect(&directory, &options, false, care)?;
        return Ok(RecoverReport::new(none, 0, Vec::new()));
    }
    let lock = directory.lock()?;
    let repaired = repair(&directory, &options, care);
    drop(lock);
    let repaired = repaired?;
    Ok(RecoverReport::new(repaired.found, repaired.kept, repaired.set_aside))
}
