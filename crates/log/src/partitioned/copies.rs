//! The care of a log of partitions: each partition's own, one after another.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_io::{EntryKind, Lock, LockAttempt, Machine};
use varve_segment::{Care, Directory, Error as SegmentError, FileName, is_to_come};
use varve_wal::{CheckReport, Damage, RecoverReport};

use super::settings::{self, Settings, number, subdirectory};
use super::{PartitionedLog, PartitionedOptions};
use crate::care;
use crate::error::{Error, Result};
use crate::stats::LogStats;

/// What a backup has written.
#[derive(Debug, Clone, Default)]
pub struct PartitionedBackup {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Bytes in them.
    pub bytes: u64,
    /// Of each partition, the offset below which the copy holds everything.
    pub positions: Vec<u64>,
}

/// What a repair or a rescue has found and done, in all partitions.
pub type PartitionedRecovery = RecoverReport;

impl PartitionedLog {
    /// Copies all partitions, one after another, into the directory `to`: one that is missing, empty, or holds an earlier backup of this log, which is
    /// added to. Each is copied as of its own moment; what is there opens at every moment, also where the backup is interrupted or called off.
    pub fn backup(&self, to: &Path, care: &Care) -> Result<PartitionedBackup> {
        self.check_writable()?;
        let to = std::path::absolute(to).unwrap_or_else(|_| to.to_path_buf());
        let machine = self.directory.machine();
        if machine.identity(&to).is_ok_and(|there| machine.identity(self.dir()).is_ok_and(|here| here == there)) {
            return Err(Error::invalid(format!("{} is the log itself; name another directory", to.display())));
        }
        let there = settings::read(&**machine, &to)?;
        let _lock = match there {
            Some(Settings { count, log, .. }) if log != self.id || count > self.logs.len() => {
                let message = format!("{} holds another log; name an empty directory", to.display());
                return Err(Error::invalid(message));
            }
            Some(_) => Some(lock(&**machine, &to)?),
            None => {
                check_empty(&**machine, &to)?;
                machine.create_dir_all(&to)?;
                None
            }
        };
        if there != Some(Settings { count: self.logs.len(), log: self.id, whole: true }) {
            settings::write(&**machine, &to, self.logs.len(), self.id)?;
        }
        let mut report = PartitionedBackup { files: vec![settings::path(&to)], ..PartitionedBackup::default() };
        for (partition, log) in self.there() {
            if log.wal().is_to_come() {
                report.positions.push(0);
                continue;
            }
            let copied = log.backup(&to.join(subdirectory(partition)), care)?;
            report.files.extend(copied.files);
            report.bytes += copied.bytes;
            report.positions.push(copied.position);
        }
        Ok(report)
    }

    /// The same of the log at `from`, which nobody may have open: it is opened for as long as it takes.
    pub fn backup_of(machine: Arc<dyn Machine>, from: &Path, to: &Path, care: &Care) -> Result<PartitionedBackup> {
        let options = as_it_is(&machine, from)?;
        let whole = Self::open(machine, from, &options)?;
        let copied = whole.backup(to, care);
        let closed = whole.close();
        let report = copied?;
        closed?;
        Ok(report)
    }

    /// Figures of each partition of the log at `dir`, which may be open: see [`crate::stat`]. Those of one that was never written to are empty.
    pub fn stat(machine: Arc<dyn Machine>, dir: &Path) -> Result<Vec<LogStats>> {
        let options = as_it_is(&machine, dir)?;
        let whole = Self::follow(machine, dir, &options)?;
        let stats = whole.stats();
        whole.close()?;
        Ok(stats)
    }

    /// Looks at every entry of the log at `dir`, which may be open, and changes nothing: see [`crate::check`].
    pub fn check(machine: Arc<dyn Machine>, dir: &Path, care: &Care) -> Result<CheckReport> {
        let mut report = CheckReport { ok: true, segments: 0, entries: 0, bytes: 0, damage: Vec::new() };
        if let Some(damage) = damaged_settings(&machine, dir)? {
            report.ok = damage.reason == ONE_COPY;
            report.damage.push(damage);
        }
        for partition in begun(&machine, dir)? {
            let found = care::check(Arc::clone(&machine), &dir.join(subdirectory(partition)), care)?;
            report.ok &= found.ok;
            report.segments += found.segments;
            report.entries += found.entries;
            report.bytes += found.bytes;
            report.damage.extend(found.damage);
        }
        Ok(report)
    }

    /// Repairs the log at `dir` in place, each partition by itself: see [`crate::recover`]. Where it is not known any more how many partitions there are, there
    /// will be as many as have messages: open it with the right number then.
    pub fn recover(machine: Arc<dyn Machine>, dir: &Path, care: &Care) -> Result<PartitionedRecovery> {
        let partitions = begun(&machine, dir)?;
        let _lock = lock(&*machine, dir)?;
        let mut report = empty();
        if let Some(damage) = damaged_settings(&machine, dir)? {
            let known = settings::read(&*machine, dir).ok().flatten();
            let least = partitions.last().map_or(1, |last| last + 1);
            let (count, log) = known.map_or_else(|| (least, machine.random()), |known| (known.count, known.log));
            settings::write(&*machine, dir, count, log)?;
            report.ok = damage.reason == ONE_COPY;
            report.damage.push(damage);
        }
        for partition in partitions {
            let found = care::recover(Arc::clone(&machine), &dir.join(subdirectory(partition)), care)?;
            add(&mut report, found);
        }
        Ok(report)
    }

    /// Copies every intact message of the log at `from` into a new one at `to`, which is missing or empty: see [`crate::salvage`].
    pub fn salvage(machine: Arc<dyn Machine>, from: &Path, to: &Path, care: &Care) -> Result<PartitionedRecovery> {
        let partitions = begun(&machine, from)?;
        check_empty(&*machine, to)?;
        let mut report = empty();
        let known = settings::read(&*machine, from).ok().flatten();
        if let Some(damage) = damaged_settings(&machine, from)? {
            report.ok = damage.reason == ONE_COPY;
            report.damage.push(damage);
        }
        machine.create_dir_all(to)?;
        for partition in &partitions {
            let name = subdirectory(*partition);
            let found = care::salvage(Arc::clone(&machine), &from.join(&name), &to.join(&name), care)?;
            add(&mut report, found);
        }
        // Last: what was left half way is no log.
        let count = known.map_or_else(|| partitions.last().map_or(1, |last| last + 1), |known| known.count);
        settings::write(&*machine, to, count, machine.random())?;
        Ok(report)
    }
}

const ONE_COPY: &str = "one of the two copies is damaged; the next open writes both anew";

/// To open the log in `dir` as it is.
fn as_it_is(machine: &Arc<dyn Machine>, dir: &Path) -> Result<PartitionedOptions> {
    let mut options = PartitionedOptions::default();
    options.log.create = Some(false);
    if let Some(first) = begun(machine, dir)?.first() {
        options.log = care::as_it_is(machine, &dir.join(subdirectory(*first)))?;
    }
    Ok(options)
}

/// Partitions that were ever written to, in order.
fn begun(machine: &Arc<dyn Machine>, dir: &Path) -> Result<Vec<usize>> {
    let mut found = Vec::new();
    for entry in machine.list(dir)? {
        if let Some(partition) = number(&entry.name).filter(|_| entry.kind == EntryKind::Dir)
            && !is_to_come(&Directory::for_reading(Arc::clone(machine), &dir.join(&entry.name)))?
        {
            found.push(partition);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// What is wrong with the number of partitions.
fn damaged_settings(machine: &Arc<dyn Machine>, dir: &Path) -> Result<Option<Damage>> {
    let path = settings::path(dir);
    match settings::read(&**machine, dir) {
        Ok(Some(found)) if found.whole => Ok(None),
        Ok(Some(_)) => Ok(Some(Damage { path, position: 0, reason: ONE_COPY })),
        Ok(None) => Ok(Some(Damage { path, position: 0, reason: "the number of partitions is missing" })),
        Err(Error::Wal(varve_wal::Error::Segment(SegmentError::Corrupt { reason, .. }))) => {
            Ok(Some(Damage { path, position: 0, reason }))
        }
        Err(error) => Err(error),
    }
}

fn check_empty(machine: &dyn Machine, dir: &Path) -> Result<()> {
    match machine.list(dir) {
        Ok(entries) if !entries.is_empty() => {
            let message = format!("{} is not empty; name a directory that is, or that does not exist", dir.display());
            Err(Error::invalid(message))
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn lock(machine: &dyn Machine, dir: &Path) -> Result<Box<dyn Lock>> {
    match machine.lock(&dir.join(FileName::Lock.to_string()))? {
        LockAttempt::Held(lock) => Ok(lock),
        LockAttempt::Busy(pid) => Err(SegmentError::Locked { path: dir.to_path_buf(), pid }.into()),
    }
}

fn empty() -> RecoverReport {
    RecoverReport {
        ok: true,
        segments: 0,
        entries: 0,
        bytes: 0,
        damage: Vec::new(),
        kept_entries: 0,
        set_aside: Vec::new(),
    }
}

fn add(report: &mut RecoverReport, more: RecoverReport) {
    report.ok &= more.ok;
    report.segments += more.segments;
    report.entries += more.entries;
    report.bytes += more.bytes;
    report.damage.extend(more.damage);
    report.kept_entries += more.kept_entries;
    report.set_aside.extend(more.set_aside);
}
