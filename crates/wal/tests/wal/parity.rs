//! What is synced and what is made, and when; and what a backup is, beside all else. Parity with others of this kind:
//! `docs/parity/walfs.md`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use varve_io::sim::{Fault, SimMachine};
use varve_io::{Machine, Operation};
use varve_wal::{BackupOptions, Care, ErrorCode, Retention, Wal, WalOptions, check};

use crate::log::{DIR, Place, all, fresh, open, record, small};

/// How often the directory of the log has been synced since the last call.
fn directory_syncs(machine: &SimMachine) -> usize {
    let of_names =
        |(operation, path): &(Operation, PathBuf)| *operation == Operation::SyncDir && path == Path::new(DIR);
    machine.take_trace().iter().filter(|step| of_names(step)).count()
}

fn names(machine: &SimMachine, ending: &str) -> Vec<String> {
    let mut names: Vec<_> = machine.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect();
    names.retain(|name| name.ends_with(ending));
    names
}

#[test]
fn the_directory_is_synced_where_a_name_is_new_and_nowhere_else() {
    let machine = SimMachine::new(1);
    machine.start_trace();
    let wal = open(&machine, &small()).unwrap();
    assert!(directory_syncs(&machine) >= 1, "the first segment has a name");
    for round in 0..5 {
        wal.append(&record(round, 100), None).unwrap();
        wal.sync().unwrap();
        assert_eq!(directory_syncs(&machine), 0, "no name is new");
    }
    for _ in 0..3 {
        wal.rotate().unwrap();
        wal.append(b"x", None).unwrap();
        while machine.run_job() {}
    }
    assert_eq!(directory_syncs(&machine), 0, "a rotation syncs nothing");
    wal.sync().unwrap();
    assert_eq!(directory_syncs(&machine), 1, "once for three names");
    wal.rotate().unwrap();
    wal.close().unwrap();
    assert!(directory_syncs(&machine) >= 1, "a close syncs the names, too");
    let after = machine.crash(7);
    assert_eq!(all(&open(&after, &small()).unwrap()).len(), 8);
}

#[test]
fn a_rotation_meets_no_sync_at_all() {
    let (machine, wal) = fresh(&small());
    wal.append(b"durable", None).unwrap();
    wal.sync().unwrap();
    machine.inject(Fault::on(Operation::Sync, 5).sticky());
    machine.inject(Fault::on(Operation::SyncDir, 5).sticky());
    let rotations = wal.stats().rotations;
    for index in 1..2000 {
        wal.append(&record(index, 400), None).unwrap();
        machine.run_job();
    }
    wal.rotate().unwrap();
    assert!(wal.stats().rotations > rotations + 10);
    assert_eq!((machine.faults_hit(), wal.durable_index()), (0, 1));
    assert!(wal.sync().is_err());
}

#[test]
fn a_segment_has_no_sidecar_before_it_is_sealed() {
    let (machine, wal) = fresh(&small());
    for index in 0..100 {
        wal.append(&record(index, 100), None).unwrap();
        wal.flush().unwrap();
    }
    wal.sync().unwrap();
    while machine.run_job() {}
    assert_eq!(names(&machine, ".idx"), Vec::<String>::new());
    wal.rotate().unwrap();
    while machine.run_job() {}
    assert_eq!(names(&machine, ".idx"), ["0000000000000001.idx"]);
    // A reopened log has the same: what is sealed has one, what is active has none.
    wal.close().unwrap();
    let wal = open(&machine, &small()).unwrap();
    wal.append(b"x", None).unwrap();
    while machine.run_job() {}
    assert_eq!(names(&machine, ".idx"), ["0000000000000001.idx"]);
    wal.close().unwrap();
}

const TO: &str = "/data/copy";
const SEALED: BackupOptions = BackupOptions { after_segment: None, active: false };
const ALL: BackupOptions = BackupOptions { after_segment: None, active: true };

/// Four segments of ten records each; the last one is active.
fn in_tens() -> (SimMachine, Arc<Wal>) {
    let (machine, wal) = fresh(&small());
    for index in 0..40 {
        if index > 0 && index % 10 == 0 {
            wal.rotate().unwrap();
        }
        wal.append(&record(index, 100), None).unwrap();
    }
    wal.sync().unwrap();
    while machine.run_job() {}
    (machine, wal)
}

fn whole_log(machine: &SimMachine) -> Vec<(String, Vec<u8>)> {
    let names = names(machine, "");
    names.into_iter().map(|name| (name.clone(), machine.contents(&Path::new(DIR).join(name)).unwrap())).collect()
}

#[test]
fn a_backup_changes_nothing_of_the_log_and_is_durable_when_it_returns() {
    for options in [SEALED, ALL] {
        let (machine, wal) = in_tens();
        let before = whole_log(&machine);
        let report = wal.backup(Path::new(TO), options, &Care::default()).unwrap();
        assert_eq!(whole_log(&machine), before);
        let of_segments = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "seg");
        let files: Vec<_> = report.files.iter().filter(of_segments).collect();
        assert!(files.is_sorted(), "{files:?}");
        for seed in 0..20 {
            let after = machine.crash(seed);
            let copy =
                Wal::open(Arc::new(after), Path::new(TO), &WalOptions { verify: Some(true), ..small() }).unwrap();
            let expected: Vec<_> = all(&wal).into_iter().filter(|(index, _)| *index < report.position).collect();
            assert_eq!((report.position, all(&copy)), (if options.active { 40 } else { 30 }, expected), "seed {seed}");
        }
    }
}

#[test]
fn a_backup_after_the_last_segment_copies_no_record() {
    let (machine, _wal) = in_tens();
    for after in [3, 4, 99, u64::MAX] {
        let machine = machine.kill();
        let wal = open(&machine, &small()).unwrap();
        let options = BackupOptions { after_segment: Some(after), active: false };
        let report = wal.backup(Path::new(TO), options, &Care::default()).unwrap();
        let copy = Wal::open(Arc::new(machine.kill()), Path::new(TO), &small()).unwrap();
        assert_eq!((all(&copy), report.position <= 40), (Vec::new(), true), "after {after}");
    }
}

#[test]
fn a_backup_to_where_nothing_can_be_written_is_an_error_and_the_log_goes_on() {
    const EACCES: i32 = 13;
    for operation in [Operation::CreateDir, Operation::Create, Operation::Rename, Operation::Sync, Operation::SyncDir] {
        let (machine, wal) = in_tens();
        machine.inject(Fault::on(operation, EACCES).path("copy").sticky());
        let refused = wal.backup(Path::new(TO), ALL, &Care::default()).unwrap_err();
        assert!(matches!(refused.code(), ErrorCode::Io | ErrorCode::SyncFailed), "{operation:?}: {refused}");
        assert!(wal.failed().is_none());
        assert_eq!(wal.append(b"goes on", None).unwrap(), 40);
        machine.clear_faults();
        assert_eq!(wal.backup(Path::new(TO), ALL, &Care::default()).unwrap().position, 41);
    }
}

/// Backups of two threads into two directories, beside appends and rotations of a third: each copy is the log up to
/// where it says.
#[test]
fn backups_beside_writers_and_beside_each_other_hold_what_they_say() {
    let place = Place::new("parity-backup");
    let options = WalOptions { segment_size: Some(1 << 20), codec: "bytes".into(), ..WalOptions::default() };
    let wal = Wal::open(Arc::clone(&place.machine), &place.path.join("log"), &options).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && wal.next_index() < 100_000 {
                let index = wal.next_index();
                wal.append(&record(index, 500), None).unwrap();
                if index.is_multiple_of(700) {
                    wal.rotate().unwrap();
                }
            }
        });
        let copying: Vec<_> = ["one", "two"]
            .map(|name| {
                let (wal, to, place) = (&wal, place.path.join(name), &place);
                scope.spawn(move || {
                    for round in 0..4 {
                        let report = wal.backup(
                            &to,
                            BackupOptions { after_segment: None, active: round % 2 == 0 },
                            &Care::default(),
                        );
                        let report = report.unwrap();
                        let checked = check(Arc::clone(&place.machine), &to, &Care::default()).unwrap();
                        assert!(checked.ok, "{name}, {round}: {checked:?}");
                        assert!(checked.entries >= report.position, "{name}, {round}");
                    }
                })
            })
            .into();
        let copied: Vec<_> = copying.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        writing.join().unwrap();
        assert!(copied.iter().all(Result::is_ok));
    });
    for name in ["one", "two"] {
        let to = place.path.join(name);
        let position = wal.backup(&to, ALL, &Care::default()).unwrap().position;
        let copy = Wal::open(Arc::clone(&place.machine), &to, &options).unwrap();
        assert_eq!((position, copy.next_index()), (wal.next_index(), wal.next_index()));
        assert!(all(&copy) == all(&wal), "other records");
    }
}

/// Where the disk is full, room is made by dropping records: that needs none itself, but for a state where the active
/// segment is full to its end, too.
#[test]
fn on_a_full_disk_records_are_dropped_and_room_comes_back() {
    const STATE: u64 = 64;
    const FOOTER: u64 = 128;
    let mut dropped = 0;
    for len in (16..2000).step_by(24) {
        let options =
            WalOptions { retention: Some(Retention { max_segments: Some(2), ..Retention::default() }), ..small() };
        let (machine, wal) = fresh(&options);
        machine.set_capacity(Some(600 << 10));
        let full = (0..).find_map(|index| wal.append(&record(index, len), None).err()).unwrap();
        assert_eq!((full.code(), wal.failed().is_none()), (ErrorCode::NoSpace, true), "{full}");
        wal.sync().unwrap();
        let next = wal.next_index();
        let active = wal.segments().pop().unwrap();
        if active.bytes + STATE > active.capacity - FOOTER {
            assert_eq!(wal.truncate_before(next / 2).unwrap_err().code(), ErrorCode::NoSpace);
            assert_eq!((wal.first_index(), wal.failed().is_none()), (0, true), "nothing has happened");
            continue;
        }
        wal.truncate_before(next / 2).unwrap_or_else(|error| panic!("records of {len} bytes: {error}"));
        wal.sync().unwrap();
        while machine.run_job() {}
        wal.enforce_retention().unwrap();
        assert_eq!(wal.append(&record(next, len), None).unwrap(), next, "records of {len} bytes");
        wal.close().unwrap();
        let wal = open(&machine, &options).unwrap();
        assert_eq!(wal.next_index(), next + 1);
        assert!(wal.first_index() >= next / 2);
        dropped += 1;
    }
    assert!(dropped > 20);
}
