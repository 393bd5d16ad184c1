//! Opening the log under test.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use varve_io::sim::SimMachine;
use varve_wal::{Result, Wal, WalOptions};

/// Where it lies.
pub const DIR: &str = "/var/log";

thread_local! {
    static OPENING: Cell<bool> = const { Cell::new(false) };
}

/// True while this thread opens a log: for faults and mutants that concern recovery alone.
pub fn is_opening() -> bool {
    OPENING.get()
}

/// Opens the log on `machine`.
pub fn open(machine: &SimMachine, options: &WalOptions) -> Result<Arc<Wal>> {
    OPENING.set(true);
    let opened = Wal::open(Arc::new(machine.clone()), Path::new(DIR), options);
    OPENING.set(false);
    opened
}
