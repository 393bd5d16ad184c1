use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::errno;

/// Outcome of a call to the machine.
pub type Result<T> = std::result::Result<T, Error>;

/// A call to the machine that failed: what was tried, on which path, and what the system said.
///
/// A clone is cheap and keeps the cause: one failed sync answers many callers.
#[derive(Debug, Clone)]
pub struct Error {
    operation: Operation,
    path: PathBuf,
    source: Arc<io::Error>,
}

impl Error {
    /// The failure of `operation` on `path`, caused by `source`.
    pub fn new(operation: Operation, path: &Path, source: io::Error) -> Self {
        Self { operation, path: path.to_path_buf(), source: Arc::new(source) }
    }

    /// The same failure of a file that goes by the name of `path` now: a file keeps the one it was opened by.
    pub fn at(self, path: &Path) -> Self {
        Self { path: path.to_path_buf(), ..self }
    }

    /// What was tried.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The path it was tried on, as the caller gave it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the system said.
    pub fn io_error(&self) -> &io::Error {
        &self.source
    }

    /// Class of the cause.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The system's number for the cause, where the system gave one.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// The name of the cause (`"ENOSPC"`), as Unix has it, where it is one that file work is known to meet.
    pub fn os_code(&self) -> Option<&'static str> {
        match self.raw_os_error() {
            Some(number) => errno::name(number),
            // Where it is we who miss something, and not the system.
            None => (self.kind() == io::ErrorKind::NotFound).then_some("ENOENT"),
        }
    }

    /// True where the disk, or the caller's share of it, is full. Trying again after room was made may succeed.
    pub fn is_no_space(&self) -> bool {
        matches!(self.os_code(), Some("ENOSPC" | "EDQUOT"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.operation.as_ref(), self.path.display(), self.source)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

/// What was asked of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Making a directory.
    CreateDir,
    /// Listing a directory.
    List,
    /// Asking for a length or an identity.
    Stat,
    /// Opening a file that exists.
    Open,
    /// Creating a file.
    Create,
    /// Reading bytes.
    Read,
    /// Writing bytes.
    Write,
    /// Reserving blocks.
    Allocate,
    /// Giving blocks back.
    Punch,
    /// Making a file's bytes durable.
    Sync,
    /// Making a directory's names durable.
    SyncDir,
    /// Mapping a file.
    Map,
    /// Renaming a file.
    Rename,
    /// Removing a name.
    Unlink,
    /// Taking a lock.
    Lock,
    /// Watching a directory.
    Watch,
}

impl Operation {
    /// Every operation, for tables of faults.
    pub const ALL: [Self; 16] = [
        Self::CreateDir,
        Self::List,
        Self::Stat,
        Self::Open,
        Self::Create,
        Self::Read,
        Self::Write,
        Self::Allocate,
        Self::Punch,
        Self::Sync,
        Self::SyncDir,
        Self::Map,
        Self::Rename,
        Self::Unlink,
        Self::Lock,
        Self::Watch,
    ];
}

/// The words that complete "cannot … /a/b".
impl AsRef<str> for Operation {
    fn as_ref(&self) -> &str {
        match self {
            Self::CreateDir => "create directory",
            Self::List => "list",
            Self::Stat => "look up",
            Self::Open => "open",
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::Allocate => "allocate",
            Self::Punch => "give back space of",
            Self::Sync => "sync",
            Self::SyncDir => "sync directory",
            Self::Map => "map",
            Self::Rename => "rename",
            Self::Unlink => "unlink",
            Self::Lock => "lock",
            Self::Watch => "watch",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;
    use crate::errno::Errno;

    fn failed(errno: Errno) -> Error {
        Error::new(Operation::Sync, Path::new("/a/b.seg"), io::Error::from(errno))
    }

    #[test]
    fn an_error_is_one_sentence_with_its_facts() {
        let error = failed(Errno::NOSPC);
        assert!(error.to_string().starts_with("cannot sync /a/b.seg: No space left on device"), "{error}");
        assert_eq!(error.os_code(), Some("ENOSPC"));
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.source().is_some());
        assert_eq!(error.clone().to_string(), error.to_string());
    }

    #[test]
    fn only_a_full_disk_or_quota_is_no_space() {
        assert!(failed(Errno::NOSPC).is_no_space());
        assert!(failed(Errno::DQUOT).is_no_space());
        assert!(!failed(Errno::FBIG).is_no_space());
        assert!(!Error::new(Operation::Write, Path::new("a"), io::Error::other("no number")).is_no_space());
    }
}
