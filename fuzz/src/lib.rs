//! The bodies of the fuzz targets, as ordinary functions of bytes: cargo-fuzz calls them on a nightly compiler, `tests/seeded.rs` on any.
//!
//! A body panics where a promise is broken: a panic inside, memory out of proportion to the input, bytes that nobody wrote, a record that was there
//! and is not. That it ends is seen by libFuzzer's `-timeout`, and by the test's watchdog.

mod base;
mod directory;
mod edit;
mod forge;
mod frames;
mod input;
mod look;
pub mod memory;
pub mod seeds;
mod sidecar;
mod written;

pub use directory::directory;
pub use frames::frames;
pub use sidecar::sidecar;

/// The targets by name.
pub const TARGETS: [(&str, fn(&[u8])); 3] = [("frames", frames), ("sidecar", sidecar), ("directory", directory)];
