//! Copying a log into another directory while it is written to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_io::LockAttempt;
use varve_segment::{Care, CopyOptions, Directory, Error as SegmentError, FileName, Hold, Source, copy_log};

use crate::error::{Error, Result};
use crate::writer::Wal;

/// What a backup takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct BackupOptions {
    /// Only segments with greater ids: those that an earlier backup does not have. `None`: all.
    pub after_segment: Option<u64>,
    /// What is in the active segment, too.
    pub active: bool,
}

/// What a backup has written.
#[derive(Debug, Clone)]
pub struct BackupReport {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Bytes in them.
    pub bytes: u64,
    /// The copy holds every record below this index.
    pub position: u64,
}

/// Gives back what was held, when it is not needed any more.
struct Held<'w>(&'w Arc<Wal>, Source);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.1.segments.clear();
        self.0.sweep();
    }
}

impl Wal {
    /// Copies the sealed segments, and with `active` what is written so far, into the directory `to`: one that is missing, empty, or holds an earlier
    /// backup of this log, which is added to. What is there is a log that opens at every moment, also where the backup is interrupted or called off.
    pub fn backup(self: &Arc<Self>, to: &Path, options: BackupOptions, care: &Care) -> Result<BackupReport> {
        self.backup_with(to, options, Vec::new(), care)
    }

    /// The same of another engine, with files of its own that are written first, each atomically: they must be right for all that the directory
    /// may come to hold.
    pub fn backup_with(
        self: &Arc<Self>,
        to: &Path,
        options: BackupOptions,
        beside: Vec<(FileName, Vec<u8>)>,
        care: &Care,
    ) -> Result<BackupReport> {
        self.check_writable()?;
        let to = std::path::absolute(to).unwrap_or_else(|_| to.to_path_buf());
        let machine = self.directory.machine();
        if machine.identity(&to).is_ok_and(|there| machine.identity(self.dir()).is_ok_and(|here| here == there)) {
            return Err(Error::invalid(format!("{} is the log itself; name another directory", to.display())));
        }
        let target = Directory::new(Arc::clone(machine), &to);
        let source = Held(self, self.source(beside)?);
        let what = CopyOptions { after_segment: options.after_segment, active: options.active };
        // Whoever has the copy open keeps it.
        let lock = match target.names() {
            Ok(names) if names.iter().any(|name| matches!(name, FileName::Segment(_))) => {
                match machine.lock(&target.file(FileName::Lock))? {
                    LockAttempt::Held(lock) => Some(lock),
                    LockAttempt::Busy(pid) => return Err(SegmentError::Locked { path: to, pid }.into()),
                }
            }
            _ => None,
        };
        let copied = copy_log(&source.1, &target, &self.options, what, care);
        drop(lock);
        let copied = copied?;
        Ok(BackupReport { files: copied.files, bytes: copied.bytes, position: copied.position })
    }

    /// The log as it is now: all that is whole is handed to the system, and no file of it goes as long as this is held.
    fn source(self: &Arc<Self>, beside: Vec<(FileName, Vec<u8>)>) -> Result<Source> {
        let mut appender = self.writer()?;
        let flushed = appender.flush();
        self.announce(flushed)?;
        let (_, end) = appender.end();
        let (next_index, state) = (appender.next_index(), appender.state().clone());
        let segments = self.set.all().into_iter().map(Hold::new).collect();
        Ok(Source { segments, end, next_index, state, beside })
    }
}
