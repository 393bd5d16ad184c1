//! The care of a log: what is damaged is told, what is intact is rescued, and a crash at any step of it loses nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_log::{Care, CheckReport, Conditions, ErrorCode, Log, LogOptions, Migrate, Producer, Result, Rule};
use varve_testkit::Rng;

use crate::model::{DIR, Known, all, batch, check as compare, compression, open, open_with, options, seed};

const COPY: &str = "/data/copy";

pub fn shared(machine: &SimMachine) -> Arc<dyn Machine> {
    Arc::new(machine.clone())
}

pub fn check(machine: &SimMachine, dir: &str) -> Result<CheckReport> {
    varve_log::check(shared(machine), Path::new(dir), &Care::default())
}

fn recover(machine: &SimMachine) -> Result<varve_log::RecoverReport> {
    varve_log::recover(shared(machine), Path::new(DIR), &Care::default())
}

fn salvage(machine: &SimMachine) -> Result<varve_log::RecoverReport> {
    varve_log::salvage(shared(machine), Path::new(DIR), Path::new(COPY), &Care::default())
}

fn open_copy(machine: &SimMachine) -> Result<Arc<Log>> {
    Log::open(shared(machine), Path::new(COPY), &options(true))
}

pub fn sent(sequence: u64) -> Conditions {
    Conditions { producer: Some(Producer { id: 9, epoch: 1, sequence }), ..Conditions::default() }
}

/// Adds messages, alone and in batches, over several segments.
fn add(log: &Arc<Log>, known: &mut Vec<Known>, rng: &mut Rng, segments: usize) {
    for _ in 0..segments {
        for _ in 0..3 {
            let next = log.next_offset();
            if rng.chance(50) {
                for i in 0..rng.below(12) {
                    let message = Known::random(rng, next + i);
                    log.append(&message.input()).unwrap();
                    known.push(message);
                }
            } else {
                let count = if rng.chance(30) { 150 } else { 1 + rng.below(8) };
                let messages: Vec<_> = (0..count).map(|i| Known::random(rng, next + i)).collect();
                batch(log, &messages, compression(rng)).unwrap();
                known.extend(messages);
            }
        }
        log.wal().rotate().unwrap();
    }
}

fn delete(log: &Arc<Log>, known: &mut Vec<Known>, rng: &mut Rng, share: u64) {
    let offsets: Vec<u64> = known.iter().map(|one| one.offset).filter(|_| rng.chance(share)).collect();
    let mut removal = log.delete(offsets.clone()).unwrap();
    while removal.step(&Care::default()).unwrap() {}
    known.retain(|one| offsets.binary_search(&one.offset).is_err());
}

/// A log with all there is: removed messages, a start that has moved, a cursor, a high-water mark, a producer. Closed.
pub fn log(rng: &mut Rng) -> (SimMachine, Vec<Known>) {
    let machine = SimMachine::new(rng.bits());
    let log = open(&machine).unwrap();
    let mut known = Vec::new();
    add(&log, &mut known, rng, 4);
    let message = Known::random(rng, log.next_offset());
    assert_eq!(log.append_on(&message.input(), &sent(1)).unwrap(), message.offset);
    known.push(message);
    delete(&log, &mut known, rng, 20);
    let to = known[known.len() / 8].offset;
    let mut trim = log.trim(&Rule::BeforeOffset(to)).unwrap();
    while trim.step(&Care::default()).unwrap() {}
    known.retain(|one| one.offset >= to);
    log.cursor("reader", to, None).unwrap();
    log.advance_high_water_mark(to + 3).unwrap();
    add(&log, &mut known, rng, 2);
    log.close().unwrap();
    drop(log);
    while machine.run_job() {}
    (machine.kill(), known)
}

/// Compares all that can be read and is kept beside with what it should be; a batch that is sent again is known.
pub fn is_whole(log: &Arc<Log>, known: &[Known], before: &Arc<Log>, rng: &mut Rng) {
    compare(log, known, rng);
    assert_eq!(log.cursors(), before.cursors());
    assert_eq!(log.next_offset(), before.next_offset());
    assert_eq!(log.high_water_mark(), before.high_water_mark());
    let again = |log: &Arc<Log>| log.append_on(&known[0].input(), &sent(1)).unwrap();
    assert_eq!(again(log), again(before));
    assert_eq!(log.next_offset(), before.next_offset());
}

/// Runs `work` with a crash at each step, and looks at what is left, with `false` as long as it had not returned.
pub fn at_every_step(
    first: &SimMachine,
    work: impl Fn(&SimMachine) -> Result<()>,
    look: impl Fn(&SimMachine, bool, &str),
) {
    for step in 0.. {
        let machine = first.kill();
        machine.crash_after(machine.changes() + step);
        let done = work(&machine).is_ok();
        assert!(done || machine.crashed(), "it failed without a crash");
        for (image, after) in [machine.kill(), machine.crash(step), machine.crash(step + 10_000)].iter().enumerate() {
            look(after, done, &format!("step {step}, image {image}"));
        }
        if done {
            break;
        }
    }
}

pub fn files(machine: &SimMachine) -> Vec<PathBuf> {
    let names = machine.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name);
    let mut names: Vec<_> = names.filter(|name| name != "LOCK").collect();
    names.sort();
    names.into_iter().map(|name| Path::new(DIR).join(name)).collect()
}

fn flip(machine: &SimMachine, path: &Path, position: usize) {
    let mut bytes = machine.contents(path).unwrap();
    bytes[position] ^= 0x20;
    machine.set_contents(path, &bytes).unwrap();
}

fn strict() -> LogOptions {
    LogOptions { verify: Some(true), ..options(true) }
}

#[test]
fn what_is_whole_is_found_whole_beside_its_writer_too_and_messages_are_counted() {
    let mut rng = Rng::new(seed());
    for _ in 0..6 {
        let (machine, known) = log(&mut rng);
        let report = check(&machine, DIR).unwrap();
        assert!(report.ok && report.damage.is_empty(), "{:?}", report.damage);
        assert_eq!(report.entries, known.len() as u64);
        let stats = varve_log::stat(shared(&machine), Path::new(DIR)).unwrap();
        let log = open(&machine).unwrap();
        assert_eq!((stats.start_offset, stats.next_offset), (log.start_offset(), log.next_offset()));
        assert_eq!(stats.messages, log.stats().messages);
        let beside = check(&machine, DIR).unwrap();
        assert!(beside.ok && beside.damage.is_empty(), "{:?}", beside.damage);
        assert_eq!(recover(&machine).unwrap_err().code(), ErrorCode::Locked);
        log.close().unwrap();
        let recovered = recover(&machine).unwrap();
        assert!(recovered.ok && recovered.set_aside.is_empty());
        compare(&open(&machine).unwrap(), &known, &mut rng);
    }
}

#[test]
fn damage_anywhere_is_told_and_all_else_is_rescued() {
    let mut rng = Rng::new(seed());
    for round in 0..4 {
        let (machine, known) = log(&mut rng);
        for number in 0..30 {
            let machine = machine.kill();
            let files = files(&machine);
            let path = &files[rng.pick(files.len())];
            let len = machine.contents(path).unwrap().len();
            let most = if path.extension().is_some_and(|extension| extension == "seg") { len.min(9000) } else { len };
            let position = rng.pick(most);
            flip(&machine, path, position);
            let what = format!("round {round}, {number}: byte {position} of {}", path.display());
            let report = check(&machine, DIR).unwrap_or_else(|error| panic!("{what}: {error}"));
            let torn = report.damage.iter().any(|one| one.reason == "torn tail");
            let opened = open_with(&machine.kill(), &strict());
            assert_eq!(opened.is_ok(), report.ok, "{what}: {report:?}, {:?}", opened.err());
            if let Ok(log) = opened {
                if torn {
                    let held = all(&log);
                    assert_eq!(held, known[..held.len()], "{what}");
                } else {
                    compare(&log, &known, &mut rng);
                    assert_eq!(report.entries, known.len() as u64, "{what}");
                }
            }
            let derived = path.extension().is_some_and(|it| ["dig", "key", "prod"].iter().any(|of| it == *of));
            // Behind its header the first block of a table is empty.
            let empty = path.extension().is_some_and(|it| it == "key") && (64..4096).contains(&position);
            assert!(!derived || empty || !report.damage.is_empty(), "{what}: it is not told");
            if report.damage.is_empty() {
                continue;
            }
            salvage(&machine).unwrap_or_else(|error| panic!("{what}: {error}"));
            let copy = open_copy(&machine).unwrap();
            let rescued = all(&copy);
            assert!(rescued.iter().all(|one| known.contains(one)), "{what}: nothing is made up");
            assert!(rescued.len() + 170 >= known.len(), "{what}: {} of {}", rescued.len(), known.len());
            assert!(rescued.windows(2).all(|pair| pair[0].offset < pair[1].offset), "{what}");
            compare(&copy, &rescued, &mut rng);
            copy.close().unwrap();
            let copied = check(&machine, COPY).unwrap();
            assert!(copied.ok, "{what}: {copied:?}");

            let fixed = recover(&machine).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(fixed.ok, report.ok || path.extension().is_some_and(|it| it == "prod"), "{what}");
            let log = open_with(&machine, &strict()).unwrap_or_else(|error| panic!("{what}: {error}"));
            let held = all(&log);
            assert_eq!(held, known[..held.len()], "{what}: what lies before the damage");
            compare(&log, &held, &mut rng);
            let next = log.next_offset();
            assert!(held.last().is_none_or(|last| last.offset < next));
            let message = Known { key: Some(vec![1]), ..Known::random(&mut rng, next) };
            assert_eq!(log.append(&message.input()).unwrap(), next, "{what}");
            assert_eq!(log.offset_by_key(Some(&[1])).unwrap(), Some(next), "{what}");
        }
    }
}

#[test]
fn offsets_and_batches_that_a_repair_cuts_off_are_not_mixed_with_what_comes() {
    let mut rng = Rng::new(seed());
    let machine = SimMachine::new(5);
    let log = open(&machine).unwrap();
    let mut known = Vec::new();
    add(&log, &mut known, &mut rng, 3);
    let cut = Known { key: Some(b"cut".to_vec()), ..Known::random(&mut rng, log.next_offset()) };
    assert_eq!(log.append_on(&cut.input(), &sent(1)).unwrap(), cut.offset);
    log.wal().rotate().unwrap();
    add(&log, &mut known, &mut rng, 1);
    let next = log.next_offset();
    // What is remembered of the batch is in a snapshot.
    while machine.run_job() {}
    log.close().unwrap();
    drop(log);
    let second = files(&machine).into_iter().filter(|path| path.extension().is_some_and(|it| it == "seg")).nth(1);
    flip(&machine, &second.unwrap(), 1030);
    assert_eq!(open_with(&machine, &strict()).unwrap_err().code(), ErrorCode::Corrupt);
    assert!(!recover(&machine).unwrap().ok);
    let log = open(&machine).unwrap();
    assert_eq!(log.offset_by_key(Some(b"cut")).unwrap(), None);
    assert_eq!(log.next_offset(), next, "offsets that were cut off are not given again");
    assert_eq!(log.append_on(&cut.input(), &sent(1)).unwrap(), next, "a batch that was cut off is written again");
    assert_eq!(log.offset_by_key(Some(b"cut")).unwrap(), Some(next));
}

#[test]
fn a_copy_of_what_is_left_keeps_offsets_state_and_what_is_known_of_losses() {
    let mut rng = Rng::new(seed());
    for _ in 0..5 {
        let (machine, known) = log(&mut rng);
        let first = all(&open(&machine.kill()).unwrap());
        let report = salvage(&machine).unwrap();
        assert!(report.ok);
        let (copy, before) = (open_copy(&machine).unwrap(), open(&machine).unwrap());
        assert_eq!(copy.stats().entries.recovery.gaps.len(), 0, "what was removed is no gap");
        assert_eq!(first, known);
        is_whole(&copy, &known, &before, &mut rng);
        copy.close().unwrap();
        drop((copy, before));
        let without = machine.kill();
        for entry in without.list(Path::new(COPY)).unwrap().into_iter().filter(|entry| entry.name.ends_with(".prod")) {
            without.unlink(&Path::new(COPY).join(entry.name)).unwrap();
        }
        assert_eq!(open_copy(&without).unwrap_err().code(), ErrorCode::Corrupt, "producers must be known");
        let third = files(&machine).into_iter().filter(|path| path.extension().is_some_and(|it| it == "seg")).nth(2);
        let machine = machine.kill();
        for name in machine.list(Path::new(COPY)).unwrap() {
            machine.unlink(&Path::new(COPY).join(name.name)).unwrap();
        }
        let log = open(&machine.kill()).unwrap();
        let first = log.wal().segments()[2].first_index;
        let position = log.wal().position_of(first + 1).unwrap().unwrap().offset;
        flip(&machine, &third.unwrap(), usize::try_from(position).unwrap() + 20);
        salvage(&machine).unwrap();
        assert_ne!(open_copy(&machine).unwrap().stats().entries.recovery.gaps.len(), 0, "what is lost is one");
    }
}

#[test]
fn a_crash_at_any_step_of_a_repair_leaves_the_damage_or_the_repaired_log() {
    let mut rng = Rng::new(seed());
    let (machine, known) = log(&mut rng);
    let segment = files(&machine).into_iter().filter(|path| path.extension().is_some_and(|it| it == "seg")).nth(2);
    flip(&machine, &segment.unwrap(), 1100);
    let fixed = machine.kill();
    recover(&fixed).unwrap();
    let held = all(&open(&fixed).unwrap());
    let again = |log: &Arc<Log>| log.append_on(&known[0].input(), &sent(1)).unwrap();
    at_every_step(
        &machine,
        |machine| recover(machine).map(drop),
        |after, done, what| {
            if let Ok(log) = open_with(&after.kill(), &strict()) {
                assert_eq!(all(&log), held, "{what}");
            } else {
                assert!(!done, "{what}: it was done");
                recover(after).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
            let log = open_with(after, &strict()).unwrap();
            compare(&log, &held, &mut Rng::new(1));
            let offset = again(&log);
            assert!(
                held.iter().all(|one| one.offset < offset) || known.iter().any(|one| one.offset == offset),
                "{what}"
            );
        },
    );
}

#[test]
fn a_crash_at_any_step_of_a_salvage_or_a_backup_leaves_the_log_as_it_was_and_a_copy_that_opens() {
    let mut rng = Rng::new(seed());
    let (machine, known) = log(&mut rng);
    at_every_step(
        &machine,
        |machine| salvage(machine).map(drop),
        |after, done, what| {
            compare(&open(&after.kill()).unwrap(), &known, &mut Rng::new(1));
            if done {
                let copy = open_copy(after).unwrap_or_else(|error| panic!("{what}: {error}"));
                is_whole(&copy, &known, &open(after).unwrap(), &mut Rng::new(1));
            }
        },
    );
    at_every_step(
        &machine,
        |machine| back_up(machine).map(drop),
        |after, done, what| {
            compare(&open(&after.kill()).unwrap(), &known, &mut Rng::new(1));
            let there = after.list(Path::new(COPY)).unwrap_or_default();
            if there.iter().any(|entry| entry.name.ends_with(".seg")) {
                let copy = open_copy(&after.kill()).unwrap_or_else(|error| panic!("{what}: {error}"));
                // What is there is the log as it may have been once, before its start has moved.
                let held: Vec<_> = all(&copy).into_iter().filter(|one| one.offset >= known[0].offset).collect();
                assert_eq!(held, known[..held.len()], "{what}");
                let next = copy.next_offset();
                let offset = copy.append_on(&known[0].input(), &sent(1)).unwrap();
                assert!(
                    offset < next || copy.next_offset() == next + 1,
                    "{what}: a batch that is not there is written"
                );
            }
            if done {
                is_whole(&open_copy(&after.kill()).unwrap(), &known, &open(&after.kill()).unwrap(), &mut Rng::new(1));
            } else {
                back_up(after).unwrap_or_else(|error| panic!("{what}: {error}"));
                is_whole(&open_copy(after).unwrap(), &known, &open(after).unwrap(), &mut Rng::new(1));
            }
        },
    );
}

fn back_up(machine: &SimMachine) -> Result<varve_log::BackupReport> {
    varve_log::backup(shared(machine), Path::new(DIR), Path::new(COPY), &Care::default())
}

#[test]
fn a_backup_that_is_added_to_is_the_log_whatever_was_removed_meanwhile() {
    let seed = seed();
    for round in 0..12 {
        let mut rng = Rng::new(seed + round);
        let machine = SimMachine::new(rng.bits());
        let log = open(&machine).unwrap();
        let mut known = Vec::new();
        let mut sequence = 0;
        for _ in 0..6 {
            let segments = 1 + rng.pick(3);
            add(&log, &mut known, &mut rng, segments);
            let share = rng.below(40);
            delete(&log, &mut known, &mut rng, share);
            sequence += 1;
            let message = Known::random(&mut rng, log.next_offset());
            log.append_on(&message.input(), &sent(sequence)).unwrap();
            known.push(message);
            if rng.chance(30) {
                let to = known[rng.pick(known.len())].offset;
                let mut trim = log.trim(&Rule::BeforeOffset(to)).unwrap();
                while trim.step(&Care::default()).unwrap() {}
                known.retain(|one| one.offset >= to);
            }
            let report = log.backup(Path::new(COPY), &Care::default()).unwrap();
            assert_eq!(report.position, log.next_offset());
            let next = log.next_offset();
            // Opened in between, so that it has indexes of its own.
            let copy = open_copy(&machine).unwrap();
            compare(&copy, &known, &mut rng);
            for sequence in sequence.saturating_sub(4).max(1)..=sequence {
                let [ours, theirs] =
                    [&log, &copy].map(|log| log.append_on(&known[0].input(), &sent(sequence)).unwrap());
                assert_eq!(ours, theirs, "batch {sequence}");
            }
            assert_eq!((log.next_offset(), copy.next_offset()), (next, next));
            copy.close().unwrap();
            drop(copy);
            let checked = check(&machine, COPY).unwrap();
            assert!(checked.ok && checked.damage.is_empty(), "{:?}", checked.damage);
            while rng.chance(60) && machine.run_job() {}
        }
    }
}

#[test]
fn what_was_called_off_leaves_no_trace_and_what_is_let_go_of_is_read_again() {
    let mut rng = Rng::new(seed());
    let (machine, known) = log(&mut rng);
    let care = Care::default();
    care.abort();
    let (dir, copy) = (Path::new(DIR), Path::new(COPY));
    let called_off =
        |error: Option<varve_log::Error>| error.is_some_and(|error| error.to_string().contains("called off"));
    assert!(called_off(varve_log::check(shared(&machine), dir, &care).err()));
    assert!(called_off(varve_log::salvage(shared(&machine), dir, copy, &care).err()));
    assert!(called_off(varve_log::recover(shared(&machine), dir, &care).err()));
    assert!(called_off(Log::migrate(shared(&machine), dir, &Migrate::default(), &care).err()));
    assert!(machine.list(copy).map_or(true, |there| there.is_empty()));
    let log = open(&machine).unwrap();
    for unused in [0, 1_000, 0] {
        compare(&log, &known, &mut rng);
        for _ in 0..2 {
            log.gc(unused);
            machine.advance(1_000_000);
        }
        log.gc(unused);
        assert_eq!(log.stats().cached_bytes, 0);
    }
    compare(&log, &known, &mut rng);
}
