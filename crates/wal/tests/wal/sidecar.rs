//! Sidecars: derived, so never needed, never believed, and made again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_wal::{Care, Wal, check};

use crate::log::{DIR, all, fresh, open, record, small};

fn sidecar(id: u64) -> PathBuf {
    Path::new(DIR).join(format!("{id:016}.idx"))
}

/// A closed log of several segments, with all their sidecars.
fn log() -> SimMachine {
    let (machine, wal) = fresh(&small());
    for index in 0..150 {
        wal.append(&record(index, 1500), None).unwrap();
    }
    while machine.run_job() {}
    wal.close().unwrap();
    machine
}

fn reads(wal: &Arc<Wal>) {
    for index in (0..150).rev() {
        assert_eq!(wal.get(index, <[u8]>::to_vec).unwrap(), Some(record(index, 1500)));
    }
    assert_eq!(all(wal).len(), 150);
}

#[test]
fn every_sealed_segment_has_one() {
    let machine = log();
    let names: Vec<_> = machine.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect();
    let count = |ending| names.iter().filter(|name| name.ends_with(ending)).count();
    assert_eq!(count(".idx") + 1, count(".seg"), "{names:?}");
}

#[test]
fn one_that_is_missing_is_made_again() {
    let machine = log();
    let before = machine.contents(&sidecar(1)).unwrap();
    machine.unlink(&sidecar(1)).unwrap();
    let wal = open(&machine, &small()).unwrap();
    reads(&wal);
    while machine.run_job() {}
    assert_eq!(machine.contents(&sidecar(1)).unwrap(), before);
    wal.close().unwrap();
}

#[test]
fn one_that_is_damaged_stale_or_of_another_segment_is_made_again() {
    let machine = log();
    let right = machine.contents(&sidecar(2)).unwrap();
    let mut damaged = right.clone();
    damaged[80] ^= 1;
    let wrongs = [damaged, machine.contents(&sidecar(1)).unwrap(), right[..100].to_vec(), Vec::new(), vec![7; 1 << 20]];
    for wrong in wrongs {
        let machine = machine.kill();
        machine.set_contents(&sidecar(2), &wrong).unwrap();
        let shared: Arc<dyn Machine> = Arc::new(machine.clone());
        let report = check(shared, Path::new(DIR), &Care::default()).unwrap();
        assert!(report.ok, "a sidecar is no data");
        assert_eq!(report.damage.iter().map(|damage| damage.path.clone()).collect::<Vec<_>>(), [sidecar(2)]);
        let wal = open(&machine, &small()).unwrap();
        reads(&wal);
        while machine.run_job() {}
        assert_eq!(machine.contents(&sidecar(2)).unwrap(), right);
        wal.close().unwrap();
    }
}

#[test]
fn one_that_cannot_be_written_is_no_error() {
    let (machine, wal) = fresh(&small());
    machine.inject(varve_io::sim::Fault::on(varve_io::Operation::Create, 28).path("idx").sticky());
    for index in 0..150 {
        wal.append(&record(index, 1500), None).unwrap();
        machine.run_job();
    }
    reads(&wal);
    wal.close().unwrap();
    assert!(machine.faults_hit() > 0);
    let wal = open(&machine, &small()).unwrap();
    reads(&wal);
    wal.close().unwrap();
}
