//! Copying all that is intact of a damaged log into a new one.

use std::path::Path;
use std::sync::Arc;

use varve_format::EngineKind;
use varve_io::Machine;
use varve_segment::{Care, Directory, Error as SegmentError, Remains, remains};

use crate::error::{Error, Result};
use crate::options::WalOptions;
use crate::recover::RecoverReport;
use crate::writer::Wal;

/// Segments of the copy, unless those of the log were larger.
const SEGMENT_SIZE: u64 = 16 << 20;

/// Copies every intact record of the log at `from`, before and behind damage, into a new log at `to`, each at its own index. `from` is only read,
/// and may be open. `to` must be missing or empty; where the salvage fails or is called off, what it wrote there is removed.
pub fn salvage(machine: Arc<dyn Machine>, from: &Path, to: &Path, care: &Care) -> Result<RecoverReport> {
    salvage_of(EngineKind::Wal, machine, from, to, care, |_, target, found| copy(target, found, care))
}

/// The same of the records of another engine, which copies them itself: `copy` is given where from, where to, and what is left, and tells how many
/// entries it has copied.
pub fn salvage_of<E: From<Error>>(
    kind: EngineKind,
    machine: Arc<dyn Machine>,
    from: &Path,
    to: &Path,
    care: &Care,
    copy: impl FnOnce(&Directory, &Directory, &Remains) -> Result<u64, E>,
) -> Result<RecoverReport, E> {
    let source = Directory::for_reading(Arc::clone(&machine), from);
    source.names().map_err(Error::from)?;
    match machine.list(to) {
        Ok(entries) if !entries.is_empty() => {
            let message = format!("{} is not empty; name a directory that is, or that does not exist", to.display());
            return Err(Error::invalid(message).into());
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::from(error).into()),
        _ => {}
    }
    let options = WalOptions { kind, ..WalOptions::default() }.resolve()?;
    let found = remains(&source, &options, care).map_err(Error::from)?;
    let target = Directory::new(machine, to);
    match copy(&source, &target, &found) {
        Ok(kept) => Ok(RecoverReport::new(found.found, kept, Vec::new())),
        Err(error) => {
            for name in target.names().unwrap_or_default() {
                let _stays = target.machine().unlink(&target.file(name));
            }
            let _removed_anyway = target.machine().sync_dir(to);
            Err(error)
        }
    }
}

fn copy(target: &Directory, found: &Remains, care: &Care) -> Result<u64> {
    if care.is_aborted() {
        return Err(SegmentError::Aborted.into());
    }
    let segments = found.set.all();
    let capacity = segments.iter().map(|segment| segment.header.capacity).max().unwrap_or(0);
    let options = WalOptions {
        segment_size: Some(capacity.max(SEGMENT_SIZE)),
        first_index: Some(found.first_index),
        marker: Some(found.marker),
        codec: found.state.as_ref().map_or_else(String::new, |state| state.codec.clone()),
        ..WalOptions::default()
    };
    let wal = Wal::open(Arc::clone(target.machine()), target.path(), &options)?;
    let copied = copy_records(&wal, found, care).and_then(|kept| {
        let commit = found.state.as_ref().map_or(0, |state| state.commit);
        wal.commit(commit.min(found.next_index))?;
        Ok(kept)
    });
    let closed = wal.close();
    let kept = copied?;
    closed?;
    Ok(kept)
}

fn copy_records(wal: &Arc<Wal>, found: &Remains, care: &Care) -> Result<u64> {
    let mut kept = 0;
    found.each_record(found.first_index, found.next_index, care, |_, index, record| -> Result<()> {
        if index > wal.next_index() {
            wal.skip_to(index)?;
        }
        wal.append(record, None)?;
        kept += 1;
        Ok(())
    })?;
    if found.next_index > wal.next_index() {
        wal.skip_to(found.next_index)?;
    }
    Ok(kept)
}
