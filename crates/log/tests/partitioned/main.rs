//! Tests of logs of partitions and of retention, on simulated machines, and of how much of a real one they take.

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
