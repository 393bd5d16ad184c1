//! What producers wrote is known, whatever was removed, damaged or lost since.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_format::{ProducerRecord, ProducerSnapshot};
use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_log::{Care, Conditions, ErrorCode, Input, Log, LogOptions, Producer, Removal, Rule};
use varve_testkit::Rng;

use crate::model::{DIR, open, open_with, options, seed};

const VALUE: [u8; 300] = [7; 300];

fn send(log: &Log, id: u64, sequence: u64, count: usize) -> varve_log::Result<u64> {
    let producer = Some(Producer { id, epoch: 0, sequence });
    let inputs = vec![Input { key: Some(b"key"), value: Some(&VALUE), ..Input::default() }; count];
    log.append_batch(&inputs, &Conditions { producer, ..Conditions::default() })
}

fn finish(mut removal: Removal) {
    while removal.step(&Care::default()).unwrap() {}
}

fn snapshots(machine: &SimMachine) -> Vec<PathBuf> {
    let names = machine.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name);
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".prod")).collect();
    names.sort();
    names.into_iter().map(|name| Path::new(DIR).join(name)).collect()
}

fn flip(machine: &SimMachine, path: &Path, position: usize) {
    let mut bytes = machine.contents(path).unwrap();
    bytes[position] ^= 0x10;
    machine.set_contents(path, &bytes).unwrap();
}

#[test]
fn a_file_of_producers_is_read_as_it_was_written_and_not_with_any_bit_changed_or_any_byte_missing() {
    let producers = vec![
        ProducerRecord { id: 7, epoch: 2, batches: vec![(3, 40), (4, 41)] },
        ProducerRecord { id: u64::MAX, epoch: 0, batches: vec![] },
    ];
    let snapshot = ProducerSnapshot { log: 5, segment: (3, 9), offset: 42, producers };
    let bytes = snapshot.encode();
    assert_eq!(ProducerSnapshot::decode(&bytes), Some(snapshot));
    for at in 0..bytes.len() {
        assert_eq!(ProducerSnapshot::decode(&bytes[..at]), None, "{at} bytes");
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            assert_eq!(ProducerSnapshot::decode(&bytes), None, "byte {at}, bit {bit}");
        }
    }
}

/// Sequence and offset of the batches of each producer.
type Sent = BTreeMap<u64, Vec<(u64, u64)>>;

/// Every batch that must be remembered is, and nothing is written for it.
fn check(log: &Log, sent: &Sent, what: &str) {
    let next = log.next_offset();
    for (id, batches) in sent {
        for (sequence, offset) in batches.iter().rev().take(5) {
            assert_eq!(send(log, *id, *sequence, 3).unwrap(), *offset, "{what}: batch {sequence} of {id}");
        }
    }
    assert_eq!(log.next_offset(), next, "{what}: nothing is written again");
}

fn remove(log: &Arc<Log>, rng: &mut Rng) {
    let next = log.next_offset();
    match rng.below(4) {
        0 => finish(log.delete((0..next).filter(|_| rng.chance(70)).collect()).unwrap()),
        1 => finish(log.compact(i64::MAX).unwrap()),
        2 => finish(log.trim(&Rule::BeforeOffset(rng.below(next + 1))).unwrap()),
        _ => finish(log.trim(&Rule::BeforeOffset(next)).unwrap()),
    }
}

#[test]
fn batches_are_known_again_whatever_was_removed_and_those_that_are_lost_are_written_again() {
    let seed = seed();
    for round in 0..40 {
        let mut rng = Rng::new(seed + round);
        let mut machine = SimMachine::new(rng.bits());
        let mut log = open(&machine).unwrap();
        let mut sent = Sent::new();
        for step in 0..40 {
            let what = format!("round {round}, step {step}");
            match rng.below(12) {
                0..=6 => {
                    let id = rng.below(6);
                    let batches = sent.entry(id).or_default();
                    let sequence = batches.last().map_or(1, |(last, _)| last + 1);
                    let next = log.next_offset();
                    let most = if rng.chance(30) { 300 } else { 20 };
                    let count = 1 + rng.pick(most);
                    assert_eq!(send(&log, id, sequence, count).unwrap(), next, "{what}");
                    batches.push((sequence, next));
                }
                7 | 8 => remove(&log, &mut rng),
                9 => {
                    log.close().unwrap();
                    log = open(&machine).unwrap();
                }
                10 => {
                    log.flush().unwrap();
                    machine = machine.kill();
                    log = open(&machine).unwrap();
                }
                _ => {
                    if rng.chance(50) {
                        log.sync().unwrap();
                    }
                    machine = machine.crash(rng.bits());
                    log = open(&machine).unwrap();
                    let end = log.next_offset();
                    for (id, batches) in &mut sent {
                        let lost = batches.iter().find(|(_, offset)| *offset >= end).copied();
                        batches.retain(|(_, offset)| *offset < end);
                        if let Some((sequence, _)) = lost {
                            let next = log.next_offset();
                            assert_eq!(
                                send(&log, *id, sequence, 2).unwrap(),
                                next,
                                "{what}: {sequence} of {id} is lost"
                            );
                            batches.push((sequence, next));
                        }
                    }
                }
            }
            check(&log, &sent, &what);
            while rng.chance(40) && machine.run_job() {}
        }
        log.close().unwrap();
        assert_eq!(machine.violations(), Vec::<String>::new());
        let log = open(&machine).unwrap();
        check(&log, &sent, "at the end");
        // A crash may have left one more, which the next one takes along.
        finish(log.trim(&Rule::BeforeOffset(log.next_offset())).unwrap());
        assert!(snapshots(&machine).len() <= 2, "{:?}", snapshots(&machine));
    }
}

#[test]
fn a_crash_at_any_step_of_a_removal_forgets_no_batch() {
    let first = SimMachine::new(3);
    let log = open(&first).unwrap();
    let mut sent = Sent::new();
    for sequence in 1..=4 {
        for id in 0..3 {
            sent.entry(id).or_default().push((sequence, send(&log, id, sequence, 2).unwrap()));
        }
        log.wal().rotate().unwrap();
    }
    log.close().unwrap();
    drop(log);
    for way in 0..3 {
        for step in 0.. {
            let machine = first.kill();
            machine.crash_after(machine.changes() + step);
            let done = open(&machine).is_ok_and(|log| {
                let removal = match way {
                    0 => log.delete((0..24).collect()),
                    1 => log.compact(i64::MAX),
                    _ => log.trim(&Rule::BeforeOffset(24)),
                };
                let stepped = removal.and_then(|mut removal| {
                    while removal.step(&Care::default())? {}
                    Ok(())
                });
                stepped.is_ok() && log.sync().is_ok()
            });
            for after in [machine.kill(), machine.crash(step), machine.crash(step + 1000)] {
                let what = format!("way {way}, step {step}");
                let log = open(&after).unwrap_or_else(|error| panic!("{what}: {error}"));
                check(&log, &sent, &what);
                log.close().unwrap();
                assert_eq!(log.next_offset(), 24);
            }
            if done {
                break;
            }
        }
    }
}

#[test]
fn the_last_ten_thousand_producers_are_remembered_after_their_messages_are_gone() {
    let machine = SimMachine::new(1);
    let log = open(&machine).unwrap();
    for id in 0..=10_000 {
        assert_eq!(send(&log, id, 9, 1).unwrap(), id);
    }
    finish(log.trim(&Rule::BeforeOffset(10_001)).unwrap());
    log.close().unwrap();
    drop(log);
    let machine = machine.crash(1);
    let log = open(&machine).unwrap();
    assert_eq!((log.start_offset(), log.next_offset()), (10_001, 10_001));
    for id in 1..=10_000 {
        assert_eq!(send(&log, id, 9, 1).unwrap(), id);
    }
    assert_eq!(send(&log, 0, 9, 1).unwrap(), 10_001, "the one that wrote longest ago is forgotten");
}

/// A log of which all that producer 1 wrote has been removed, and whose snapshots are two.
fn removed() -> (SimMachine, Sent) {
    let machine = SimMachine::new(4);
    let log = open(&machine).unwrap();
    let mut sent = Sent::new();
    for sequence in 1..=6 {
        sent.entry(1).or_default().push((sequence, send(&log, 1, sequence, 2).unwrap()));
        log.wal().rotate().unwrap();
        log.append(&Input::default()).unwrap();
        while machine.run_job() {}
        finish(log.trim(&Rule::BeforeOffset(log.next_offset())).unwrap());
    }
    log.close().unwrap();
    drop(log);
    (machine.kill(), sent)
}

#[test]
fn without_the_snapshot_that_is_needed_the_log_does_not_open_unless_damage_is_skipped() {
    let (machine, sent) = removed();
    let all = snapshots(&machine);
    assert_eq!(all.len(), 2);
    check(&open(&machine.kill()).unwrap(), &sent, "intact");
    for position in [0, 30, 70] {
        let machine = machine.kill();
        flip(&machine, &all[1], position);
        let refused = open(&machine).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Corrupt);
        assert!(refused.to_string().contains(".prod"), "{refused}");
        let report = varve_log::check(Arc::new(machine.clone()), Path::new(DIR), &Care::default()).unwrap();
        assert!(!report.ok && report.damage.iter().any(|one| one.path == all[1]), "{report:?}");
        let skipping = LogOptions { skip_damage: Some(true), ..options(true) };
        let log = open_with(&machine, &skipping).unwrap();
        assert_eq!(log.next_offset(), 18);
    }
    flip(&machine, &all[0], 30);
    check(&open(&machine).unwrap(), &sent, "the older one is damaged");
}

#[test]
fn the_epoch_of_a_leader_is_known_after_its_segment_is_sealed_torn_or_gone() {
    let seed = seed();
    for round in 0..60 {
        let mut rng = Rng::new(seed + round);
        let machine = SimMachine::new(rng.bits());
        let log = open(&machine).unwrap();
        let led = |epoch| Conditions { leader_epoch: Some(epoch), ..Conditions::default() };
        let inputs = vec![Input { value: Some(&VALUE), ..Input::default() }; 1 + rng.pick(400)];
        log.append_batch(&inputs, &led(4)).unwrap();
        match rng.below(4) {
            0 => drop((0..400).map(|_| log.append(&inputs[0]).unwrap()).collect::<Vec<_>>()),
            1 => finish(log.trim(&Rule::BeforeOffset(log.next_offset())).unwrap()),
            2 => finish(log.delete((0..400).collect()).unwrap()),
            _ => {}
        }
        let synced = rng.chance(50);
        if synced {
            log.sync().unwrap();
        } else {
            log.flush().unwrap();
        }
        let machine = machine.crash(rng.bits());
        let log = open(&machine).unwrap();
        if synced || log.next_offset() > 0 {
            assert_eq!(log.append_batch(&inputs, &led(3)).unwrap_err().code(), ErrorCode::Fenced, "round {round}");
        }
        log.append_batch(&inputs, &led(4)).unwrap();
    }
}
