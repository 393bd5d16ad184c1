//! The machine the process runs on.

mod file;
#[cfg(unix)]
mod guard;
mod housekeeping;
mod lock;
mod map;
#[cfg(test)]
mod tests;
#[cfg(unix)]
mod unix;
mod watch;
#[cfg(windows)]
mod windows;

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::errno::Errno;
use crate::{
    Access, DirEntry, DirIdentity, EntryKind, Error, File, Job, LockAttempt, Machine, Operation, Result, Wake, Watch,
};
use file::RealFile;
#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub use map::PrivateMap;

/// The machine the process runs on: its file systems, its clock, its random source, and one background thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealMachine;

impl RealMachine {
    /// The machine. All values are the same one.
    pub fn new() -> Self {
        Self
    }
}

impl Machine for RealMachine {
    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        let mut missing = Vec::new();
        let mut existing = dir;
        while !is_dir(existing)? {
            missing.push(existing);
            // `is_dir` has seen that "" and "/" are directories, so every other path has a parent.
            existing = existing.parent().unwrap_or(Path::new(""));
        }
        // Whoever made it may have been stopped before it synced the name. Where that cannot be done it was not us.
        let shown = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
        if let Ok(full) = fs::canonicalize(shown)
            && let Some(above) = full.parent()
            && let Err(error) = self.sync_dir(above)
            && !matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
        {
            return Err(error);
        }
        for new in missing.into_iter().rev() {
            match system::make_dir(new) {
                // Another process was faster.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && new.is_dir() => {}
                made => made.map_err(|error| Error::new(Operation::CreateDir, new, error))?,
            }
            self.sync_dir(parent_of(new))?;
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>> {
        let failed = |error| Error::new(Operation::List, dir, error);
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_file() => EntryKind::File,
                Ok(kind) if kind.is_dir() => EntryKind::Dir,
                Ok(_) => EntryKind::Other,
                // Removed since it was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            entries.push(DirEntry { name: entry.file_name().to_string_lossy().into_owned(), kind });
        }
        Ok(entries)
    }

    fn identity(&self, dir: &Path) -> Result<DirIdentity> {
        let failed = |error| Error::new(Operation::Stat, dir, error);
        let metadata = fs::metadata(dir).map_err(failed)?;
        if !metadata.is_dir() {
            return Err(failed(ErrorKind::NotADirectory.into()));
        }
        system::identity(dir, &metadata).map_err(failed)
    }

    fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(access == Access::Write);
        let file = open_regular(path, &mut options).map_err(|error| Error::new(Operation::Open, path, error))?;
        Ok(Arc::new(RealFile::new(file, path)))
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create_new(true);
        let file = open_regular(path, &mut options).map_err(|error| Error::new(Operation::Create, path, error))?;
        Ok(Arc::new(RealFile::new(file, path)))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(|error| Error::new(Operation::Rename, from, error))
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(|error| Error::new(Operation::Unlink, path, error))
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        system::sync_dir(dir).map_err(|error| Error::new(Operation::SyncDir, dir, error))
    }

    fn lock(&self, path: &Path) -> Result<LockAttempt> {
        lock::lock(path).map_err(|error| Error::new(Operation::Lock, path, error))
    }

    fn now_micros(&self) -> i64 {
        // A clock before 1970, or 290,000 years after it, is a broken one: its border will do.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    fn random(&self) -> u64 {
        // Hash keys are drawn from the system too, so they are the next best where the system's call is missing or fails.
        system::random().unwrap_or_else(|| RandomState::new().hash_one(self.now_micros()))
    }

    fn spawn(&self, job: Job) {
        housekeeping::spawn(job);
    }

    fn watch(&self, dir: &Path, wake: Wake) -> Result<Box<dyn Watch>> {
        watch::watch(dir, wake).map_err(|error| Error::new(Operation::Watch, dir, error))
    }
}

/// Opens without following a link, and without waiting for the other end of a pipe; refuses what is not a regular file.
fn open_regular(path: &Path, options: &mut fs::OpenOptions) -> io::Result<fs::File> {
    let opened = system::open(path, options);
    let metadata = match &opened {
        Ok(file) => file.metadata()?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return opened,
        // Links, sockets and directories fail in ways that say little; where the name cannot be looked at, the failure stands.
        Err(_) => match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(_) => return opened,
        },
    };
    let kind = metadata.file_type();
    if kind.is_file() {
        return opened;
    }
    let what = if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else {
        system::special(kind)
    };
    Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {what}, not a regular file")))
}

/// True for a directory, or a link to one; false where nothing is; an error for anything else.
fn is_dir(path: &Path) -> Result<bool> {
    let shown = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    match fs::metadata(shown) {
        Ok(metadata) if metadata.is_dir() => Ok(true),
        Ok(_) => Err(Error::new(Operation::CreateDir, path, Errno::NOTDIR.into())),
        // A link that leads nowhere is a name that is taken.
        Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(shown).is_err() => Ok(false),
        Err(error) => Err(Error::new(Operation::CreateDir, path, error)),
    }
}

/// The directory that holds the name of `path`, which is one that was missing: neither empty nor the root.
fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// True on the thread that the process began with, where the system tells.
pub fn is_main_thread() -> bool {
    #[cfg(target_os = "linux")]
    return rustix::thread::gettid() == rustix::process::getpid();
    #[cfg(not(target_os = "linux"))]
    return false;
}
