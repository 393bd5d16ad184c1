//! Rewriting sealed segments without some of their records.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_format::{BatchFlags, Bound};
use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_segment::{Directory, DurableFile, OldRecord, Rewriter};
use varve_wal::{Care, ErrorCode, Result, Rewritten, Wal, WalOptions, check};

use crate::log::{DIR, all, batch, fresh, open, record, small};

mod beside;

/// What a log holds.
type Records = Vec<(u64, Vec<u8>)>;

fn strict() -> WalOptions {
    WalOptions { verify: Some(true), ..small() }
}

/// Rewrites segment `id`: of records that are batches of their own those stay that `keeps` wants, of others the bytes go.
fn rewrite(wal: &Arc<Wal>, id: u64, mut keeps: impl FnMut(&[u8]) -> bool) -> Result<Option<Rewritten>> {
    let mut keep = |old: &OldRecord<'_>, new: &mut Rewriter| match keeps(old.payload) {
        true => new.push(old.batch, old.payload).map(drop),
        false if old.batch == BatchFlags::ALONE => Ok(()),
        false => new.push(old.batch, b"").map(drop),
    };
    wal.rewrite(id, &mut keep, |_| ())
}

fn add(wal: &Arc<Wal>, count: u64) {
    for _ in 0..count {
        wal.append(&record(wal.next_index(), 100), None).unwrap();
    }
}

/// Five segments of ten records, the last one active.
fn in_tens() -> (SimMachine, Arc<Wal>) {
    let (machine, wal) = fresh(&small());
    for _ in 0..4 {
        add(&wal, 10);
        wal.rotate().unwrap();
    }
    add(&wal, 10);
    wal.sync().unwrap();
    while machine.run_job() {}
    (machine, wal)
}

/// The records whose numbers are `kept`, from index `first` on.
fn at(first: u64, kept: impl IntoIterator<Item = u64>) -> Records {
    (first..).zip(kept).map(|(index, number)| (index, record(number, 100))).collect()
}

/// Whether the record is one of those numbers.
fn is_one(numbers: impl IntoIterator<Item = u64>) -> impl Fn(&[u8]) -> bool {
    let wanted: Vec<_> = numbers.into_iter().map(|number| record(number, 100)).collect();
    move |payload| wanted.iter().any(|one| one == payload)
}

/// What [`in_tens`] holds when segment 3 has kept 22, 25 and 29.
fn without() -> Records {
    [at(0, 0..20), at(20, [22, 25, 29]), at(30, 30..50)].concat()
}

fn segment(dir: &str, id: u64) -> PathBuf {
    Path::new(dir).join(format!("{id:016}.seg"))
}

/// What a log holds, opened in every way on images of the machine.
fn held(machine: &SimMachine, dir: &str, what: &str) -> Records {
    let mut found = Vec::new();
    for (way, options) in [("verified", strict()), ("as it is", small())] {
        let machine = machine.kill();
        let report = check(Arc::new(machine.clone()), Path::new(dir), &Care::default()).unwrap();
        assert!(report.ok, "{what}: {report:?}");
        let flaws: Vec<_> = report.damage.iter().filter(|flaw| flaw.reason != "torn tail").collect();
        assert!(flaws.iter().all(|flaw| flaw.reason.contains("sidecar")), "{what}: {flaws:?}");
        let follower = Wal::follow(Arc::new(machine.clone()), Path::new(dir), &small()).unwrap();
        let followed = all(&follower);
        let wal = Wal::open(Arc::new(machine.clone()), Path::new(dir), &options)
            .unwrap_or_else(|error| panic!("{what}, {way}: {error}"));
        let held = all(&wal);
        assert!(followed == held, "{what}, {way}: a follower reads other records");
        assert_eq!(wal.stats().entries, held.len() as u64, "{what}, {way}: {:?}", wal.stats());
        assert_eq!(report.entries, held.len() as u64, "{what}, {way}");
        let bytes: usize = held.iter().map(|(_, bytes)| bytes.len()).sum();
        assert_eq!(wal.stats().bytes, bytes as u64, "{what}, {way}");
        assert!(wal.stats().recovery.gaps.iter().all(|gap| gap.removed), "{what}, {way}");
        for (index, bytes) in &held {
            assert_eq!(wal.get(*index, <[u8]>::to_vec).unwrap().as_ref(), Some(bytes), "{what}, {way}: record {index}");
            let position = wal.position_of(*index).unwrap().unwrap();
            assert_eq!(wal.index_at(position).unwrap(), Some(*index), "{what}, {way}: position of {index}");
        }
        let next = wal.next_index();
        assert_eq!(wal.append(b"writable", None).unwrap(), next, "{what}, {way}");
        wal.close().unwrap();
        assert!(machine.violations().is_empty(), "{what}: {:?}", machine.violations());
        found.push(held);
    }
    assert!(found.iter().all(|one| *one == found[0]), "{what}: verified and not differ");
    found.remove(0)
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
fn records_that_stay_get_indexes_one_behind_the_other() {
    let (machine, wal) = in_tens();
    let before = wal.stats();
    let rewritten = rewrite(&wal, 3, is_one([22, 25, 29])).unwrap().unwrap();
    assert_eq!((rewritten.records_before, rewritten.records_after), (10, 3));
    assert!(rewritten.bytes_after < rewritten.bytes_before);
    assert_eq!(all(&wal), without());
    assert_eq!(wal.get(23, <[u8]>::len).unwrap(), None);
    assert_eq!(wal.get(22, <[u8]>::to_vec).unwrap(), Some(record(29, 100)));
    let after = wal.stats();
    assert_eq!((after.entries, after.bytes), (43, before.bytes - 700));
    assert_eq!((after.first_index, after.next_index, after.segments, after.pinned.segments), (0, 50, 5, 0));
    let file = machine.contents(&segment(DIR, 3)).unwrap();
    assert!(file.len() < 2048 && file.len().is_multiple_of(8), "{} bytes", file.len());
    assert_eq!(held(&machine, DIR, "rewritten"), without());
    while machine.run_job() {}
    let report = check(Arc::new(machine.clone()), Path::new(DIR), &Care::default()).unwrap();
    assert!(report.damage.is_empty(), "{report:?}");
    // Again, and to nothing.
    rewrite(&wal, 3, is_one([25])).unwrap().unwrap();
    assert_eq!(held(&machine, DIR, "again"), [at(0, 0..20), at(20, [25]), at(30, 30..50)].concat());
    let none = rewrite(&wal, 3, |_| false).unwrap().unwrap();
    assert_eq!((none.records_before, none.records_after), (1, 0));
    assert_eq!(all(&wal), [at(0, 0..20), at(30, 30..50)].concat());
    assert_eq!(held(&machine, DIR, "to nothing"), [at(0, 0..20), at(30, 30..50)].concat());
    rewrite(&wal, 3, |_| true).unwrap().unwrap();
    rewrite(&wal, 1, |_| false).unwrap().unwrap();
    assert_eq!(held(&machine, DIR, "the first one, too"), [at(10, 10..20), at(30, 30..50)].concat());
}

#[test]
fn only_what_is_sealed_whole_and_in_the_log() {
    let (machine, wal) = in_tens();
    let files = || machine.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect::<Vec<_>>();
    let before = files();
    let none = |wal: &Arc<Wal>, id| assert!(rewrite(wal, id, |_| false).unwrap().is_none(), "segment {id}");
    none(&wal, 5);
    none(&wal, 9);
    wal.commit(23).unwrap();
    none(&wal, 3);
    wal.commit(30).unwrap();
    let called_off = wal.rewrite(3, &mut |_, _| Err(varve_segment::Error::Aborted), |_| panic!("it is not made"));
    called_off.unwrap_err();
    let mut broken = |old: &OldRecord<'_>, new: &mut Rewriter| {
        new.push(BatchFlags { more: true, continued: false }, old.payload).map(drop)
    };
    assert_eq!(wal.rewrite(3, &mut broken, |_| ()).unwrap_err().code(), ErrorCode::InvalidArgument);
    let mut doubled = |old: &OldRecord<'_>, new: &mut Rewriter| {
        new.push(old.batch, old.payload)?;
        new.push(old.batch, old.payload).map(drop)
    };
    assert_eq!(wal.rewrite(3, &mut doubled, |_| ()).unwrap_err().code(), ErrorCode::InvalidArgument);
    let left: Vec<_> = files().into_iter().filter(|name| !before.contains(name) && name != "durable").collect();
    assert!(left.is_empty(), "{left:?}");
    // Cut, or dropped, while it was read: what is written is thrown away.
    let mut cut = Some(());
    let done = rewrite(&wal, 4, |_| {
        if cut.take().is_some() {
            wal.truncate_after(35).unwrap();
        }
        false
    });
    assert!(done.unwrap().is_none());
    assert_eq!(held(&machine, DIR, "cut meanwhile"), at(0, 0..35));
    let mut dropped = Some(());
    let done = rewrite(&wal, 1, |_| {
        if dropped.take().is_some() {
            wal.truncate_before(10).unwrap();
            wal.sync().unwrap();
        }
        false
    });
    assert!(done.unwrap().is_none());
    assert_eq!(held(&machine, DIR, "dropped meanwhile"), at(10, 10..35));
    // What is left of a segment that was cut.
    rewrite(&wal, 4, is_one([31, 34])).unwrap().unwrap();
    assert_eq!(held(&machine, DIR, "a cut one"), [at(10, 10..30), at(30, [31, 34])].concat());
    wal.truncate_before(12).unwrap();
    none(&wal, 2);
    assert_eq!(all(&wal), [at(12, 12..30), at(30, [31, 34])].concat());
    wal.close().unwrap();
    assert_eq!(rewrite(&wal, 3, |_| true).unwrap_err().code(), ErrorCode::Closed);
}

#[test]
fn segments_at_a_torn_tail_can_be_rewritten() {
    let (machine, wal) = in_tens();
    add(&wal, 3);
    wal.flush().unwrap();
    let machine = machine.kill();
    let end = wal.position_of(52).unwrap().unwrap();
    let mut bytes = machine.contents(&segment(DIR, 5)).unwrap();
    bytes[usize::try_from(end.offset).unwrap() + 20] ^= 1;
    machine.set_contents(&segment(DIR, 5), &bytes).unwrap();
    let wal = open(&machine, &small()).unwrap();
    assert_eq!(all(&wal), at(0, 0..52));
    add(&wal, 8);
    wal.rotate().unwrap();
    for (ids, expected) in [
        (vec![6], [at(0, 0..52), at(52, [55])].concat()),
        (vec![5], [at(0, 0..40), at(40, [41, 51]), at(52, [55])].concat()),
        (vec![6, 5], at(0, 0..40)),
    ] {
        for id in ids {
            let keeps = if expected.len() > 40 { is_one([41, 51, 55]) } else { is_one([0; 3]) };
            rewrite(&wal, id, keeps).unwrap().unwrap();
        }
        assert_eq!(held(&machine, DIR, "at a torn tail"), expected);
        assert_eq!(held(&machine.crash(3), DIR, "at a torn tail, without power"), expected);
    }
    let names = machine.list(Path::new(DIR)).unwrap();
    assert_eq!(names.iter().filter(|entry| entry.name.ends_with(".torn")).count(), 1);
}

#[test]
fn damage_is_told_and_nothing_is_changed() {
    let (machine, wal) = in_tens();
    wal.close().unwrap();
    let place = usize::try_from(open(&machine.kill(), &small()).unwrap().position_of(24).unwrap().unwrap().offset);
    let mut bytes = machine.contents(&segment(DIR, 3)).unwrap();
    bytes[place.unwrap() + 20] ^= 1;
    let machine = machine.kill();
    machine.set_contents(&segment(DIR, 3), &bytes).unwrap();
    let wal = open(&machine, &small()).unwrap();
    assert_eq!(rewrite(&wal, 3, |_| true).unwrap_err().code(), ErrorCode::Corrupt);
    assert_eq!(machine.contents(&segment(DIR, 3)).unwrap(), bytes);
    rewrite(&wal, 2, |_| false).unwrap().unwrap();
}

/// Something that may happen to a log, beside it or between its lives. Gives true where indexes are not comparable to the model's any more.
fn change(wal: &Arc<Wal>, draw: &mut impl FnMut(u64) -> u64, number: &mut u64) {
    let mut next = || {
        *number += 1;
        record(*number, 100)
    };
    match draw(8) {
        0..3 => (0..draw(12)).for_each(|_| assert!(wal.append(&next(), None).is_ok())),
        3 => {
            let mut records: Vec<_> = (0..=draw(4)).map(|_| next()).collect();
            records.iter_mut().for_each(|record| record.resize(30_000, record[0]));
            batch(wal, &records).unwrap();
        }
        4 | 5 => wal.rotate().unwrap(),
        6 => {
            let to = wal.next_index() - draw(12).min(wal.next_index() - wal.first_index());
            wal.truncate_after(to).unwrap();
        }
        _ => {
            // At a border, as retention does it.
            let segments: Vec<_> = wal.segments().into_iter().filter(|segment| !segment.pending_deletion).collect();
            let to = segments[usize::try_from(draw(2)).unwrap().min(segments.len() - 1)].first_index;
            wal.truncate_before(to.max(wal.first_index())).unwrap();
        }
    }
}

#[test]
fn what_is_kept_is_there_in_its_order_whatever_happens() {
    let seed = seed();
    for seed in seed..seed + 60 {
        let mut draw = draws(seed);
        let (mut machine, mut wal) = fresh(&small());
        let mut number = 0;
        for round in 0..25 {
            let what = format!("seed {seed}, round {round}");
            for _ in 0..draw(4) {
                change(&wal, &mut draw, &mut number);
            }
            let sealed: Vec<_> = wal.segments().into_iter().filter(|one| one.sealed && !one.pending_deletion).collect();
            if let Some(chosen) = sealed.get(usize::try_from(draw(sealed.len() as u64)).unwrap()) {
                let before = all(&wal);
                let mut expected: Records = Vec::new();
                let share = draw(5);
                let mut keep = |old: &OldRecord<'_>, new: &mut Rewriter| {
                    let payload = match draw(4) {
                        kept if kept < share => old.payload,
                        _ if old.batch == BatchFlags::ALONE => return Ok(()),
                        _ => b"",
                    };
                    let index = new.push(old.batch, payload)?;
                    expected.push((index, payload.to_vec()));
                    Ok(())
                };
                let done = wal.rewrite(chosen.id, &mut keep, |_| ()).unwrap_or_else(|error| panic!("{what}: {error}"));
                let within = chosen.first_index..chosen.next_index;
                let others = before.iter().filter(|(index, _)| done.is_none() || !within.contains(index));
                let mut whole: Records = others.cloned().chain(done.iter().flat_map(|_| expected.clone())).collect();
                whole.sort();
                let found = all(&wal);
                assert!(found == whole, "{what}: other records behind a rewrite of {chosen:?}");
            }
            let found = all(&wal);
            wal.sync().unwrap();
            let lost = machine.crash(seed + round);
            assert!(held(&machine, DIR, &what) == found, "{what}: other records");
            assert!(held(&lost, DIR, &what) == found, "{what}: other records without power");
            match draw(6) {
                0 => {
                    wal.close().unwrap();
                    machine = machine.kill();
                    wal = open(&machine, &if draw(2) == 0 { small() } else { strict() }).unwrap();
                }
                1 => {
                    machine = lost;
                    wal = open(&machine, &small()).unwrap();
                }
                2 => while machine.run_job() {},
                _ => {}
            }
        }
    }
}

/// What a crash at each step of a rewrite leaves, without the syncs that `setup` takes away: the first promise that is broken.
fn crashed_rewrites(setup: impl Fn(&SimMachine)) -> std::result::Result<(), String> {
    let (machine, wal) = in_tens();
    wal.close().unwrap();
    drop(wal);
    while machine.run_job() {}
    for step in 0.. {
        let machine = machine.kill();
        setup(&machine);
        let wal = open(&machine, &small()).unwrap();
        machine.crash_after(machine.changes() + step);
        let done = rewrite(&wal, 3, is_one([22, 25, 29])).is_ok();
        assert!(done || machine.crashed());
        for after in (0..8).map(|seed| machine.crash(step * 8 + seed)).chain([machine.kill()]) {
            let opened = open(&after, &strict()).map_err(|error| format!("step {step}: {error}"))?;
            let found = all(&opened);
            let old = at(0, 0..50);
            if found != without() && (done || found != old) {
                return Err(format!("step {step}, done {done}: {} records", found.len()));
            }
            opened.close().unwrap();
            let names: Vec<_> = after.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect();
            assert!(!names.iter().any(|name| name.ends_with(".tmp") || name.ends_with(".torn")), "{names:?}");
            assert_eq!(names.iter().filter(|name| name.ends_with(".seg")).count(), 5, "{names:?}");
        }
        if done {
            assert!(step > 5, "there is more to it than {step} steps");
            return Ok(());
        }
    }
    Ok(())
}

#[test]
fn a_crash_at_any_step_leaves_the_old_segment_or_the_new_one() {
    crashed_rewrites(|_| ()).unwrap();
}

#[test]
fn syncs_that_are_left_out_are_noticed() {
    let is_new = |path: &Path| path.extension().is_some_and(|extension| extension == "tmp");
    crashed_rewrites(|machine| machine.ignore_sync_data(is_new)).unwrap_err();
    crashed_rewrites(|machine| machine.ignore_sync_dir(|_| true)).unwrap_err();
}

#[test]
fn a_failure_leaves_the_old_segment_or_fails_the_log() {
    use varve_io::Operation::{Allocate, Create, Rename, Sync, SyncDir, Write};
    use varve_io::sim::Fault;
    for operation in [Create, Write, Sync, Rename, SyncDir, Allocate] {
        for passing in 0..4 {
            let (machine, wal) = in_tens();
            machine.inject(Fault::on(operation, 5).after(passing));
            let done = rewrite(&wal, 3, is_one([22, 25, 29]));
            machine.clear_faults();
            let what = format!("{operation:?} after {passing}");
            let failed = wal.failed().is_some();
            assert!(!failed || operation == SyncDir, "{what}: {:?}", wal.failed());
            match done {
                Ok(done) => assert!(done.is_some() && !failed, "{what}"),
                Err(_) if failed => assert!(wal.append(b"more", None).is_err(), "{what}"),
                Err(_) => assert_eq!(all(&wal), at(0, 0..50), "{what}"),
            }
            let found = all(&wal);
            assert!(found == without() || found == at(0, 0..50), "{what}");
            assert!(held(&machine.crash(7), DIR, &what).len() >= 43, "{what}");
        }
    }
}

#[test]
fn an_old_bound_within_the_longer_file_is_no_damage() {
    for position in [1024, 1100, 2000, 60_000] {
        let (machine, wal) = in_tens();
        rewrite(&wal, 3, is_one([22, 25, 29])).unwrap().unwrap();
        let log = Directory::new(Arc::new(machine.clone()), Path::new(DIR));
        drop(wal);
        let machine = machine.kill();
        let here = Directory::new(Arc::new(machine.clone()), Path::new(DIR));
        let number = DurableFile::read(&log).unwrap().unwrap().log;
        DurableFile::open(&here).unwrap().settle(Bound { segment: 3, position }, 25, number).unwrap();
        assert_eq!(held(&machine, DIR, &format!("a bound at {position}")), without());
    }
}

#[test]
fn batches_that_lie_in_several_segments_stay_whole() {
    let (machine, wal) = fresh(&small());
    let big = |number: u64| record(number, 30_000);
    for round in 0..3 {
        wal.append(&record(round, 100), None).unwrap();
        batch(&wal, &(0..9).map(big).collect::<Vec<_>>()).unwrap();
    }
    wal.rotate().unwrap();
    wal.sync().unwrap();
    let ids: Vec<_> = wal.segments().into_iter().filter(|segment| segment.sealed).map(|segment| segment.id).collect();
    assert!(ids.len() > 4, "{ids:?}");
    let count = all(&wal).len();
    for id in &ids {
        rewrite(&wal, *id, |payload| payload.len() < 200).unwrap().unwrap();
        // All of them are shorter than 200 bytes, or of a batch.
        assert_eq!(held(&machine, DIR, &format!("segment {id}")).len(), count);
    }
    let found = held(&machine, DIR, "all of them");
    assert_eq!(found.iter().filter(|(_, bytes)| bytes.is_empty()).count(), 27);
    // The middle of a batch may go.
    let mut middle = |old: &OldRecord<'_>, new: &mut Rewriter| {
        if old.batch == (BatchFlags { more: true, continued: true }) {
            Ok(())
        } else {
            new.push(old.batch, b"").map(drop)
        }
    };
    let (mut refused, mut rewritten) = (0, 0);
    for id in ids {
        match wal.rewrite(id, &mut middle, |_| ()) {
            Ok(done) => rewritten += usize::from(done.is_some()),
            // Nothing but middle lies in it: then something has to stay.
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::InvalidArgument);
                refused += 1;
            }
        }
        held(&machine, DIR, &format!("the middle of {id}"));
    }
    assert!(refused > 0 && rewritten > 0, "{refused} and {rewritten}");
}
