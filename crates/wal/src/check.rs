//! Looking at a log without opening it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_format::EngineKind;
use varve_io::Machine;
use varve_segment::{Care, Directory, Inspection, inspect};

use crate::error::Result;
use crate::options::WalOptions;

/// A place that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub position: u64,
    /// What is wrong.
    pub reason: &'static str,
}

/// What a check found.
#[derive(Debug, Clone)]
pub struct CheckReport {
    /// The log opens, and all that was durable is there. A torn tail is no damage.
    pub ok: bool,
    /// Segments.
    pub segments: usize,
    /// Records.
    pub entries: u64,
    /// Bytes of the segment files.
    pub bytes: u64,
    /// All that is not as it should be.
    pub damage: Vec<Damage>,
}

/// The outline of a log.
#[derive(Debug, Clone)]
pub struct StatReport {
    /// Records.
    pub entries: u64,
    /// Bytes of the segment files.
    pub bytes: u64,
    /// Segments.
    pub segments: usize,
    /// Index of the first record.
    pub first_index: u64,
    /// Index of the next record.
    pub next_index: u64,
    /// Every record below it is known to be durable.
    pub durable_index: u64,
    /// Index after the last committed record.
    pub committed: u64,
    /// Name of the codec, if there is a log.
    pub codec: Option<String>,
}

fn look(machine: Arc<dyn Machine>, dir: &Path, kind: EngineKind, verify: bool, care: &Care) -> Result<Inspection> {
    let options = WalOptions { kind, ..WalOptions::default() }.resolve()?;
    Ok(inspect(&Directory::for_reading(machine, dir), &options, verify, care)?)
}

/// Checks every frame of the log at `dir`, which may be open. Changes nothing. Cost: all of the log is read. `care` shows how far it is, and may call it off.
pub fn check(machine: Arc<dyn Machine>, dir: &Path, care: &Care) -> Result<CheckReport> {
    check_of(EngineKind::Wal, machine, dir, care)
}

/// The same of the records of another engine.
pub fn check_of(kind: EngineKind, machine: Arc<dyn Machine>, dir: &Path, care: &Care) -> Result<CheckReport> {
    Ok(look(machine, dir, kind, true, care)?.into())
}

impl From<Inspection> for CheckReport {
    fn from(found: Inspection) -> Self {
        let damage = found.flaws.into_iter().map(|flaw| Damage {
            path: flaw.path,
            position: flaw.position,
            reason: flaw.reason,
        });
        Self {
            ok: found.ok,
            segments: found.segments,
            entries: found.records,
            bytes: found.file_bytes,
            damage: damage.collect(),
        }
    }
}

/// Outline of the log at `dir`, which may be open. Reads what is not known to be durable, and little else.
pub fn stat(machine: Arc<dyn Machine>, dir: &Path) -> Result<StatReport> {
    let found = look(machine, dir, EngineKind::Wal, false, &Care::default())?;
    Ok(StatReport {
        entries: found.records,
        bytes: found.file_bytes,
        segments: found.segments,
        first_index: found.first_index,
        next_index: found.next_index,
        durable_index: found.durable_index,
        committed: found.committed,
        codec: found.codec,
    })
}

/// The marks in the headers of the segments at `dir`, each once. Reads nothing but the headers; none where there is no log.
pub fn markers(machine: Arc<dyn Machine>, dir: &Path) -> Result<Vec<u32>> {
    Ok(varve_segment::markers(&Directory::for_reading(machine, dir), &WalOptions::default().resolve()?)?)
}
