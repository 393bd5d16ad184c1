//! Repairing in place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_wal::{Care, ErrorCode, RecoverReport, Result, Wal, WalOptions, check, recover};

use crate::log::{DIR, all, fresh, open, record, small};

fn repair(machine: &SimMachine) -> Result<RecoverReport> {
    recover(Arc::new(machine.clone()), Path::new(DIR), &Care::default())
}

fn strict() -> WalOptions {
    WalOptions { verify: Some(true), ..small() }
}

fn segment(id: u64) -> PathBuf {
    Path::new(DIR).join(format!("{id:016}.seg"))
}

/// Five segments of ten records each, closed.
fn log() -> SimMachine {
    let (machine, wal) = fresh(&small());
    for index in 0..50 {
        if index > 0 && index % 10 == 0 {
            wal.rotate().unwrap();
        }
        wal.append(&record(index, 100), None).unwrap();
    }
    wal.close().unwrap();
    drop(wal);
    while machine.run_job() {}
    machine
}

fn flip(machine: &SimMachine, id: u64, position: usize, len: usize) {
    let mut bytes = machine.contents(&segment(id)).unwrap();
    bytes[position..position + len].iter_mut().for_each(|byte| *byte ^= 0x55);
    machine.set_contents(&segment(id), &bytes).unwrap();
}

fn records(from: u64, to: u64) -> Vec<(u64, Vec<u8>)> {
    (from..to).map(|index| (index, record(index, 100))).collect()
}

fn names(machine: &SimMachine) -> Vec<String> {
    machine.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect()
}

/// Position of the n-th record of a segment of [`log`]: behind the header and the state.
fn at(machine: &SimMachine, n: u64) -> usize {
    let wal = Wal::follow(Arc::new(machine.clone()), Path::new(DIR), &small()).unwrap();
    usize::try_from(wal.position_of(n).unwrap().unwrap().offset).unwrap()
}

/// What it is damaged by, what is left, and from which index on.
fn damages(machine: &SimMachine) -> Vec<(SimMachine, u64, u64)> {
    let third = at(machine, 3);
    let cases: [(u64, usize, usize, u64, u64); 7] = [
        (3, third + 20, 1, 23, 0),
        (1, third + 20, 1, 3, 0),
        (5, third, 16, 43, 0),
        (2, 0, 1024, 10, 0),
        (1, 0, 1024, 0, 0),
        (1, 1024, 16, 0, 0),
        (4, 0, 65_000, 30, 0),
    ];
    let damaged = cases.map(|(id, position, len, next, first)| {
        let machine = machine.kill();
        flip(&machine, id, position, len);
        (machine, first, next)
    });
    damaged.into()
}

#[test]
fn all_before_the_damage_is_kept_and_the_rest_is_set_aside() {
    for (machine, first, next) in damages(&log()) {
        let before: Vec<_> = names(&machine);
        let refused = open(&machine, &strict()).err().map(|error| error.code());
        assert_eq!(refused, Some(ErrorCode::Corrupt));
        let report = repair(&machine).unwrap();
        assert!(!report.ok && !report.damage.is_empty(), "{report:?}");
        assert_eq!(report.kept_entries, next - first, "{report:?}");
        assert!(report.set_aside.iter().all(|path| path.is_absolute() && machine.contents(path).is_ok()), "{report:?}");
        assert!(report.set_aside.iter().all(|path| path.to_string_lossy().ends_with(".lost")), "{report:?}");
        let after = names(&machine);
        for name in before.iter().filter(|name| name.ends_with(".seg") && !after.contains(name)) {
            let lost = name.replace(".seg", "-0000000000000000.lost");
            assert!(after.contains(&lost), "{name} is gone: {after:?}");
        }
        let again = repair(&machine).unwrap();
        assert!(again.ok && again.set_aside.is_empty(), "{again:?}");
        let wal = open(&machine, &small()).unwrap();
        assert_eq!(all(&wal), records(first, next));
        assert_eq!(wal.append(b"goes on", None).unwrap(), next);
        wal.close().unwrap();
        drop(wal);
        assert!(check(Arc::new(machine.clone()), Path::new(DIR), &Care::default()).unwrap().ok);
        assert_eq!(open(&machine, &small()).unwrap().next_index(), next + 1);
    }
}

#[test]
fn a_crash_at_any_step_leaves_the_damage_or_a_repaired_log() {
    for (number, (machine, first, next)) in damages(&log()).into_iter().enumerate() {
        for seed in 0..1 {
            for step in 0.. {
                let machine = machine.kill();
                machine.crash_after(machine.changes() + step);
                let done = repair(&machine).is_ok();
                assert!(done || machine.crashed());
                for after in [machine.kill(), machine.crash(seed), machine.crash(seed + 100)] {
                    let what = format!("damage {number}, seed {seed}, step {step}");
                    match open(&after, &strict()) {
                        Ok(wal) => {
                            assert_eq!(all(&wal), records(first, next), "{what}");
                            wal.close().unwrap();
                        }
                        Err(error) => {
                            assert!(!done, "{what}: it was done: {error}");
                            assert_eq!(error.code(), ErrorCode::Corrupt, "{what}: {error}");
                        }
                    }
                    repair(&after).unwrap_or_else(|error| panic!("{what}: {error}"));
                    let wal = open(&after, &small()).unwrap_or_else(|error| panic!("{what}, repaired: {error}"));
                    assert_eq!(all(&wal), records(first, next), "{what}");
                    let lost = |name: &String| name.ends_with(".lost") || name.ends_with(".torn");
                    let whole = names(&after).iter().filter(|name| name.ends_with(".seg") || lost(name)).count();
                    assert!(whole >= 6, "{what}: a file was deleted: {:?}", names(&after));
                }
                if done {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_whole_log_is_not_touched_and_a_torn_tail_is_cut() {
    let machine = log();
    let changes = machine.changes();
    let report = repair(&machine).unwrap();
    assert!(report.ok && report.damage.is_empty() && report.kept_entries == 50, "{report:?}");
    assert_eq!(machine.changes() - changes, 1, "more than the lock was taken");
    let wal = open(&machine, &small()).unwrap();
    wal.append(&record(50, 100), None).unwrap();
    wal.flush().unwrap();
    let machine = machine.kill();
    let (id, len) = (5, machine.contents(&segment(5)).unwrap().len());
    let end = machine.contents(&segment(id)).unwrap().iter().take(len - 128).rposition(|byte| *byte != 0).unwrap();
    flip(&machine, id, end, 1);
    let report = repair(&machine).unwrap();
    assert!(report.ok && report.kept_entries == 50, "{report:?}");
    assert_eq!(all(&open(&machine, &small()).unwrap()), records(0, 50));
}

#[test]
fn what_is_open_is_locked_and_what_is_called_off_is_not_changed() {
    let machine = log();
    let wal = open(&machine, &small()).unwrap();
    assert_eq!(repair(&machine).unwrap_err().code(), ErrorCode::Locked);
    wal.close().unwrap();
    flip(&machine, 3, 2000, 1);
    let (before, care) = (names(&machine), Care::default());
    care.abort();
    recover(Arc::new(machine.clone()), Path::new(DIR), &care).unwrap_err();
    assert_eq!(names(&machine), before);
    let care = Care::default();
    recover(Arc::new(machine.clone()), Path::new(DIR), &care).unwrap();
    let progress = care.progress();
    assert!(progress.total_segments > 0 && progress.segments == progress.total_segments, "{progress:?}");
}

#[test]
fn what_was_set_aside_keeps_the_bytes() {
    let machine = log();
    let position = at(&machine, 3);
    flip(&machine, 3, position + 20, 1);
    let whole = machine.contents(&segment(3)).unwrap();
    repair(&machine).unwrap();
    let lost = machine.contents(&Path::new(DIR).join(format!("{:016}-{position:016}.lost", 3))).unwrap();
    assert_eq!(lost, whole[position..position + lost.len()]);
    assert!(whole[position + lost.len()..].iter().all(|byte| *byte == 0));
}
