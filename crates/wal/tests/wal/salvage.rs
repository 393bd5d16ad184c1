//! Copying what is intact.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_wal::{Care, ErrorCode, RecoverReport, Result, Wal, WalOptions, check, salvage};

use crate::log::{DIR, all, batch, fresh, open, record, small};

const TO: &str = "/data/copy";

fn copy(machine: &SimMachine, care: &Care) -> Result<RecoverReport> {
    salvage(Arc::new(machine.clone()), Path::new(DIR), Path::new(TO), care)
}

fn open_copy(machine: &SimMachine) -> Arc<Wal> {
    Wal::open(Arc::new(machine.clone()), Path::new(TO), &WalOptions { verify: Some(true), ..small() }).unwrap()
}

fn segment(id: u64) -> PathBuf {
    Path::new(DIR).join(format!("{id:016}.seg"))
}

/// Five segments of twenty records each; the first five records are dropped, and ninety are committed.
fn log() -> SimMachine {
    let (machine, wal) = fresh(&WalOptions { marker: Some(77), ..small() });
    for index in 0..100 {
        if index > 0 && index % 20 == 0 {
            wal.rotate().unwrap();
        }
        wal.append(&record(index, 100), None).unwrap();
    }
    wal.truncate_before(5).unwrap();
    wal.commit(90).unwrap();
    wal.close().unwrap();
    drop(wal);
    while machine.run_job() {}
    machine
}

/// Which records the file of a segment holds, and where: (index, frame's start, frame's end).
fn places(machine: &SimMachine) -> Vec<(u64, u64, u64, u64)> {
    let wal = Wal::follow(Arc::new(machine.clone()), Path::new(DIR), &small()).unwrap();
    (5..100)
        .map(|index| {
            let place = wal.position_of(index).unwrap().unwrap();
            (index, place.segment, place.offset, place.offset + 16 + 104)
        })
        .collect()
}

#[test]
fn whatever_is_intact_is_copied_at_its_own_index_and_the_gaps_are_recorded() {
    let seed: u64 = std::env::var("VARVE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("VARVE_SEED={seed}");
    let (whole, places) = {
        let machine = log();
        let places = places(&machine);
        (machine, places)
    };
    for round in 0..60 {
        let machine = whole.kill();
        let mut random = (seed + round).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut draw = |limit: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % limit
        };
        let mut hit = Vec::new();
        for _ in 0..=draw(4) {
            let (id, position) = (1 + draw(5), 1200 + draw(2300));
            let mut bytes = machine.contents(&segment(id)).unwrap();
            bytes[usize::try_from(position).unwrap()] ^= 1 << draw(8);
            machine.set_contents(&segment(id), &bytes).unwrap();
            hit.push((id, position));
        }
        let is_hit =
            |id, from, to| hit.iter().filter(|(at, position)| *at == id && (from..to).contains(position)).count() > 0;
        // Two hits may undo each other.
        let twice = hit.iter().enumerate().any(|(i, one)| hit[..i].contains(one));
        if twice {
            continue;
        }
        let expected: Vec<_> = places
            .iter()
            .filter(|(_, id, from, to)| !is_hit(*id, *from, *to))
            .map(|(index, ..)| (*index, record(*index, 100)))
            .collect();
        let what = format!("seed {seed}, round {round}, {hit:?}");
        let before = machine.list(Path::new(DIR)).unwrap().len();
        let report = copy(&machine, &Care::default()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(machine.list(Path::new(DIR)).unwrap().len(), before, "{what}: the source was changed");
        assert_eq!(report.kept_entries, expected.len() as u64, "{what}: {report:?}");
        assert_eq!(report.ok, expected.len() == 95 && report.damage.is_empty() || report.ok, "{what}");
        let checked = check(Arc::new(machine.clone()), Path::new(TO), &Care::default()).unwrap();
        assert!(checked.ok && checked.entries == expected.len() as u64, "{what}: {checked:?}");
        let wal = open_copy(&machine);
        assert!(all(&wal) == expected, "{what}: other records");
        assert_eq!((wal.first_index(), wal.next_index(), wal.committed()), (5, 100, 90), "{what}");
        assert!(wal.segments().iter().all(|segment| segment.marker == 77), "{what}");
        let lost: u64 = wal.stats().recovery.gaps.iter().map(|gap| gap.within(5, 100)).sum();
        assert_eq!(lost, 95 - expected.len() as u64, "{what}: {:?}", wal.stats().recovery.gaps);
        assert_eq!(wal.append(b"goes on", None).unwrap(), 100, "{what}");
    }
}

#[test]
fn a_log_that_is_open_is_copied_beside_its_writer() {
    let machine = log();
    let wal = open(&machine, &small()).unwrap();
    wal.append(&record(100, 100), None).unwrap();
    wal.flush().unwrap();
    assert_eq!(copy(&machine, &Care::default()).unwrap().kept_entries, 96);
    assert_eq!(wal.append(&record(101, 100), None).unwrap(), 101);
}

#[test]
fn a_target_that_is_not_empty_is_refused_and_what_fails_leaves_nothing() {
    let machine = log();
    copy(&machine, &Care::default()).unwrap();
    let names = |machine: &SimMachine| machine.list(Path::new(TO)).map_or(0, |entries| entries.len());
    let before = names(&machine);
    assert_eq!(copy(&machine, &Care::default()).unwrap_err().code(), ErrorCode::InvalidArgument);
    assert_eq!(names(&machine), before);
    let same = salvage(Arc::new(machine.clone()), Path::new(DIR), Path::new(DIR), &Care::default());
    assert_eq!(same.unwrap_err().code(), ErrorCode::InvalidArgument);

    let machine = log();
    let care = Care::default();
    care.abort();
    copy(&machine, &care).unwrap_err();
    assert_eq!(names(&machine), 0);
    for passing in [0, 1, 2, 5] {
        machine.inject(varve_io::sim::Fault::on(varve_io::Operation::Write, 5).path(TO).after(passing));
        copy(&machine, &Care::default()).unwrap_err();
        machine.clear_faults();
        assert_eq!(names(&machine), 0, "after {passing} writes");
    }
    assert_eq!(copy(&machine, &Care::default()).unwrap().kept_entries, 95);
}

/// A batch of six that a truncation has halved, in one segment or over two, and damage in what it cut.
#[test]
fn what_a_truncation_kept_of_a_batch_is_copied_whatever_became_of_the_rest() {
    for len in [100, 30_000] {
        for and_elsewhere in [false, true] {
            let (machine, wal) = fresh(&small());
            (0..6).for_each(|index| assert_eq!(wal.append(&record(index, 100), None).unwrap(), index));
            let first = batch(&wal, &(6..12).map(|index| record(index, len)).collect::<Vec<_>>()).unwrap();
            assert_eq!(first, 6);
            let cut = wal.position_of(9).unwrap().unwrap();
            assert_eq!(cut.segment, if len == 100 { 1 } else { 2 }, "where the part that is cut begins");
            wal.truncate_after(9).unwrap();
            wal.append(&record(9, 50), None).unwrap();
            wal.append(&record(10, 50), None).unwrap();
            wal.flush().unwrap();
            let last = wal.position_of(10).unwrap().unwrap();
            let held = all(&wal);
            wal.close().unwrap();
            drop(wal);
            while machine.run_job() {}
            let flip = |id: u64, position: u64| {
                let mut bytes = machine.contents(&segment(id)).unwrap();
                bytes[usize::try_from(position).unwrap()] ^= 1;
                machine.set_contents(&segment(id), &bytes).unwrap();
            };
            flip(cut.segment, cut.offset + 20);
            if and_elsewhere {
                flip(last.segment, last.offset + 20);
            }
            copy(&machine, &Care::default()).unwrap();
            let kept = if and_elsewhere { 10 } else { 11 };
            let copied = all(&open_copy(&machine));
            let indexes: Vec<_> = copied.iter().map(|(index, _)| *index).collect();
            assert!(copied == held[..kept], "{len} bytes, damage elsewhere: {and_elsewhere}: {indexes:?}");
        }
    }
}
