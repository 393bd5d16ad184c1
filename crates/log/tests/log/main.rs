//! Tests of the message log, on simulated machines.

mod care;
mod crashes;
mod histories;
mod model;
mod producers;
mod removal;
mod snapshot;
