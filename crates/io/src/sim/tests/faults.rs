//! Errors on demand, full disks, stops in the middle, and syncs left out.

use std::path::Path;

use super::{durable_file, images, machine, open, path};
use crate::sim::{Fault, is_crash};
use crate::{Access, Machine, Operation};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

#[test]
fn a_fault_strikes_the_operation_it_names_once() {
    let machine = machine();
    let (a, b) = (durable_file(&machine, "a", b"abc"), durable_file(&machine, "b", b"abc"));
    machine.inject(Fault::on(Operation::Read, EIO).path("/b").after(1));
    let mut byte = [0];
    for _ in 0..3 {
        a.read_at(&mut byte, 0).unwrap();
    }
    b.read_at(&mut byte, 0).unwrap();
    assert_eq!(machine.faults_hit(), 0);
    let error = b.read_at(&mut byte, 0).unwrap_err();
    assert_eq!((error.operation(), error.path(), error.os_code()), (Operation::Read, path("b").as_path(), Some("EIO")));
    b.read_at(&mut byte, 0).unwrap();
    assert_eq!(machine.faults_hit(), 1);
}

#[test]
fn every_operation_can_fail_and_does_nothing_then() {
    let machine = machine();
    let file = durable_file(&machine, "a", b"abc");
    machine.inject(Fault::any(EIO).sticky());
    let dir = Path::new("/db");
    let failed = [
        (Operation::CreateDir, machine.create_dir_all(&dir.join("new")).err()),
        (Operation::List, machine.list(dir).err()),
        (Operation::Stat, machine.identity(dir).err()),
        (Operation::Stat, file.len().err()),
        (Operation::Open, machine.open(&path("a"), Access::Read).err()),
        (Operation::Create, machine.create(&path("b")).err()),
        (Operation::Read, file.read_at(&mut [0], 0).err()),
        (Operation::Allocate, file.allocate(4096).err()),
        (Operation::Punch, file.punch(0..3).err()),
        (Operation::Sync, file.sync_data().err()),
        (Operation::SyncDir, machine.sync_dir(dir).err()),
        (Operation::Map, file.map(3).err()),
        (Operation::Rename, machine.rename(&path("a"), &path("b")).err()),
        (Operation::Unlink, machine.unlink(&path("a")).err()),
        (Operation::Lock, machine.lock(&path("LOCK")).err()),
    ];
    for (operation, error) in failed {
        let error = error.unwrap();
        // The sync of the directory above comes first.
        let expected = if operation == Operation::CreateDir { Operation::SyncDir } else { operation };
        assert_eq!((error.operation(), error.raw_os_error()), (expected, Some(EIO)));
    }
    machine.clear_faults();
    assert_eq!(super::names(&machine), ["a"]);
    assert_eq!(machine.contents(&path("a")).unwrap(), b"abc");
}

#[test]
fn a_failed_write_leaves_a_prefix() {
    let machine = machine();
    let file = durable_file(&machine, "a", &[0; 100]);
    let new: Vec<u8> = (1..=100).collect();
    let mut lengths = std::collections::BTreeSet::new();
    for _ in 0..200 {
        file.write_at(&[&[0; 100]], 0).unwrap();
        machine.clear_faults();
        machine.inject(Fault::on(Operation::Write, EIO));
        file.write_at(&[&new[..30], &new[30..]], 0).unwrap_err();
        let bytes = machine.contents(&path("a")).unwrap();
        let written = bytes.iter().position(|byte| *byte == 0).unwrap_or(100);
        assert_eq!(bytes[..written], new[..written]);
        assert!(bytes[written..].iter().all(|byte| *byte == 0));
        lengths.insert(written);
    }
    assert!(lengths.len() > 50 && lengths.contains(&0) && lengths.contains(&100), "{lengths:?}");
    machine.inject(Fault::on(Operation::Write, ENOSPC).half());
    assert!(file.write_at(&[&[7; 50]], 100).unwrap_err().is_no_space());
    assert_eq!(machine.contents(&path("a")).unwrap().len(), 125);
}

#[test]
fn a_failed_sync_shows_the_new_bytes_and_never_makes_them_durable() {
    let machine = machine();
    let file = durable_file(&machine, "a", &[1; 2048]);
    file.write_at(&[&[2; 1024]], 1024).unwrap();
    file.allocate(8192).unwrap();
    machine.inject(Fault::on(Operation::Sync, EIO));
    file.sync_data().unwrap_err();
    file.sync_data().unwrap();
    assert_eq!(machine.contents(&path("a")).unwrap()[1024], 2);
    assert!(images(&machine, "a", 200).iter().all(|image| image.as_ref().unwrap()[..] == [1; 2048]));
    // The next process sees the same, and must not believe it.
    let next = machine.kill();
    assert_eq!(next.contents(&path("a")).unwrap()[1024], 2);
    // Another sector of the same page does not take the lost one along.
    let file = open(&next, "a");
    file.write_at(&[&[3; 512]], 0).unwrap();
    file.sync_data().unwrap();
    for image in images(&next, "a", 50).into_iter().flatten() {
        assert_eq!((image[0], image[512], image[1024], image[2047]), (3, 1, 1, 1));
    }
    // Writing them again does.
    file.write_at(&[&[2; 1024]], 1024).unwrap();
    file.sync_data().unwrap();
    assert!(images(&next, "a", 50).iter().flatten().all(|image| image[1024..2048] == [2; 1024]));
}

#[test]
fn a_full_disk_refuses_until_there_is_room() {
    let machine = machine();
    let old = durable_file(&machine, "old", &[1; 4096]);
    machine.set_capacity(Some(5 * 4096));
    let file = machine.create(&path("a")).unwrap();
    assert!(file.allocate(5 * 4096).unwrap_err().is_no_space());
    assert_eq!((file.len().unwrap(), machine.used()), (0, 4096));
    file.allocate(3 * 4096).unwrap();
    file.write_at(&[&[2; 3 * 4096]], 0).unwrap();
    // Two blocks are wanted and one is free.
    assert!(file.write_at(&[&[3; 5000]], 3 * 4096).unwrap_err().is_no_space());
    assert_eq!((file.len().unwrap(), machine.used()), (4 * 4096, 5 * 4096));
    machine.unlink(&path("old")).unwrap();
    assert!(file.allocate(5 * 4096).unwrap_err().is_no_space(), "an open file keeps its blocks");
    drop(old);
    file.allocate(5 * 4096).unwrap();
    file.punch(0..8192).unwrap();
    assert_eq!(machine.used(), 3 * 4096);
    file.write_at(&[&[4; 8192]], 5 * 4096).unwrap();
    assert!(file.write_at(&[b"x"], 0).unwrap_err().is_no_space());
    machine.set_capacity(None);
    file.write_at(&[b"x"], 0).unwrap();
}

#[test]
fn a_machine_stops_before_the_operation_it_was_told() {
    let steps = |machine: &super::SimMachine| {
        let file = machine.create(&path("a"))?;
        file.write_at(&[&[1; 600]], 0)?;
        file.sync_data()?;
        file.len()?;
        machine.sync_dir(Path::new("/db"))
    };
    let whole = machine();
    let before = whole.changes();
    whole.start_trace();
    steps(&whole).unwrap();
    let operations = [Operation::Create, Operation::Write, Operation::Sync, Operation::SyncDir];
    let trace = whole.take_trace();
    assert_eq!(trace.iter().map(|(operation, _)| *operation).collect::<Vec<_>>(), operations);
    assert_eq!(trace[1].1, path("a"));
    assert_eq!(whole.changes(), before + 4);
    for (done, stopped_at) in (0u64..).zip(operations) {
        let machine = machine();
        machine.crash_after(machine.changes() + done);
        assert!(!machine.crashed());
        let error = steps(&machine).unwrap_err();
        assert!(is_crash(&error) && machine.crashed(), "{error}");
        assert_eq!(error.operation(), stopped_at);
        assert!(is_crash(&machine.list(Path::new("/db")).unwrap_err()), "nothing works any more");
        let next = machine.kill();
        let found = next.contents(&path("a")).map(|bytes| bytes.len()).ok();
        assert_eq!(found, [None, Some(0), Some(600), Some(600)][usize::try_from(done).unwrap()]);
        assert!(!next.crashed() && next.list(Path::new("/db")).is_ok());
    }
    assert!(!is_crash(&whole.open(&path("gone"), Access::Read).unwrap_err()));
}

#[test]
fn mutants_leave_syncs_out_and_outlive_a_crash() {
    let machine = machine();
    machine.ignore_sync_data(|path| path.to_string_lossy().ends_with("bad"));
    durable_file(&machine, "good", &[1; 600]);
    durable_file(&machine, "bad", &[1; 600]);
    assert!(images(&machine, "good", 100).iter().all(|image| image.as_deref() == Some(&[1; 600])));
    assert!(images(&machine, "bad", 100).iter().any(|image| image.as_deref() != Some(&[1; 600])));
    let next = machine.crash(4);
    next.ignore_sync_dir(|dir| dir == Path::new("/db"));
    durable_file(&next, "later-bad", &[1; 600]);
    let found = images(&next, "later-bad", 100);
    assert!(found.iter().any(Option::is_none));
    assert!(found.iter().flatten().any(|bytes| *bytes != [1; 600]));
}
