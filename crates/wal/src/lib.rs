//! The write-ahead log: records by index, appended at one end, read anywhere.
//!
//! What it is not: it knows nothing of keys, times or JavaScript. What it promises: `docs/durability.md`. What it is made of:
//! [`varve_segment`], which keeps the frames; here are indexes, batches, the ladder of durability and who may open what.

#![forbid(unsafe_code)]

mod appender_lock;
mod backup;
mod check;
mod engine;
mod error;
mod follow;
mod group_commit;
mod latency;
mod listen;
mod open;
mod options;
mod owner;
mod place;
mod reader;
mod recover;
mod retention;
mod rewrite;
mod role;
mod salvage;
mod segments;
mod shared;
mod stats;
mod truncate;
mod writer;

pub use backup::{BackupOptions, BackupReport};
pub use check::{CheckReport, Damage, StatReport, check, check_of, markers, stat};
pub use error::{Error, Result};
pub use listen::{Listener, News};
pub use options::{MAX_BATCH_BYTES, MAX_INDEX, WalOptions};
pub use owner::{MOST_AWAKE, Owner};
pub use place::Mirror;
pub use reader::{ReaderOptions, WalReader};
pub use recover::{RecoverReport, recover, recover_of};
pub use retention::{Question, Remove, Removed, Retention};
pub use rewrite::{KeepRecords, Rewritten};
pub use salvage::{salvage, salvage_of};
pub use segments::{Pin, RecordPosition, SegmentInfo};
pub use shared::{Handle, Registry, Shared, flush_all, flush_engines, open_engine, open_shared};
pub use stats::{Pinned, RecoveryReport, WalStats};
pub use varve_segment::{
    Care, Error as SegmentError, ErrorCode, FILL_RECORDS, Fill, Gap, Progress, Span, TABLE_LEN, Table, Torn, first_of,
    places,
};
pub use writer::Wal;
