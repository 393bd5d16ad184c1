//! Dropping records from either end, marking them as committed, and who follows: all against a model, with openings in between.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_wal::{Care, Error, ErrorCode, Removed, Retention, Wal, WalOptions, check};

use crate::log::{DIR, Place, all, batch, fresh, open, record, rest, small};

/// What a log has to hold.
#[derive(Debug, Clone, Default)]
struct Model {
    first: u64,
    next: u64,
    committed: u64,
    records: BTreeMap<u64, Arc<Vec<u8>>>,
}

impl Model {
    fn add(&mut self, record: Vec<u8>) {
        self.records.insert(self.next, Arc::new(record));
        self.next += 1;
    }

    fn truncate_after(&mut self, next: u64) {
        self.records.split_off(&next);
        self.next = next;
        self.committed = self.committed.min(next);
    }

    fn truncate_before(&mut self, first: u64) {
        self.first = self.first.max(first);
        self.committed = self.committed.max(self.first);
        self.records = self.records.split_off(&self.first);
    }

    fn reset(&mut self, next: u64) {
        *self = Self { first: next, next, committed: next, records: BTreeMap::new() };
    }

    fn assert_is(&self, wal: &Arc<Wal>, step: &str) {
        assert_eq!(
            (wal.first_index(), wal.next_index(), wal.committed()),
            (self.first, self.next, self.committed),
            "{step}: first, next, committed"
        );
        let found = all(wal);
        let expected: Vec<_> = self.records.iter().map(|(index, record)| (*index, record.to_vec())).collect();
        let indexes = |records: &[(u64, Vec<u8>)]| records.iter().map(|(index, _)| *index).collect::<Vec<_>>();
        assert_eq!(indexes(&found), indexes(&expected), "{step}");
        assert!(found == expected, "{step}: a record has other bytes");
        for index in self.first.saturating_sub(1)..=self.next.min(self.first + 300) {
            let got = wal.get(index, <[u8]>::to_vec).unwrap();
            assert_eq!(got.as_ref(), self.records.get(&index).map(|record| &**record), "{step}: get({index})");
            let place = wal.position_of(index).unwrap();
            assert_eq!(place.is_some(), self.records.contains_key(&index), "{step}: position of {index}");
            if let Some(place) = place {
                assert_eq!(wal.index_at(place).unwrap(), Some(index), "{step}");
            }
        }
    }
}

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

fn seed() -> u64 {
    let seed = std::env::var("VARVE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("VARVE_SEED={seed}");
    seed
}

fn follow(machine: &SimMachine) -> Arc<Wal> {
    Wal::follow(Arc::new(machine.clone()), Path::new(DIR), &small()).unwrap()
}

/// Changes the log and the model in the same way. Gives what was done.
fn change(wal: &Arc<Wal>, model: &mut Model, history: &mut Vec<Model>, rng: &mut Rng, gaps: bool) -> String {
    let len =
        |rng: &mut Rng| usize::try_from([0, 9, 200, 3000, 20_000][usize::try_from(rng.below(5)).unwrap()]).unwrap();
    match rng.below(20) {
        0..6 => {
            let count = rng.below(30);
            for _ in 0..count {
                let bytes = record(model.next ^ rng.0, len(rng));
                assert_eq!(wal.append(&bytes, Some(model.next)).unwrap(), model.next);
                model.add(bytes);
                history.push(model.clone());
            }
            format!("{count} appends")
        }
        6..9 => {
            let records: Vec<_> = (0..rng.below(12)).map(|i| record(model.next + i, len(rng))).collect();
            assert_eq!(batch(wal, &records).unwrap(), model.next);
            let step = format!("a batch of {}", records.len());
            records.into_iter().for_each(|record| model.add(record));
            step
        }
        9 => {
            wal.rotate().unwrap();
            "rotate".into()
        }
        10..13 => {
            let next = model.first + rng.below(model.next.min(model.first + 500) - model.first + 1);
            let next = if model.next > model.first + 500 && rng.below(2) == 0 { model.next - 1 } else { next };
            wal.truncate_after(next).unwrap();
            model.truncate_after(next);
            format!("truncate_after({next})")
        }
        13..16 => {
            let first = model.first + rng.below(model.next.min(model.first + 100) - model.first + 1);
            wal.truncate_before(first).unwrap();
            model.truncate_before(first);
            format!("truncate_before({first})")
        }
        16 if rng.below(3) == 0 => {
            let next = rng.below(model.next + 1000);
            wal.reset(next).unwrap();
            model.reset(next);
            format!("reset({next})")
        }
        16 | 17 => {
            let count = model.first + rng.below(model.next - model.first + 1);
            wal.commit(count).unwrap();
            model.committed = model.committed.max(count);
            format!("commit({count})")
        }
        18 if gaps => {
            let to = model.next + 1 + if rng.below(4) == 0 { 1 << 40 } else { rng.below(50) };
            wal.skip_to(to).unwrap();
            model.next = to;
            format!("skip_to({to})")
        }
        _ => {
            wal.sync().unwrap();
            history.clear();
            "sync".into()
        }
    }
}

fn model_run(seed: u64, gaps: bool) {
    let mut rng = Rng(seed);
    let first = rng.below(3) * 7;
    let (mut machine, mut wal) = fresh(&WalOptions { first_index: Some(first), ..small() });
    let mut follower = follow(&machine);
    let mut model = Model { first, next: first, committed: first, records: BTreeMap::new() };
    // What it may be after a crash: all that it has been since the last sync.
    let mut history = vec![model.clone()];
    for step in 0..60 {
        let what = change(&wal, &mut model, &mut history, &mut rng, gaps);
        history.push(model.clone());
        let what = format!("seed {seed}, step {step}, {what}");
        model.assert_is(&wal, &what);
        while rng.below(3) == 0 && machine.run_job() {}
        if rng.below(2) == 0 {
            wal.flush().unwrap();
            machine.run_watches();
            assert!(follower.failed().is_none(), "{what}: {:?}", follower.failed());
            model.assert_is(&follower, &format!("{what}, seen by the follower"));
            let sum: u64 = model.records.values().map(|record| record.len() as u64).sum();
            let (least, bytes) = (sum, wal.stats().bytes);
            assert!(bytes >= least, "{what}: {bytes} bytes of at least {least}");
        }
        if rng.below(6) == 0 {
            follower.close().unwrap();
            let how = rng.below(5);
            let way = match how {
                0 => {
                    wal.flush().unwrap();
                    let after = machine.kill();
                    machine.drop_jobs();
                    machine = after;
                    "killed"
                }
                1 => {
                    wal.sync().unwrap();
                    machine = machine.crash(rng.below(1 << 30));
                    "power lost"
                }
                2 => {
                    machine = machine.crash(rng.below(1 << 30));
                    "power lost without a sync"
                }
                _ => {
                    wal.close().unwrap();
                    while machine.run_job() {}
                    "closed"
                }
            };
            let report = check(Arc::new(machine.clone()), Path::new(DIR), &Care::default()).unwrap();
            assert!(report.ok, "{what}, {way}: {report:?}");
            let old = wal;
            wal = open(&machine, &small()).unwrap();
            drop(old);
            if how == 2 {
                let found: Vec<_> = all(&wal).into_iter().map(|(index, record)| (index, Arc::new(record))).collect();
                let is_it = |model: &&Model| {
                    (model.first, model.next) == (wal.first_index(), wal.next_index())
                        && model.records.iter().eq(found.iter().map(|(index, record)| (index, record)))
                };
                let Some(was) = history.iter().rev().find(is_it) else {
                    let states: Vec<_> = history.iter().map(|model| (model.first, model.next)).collect();
                    panic!("{what}, {way}: {} to {} of {states:?}", wal.first_index(), wal.next_index());
                };
                let most = history.iter().map(|model| model.committed).max().unwrap_or(0);
                assert!(wal.committed() <= most, "{what}, {way}: {} of {most}", wal.committed());
                model = Model { committed: wal.committed(), ..was.clone() };
            } else {
                // After a power loss an open does again what an earlier one did without syncing the names.
                let is_new = |torn: &varve_wal::Torn| torn.position > 0 || how != 1;
                let torn = wal.stats().recovery.torn;
                assert!(!torn.iter().any(is_new), "{what}, {way}: {torn:?}");
            }
            history = vec![model.clone()];
            model.assert_is(&wal, &format!("{what}, {way}"));
            let lost = model.next - model.first - model.records.len() as u64;
            let known: u64 = wal.stats().recovery.gaps.iter().map(|gap| gap.within(model.first, model.next)).sum();
            assert_eq!(known, lost, "{what}, {way}: {:?}", wal.stats().recovery.gaps);
            assert_eq!(wal.stats().entries, model.records.len() as u64, "{what}, {way}");
            follower = follow(&machine);
        }
    }
    assert!(machine.violations().is_empty(), "{:?}", machine.violations());
}

#[test]
fn whatever_is_dropped_and_added_is_seen_here_by_who_follows_and_after_opening_again() {
    let seed = seed();
    (seed..seed + 60).for_each(|seed| model_run(seed, false));
}

#[test]
fn the_same_with_gaps() {
    let seed = seed();
    (seed + 1000..seed + 1060).for_each(|seed| model_run(seed, true));
}

/// A log of `segments` segments of ten records each, the last one active.
fn in_tens(segments: u64) -> (SimMachine, Arc<Wal>) {
    let (machine, wal) = fresh(&small());
    for index in 0..segments * 10 {
        if index > 0 && index % 10 == 0 {
            wal.rotate().unwrap();
        }
        wal.append(&record(index, 100), None).unwrap();
    }
    (machine, wal)
}

fn ids(wal: &Arc<Wal>) -> Vec<u64> {
    wal.segments().iter().map(|segment| segment.id).collect()
}

fn files(machine: &SimMachine) -> Vec<String> {
    let mut names: Vec<_> = machine.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect();
    names.retain(|name| name.ends_with(".seg"));
    names
}

#[test]
fn what_cannot_be_is_out_of_range_and_changes_nothing() {
    let (machine, wal) = in_tens(2);
    wal.truncate_before(5).unwrap();
    wal.sync().unwrap();
    let changes = machine.changes();
    for refused in [
        wal.truncate_after(4).unwrap_err(),
        wal.truncate_after(21).unwrap_err(),
        wal.truncate_before(21).unwrap_err(),
        wal.commit(21).unwrap_err(),
        wal.reset(1 << 53).unwrap_err(),
    ] {
        assert_eq!(refused.code(), ErrorCode::OutOfRange, "{refused}");
    }
    wal.truncate_after(20).unwrap();
    wal.truncate_before(3).unwrap();
    wal.commit(2).unwrap();
    assert_eq!((wal.first_index(), wal.next_index(), wal.committed(), machine.changes()), (5, 20, 5, changes));
}

#[test]
fn what_a_reader_has_returned_is_not_cut_off() {
    let (_, wal) = in_tens(2);
    let mut reader = wal.reader(0, Some(15)).unwrap();
    assert_eq!(rest(&mut reader, 4096).unwrap().len(), 15);
    let Err(Error::Busy { index }) = wal.truncate_after(14) else { panic!("it was cut") };
    assert_eq!((index, wal.next_index()), (14, 20));
    wal.truncate_after(15).unwrap();
    drop(reader);
    wal.truncate_after(14).unwrap();
    assert_eq!(wal.append(b"another", None).unwrap(), 14);
}

#[test]
fn a_reader_that_waits_is_overtaken_and_others_read_what_came_instead() {
    let (_, wal) = in_tens(2);
    let options = |waits| varve_wal::ReaderOptions { from: 5, waits, ..Default::default() };
    let mut waiting = wal.reader_with(options(true)).unwrap();
    assert_eq!(rest(&mut waiting, 4096).unwrap().len(), 15);
    let mut behind = wal.reader_with(varve_wal::ReaderOptions { to: Some(7), ..options(false) }).unwrap();
    assert_eq!(rest(&mut behind, 4096).unwrap().len(), 2);
    wal.truncate_after(10).unwrap();
    wal.append(b"another", None).unwrap();
    assert_eq!(rest(&mut waiting, 4096).unwrap_err().code(), ErrorCode::OutOfRange);
    wal.truncate_before(8).unwrap();
    assert_eq!(rest(&mut behind, 4096).unwrap_err().code(), ErrorCode::OutOfRange, "it hopped over record 7");
}

#[test]
fn a_pinned_segment_stays_on_disk_whatever_drops_it() {
    let (machine, wal) = in_tens(4);
    let pins: Vec<_> = [1, 2].into_iter().map(|id| wal.pin(id).unwrap()).collect();
    wal.truncate_after(15).unwrap();
    wal.truncate_before(15).unwrap();
    wal.sync().unwrap();
    wal.sweep();
    assert_eq!(ids(&wal), [1, 2, 5], "the files of pinned segments are gone");
    let pinned = wal.stats().pinned;
    assert_eq!((pinned.segments, pinned.references), (2, 2));
    assert!(wal.segments()[1].pending_deletion && wal.segments()[1].references == 1);
    drop(pins);
    assert_eq!(ids(&wal), [5]);
    assert_eq!(files(&machine), ["0000000000000005.seg"]);
    assert_eq!(wal.pin(1).unwrap_err().code(), ErrorCode::OutOfRange);
}

#[test]
fn files_go_only_when_what_drops_them_is_durable() {
    let (machine, wal) = in_tens(3);
    wal.sync().unwrap();
    machine.inject(varve_io::sim::Fault::on(varve_io::Operation::Sync, 5).sticky());
    wal.truncate_before(20).unwrap();
    assert!(wal.sync().is_err());
    wal.sweep();
    assert_eq!(files(&machine).len(), 3);
}

#[test]
fn retention_by_number_bytes_and_age_keeps_the_least_and_never_takes_the_last() {
    let keeps = |rules: Retention, left: u64| {
        let options = WalOptions { retention: Some(rules), ..small() };
        let (machine, wal) = fresh(&options);
        for index in 0..60 {
            if index > 0 && index % 10 == 0 {
                machine.advance(1_000_000);
                wal.rotate().unwrap();
            }
            wal.append(&record(index, 100), None).unwrap();
        }
        let removed = wal.enforce_retention().unwrap();
        assert_eq!(wal.first_index(), (6 - left) * 10, "{rules:?}");
        assert_eq!((removed.segments, removed.entries), (6 - left, (6 - left) * 10), "{rules:?}");
        assert_eq!(files(&machine).len() as u64, left, "{rules:?}");
        assert_eq!(wal.enforce_retention().unwrap(), Removed::default());
        wal.flush().unwrap();
        let wal = open(&machine.kill(), &options).unwrap();
        assert_eq!((wal.first_index(), all(&wal).len() as u64), ((6 - left) * 10, left * 10), "{rules:?}");
    };
    let none = Retention::default();
    keeps(Retention { max_segments: Some(2), ..none }, 2);
    keeps(Retention { max_segments: Some(10), ..none }, 6);
    keeps(Retention { max_age_micros: Some(2_500_000), ..none }, 4);
    keeps(Retention { max_age_micros: Some(-1), ..none }, 1);
    keeps(Retention { max_age_micros: Some(-1), min_segments: Some(3), ..none }, 3);
    keeps(Retention { max_bytes: Some(7000), ..none }, 3);
    keeps(Retention { max_bytes: Some(0), ..none }, 1);
}

#[test]
fn a_segment_that_somebody_objects_to_stays_and_all_behind_it() {
    let (_machine, wal) =
        fresh(&WalOptions { retention: Some(Retention { max_segments: Some(1), ..Retention::default() }), ..small() });
    for index in 0..40 {
        if index > 0 && index % 10 == 0 {
            wal.rotate().unwrap();
        }
        wal.append(&record(index, 100), None).unwrap();
    }
    let listeners = [wal.listen(Arc::new(|_| {})), wal.listen(Arc::new(|_| {}))];
    listeners.iter().for_each(|listener| wal.object(*listener));
    let number = wal.begin_retention().unwrap();
    wal.answer(listeners[0], number, 3);
    wal.answer(listeners[0], number, 3);
    assert_eq!(wal.first_index(), 0, "one of two has answered");
    wal.answer(listeners[1], number, 2);
    assert_eq!(wal.first_index(), 20);
    let number = wal.begin_retention().unwrap();
    wal.answer(listeners[0], number, 1);
    wal.unlisten(listeners[1]);
    assert_eq!(wal.first_index(), 20, "who goes without an answer keeps all");
}

#[test]
fn a_follower_that_was_not_woken_finds_the_log_again_when_all_that_it_knew_is_gone() {
    let (machine, wal) = in_tens(1);
    wal.flush().unwrap();
    let follower = follow(&machine);
    for index in 10..40 {
        if index % 10 == 0 {
            wal.rotate().unwrap();
        }
        wal.append(&record(index, 100), None).unwrap();
    }
    wal.truncate_before(35).unwrap();
    wal.sync().unwrap();
    wal.sweep();
    assert_eq!(files(&machine).len(), 1);
    let mut reader = follower.reader(3, None).unwrap();
    machine.run_watches();
    assert!(follower.failed().is_none(), "{:?}", follower.failed());
    assert_eq!((follower.first_index(), follower.next_index(), follower.durable_index()), (35, 40, 40));
    assert_eq!(all(&follower), all(&wal));
    assert_eq!(rest(&mut reader, 4096).unwrap_err().code(), ErrorCode::OutOfRange);
    wal.append(b"goes on", None).unwrap();
    wal.flush().unwrap();
    machine.run_watches();
    assert_eq!(follower.next_index(), 41);
}

#[test]
fn a_follower_sees_batches_whole_and_the_commits() {
    let (machine, wal) = in_tens(1);
    wal.flush().unwrap();
    let follower = follow(&machine);
    let records: Vec<_> = (0..8).map(|i| record(i, 50_000)).collect();
    batch(&wal, &records).unwrap();
    machine.run_watches();
    assert_eq!(follower.next_index(), 10, "half a batch is shown");
    wal.flush().unwrap();
    machine.run_watches();
    assert_eq!((follower.next_index(), follower.committed()), (18, 0));
    wal.commit(12).unwrap();
    wal.flush().unwrap();
    machine.run_watches();
    assert_eq!(follower.committed(), 12);
    assert!(follower.segments().len() > 2);
    for refused in [follower.append(b"x", None).err(), follower.truncate_after(0).err(), follower.sync().err()] {
        assert!(matches!(refused, Some(Error::ReadOnly)), "{refused:?}");
    }
    assert!(!follower.wake_at(17, false), "it has moved on");
    assert!(follower.wake_at(18, false));
}

#[test]
fn a_log_that_was_truncated_checks_clean() {
    let (machine, wal) = in_tens(3);
    while machine.run_job() {}
    wal.truncate_after(15).unwrap();
    wal.append(b"another", None).unwrap();
    wal.close().unwrap();
    while machine.run_job() {}
    let report = check(Arc::new(machine.clone()), Path::new(DIR), &Care::default()).unwrap();
    assert_eq!((report.ok, report.entries, report.damage.as_slice()), (true, 16, [].as_slice()));
}

#[test]
fn the_same_on_a_real_disk() {
    let place = Place::new("truncation");
    let open = || Wal::open(Arc::clone(&place.machine), &place.path, &small()).unwrap();
    let mut rng = Rng(seed());
    let mut model = Model::default();
    let mut wal = open();
    for step in 0..80 {
        let what = change(&wal, &mut model, &mut Vec::new(), &mut rng, true);
        model.assert_is(&wal, &format!("step {step}, {what}"));
        if rng.below(8) == 0 {
            wal.close().unwrap();
            wal = open();
            model.assert_is(&wal, &format!("step {step}, {what}, closed"));
        }
    }
}
