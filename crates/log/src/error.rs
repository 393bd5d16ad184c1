//! What can go wrong in a message log.

use std::fmt;

use varve_segment::ErrorCode;

use crate::partitioned::Written;

/// Outcome of an operation on a log.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the log.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// Of the files below, or of the record log that its entries are in.
    Wal(varve_wal::Error),
    /// An offset outside of what the log holds.
    OutOfRange {
        /// What is out of its range.
        what: &'static str,
        /// Its value.
        offset: u64,
        /// Least value that would do.
        first: u64,
        /// Greatest value that would do.
        last: u64,
    },
    /// The next message would not get the offset expected. Nothing was written.
    Conflict {
        /// The offset expected.
        expected: u64,
        /// The offset it would get.
        next: u64,
    },
    /// A producer or leader of an older epoch than the log has seen. Nothing was written.
    Fenced {
        /// Who: a producer by its id, or the leader.
        producer: Option<u64>,
        /// The epoch given.
        epoch: u64,
        /// The epoch seen.
        seen: u64,
    },
    /// Of a batch to several partitions, one failed.
    Partial {
        /// What was written before.
        written: Vec<Written>,
        /// Why it went no further.
        cause: Box<Self>,
    },
    /// A lookup by what is not indexed.
    NoIndex {
        /// `key` or `time`.
        by: &'static str,
    },
}

impl Error {
    /// The stable name of the error.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Wal(error) => error.code(),
            Self::OutOfRange { .. } => ErrorCode::OutOfRange,
            Self::Conflict { .. } => ErrorCode::Conflict,
            Self::Fenced { .. } => ErrorCode::Fenced,
            Self::NoIndex { .. } => ErrorCode::NoIndex,
            Self::Partial { cause, .. } => cause.code(),
        }
    }

    /// The same of damage met on the way to the message at `offset`.
    #[cold]
    pub(crate) fn at(mut self, offset: u64) -> Self {
        if let Self::Wal(varve_wal::Error::Segment(varve_segment::Error::Corrupt { index, .. })) = &mut self {
            *index = Some(offset);
        }
        self
    }

    /// As news tell of it: what the files below gave, or in words.
    pub(crate) fn into_segment(self) -> varve_segment::Error {
        match self {
            Self::Wal(varve_wal::Error::Segment(error)) => error,
            other => varve_segment::Error::Invalid { message: other.to_string() },
        }
    }

    pub(crate) fn invalid(message: String) -> Self {
        varve_segment::Error::Invalid { message }.into()
    }

    pub(crate) fn too_large(what: &'static str, bytes: u64, limit: u64) -> Self {
        varve_segment::Error::TooLarge { what, bytes, limit }.into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wal(varve_wal::Error::OutOfRange { .. }) => f.write_str("the messages were removed"),
            Self::Wal(varve_wal::Error::Segment(varve_segment::Error::Corrupt { path, position, index, reason })) => {
                write!(f, "{} is damaged at byte {position}", path.display())?;
                if let Some(offset) = index {
                    write!(f, " (offset {offset})")?;
                }
                write!(f, ": {reason}")
            }
            Self::Wal(error) => error.fmt(f),
            Self::OutOfRange { what, offset, first, last } => {
                write!(f, "{what} {offset} is outside of {first} to {last}")
            }
            Self::Conflict { expected, next } => {
                write!(f, "offset {expected} was expected, and the next message gets {next}; nothing was written")
            }
            Self::Fenced { producer: Some(id), epoch, seen } => {
                write!(f, "producer {id} writes in epoch {epoch}, and epoch {seen} has begun; nothing was written")
            }
            Self::Fenced { producer: None, epoch, seen } => {
                write!(f, "a leader writes in epoch {epoch}, and epoch {seen} has begun; nothing was written")
            }
            Self::Partial { written, cause } => {
                write!(f, "{cause}; {} of the partitions had been written to", written.len())
            }
            Self::NoIndex { by } => {
                write!(f, "the log has no index by {by}; open it anew, or migrate it, with indexes: {{ {by}: true }}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Wal(error) => Some(error),
            Self::Partial { cause, .. } => Some(&**cause),
            _ => None,
        }
    }
}

/// What the record log says of an index is of an entry, which says nothing to who has offsets: it is left out.
impl From<varve_wal::Error> for Error {
    fn from(mut error: varve_wal::Error) -> Self {
        if let varve_wal::Error::Segment(varve_segment::Error::Corrupt { index, .. }) = &mut error {
            *index = None;
        }
        Self::Wal(error)
    }
}

impl From<varve_segment::Error> for Error {
    fn from(error: varve_segment::Error) -> Self {
        varve_wal::Error::from(error).into()
    }
}

impl From<varve_io::Error> for Error {
    fn from(error: varve_io::Error) -> Self {
        Self::Wal(error.into())
    }
}
