//! The care of a log: looking at one without opening it, repairing, rescuing and copying one, changing what it is made with, and giving memory back.

mod backup;
mod check;
mod gc;
mod intact;
mod migrate;
mod recover;
mod salvage;
mod stat;

pub use backup::backup;
pub use check::check;
pub use migrate::{Migrate, Migration};
pub use recover::recover;
pub use salvage::salvage;
pub use stat::stat;
pub use varve_wal::{BackupReport, CheckReport, Damage, RecoverReport};

pub(crate) use gc::Uses;

use std::path::Path;
use std::sync::Arc;

use varve_format::{EngineKind, LogState, State};
use varve_io::Machine;
use varve_segment::{Care, Directory, Inspection, inspect};
use varve_wal::WalOptions;

use crate::error::Result;
use crate::options::LogOptions;

/// What lies in `dir`; reads little else than what is not known to be durable.
fn look(machine: Arc<dyn Machine>, dir: &Path) -> Result<Inspection> {
    let options = WalOptions { kind: EngineKind::Log, ..WalOptions::default() }.resolve()?;
    Ok(inspect(&Directory::for_reading(machine, dir), &options, false, &Care::default())?)
}

/// To open the log in `dir` as it is.
pub(crate) fn as_it_is(machine: &Arc<dyn Machine>, dir: &Path) -> Result<LogOptions> {
    let codec = look(Arc::clone(machine), dir)?.codec.unwrap_or_default();
    Ok(LogOptions { codec, create: Some(false), ..LogOptions::default() })
}

/// What the log keeps in `state`; an error if it is of a newer version.
fn log_state(dir: &Path, state: &State) -> Result<LogState> {
    LogState::decode(&state.engine).ok_or_else(|| {
        let what = "the state of a log that this version of varve does not know; use a newer one".into();
        varve_segment::Error::Unsupported { path: dir.to_path_buf(), what }.into()
    })
}
