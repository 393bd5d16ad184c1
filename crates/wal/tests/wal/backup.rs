//! Backups: what is written opens at every moment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_wal::{BackupOptions, BackupReport, Care, ErrorCode, Result, Wal, WalOptions, check};

use crate::log::{all, batch, fresh, open, record, small};

const TO: &str = "/data/copy";
const SEALED: BackupOptions = BackupOptions { after_segment: None, active: false };
const ALL: BackupOptions = BackupOptions { after_segment: None, active: true };

fn backup(wal: &Arc<Wal>, options: BackupOptions) -> Result<BackupReport> {
    wal.backup(Path::new(TO), options, &Care::default())
}

fn strict() -> WalOptions {
    WalOptions { verify: Some(true), ..small() }
}

fn open_copy(machine: &SimMachine) -> Result<Arc<Wal>> {
    Wal::open(Arc::new(machine.clone()), Path::new(TO), &strict())
}

/// What the copy holds, read from an image of the machine, so that the copy itself is not opened.
fn held(machine: &SimMachine, what: &str) -> (u64, Vec<(u64, Vec<u8>)>) {
    let machine = machine.kill();
    let report = check(Arc::new(machine.clone()), Path::new(TO), &Care::default()).unwrap();
    assert!(report.ok, "{what}: {report:?}");
    let wal = open_copy(&machine).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = (wal.first_index(), all(&wal));
    let next = wal.next_index();
    assert_eq!(wal.append(b"writable", None).unwrap(), next, "{what}");
    wal.close().unwrap();
    found
}

fn add(wal: &Arc<Wal>, count: u64) {
    for _ in 0..count {
        let index = wal.next_index();
        wal.append(&record(index, 100), None).unwrap();
    }
}

fn records(from: u64, to: u64) -> Vec<(u64, Vec<u8>)> {
    (from..to).map(|index| (index, record(index, 100))).collect()
}

fn names(machine: &SimMachine) -> Vec<String> {
    machine.list(Path::new(TO)).map_or_else(|_| Vec::new(), |all| all.into_iter().map(|entry| entry.name).collect())
}

#[test]
fn sealed_segments_and_on_demand_the_active_one() {
    let (machine, wal) = fresh(&small());
    add(&wal, 10);
    let report = backup(&wal, SEALED).unwrap();
    assert_eq!((report.position, held(&machine, "nothing sealed")), (0, (0, vec![])));
    wal.rotate().unwrap();
    add(&wal, 10);
    let report = backup(&wal, SEALED).unwrap();
    assert_eq!((report.position, held(&machine, "one sealed")), (10, (0, records(0, 10))));
    assert!(report.bytes > 0 && report.files.iter().all(|path| path.is_absolute() && machine.contents(path).is_ok()));
    let report = backup(&wal, ALL).unwrap();
    assert_eq!((report.position, held(&machine, "the active one")), (20, (0, records(0, 20))));
    add(&wal, 5);
    assert_eq!(backup(&wal, ALL).unwrap().position, 25);
    wal.rotate().unwrap();
    add(&wal, 5);
    let report = backup(&wal, SEALED).unwrap();
    assert_eq!((report.position, held(&machine, "sealed since")), (25, (0, records(0, 25))));
    assert_eq!(report.files.len(), 2, "{report:?}");
}

#[test]
fn after_a_segment_only_what_follows_it() {
    let (machine, wal) = fresh(&small());
    for _ in 0..4 {
        add(&wal, 10);
        wal.rotate().unwrap();
    }
    let report = backup(&wal, BackupOptions { after_segment: Some(2), active: false }).unwrap();
    assert_eq!((report.position, held(&machine, "after 2")), (40, (20, records(20, 40))));
    add(&wal, 3);
    let report = backup(&wal, BackupOptions { after_segment: Some(4), active: true }).unwrap();
    assert_eq!((report.position, held(&machine, "after 4")), (43, (20, records(20, 43))));
}

/// Changes the log; what it holds is told by itself.
fn change(wal: &Arc<Wal>, draw: &mut impl FnMut(u64) -> u64) {
    let (first, next) = (wal.first_index(), wal.next_index());
    match draw(10) {
        0..3 => add(wal, draw(20)),
        3 => {
            let records: Vec<_> = (0..draw(4)).map(|i| record(next + i, 30_000)).collect();
            batch(wal, &records).unwrap();
        }
        4 | 5 => wal.rotate().unwrap(),
        6 => wal.truncate_after(next - draw(next - first + 1).min(15)).unwrap(),
        7 => wal.truncate_before(first + draw(next - first + 1).min(15)).unwrap(),
        8 => wal.commit(first.max(next - draw(next - first + 1))).unwrap(),
        _ => drop(wal.sync().unwrap()),
    }
}

fn draws(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    move |limit: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % limit.max(1)
    }
}

fn seed() -> u64 {
    let seed = std::env::var("VARVE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("VARVE_SEED={seed}");
    seed
}

#[test]
fn a_backup_that_is_added_to_holds_what_the_log_holds() {
    let seed = seed();
    for seed in seed..seed + 40 {
        let mut draw = draws(seed);
        let (machine, wal) = fresh(&small());
        for round in 0..12 {
            for _ in 0..draw(8) {
                change(&wal, &mut draw);
            }
            let active = draw(3) > 0;
            let what = format!("seed {seed}, round {round}, active {active}");
            let report = backup(&wal, BackupOptions { after_segment: None, active })
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            let (first, found) = held(&machine, &what);
            if active {
                assert_eq!((first, report.position), (wal.first_index(), wal.next_index()), "{what}");
                assert!(found == all(&wal), "{what}: other records");
            }
            let own: Vec<_> = all(&wal).into_iter().filter(|(index, _)| *index < report.position).collect();
            assert!(own.iter().all(|one| found.contains(one)), "{what}: a record below {} is missing", report.position);
        }
    }
}

#[test]
fn a_crash_at_any_step_leaves_a_log_that_opens_and_can_be_added_to() {
    let seed = seed();
    for seed in seed..seed + 4 {
        let mut draw = draws(seed);
        let (machine, wal) = fresh(&small());
        for _ in 0..12 {
            change(&wal, &mut draw);
        }
        backup(&wal, if draw(2) == 0 { ALL } else { SEALED }).unwrap();
        for _ in 0..12 {
            change(&wal, &mut draw);
        }
        wal.close().unwrap();
        drop(wal);
        machine.drop_jobs();
        let options = if draw(2) == 0 { ALL } else { SEALED };
        for step in 0.. {
            let what = format!("seed {seed}, step {step}");
            let machine = machine.kill();
            let wal = open(&machine, &small()).unwrap();
            machine.crash_after(machine.changes() + step);
            let done = backup(&wal, options).is_ok();
            assert!(done || machine.crashed(), "{what}");
            for after in [machine.kill(), machine.crash(seed), machine.crash(seed + step)] {
                held(&after, &what);
                let wal = open(&after, &small()).unwrap();
                backup(&wal, ALL).unwrap_or_else(|error| panic!("{what}, again: {error}"));
                let (_, found) = held(&after, &what);
                assert!(found == all(&wal), "{what}: other records");
            }
            if done {
                break;
            }
        }
    }
}

#[test]
fn other_directories_are_refused_before_anything_is_written() {
    let (machine, wal) = fresh(&small());
    add(&wal, 10);
    wal.rotate().unwrap();
    let refused = wal.backup(Path::new(crate::log::DIR), ALL, &Care::default()).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidArgument);
    machine.create_dir_all(Path::new(TO)).unwrap();
    machine.set_contents(&PathBuf::from(TO).join("notes.txt"), b"mine").unwrap();
    assert_eq!(backup(&wal, ALL).unwrap_err().code(), ErrorCode::InvalidArgument);
    assert_eq!(names(&machine), ["notes.txt"]);
    machine.unlink(&PathBuf::from(TO).join("notes.txt")).unwrap();

    backup(&wal, ALL).unwrap();
    let written = machine.kill();
    let copy = open_copy(&written).unwrap();
    copy.append(b"written to the backup", None).unwrap();
    let wal = open(&written, &small()).unwrap();
    assert_eq!(backup(&wal, ALL).unwrap_err().code(), ErrorCode::Locked);
    copy.close().unwrap();
    add(&wal, 2);
    let before = names(&written);
    let refused = backup(&wal, ALL).unwrap_err();
    assert_eq!((refused.code(), names(&written)), (ErrorCode::InvalidArgument, before), "{refused}");

    let (other, elsewhere) = fresh(&small());
    drop(other);
    let another = Wal::open(Arc::new(machine.clone()), Path::new("/data/another"), &small()).unwrap();
    assert_eq!(backup(&another, ALL).unwrap_err().code(), ErrorCode::InvalidArgument);
    drop(elsewhere);
}

#[test]
fn one_that_is_called_off_leaves_a_log_and_no_temporary_file() {
    let (machine, wal) = fresh(&small());
    for _ in 0..4 {
        add(&wal, 10);
        wal.rotate().unwrap();
    }
    let care = Care::default();
    care.abort();
    wal.backup(Path::new(TO), ALL, &care).unwrap_err();
    assert!(!names(&machine).iter().any(|name| name.ends_with(".tmp") || name.ends_with(".seg")));
    let report = backup(&wal, ALL).unwrap();
    assert_eq!((report.position, report.files.len()), (40, 5));
    assert_eq!(held(&machine, "again"), (0, records(0, 40)));
}
