//! For tests only: the model of a log, the driver that crashes a real one and compares, images of directories.
//!
//! Everything is decided by a seed. What goes wrong is a [`Failure`], which prints the seed and what was done; the variable
//! `VARVE_SEED` runs that one again, `VARVE_IMAGES` says how many images are looked at.

#![forbid(unsafe_code)]

mod beside;
pub mod every_step;
pub mod explore;
mod failure;
mod held;
mod life;
mod manage;
mod model;
mod objectors;
mod open;
mod payload;
mod rng;
mod script;
mod snapshot;
mod verify;

pub use failure::Failure;
pub use model::{Bounds, Model, Point};
pub use open::{DIR, is_opening, open};
pub use payload::{Content, payload};
pub use rng::Rng;
pub use snapshot::{Snapshot, restore, snapshot};
pub use verify::{read_all, verify};
