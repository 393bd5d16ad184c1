//! The log's behaviour, through its public face: on the simulated machine where what happens must be told apart, on a real directory where threads meet.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod backup;
mod batches;
mod group_commit;
mod log;
mod parity;
mod reader;
mod records;
mod recover;
mod reopen;
mod rewrite;
mod salvage;
mod sharing;
mod sidecar;
mod truncation;
