//! What goes wrong.

use std::fmt;

use crate::{Codec, MAX_RAW_LEN};

/// Why nothing was compressed or decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The codec has no such level.
    Level {
        /// The codec.
        codec: Codec,
        /// The level asked for.
        level: i32,
    },
    /// More bytes than are ever compressed at once.
    TooLong {
        /// Bytes uncompressed.
        raw_len: u64,
    },
    /// No compressed form of this length yields so much.
    Implausible {
        /// The codec.
        codec: Codec,
        /// Bytes it is said to yield.
        raw_len: u64,
        /// Bytes of the compressed form.
        stored_len: u64,
    },
    /// The bytes are no compressed form of exactly so many bytes.
    Damaged {
        /// The codec.
        codec: Codec,
        /// Bytes they are said to yield.
        raw_len: u64,
    },
    /// The system gives no memory.
    Memory,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level { codec, level } => {
                let levels = codec.levels();
                write!(f, "{} has the levels {} to {}, not {level}", codec.name(), levels.start(), levels.end())
            }
            Self::TooLong { raw_len } => write!(f, "{raw_len} bytes in one block; the most is {MAX_RAW_LEN}"),
            Self::Implausible { codec, raw_len, stored_len } => {
                write!(f, "{stored_len} bytes of {} cannot hold {raw_len} bytes", codec.name())
            }
            Self::Damaged { codec, raw_len } => {
                write!(f, "the bytes are not the {} form of {raw_len} bytes", codec.name())
            }
            Self::Memory => f.write_str("out of memory"),
        }
    }
}

impl std::error::Error for Error {}
