//! The substrate of all engines: preallocated files of checksummed frames.
//!
//! An engine's directory is a row of *segments*. One is active: an [`Appender`] builds frames in a group buffer and writes it
//! by `pwrite`; all others are sealed. Readers look at segments through maps, and never past what is written. A [`Preparer`]
//! makes the next file ready on a background thread. [`recover()`] finds, after a crash, what the log holds, and tells a torn tail
//! from damage. Formats: `docs/formats/segment.md`.

#![forbid(unsafe_code)]

mod append;
mod begin;
mod candidate;
mod care;
mod contents;
mod copy;
mod cursor;
mod directory;
mod durable;
mod error;
mod failure;
mod follow;
mod hold;
mod inspect;
mod kept;
mod name;
mod options;
mod prepare;
mod recover;
mod remains;
mod repair;
mod residents;
mod rewrite;
mod scan;
mod segment;
mod set;
mod span;
mod survey;
mod to_come;

pub use append::{Appender, BUFFER_LEN, Captured};
pub use care::{Care, Progress};
pub use copy::{Copied, CopyOptions, Source, copy_log};
pub use cursor::{Cursor, FILL_RECORDS, Fill, TABLE_LEN, Table, first_of, places};
pub use directory::Directory;
pub use durable::{DurableFile, DurablePlace};
pub use error::{Error, ErrorCode, Result};
pub use failure::Failure;
pub use follow::{Followed, Follower};
pub use inspect::{Inspection, inspect, markers};
pub use name::FileName;
pub use options::{MAX_CODEC_NAME, MAX_SEGMENT_SIZE, MIN_SEGMENT_SIZE, RECORD_OVERHEAD, SegmentOptions};
pub use prepare::Preparer;
pub use recover::{Recovered, Torn, recover};
pub use remains::{Remains, remains};
pub use repair::{Repaired, repair};
pub use residents::{MOST_MAPS, MOST_POSITION_BYTES};
pub use rewrite::{OldRecord, Rewriter, Rewriting, rewrite};
pub use segment::{Hold, Sealed, Segment};
pub use set::SegmentSet;
pub use span::Span;
pub use survey::{Flaw, Gap};
pub use to_come::{begin_later, is_to_come};
