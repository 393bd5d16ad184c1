//! The message log: messages by offset, key and time.
//!
//! Its entries are the records of a [`varve_wal::Wal`]: a single message each, or a group of up to 128 under one header and one checksum. What is
//! durable, recovered, followed and retired is the business of that; here are offsets, indexes, groups and the removal of messages. Bytes:
//! `docs/formats/log.md`.

#![forbid(unsafe_code)]

mod bodies;
mod care;
mod cursor;
mod entry;
mod error;
pub mod index;
mod keys;
mod lookup;
mod open;
mod options;
mod outline;
mod partitioned;
mod places;
mod producers;
mod reader;
mod remove;
mod retention;
mod sealed;
mod shared;
mod snapshot;
mod stats;
mod tail;
mod writer;

pub use care::{
    BackupReport, CheckReport, Damage, Migrate, Migration, RecoverReport, backup, check, recover, salvage, stat,
};
pub use cursor::CursorInfo;
pub use entry::{Input, Message};
pub use error::{Error, Result};
pub use options::{Compression, LogOptions};
pub use partitioned::{
    Enforced, PartitionListener, PartitionedBackup, PartitionedHandle, PartitionedLog, PartitionedOptions,
    PartitionedRecovery, PartitionedRemoval, RetentionStats, Written, flush_all_partitioned, murmur2, open_partitioned,
};
pub use producers::Producer;
pub use reader::{Fill, LEAST_VIEW, LogReader, ROW_WORDS, ReaderOptions};
pub use remove::{Removal, Removed, Rule};
pub use retention::{Held, Retention};
pub use shared::{Handle, flush_all, open_shared};
pub use stats::LogStats;
pub use varve_codec::Codec;
pub use varve_segment::{Care, ErrorCode, Progress};
pub use varve_wal::{Listener, News, Pin, SegmentInfo};
pub use writer::{Conditions, Log};
