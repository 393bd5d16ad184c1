//! What can go wrong below an engine, with the facts.

use std::fmt;
use std::path::PathBuf;

/// Outcome of an operation on segments.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the substrate. Cheap to clone: a sticky failure hands the same one to many callers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// The system refused an operation.
    Io(varve_io::Error),
    /// The disk is full. Nothing was written; what was acknowledged before is intact.
    NoSpace(varve_io::Error),
    /// A sync failed: what was written since the last one may or may not be durable, and asking again would not tell.
    SyncFailed(varve_io::Error),
    /// Bytes that were durable fail their checksum or their form.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Position in it.
        position: u64,
        /// Index of the first record concerned, where that is known.
        index: Option<u64>,
        /// What is wrong.
        reason: &'static str,
    },
    /// A file that this build does not read.
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// Another process holds the directory.
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process, where it is known.
        pid: Option<u32>,
    },
    /// A record or batch over a limit. Nothing was written.
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// An option that contradicts the directory, or an argument that cannot be.
    Invalid {
        /// What, and what to do.
        message: String,
    },
    /// Long work was called off.
    Aborted,
    /// A panic was caught while the log was locked: a defect of varve.
    Panicked,
}

/// The stable names of errors, as JavaScript sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described in docs/errors.md")]
pub enum ErrorCode {
    InvalidArgument,
    OutOfRange,
    TooLarge,
    Conflict,
    Closed,
    ReadOnly,
    Busy,
    Locked,
    NoIndex,
    Fenced,
    Corrupt,
    Unsupported,
    NoSpace,
    SyncFailed,
    Io,
}

impl ErrorCode {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::InvalidArgument,
        Self::OutOfRange,
        Self::TooLarge,
        Self::Conflict,
        Self::Closed,
        Self::ReadOnly,
        Self::Busy,
        Self::Locked,
        Self::NoIndex,
        Self::Fenced,
        Self::Corrupt,
        Self::Unsupported,
        Self::NoSpace,
        Self::SyncFailed,
        Self::Io,
    ];

    /// The name, as in `error.code`.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "VARVE_INVALID_ARGUMENT",
            Self::OutOfRange => "VARVE_OUT_OF_RANGE",
            Self::TooLarge => "VARVE_TOO_LARGE",
            Self::Conflict => "VARVE_CONFLICT",
            Self::Closed => "VARVE_CLOSED",
            Self::ReadOnly => "VARVE_READONLY",
            Self::Busy => "VARVE_BUSY",
            Self::Locked => "VARVE_LOCKED",
            Self::NoIndex => "VARVE_NO_INDEX",
            Self::Fenced => "VARVE_FENCED",
            Self::Corrupt => "VARVE_CORRUPT",
            Self::Unsupported => "VARVE_UNSUPPORTED",
            Self::NoSpace => "VARVE_NO_SPACE",
            Self::SyncFailed => "VARVE_SYNC_FAILED",
            Self::Io => "VARVE_IO",
        }
    }
}

impl Error {
    /// True if the system said that there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == std::io::ErrorKind::NotFound)
    }

    /// The stable name of the error.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Io(_) | Self::Panicked => ErrorCode::Io,
            // Whoever called it off knows; nobody else is told.
            Self::Aborted => ErrorCode::Closed,
            Self::NoSpace(_) => ErrorCode::NoSpace,
            Self::SyncFailed(_) => ErrorCode::SyncFailed,
            Self::Corrupt { .. } => ErrorCode::Corrupt,
            Self::Unsupported { .. } => ErrorCode::Unsupported,
            Self::Locked { .. } => ErrorCode::Locked,
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::Invalid { .. } => ErrorCode::InvalidArgument,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NoSpace(error) => {
                write!(f, "{error}: the disk is full; nothing was written, try again when there is room")
            }
            Self::SyncFailed(error) => {
                write!(f, "{error}: what was written since the last sync may be lost; close the log and open it again")
            }
            Self::Corrupt { path, position, index, reason } => {
                write!(f, "{} is damaged at byte {position}", path.display())?;
                if let Some(index) = index {
                    write!(f, " (record {index})")?;
                }
                write!(f, ": {reason}")
            }
            Self::Unsupported { path, what } => write!(f, "{} is {what}", path.display()),
            Self::Locked { path, pid: Some(pid) } => {
                write!(f, "{} is open for writing in process {pid}; close it there first", path.display())
            }
            Self::Locked { path, pid: None } => {
                write!(f, "{} is open for writing in another process; close it there first", path.display())
            }
            Self::TooLarge { what, bytes, limit } => write!(f, "{what} of {bytes} bytes is over the limit of {limit}"),
            Self::Invalid { message } => f.write_str(message),
            Self::Aborted => f.write_str("called off"),
            Self::Panicked => {
                f.write_str("an earlier call failed inside varve, a defect; close the log and open it again")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) | Self::NoSpace(error) | Self::SyncFailed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<varve_io::Error> for Error {
    fn from(error: varve_io::Error) -> Self {
        if error.is_no_space() { Self::NoSpace(error) } else { Self::Io(error) }
    }
}
