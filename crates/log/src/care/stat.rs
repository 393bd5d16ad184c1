//! The outline of a log that need not be open.

use std::path::Path;
use std::sync::Arc;

use varve_io::Machine;

use super::as_it_is;
use crate::error::Result;
use crate::stats::LogStats;
use crate::writer::Log;

/// Figures of the log at `dir`, which may be open. Takes no lock, and writes nothing. Reads what is not known to be durable, and of each sealed segment
/// its digest; the entries, where there is none.
pub fn stat(machine: Arc<dyn Machine>, dir: &Path) -> Result<LogStats> {
    let options = as_it_is(&machine, dir)?;
    let log = Log::follow(machine, dir, &options)?;
    let stats = log.stats();
    log.close()?;
    Ok(stats)
}
