//! The addon. It converts, calls the engine, and converts back; it decides nothing.
//!
//! `#[napi]` functions for what is rare; for hot calls plain N-API callbacks ([`raw`]).

#![deny(unsafe_code)]

#[macro_use]
extern crate napi_derive;

mod argument;
mod exit;
mod fault;
mod handle;
mod lent;
mod log;
mod notify;
mod partitioned;
mod raw;
mod report;
mod steps;
mod task;
mod view;
mod wal;

/// Version of the addon.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
