//! What can go wrong in the key index.

use std::fmt;
use std::path::PathBuf;

/// Outcome of a call to the key index.
pub type Result<T> = std::result::Result<T, IndexError>;

/// An error of the key index. Whatever it is, the log itself is intact.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum IndexError {
    /// The system refused an operation on a table.
    Io(varve_io::Error),
    /// Bytes of a table fail their checksum, or could not be read: messages from `from` on may be missed. [`super::KeyIndex::drop_from`]
    /// with `from` takes the table away and says what is to be inserted again.
    Damaged {
        /// The table.
        path: PathBuf,
        /// Its first offset.
        from: u64,
    },
    /// The work was called off, or what it was for has changed. Nothing was done.
    Aborted,
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Damaged { path, from } => {
                write!(f, "{} is damaged: the keys from offset {from} on are to be indexed again", path.display())
            }
            Self::Aborted => f.write_str("called off"),
        }
    }
}

impl std::error::Error for IndexError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<varve_io::Error> for IndexError {
    fn from(error: varve_io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why a message was not taken. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The memory bound is reached: the table that waits has to be written first ([`super::KeyIndex::waits_for`],
    /// [`super::KeyIndex::take_job`], [`super::KeyIndex::install`]).
    Full,
    /// Offsets must rise, and be below 2^53.
    Order,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the part of the key index in memory is full, and its older half is not written yet",
            Self::Order => "the offset is not above those that are in the key index",
        })
    }
}

impl std::error::Error for Refused {}
