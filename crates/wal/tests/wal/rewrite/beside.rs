//! What goes on beside: readers, pins, views, backups, followers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use varve_io::{Change, Machine};
use varve_wal::{BackupOptions, Care, ErrorCode, TABLE_LEN, Wal, check};

use super::{Records, add, at, held, in_tens, is_one, rewrite, segment, without};
use crate::log::{DIR, Place, all, fresh, open, record, rest, small};

const TO: &str = "/data/copy";
const SEALED: BackupOptions = BackupOptions { after_segment: None, active: false };
const ALL: BackupOptions = BackupOptions { after_segment: None, active: true };

fn backup(wal: &Arc<Wal>, options: BackupOptions) -> varve_wal::BackupReport {
    wal.backup(Path::new(TO), options, &Care::default()).unwrap()
}

#[test]
fn readers_pins_and_maps_stay_with_the_old_segment() {
    let (machine, wal) = fresh(&small());
    for _ in 0..3 {
        (0..60).for_each(|_| assert!(wal.append(&record(wal.next_index(), 500), None).is_ok()));
        wal.rotate().unwrap();
    }
    wal.sync().unwrap();
    let whole = all(&wal);
    let mut table = [0; TABLE_LEN];
    let mut reader = wal.reader(60, None).unwrap();
    let mut ahead = wal.reader(60, None).unwrap();
    let mut small_slab = vec![0; 700];
    ahead.fill(&mut small_slab, &mut table).unwrap();
    let mut views = wal.reader(60, None).unwrap();
    let (salt, pin) = (reader.segment_salt(), wal.pin(2).unwrap());
    let position = wal.position_of(70).unwrap().unwrap();
    let third = |payload: &[u8]| whole.iter().any(|(index, bytes)| index % 3 == 0 && bytes == payload);
    rewrite(&wal, 2, third).unwrap().unwrap();
    while machine.run_job() {}
    // Seen as long as it is held.
    let waiting: Vec<_> = wal.segments().into_iter().filter(|segment| segment.pending_deletion).collect();
    assert!(waiting.len() == 1 && waiting[0].salt == salt && waiting[0].references == 4, "{waiting:?}");
    // What is written beside, and rewritten again, is no matter.
    rewrite(&wal, 2, |_| false).unwrap().unwrap();
    assert_eq!(rest(&mut reader, 4096).unwrap(), whole[60..]);
    assert_eq!(rest(&mut ahead, 4096).unwrap(), whole[61..]);
    let map = pin.private_map().unwrap().unwrap();
    views.fill_views(&mut table).unwrap();
    assert_eq!((views.segment_id(), views.segment_salt()), (2, salt));
    let mine = wal.pin_salted(2, salt).unwrap().private_map().unwrap().unwrap();
    // The shorter file has not as many pages: a map of it would be refused, or shorter.
    assert!(map.len() > 20_000 && mine.len() == map.len() && table[1] as usize <= map.len());
    assert!(wal.pin(2).unwrap().private_map().unwrap().is_none());
    assert_eq!(wal.index_at(position).unwrap(), None);
    let now = wal.reader(120, None).unwrap();
    assert_ne!(now.segment_salt(), salt);
    drop((reader, ahead, views, pin));
    assert!(wal.segments().iter().all(|segment| !segment.pending_deletion));
    assert!(wal.pin_salted(2, salt).is_err());
    assert!(machine.contents(&segment(DIR, 2)).unwrap().len() < 2048);
    assert!(machine.violations().is_empty(), "{:?}", machine.violations());
}

#[test]
fn the_file_of_a_held_segment_goes_with_its_truncation_only() {
    let (machine, wal) = in_tens();
    let held_old = wal.pin(2).unwrap();
    rewrite(&wal, 2, is_one([12])).unwrap().unwrap();
    drop(held_old);
    assert!(machine.contents(&segment(DIR, 2)).is_ok());
    let held_old = wal.pin(2).unwrap();
    rewrite(&wal, 2, is_one([12])).unwrap().unwrap();
    wal.truncate_before(20).unwrap();
    wal.sync().unwrap();
    assert!(machine.contents(&segment(DIR, 2)).is_err(), "what is held has no name of its own");
    drop(held_old);
    rewrite(&wal, 3, is_one([22])).unwrap().unwrap();
    assert_eq!(held(&machine, DIR, "trimmed"), [at(20, [22]), at(30, 30..50)].concat());
    wal.truncate_before(30).unwrap();
    wal.sync().unwrap();
    assert!(machine.contents(&segment(DIR, 3)).is_err());
    assert_eq!(held(&machine, DIR, "trimmed behind it"), at(30, 30..50));
}

#[test]
fn a_backup_takes_what_was_rewritten_since() {
    for (first, second) in [(SEALED, SEALED), (SEALED, ALL), (ALL, SEALED), (ALL, ALL)] {
        let (machine, wal) = in_tens();
        backup(&wal, first);
        rewrite(&wal, 3, is_one([22, 25, 29])).unwrap().unwrap();
        let report = backup(&wal, second);
        assert!(report.files.contains(&segment(TO, 3)), "{report:?}");
        // The active one is there from before.
        let end = if first.active { 50 } else { report.position };
        let expected: Records = without().into_iter().filter(|(index, _)| *index < end).collect();
        assert!(held(&machine, TO, "the copy") == expected, "the copy holds other records");
        assert!(!backup(&wal, second).files.contains(&segment(TO, 3)));
        // One that was active when it was copied; and the last one of the copy.
        wal.rotate().unwrap();
        rewrite(&wal, 5, is_one([44])).unwrap().unwrap();
        rewrite(&wal, 1, |_| false).unwrap().unwrap();
        backup(&wal, second);
        let expected = [at(10, 10..20), at(20, [22, 25, 29]), at(30, 30..40), at(40, [44])].concat();
        assert!(held(&machine, TO, "the copy again") == expected, "it holds other records, added to");
    }
}

#[test]
fn a_backup_of_rewritten_segments_opens_at_every_step() {
    let (machine, wal) = in_tens();
    backup(&wal, ALL);
    for id in [1, 3, 4] {
        rewrite(&wal, id, is_one([2, 22, 25, 29, 33, 39])).unwrap().unwrap();
    }
    wal.close().unwrap();
    drop(wal);
    machine.drop_jobs();
    for fresh_copy in [false, true] {
        for step in 0.. {
            let machine = machine.kill();
            let wal = open(&machine, &small()).unwrap();
            let to = if fresh_copy { "/data/other" } else { TO };
            machine.crash_after(machine.changes() + step);
            let done = wal.backup(Path::new(to), SEALED, &Care::default()).is_ok();
            for after in [machine.kill(), machine.crash(step), machine.crash(step + 1000)] {
                let is_segment = |entry: &varve_io::DirEntry| entry.name.ends_with(".seg");
                let is_there = after.list(Path::new(to)).is_ok_and(|names| names.iter().any(is_segment));
                if is_there {
                    held(&after, to, &format!("fresh {fresh_copy}, step {step}"));
                }
                let wal = open(&after, &small()).unwrap();
                wal.backup(Path::new(to), ALL, &Care::default()).unwrap();
                assert!(held(&after, to, "gone on") == all(&wal), "fresh {fresh_copy}, step {step}");
            }
            if done {
                break;
            }
        }
    }
}

#[test]
fn beside_backups_readers_and_appends_on_a_real_disk() {
    let place = Place::new("rewrite");
    let copies = Place::new("rewrite-copies");
    let wal = Wal::open(Arc::clone(&place.machine), &place.path, &small()).unwrap();
    for number in 0..400_u64 {
        wal.append(&number.to_le_bytes().repeat(60), None).unwrap();
    }
    wal.rotate().unwrap();
    wal.sync().unwrap();
    let number = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).unwrap();
    let follower = Wal::follow(Arc::clone(&place.machine), &place.path, &small()).unwrap();
    let done = AtomicBool::new(false);
    let rises = |found: &Records, what: &str| {
        for pair in found.windows(2) {
            assert!(pair[0].0 < pair[1].0 && number(&pair[0].1) < number(&pair[1].1), "{what}: {:?}", pair[0].0);
        }
        found.iter().for_each(|(_, bytes)| assert_eq!(*bytes, number(bytes).to_le_bytes().repeat(60), "{what}"));
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let found = rest(&mut wal.reader(0, None).unwrap(), 2048).unwrap();
                rises(&found, "a reader");
                let Ok(mut reader) = follower.reader(0, None) else { continue };
                match rest(&mut reader, 2048) {
                    Ok(found) => rises(&found, "a follower"),
                    Err(error) => assert_eq!(error.code(), ErrorCode::OutOfRange, "{error}"),
                }
            }
        });
        scope.spawn(|| {
            for round in 0..8 {
                let to = copies.path.join(if round % 2 == 0 { "one".to_owned() } else { format!("fresh-{round}") });
                wal.backup(&to, ALL, &Care::default()).unwrap();
                let report = check(Arc::clone(&place.machine), &to, &Care::default()).unwrap();
                assert!(report.ok, "{report:?}");
                rises(&all(&Wal::follow(Arc::clone(&place.machine), &to, &small()).unwrap()), "a backup");
            }
            done.store(true, Ordering::Relaxed);
        });
        let (mut next, mut share) = (400_u64, 2);
        while !done.load(Ordering::Relaxed) {
            for segment in wal.segments().into_iter().filter(|segment| segment.sealed && !segment.pending_deletion) {
                rewrite(&wal, segment.id, |bytes| number(bytes) % share != 1).unwrap();
                for _ in 0..5 {
                    wal.append(&next.to_le_bytes().repeat(60), None).unwrap();
                    next += 1;
                }
            }
            share += 1;
        }
    });
    wal.flush().unwrap();
    follower.refresh(Change::Names);
    assert!(all(&follower) == all(&wal), "a follower reads other records in the end");
    assert!(follower.failed().is_none());
    wal.close().unwrap();
}

#[test]
fn a_follower_takes_over_what_was_rewritten() {
    let (machine, wal) = in_tens();
    let follow = || Wal::follow(Arc::new(machine.clone()), Path::new(DIR), &small()).unwrap();
    let (reads, looks, sleeps) = (follow(), follow(), follow());
    let mut inside = reads.reader(20, None).unwrap();
    let mut slab = vec![0; 128];
    inside.fill(&mut slab, &mut [0; TABLE_LEN]).unwrap();
    let mut outside = sleeps.reader(15, None).unwrap();
    rewrite(&wal, 3, is_one([22, 25, 29])).unwrap().unwrap();
    // What is in memory is read on.
    assert_eq!(rest(&mut inside, 4096).unwrap(), at(21, 21..50));
    // Nobody told it: it looks itself.
    assert_eq!(sleeps.get(22, <[u8]>::to_vec).unwrap(), Some(record(29, 100)));
    assert_eq!(sleeps.get(23, <[u8]>::len).unwrap(), None);
    assert_eq!(rest(&mut outside, 4096).unwrap(), [at(15, 15..20), at(20, [22, 25, 29]), at(30, 30..50)].concat());
    assert_eq!(sleeps.stats().entries, 43);
    // Told that names have changed.
    looks.refresh(Change::Names);
    assert_eq!((all(&looks), looks.stats().bytes), (without(), 4300));
    // A reader that stands in one that is not in memory is told that it is gone, and never reads what is another's.
    let late = follow();
    let mut stands = late.reader(21, None);
    assert!(stands.is_ok());
    rewrite(&wal, 3, is_one([22])).unwrap().unwrap();
    let told = stands.as_mut().unwrap().fill(&mut slab, &mut [0; TABLE_LEN]);
    assert_eq!(told.unwrap_err().code(), ErrorCode::OutOfRange);
    late.refresh(Change::Names);
    assert_eq!(all(&late), [at(0, 0..20), at(20, [22]), at(30, 30..50)].concat());
    assert!([&reads, &looks, &sleeps, &late].iter().all(|wal| wal.failed().is_none()));
    // More appends, and a rotation, are followed as ever.
    add(&wal, 3);
    wal.rotate().unwrap();
    rewrite(&wal, 5, is_one([50])).unwrap().unwrap();
    for follower in [&reads, &late] {
        follower.refresh(Change::Names);
        assert_eq!(all(follower), all(&wal));
    }
}
