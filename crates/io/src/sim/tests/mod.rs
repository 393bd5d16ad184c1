mod durability;
mod faults;
mod process;
mod watch;

use std::path::Path;
use std::sync::Arc;

use super::SimMachine;
use crate::{Access, File, Machine};

/// A machine with the durable directory `/db`.
fn machine() -> SimMachine {
    let machine = SimMachine::new(1);
    machine.create_dir_all(Path::new("/db")).unwrap();
    machine
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new("/db").join(name)
}

/// A file whose name and bytes are durable.
fn durable_file(machine: &SimMachine, name: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = machine.create(&path(name)).unwrap();
    file.write_at(&[bytes], 0).unwrap();
    file.sync_data().unwrap();
    machine.sync_dir(Path::new("/db")).unwrap();
    file
}

/// The bytes of a file in each of many images; `None` where it has no name.
fn images(machine: &SimMachine, name: &str, count: u64) -> Vec<Option<Vec<u8>>> {
    (0..count).map(|seed| machine.crash(seed).contents(&path(name)).ok()).collect()
}

fn open(machine: &SimMachine, name: &str) -> Arc<dyn File> {
    machine.open(&path(name), Access::Write).unwrap()
}

fn names(machine: &SimMachine) -> Vec<String> {
    machine.list(Path::new("/db")).unwrap().into_iter().map(|entry| entry.name).collect()
}
