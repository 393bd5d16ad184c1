//! All bytes of the log's directory: to compare, and to damage.

use std::collections::BTreeMap;
use std::path::Path;

use varve_io::Machine;
use varve_io::sim::SimMachine;

use crate::open::DIR;

/// The files by name. The lock, which every open writes, is left out.
pub type Snapshot = BTreeMap<String, Vec<u8>>;

/// What lies in the directory now. Empty, if there is none.
pub fn snapshot(machine: &SimMachine) -> Snapshot {
    let names = machine.list(Path::new(DIR)).into_iter().flatten().map(|entry| entry.name);
    let read = |name: String| machine.contents(&Path::new(DIR).join(&name)).ok().map(|bytes| (name, bytes));
    names.filter(|name| name != "LOCK").filter_map(read).collect()
}

/// A machine whose directory holds `files`, all of them durable.
pub fn restore(files: &Snapshot) -> varve_io::Result<SimMachine> {
    let machine = SimMachine::new(1);
    machine.create_dir_all(Path::new(DIR))?;
    for (name, bytes) in files {
        machine.set_contents(&Path::new(DIR).join(name), bytes)?;
    }
    Ok(machine)
}
