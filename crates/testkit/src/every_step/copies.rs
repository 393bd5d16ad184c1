//! Backups and salvages.

use std::path::Path;
use std::sync::Arc;

use varve_io::sim::SimMachine;
use varve_wal::{BackupOptions, Care, ErrorCode, Wal, check};

use super::{
    Records, TO, add, each_step, ensure, flip, held, in_tens, limit, open_at, options, place, segment, through,
};
use crate::failure::Failure;
use crate::open::{DIR, open};
use crate::snapshot::snapshot;

type Change = fn(&Arc<Wal>) -> Result<(), Failure>;

/// What is done to a log between one backup and the next.
const CHANGES: [(&str, Change); 7] = [
    ("more", |wal| add(wal, 10, 1)),
    ("more in another segment", |wal| {
        wal.rotate()?;
        add(wal, 10, 1)
    }),
    ("cut in the active segment", |wal| Ok(wal.truncate_after(44)?)),
    ("cut in the active segment, and more", |wal| {
        wal.truncate_after(44)?;
        add(wal, 20, 1)
    }),
    ("cut in a sealed segment, and more", |wal| {
        wal.truncate_after(24)?;
        add(wal, 30, 1)?;
        wal.rotate()?;
        add(wal, 5, 1)
    }),
    ("trimmed", |wal| {
        wal.truncate_before(24)?;
        Ok(wal.rotate()?)
    }),
    ("reset", |wal| {
        wal.reset(45)?;
        add(wal, 5, 1)
    }),
];

fn copy(wal: &Arc<Wal>, active: bool) -> varve_wal::Result<u64> {
    let options = BackupOptions { after_segment: None, active };
    wal.backup(Path::new(TO), options, &Care::default()).map(|report| report.position)
}

/// What the copy on a machine holds; it is opened on an image, and stays as it is.
fn held_by_copy(machine: &SimMachine) -> Result<Records, Failure> {
    let machine = machine.kill();
    let report = check(Arc::new(machine.clone()), Path::new(TO), &Care::default())?;
    ensure(report.ok, || format!("check finds damage in the copy: {:?}", report.damage))?;
    let wal = open_at(&machine, TO)?;
    let found = held(&wal)?;
    wal.append(b"writable", Some(wal.next_index()))?;
    wal.close()?;
    Ok(found)
}

/// A copy that is added to opens at every step, and holds what log and copy had in common; when the call has returned it holds what the log does,
/// durable: what is damaged of it later is no torn tail.
pub fn backup(setup: &dyn Fn(&SimMachine)) -> Result<u64, Failure> {
    let mut images = 0;
    for (name, change) in CHANGES {
        for (first, second) in [(true, true), (true, false), (false, true), (false, false)] {
            images += backup_after(&format!("{name}, active {first} and {second}"), change, (first, second), setup)?;
        }
    }
    Ok(images)
}

fn backup_after(
    name: &str,
    change: Change,
    (first, second): (bool, bool),
    setup: &dyn Fn(&SimMachine),
) -> Result<u64, Failure> {
    let machine = in_tens(setup)?;
    let wal = open(&machine, &options())?;
    copy(&wal, first)?;
    let before = held_by_copy(&machine)?;
    change(&wal)?;
    let log = held(&wal)?;
    wal.close()?;
    drop(wal);
    while machine.run_job() {}
    let act = |machine: &SimMachine, step| {
        let wal = open(machine, &options())?;
        limit(machine, step);
        through(machine, copy(&wal, second))
    };
    let steps = |machine: &SimMachine, done: Option<&u64>| {
        let found = held_by_copy(machine)?;
        let known = |(index, bytes): (&u64, &Vec<u8>)| [&before, &log].iter().any(|one| one.get(index) == Some(bytes));
        ensure(found.iter().all(known), || "the copy holds what the log never did".into())?;
        let common = before.iter().filter(|(index, bytes)| log.get(index) == Some(*bytes));
        let missing = common.clone().find(|(index, _)| !found.contains_key(index));
        ensure(missing.is_none(), || format!("the copy has lost record {:?}", missing.map(|(index, _)| index)))?;
        let Some(position) = done else { return Ok(()) };
        let expected: Records = log.clone().into_iter().filter(|(index, _)| index < position).collect();
        let is_whole =
            if second { found == log } else { expected.iter().all(|(index, one)| found.get(index) == Some(one)) };
        ensure(is_whole, || format!("the copy is not the log up to {position}"))?;
        damaged_later(machine, &found)
    };
    each_step(name, &machine, act, steps)
}

/// The last record of a copy that is whole is damaged: that is found, and not cut off.
fn damaged_later(machine: &SimMachine, found: &Records) -> Result<(), Failure> {
    let Some((last, _)) = found.last_key_value() else { return Ok(()) };
    let machine = machine.kill();
    let (id, position) = place(&machine, TO, *last)?;
    flip(&machine, &segment(TO, id), position + 20, 1)?;
    let code = open_at(&machine, TO).err().map(|error| error.code());
    ensure(code == Some(ErrorCode::Corrupt), || format!("damage of the copy's last record is {code:?}"))
}

/// The source is never changed; when the call has returned the copy is whole, and durable.
pub fn salvage(setup: &dyn Fn(&SimMachine)) -> Result<u64, Failure> {
    let mut images = 0;
    for lost in [vec![23], vec![3, 48], vec![0], vec![49], vec![]] {
        let machine = in_tens(setup)?;
        let mut expected = held(&open(&machine.kill(), &options())?)?;
        let places: Vec<_> = lost.iter().map(|index| place(&machine, DIR, *index)).collect::<Result<_, _>>()?;
        for (index, (id, position)) in lost.iter().zip(places) {
            flip(&machine, &segment(DIR, id), position + 20, 1)?;
            expected.remove(index);
        }
        let source = snapshot(&machine);
        let act = |machine: &SimMachine, step| {
            limit(machine, step);
            let (from, to) = (Path::new(DIR), Path::new(TO));
            through(machine, varve_wal::salvage(Arc::new(machine.clone()), from, to, &Care::default()))
        };
        let holds = |machine: &SimMachine, done: Option<&varve_wal::RecoverReport>| {
            ensure(snapshot(machine) == source, || "the source has changed".into())?;
            let Some(report) = done else { return Ok(()) };
            let wal = open_at(machine, TO)?;
            ensure(held(&wal)? == expected, || "the copy holds other records".into())?;
            let (kept, gaps) = (expected.len() as u64, &wal.stats().recovery.gaps);
            ensure(report.kept_entries == kept, || format!("{} records are said to be kept", report.kept_entries))?;
            let gone: u64 = gaps.iter().map(|gap| gap.within(0, 50)).sum();
            ensure(gone == lost.len() as u64 && wal.next_index() == 50, || format!("the gaps are {gaps:?}"))?;
            wal.append(b"writable", Some(50))?;
            Ok(wal.close()?)
        };
        images += each_step(&format!("salvage without {lost:?}"), &machine, act, holds)?;
    }
    Ok(images)
}
