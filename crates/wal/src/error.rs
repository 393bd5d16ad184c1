//! What can go wrong in a log.

use std::fmt;

use varve_segment::ErrorCode;

/// Outcome of an operation on a log.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the log.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// Of the files below.
    Segment(varve_segment::Error),
    /// An index outside of what the log holds.
    OutOfRange {
        /// The index.
        index: u64,
        /// Least index that would do.
        first: u64,
        /// Greatest index that would do.
        last: u64,
    },
    /// The next record would not get the index expected. Nothing was written.
    Conflict {
        /// The index expected.
        expected: u64,
        /// The index it would get.
        next: u64,
    },
    /// A reader has returned a record that would be dropped. Nothing was dropped.
    Busy {
        /// The record.
        index: u64,
    },
    /// The log was opened for reading.
    ReadOnly,
    /// The log is closed.
    Closed,
}

impl Error {
    /// The stable name of the error.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Segment(error) => error.code(),
            Self::OutOfRange { .. } => ErrorCode::OutOfRange,
            Self::Conflict { .. } => ErrorCode::Conflict,
            Self::Busy { .. } => ErrorCode::Busy,
            Self::ReadOnly => ErrorCode::ReadOnly,
            Self::Closed => ErrorCode::Closed,
        }
    }

    pub(crate) fn invalid(message: String) -> Self {
        Self::Segment(varve_segment::Error::Invalid { message })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(error) => error.fmt(f),
            Self::OutOfRange { index, first, last } => write!(f, "index {index} is outside of {first} to {last}"),
            Self::Conflict { expected, next } => {
                write!(f, "index {expected} was expected, and the next record gets {next}; nothing was written")
            }
            Self::Busy { index } => {
                write!(f, "a reader has returned record {index}, which would be dropped; close it, and try again")
            }
            Self::ReadOnly => f.write_str("the log was opened with readOnly; open it for writing"),
            Self::Closed => f.write_str("the log is closed"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Segment(error) => Some(error),
            _ => None,
        }
    }
}

impl From<varve_segment::Error> for Error {
    fn from(error: varve_segment::Error) -> Self {
        Self::Segment(error)
    }
}

impl From<varve_io::Error> for Error {
    fn from(error: varve_io::Error) -> Self {
        Self::Segment(error.into())
    }
}
