//! The bodies of the fuzz targets, as ordinary functions of bytes: cargo-fuzz calls them on a nightly compiler, `tests/seeded.rs` on any.
//!
//! A body panics where a promise is broken: a panic inside, memory out of proportion to the input, bytes that nobody wrote, a record that was there
//! and is not. That it ends is seen by libFuzzer's `-timeout`, and by the test's watchdog.

mod base;
mod directory;
mod edit;
mod entries;
mod forge;
mod frames;
mod input;
mod keys;
mod known;
mod log;
mod look;
pub mod memory;
mod pieces;
pub mod seeds;
mod sidecar;
mod written;

pub use directory::directory;
pub use entries::entries;
pub use frames::frames;
pub use keys::keys;
pub use log::log;
pub use pieces::pieces;
pub use sidecar::sidecar;

/// The targets by name.
pub const TARGETS: [(&str, fn(&[u8])); 7] = [
    ("frames", frames),
    ("sidecar", sidecar),
    ("directory", directory),
    ("entries", entries),
    ("pieces", pieces),
    ("keys", keys),
    ("log", log),
];
