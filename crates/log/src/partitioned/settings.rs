//! The file that says how many partitions there are.

use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};

use varve_format::{BadPartitions, MAX_PARTITIONS, PARTITIONS_LEN, Partitions};
use varve_io::{Access, EntryKind, Machine};
use varve_segment::{Directory, Error as SegmentError, FileName};

use crate::error::{Error, Result};

const NAME: &str = "partitions";
const NEW: &str = "partitions.tmp";

/// Where the file is.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// The name of a partition's directory.
pub(super) fn subdirectory(partition: usize) -> String {
    format!("{partition:04}")
}

/// The partition whose directory has this name.
pub(super) fn number(name: &str) -> Option<usize> {
    let is_one = name.len() == 4 && name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|_| is_one)
}

/// An error if there cannot be so many partitions.
pub(super) fn check(count: Option<u32>) -> Result<()> {
    match count {
        Some(count) if !(1..=MAX_PARTITIONS).contains(&count) => {
            Err(Error::invalid(format!("partitions is {count}; it must be 1 to {MAX_PARTITIONS}")))
        }
        _ => Ok(()),
    }
}

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    /// How many partitions there are.
    pub(super) count: usize,
    /// Which log of partitions it is.
    pub(super) log: u64,
    /// Both copies are intact.
    pub(super) whole: bool,
}

/// What the file in `dir` says; `None` if there is none.
pub(super) fn read(machine: &dyn Machine, dir: &Path) -> Result<Option<Settings>> {
    let path = dir.join(NAME);
    let file = match machine.open(&path, Access::Read) {
        Err(error) if error.kind() == NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = [0; PARTITIONS_LEN + 1];
    let read = file.read_at(&mut bytes, 0)?;
    match Partitions::read(bytes.get(..read).unwrap_or_default()) {
        Ok((Partitions { count, log, .. }, whole)) => {
            Ok(Some(Settings { count: usize::try_from(count).unwrap_or(0), log, whole }))
        }
        Err(BadPartitions::Version(version)) => {
            let what =
                format!("of format version {version}, which this version of varve does not know; use a newer one");
            Err(SegmentError::Unsupported { path, what }.into())
        }
        Err(BadPartitions::Damaged) => {
            let reason = "the number of partitions is damaged";
            Err(SegmentError::Corrupt { path, position: 0, index: None, reason }.into())
        }
    }
}

/// Writes how many there are: durable, whole or not at all.
pub(super) fn write(machine: &dyn Machine, dir: &Path, count: usize, log: u64) -> Result<()> {
    let (name, new) = (dir.join(NAME), dir.join(NEW));
    match machine.unlink(&new) {
        Err(error) if error.kind() != NotFound => return Err(error.into()),
        _ => {}
    }
    let file = machine.create(&new)?;
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    file.write_at(&[&Partitions::of(count, log).file()], 0)?;
    let synced = |error: varve_io::Error| Error::from(SegmentError::SyncFailed(error));
    file.sync_data().map_err(synced)?;
    machine.rename(&new, &name)?;
    machine.sync_dir(dir).map_err(synced)
}

/// An error if `dir`, which has no settings, holds anything that would need them, or another engine.
pub(super) fn check_fresh(machine: &dyn Machine, dir: &Path) -> Result<()> {
    for entry in machine.list(dir)? {
        if entry.kind == EntryKind::Dir && number(&entry.name).is_some() {
            let (path, reason) = (dir.join(NAME), "the file that says how many partitions there are is missing");
            return Err(SegmentError::Corrupt { path, position: 0, index: None, reason }.into());
        }
        if let Some(FileName::Segment(_)) = FileName::parse(&entry.name) {
            let what = "a directory that is not divided into partitions; open it with the engine that made it".into();
            return Err(SegmentError::Unsupported { path: dir.to_path_buf(), what }.into());
        }
    }
    Ok(())
}

/// An error if `dir` is a log of partitions, or one of them: it is opened as a whole, by who has the lock of the whole.
pub(crate) fn refuse_partitions(machine: &dyn Machine, dir: &Path) -> Result<()> {
    let is_there = |dir: &Path| machine.open(&dir.join(NAME), Access::Read).is_ok();
    let named = dir.file_name().and_then(|name| name.to_str()).is_some_and(|name| number(name).is_some());
    let whole = [Some(dir), dir.parent().filter(|_| named)].into_iter().flatten().find(|dir| is_there(dir));
    match whole {
        Some(whole) => {
            let what = format!("part of the log of partitions at {}; open that, with PartitionedLog", whole.display());
            Err(SegmentError::Unsupported { path: dir.to_path_buf(), what }.into())
        }
        None => Ok(()),
    }
}

/// Removes what an interrupted change has left behind.
pub(super) fn clean(directory: &Directory) {
    let _tried_again_by_the_next_change = directory.machine().unlink(&directory.path().join(NEW));
}
