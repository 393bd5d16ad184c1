//! What a process holds: handles, maps, locks, jobs, time.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{durable_file, machine, names, open, path};
use crate::sim::{PID, SimMachine};
use crate::{Access, File, LockAttempt, Machine};

#[test]
fn the_simulated_machine_answers_as_the_real_one() {
    let machine = machine();
    let file = machine.create(&path("a")).unwrap();
    assert!(file.is_empty().unwrap());
    file.write_at(&[b"ab"], 3).unwrap();
    file.write_at(&[b"", b"cd", b"e"], 5).unwrap();
    let mut bytes = [1; 20];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 8);
    assert_eq!(&bytes[..8], b"\0\0\0abcde");
    assert_eq!(file.read_at(&mut bytes, 8).unwrap(), 0);
    assert_eq!(file.read_at(&mut bytes, u64::MAX).unwrap(), 0);
    assert!(file.write_at(&[b"a"], u64::MAX).is_err());
    assert_eq!(machine.create(&path("a")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(machine.open(&path("b"), Access::Read).unwrap_err().os_code(), Some("ENOENT"));
    assert_eq!(machine.open(Path::new("/db"), Access::Read).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(machine.list(&path("a")).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(machine.create_dir_all(&path("a/b")).unwrap_err().kind(), ErrorKind::NotADirectory);
    let reading = machine.open(&path("a"), Access::Read).unwrap();
    assert_eq!(reading.write_at(&[b"a"], 0).unwrap_err().os_code(), Some("EBADF"));
    assert_eq!(machine.unlink(&path("b")).unwrap_err().kind(), ErrorKind::NotFound);
    machine.rename(&path("a"), &path("a")).unwrap();
    machine.rename(&path("a"), &path("b")).unwrap();
    assert_eq!(names(&machine), ["b"]);
    let dir = machine.identity(Path::new("/db")).unwrap();
    assert_eq!(machine.identity(Path::new("db/../db/.")).unwrap(), dir);
    assert_ne!(machine.kill().identity(Path::new("/db")).unwrap(), dir, "another machine is another device");
}

#[test]
fn open_files_and_maps_outlive_the_name() {
    let machine = machine();
    let file = durable_file(&machine, "a", b"abc");
    let map = file.map(3).unwrap();
    machine.unlink(&path("a")).unwrap();
    machine.sync_dir(Path::new("/db")).unwrap();
    file.write_at(&[b"d"], 3).unwrap();
    drop(file);
    assert_eq!(map.slice(1..9).as_ref(), b"bc");
    assert_eq!(machine.used(), 4096);
    drop(map);
    assert_eq!(machine.used(), 0);
}

#[test]
fn a_killed_process_leaves_everything_written_and_no_lock() {
    let machine = machine();
    let held = machine.lock(&path("LOCK")).unwrap();
    let file = machine.create(&path("a")).unwrap();
    file.write_at(&[b"abc"], 0).unwrap();
    let next = machine.kill();
    assert_eq!(next.contents(&path("a")).unwrap(), b"abc");
    assert!(matches!(next.lock(&path("LOCK")).unwrap(), LockAttempt::Held(_)));
    // Neither sees what the other does from now on.
    file.write_at(&[b"x"], 0).unwrap();
    open(&next, "a").write_at(&[b"yy"], 0).unwrap();
    assert_eq!(machine.contents(&path("a")).unwrap(), b"xbc");
    assert_eq!(next.contents(&path("a")).unwrap(), b"yyc");
    // What was not synced may still be lost when the power goes.
    assert!((0..100).any(|seed| next.crash(seed).contents(&path("a")).is_err()));
    drop(held);
}

#[test]
fn a_lock_is_held_until_it_is_dropped() {
    let machine = machine();
    let LockAttempt::Held(held) = machine.lock(&path("LOCK")).unwrap() else { panic!("free at first") };
    assert!(matches!(machine.lock(&path("LOCK")).unwrap(), LockAttempt::Busy(Some(PID))));
    assert!(matches!(machine.lock(&path("OTHER")).unwrap(), LockAttempt::Held(_)));
    assert_eq!(machine.contents(&path("LOCK")).unwrap(), format!("{PID}\n").as_bytes());
    drop(held);
    assert!(matches!(machine.lock(&path("LOCK")).unwrap(), LockAttempt::Held(_)));
}

#[test]
fn a_byte_changed_while_it_is_lent_is_a_violation() {
    let machine = machine();
    let file = durable_file(&machine, "a", &[1; 8192]);
    let map = file.map(8192).unwrap();
    assert_eq!(map.slice(100..200).as_ref(), [1; 100]);
    assert_eq!(map.slice(200..300).as_ref(), [1; 100]);
    map.slice(4096..5000);
    file.write_at(&[&[1; 300]], 50).unwrap();
    file.write_at(&[&[2; 3796]], 300).unwrap();
    file.punch(5000..8192).unwrap();
    file.read_at(&mut [0; 8192], 0).unwrap();
    file.write_at(&[&[9; 10]], 6000).unwrap();
    assert!(machine.violations().is_empty(), "{:?}", machine.violations());
    open(&machine, "a").write_at(&[&[1; 50], &[3; 5]], 200).unwrap();
    file.punch(4998..4999).unwrap();
    let violations = machine.violations();
    assert_eq!(violations.len(), 2, "{violations:?}");
    assert_eq!(violations[0], "byte 250 of /db/a was changed while a map that had lent 200..255 of it was alive");
    assert!(violations[1].starts_with("byte 4998 of /db/a"));
    drop(map);
    file.write_at(&[&[5; 8192]], 0).unwrap();
    assert_eq!(machine.violations().len(), 2);
    assert!(machine.kill().violations().is_empty());
}

#[test]
fn lent_ranges_are_found_wherever_they_overlap() {
    let machine = machine();
    let file = durable_file(&machine, "a", &[0; 1000]);
    let map = file.map(1000).unwrap();
    for range in [500..510, 10..20, 30..40, 18..32, 40..45, 300..301, 495..520] {
        map.slice(range);
    }
    let lent = |position: usize| (10..45).contains(&position) || position == 300 || (495..520).contains(&position);
    let mut expected = 0;
    for position in 0..1000 {
        file.write_at(&[&[1]], position as u64).unwrap();
        expected += usize::from(lent(position));
        assert_eq!(machine.violations().len(), expected, "at {position}");
    }
}

#[test]
fn jobs_run_when_told_and_may_bring_others() {
    let machine = machine();
    let ran = Arc::new(AtomicU32::new(0));
    for _ in 0..2 {
        let (ran, handle) = (Arc::clone(&ran), machine.clone());
        machine.spawn(Box::new(move || {
            let inner = Arc::clone(&ran);
            assert!(handle.create(&path(&format!("job-{}", ran.fetch_add(1, Ordering::Relaxed)))).is_ok());
            handle.spawn(Box::new(move || {
                inner.fetch_add(10, Ordering::Relaxed);
            }));
        }));
    }
    assert_eq!((machine.jobs(), ran.load(Ordering::Relaxed)), (2, 0));
    assert!(machine.run_job() && machine.run_job());
    assert_eq!((machine.jobs(), ran.load(Ordering::Relaxed)), (2, 2));
    assert!(machine.run_job());
    assert_eq!(ran.load(Ordering::Relaxed), 12);
    machine.drop_jobs();
    assert!(!machine.run_job());
    assert_eq!(names(&machine), ["job-0", "job-1"]);
}

#[test]
fn the_clock_moves_when_it_is_moved() {
    let machine = SimMachine::new(1);
    let start = machine.now_micros();
    assert_eq!(machine.now_micros(), start);
    machine.advance(1_500_000);
    machine.advance(-500_000);
    assert_eq!(machine.crash(1).now_micros(), start + 1_000_000);
    assert_ne!(machine.random(), machine.random());
    assert_eq!(SimMachine::new(9).random(), SimMachine::new(9).random());
}

#[test]
fn damage_from_outside_is_durable_and_leaves_open_files_alone() {
    let machine = machine();
    let file: Arc<dyn File> = durable_file(&machine, "a", b"abcdef");
    machine.set_contents(&path("a"), b"abX").unwrap();
    machine.set_contents(&path("b"), b"").unwrap();
    assert_eq!(file.len().unwrap(), 6);
    for seed in 0..20 {
        let image = machine.crash(seed);
        assert_eq!(image.contents(&path("a")).unwrap(), b"abX");
        assert_eq!(names(&image), ["a", "b"]);
    }
    assert!(machine.set_contents(Path::new("/nowhere/a"), b"").is_err());
}
