//! Tests of logs of partitions and of retention, on simulated machines, and of how much of a real one they take.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod copies;
mod crash;
mod damage;
mod files;
mod follow;
mod messages;
mod model;
mod producers;
mod real;
mod retention;
mod settings;
mod sync;
