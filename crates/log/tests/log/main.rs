//! Tests of the message log, on simulated machines.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod care;
mod crashes;
mod damage;
mod follower;
mod histories;
mod metamorphic;
mod migration;
mod model;
mod producers;
mod removal;
mod snapshot;
