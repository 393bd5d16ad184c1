//! The key index against a model: random histories, crashes at every change, damage of every bit, bounds.
//! `VARVE_SEED` runs one seed again.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "index/bounds.rs"]
mod bounds;
#[path = "index/crash.rs"]
mod crash;
#[path = "index/damage.rs"]
mod damage;
#[path = "index/follower.rs"]
mod follower;
#[path = "index/life.rs"]
mod life;
#[path = "index/model.rs"]
mod model;
