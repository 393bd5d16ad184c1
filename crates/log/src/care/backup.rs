//! Copying a log into another directory, while it is written to or not.

use std::path::Path;
use std::sync::Arc;

use varve_io::Machine;
use varve_segment::{Care, Directory, FileName};
use varve_wal::{BackupOptions, BackupReport};

use super::as_it_is;
use crate::error::Result;
use crate::snapshot;
use crate::writer::Log;

impl Log {
    /// Copies all that is written so far into the directory `to`: one that is missing, empty, or holds an earlier backup of this log, which is added to.
    /// What is there is a log that opens at every moment, also where the backup is interrupted or called off. `position` is the offset below which the
    /// copy holds every message. Indexes are not copied: they are made at its first open.
    pub fn backup(&self, to: &Path, care: &Care) -> Result<BackupReport> {
        let position = self.next_offset();
        let (needed, taken) = self.producers_now();
        let beside = taken.iter().map(|(id, bytes)| (FileName::Producers(*id), bytes.clone())).collect();
        let options = BackupOptions { after_segment: None, active: true };
        let report = self.wal.backup_with(to, options, beside, care)?;
        let target = Directory::new(self.machine(), to);
        let (needed_now, taken_now) = self.producers_now();
        if let Some((id, bytes)) = taken_now.filter(|_| needed_now > needed) {
            // Messages were removed meanwhile: what they told is in the state that was copied no more.
            target.replace_durably(FileName::Producers(id), &bytes)?;
        }
        for old in snapshot::names(&target)?.into_iter().skip(2) {
            target.unlink(FileName::Producers(old))?;
        }
        Ok(BackupReport { position, ..report })
    }

    /// The segment whose snapshot of producers must be there, and one of now: its segment, and its bytes.
    fn producers_now(&self) -> (Option<u64>, Option<(u64, Vec<u8>)>) {
        let tail = self.tail.lock();
        let needed = tail.state.producers;
        let snapshot = needed.map(|_| tail.producers.snapshot(&tail.segment.header, tail.next_offset));
        drop(tail);
        (needed, snapshot.map(|snapshot| (snapshot.segment.0, snapshot.encode())))
    }
}

/// [`Log::backup`] of the log at `from`, which nobody may have open: it is opened for as long as it takes.
pub fn backup(machine: Arc<dyn Machine>, from: &Path, to: &Path, care: &Care) -> Result<BackupReport> {
    let options = as_it_is(&machine, from)?;
    let log = Log::open(machine, from, &options)?;
    let copied = log.backup(to, care);
    let closed = log.close();
    let report = copied?;
    closed?;
    Ok(report)
}
