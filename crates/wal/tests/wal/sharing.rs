//! One log a directory in a process: many threads, one core; and other processes kept out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use varve_wal::{Error, ErrorCode, SegmentError, Wal, WalOptions, open_shared};

use crate::log::{Place, all, fresh, open, rest, small};

const APPENDERS: u64 = 4;
const RECORDS: u64 = 4_000;

/// Record `number` of thread `thread`.
fn record(thread: u64, number: u64) -> Vec<u8> {
    let len = 16 + usize::try_from((thread * 31 + number * 7) % 200).unwrap();
    let head = [thread.to_le_bytes(), number.to_le_bytes()].concat();
    head.into_iter().chain(std::iter::repeat(0xab)).take(len).collect()
}

/// Each thread's records, in its order, none twice; gives how many of each there are.
fn in_order(records: &[(u64, Vec<u8>)]) -> Vec<u64> {
    let mut seen = vec![0; usize::try_from(APPENDERS).unwrap()];
    for (index, bytes) in records {
        let thread = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let number = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
        let next = &mut seen[usize::try_from(thread).unwrap()];
        assert_eq!(number, *next, "record {index} of thread {thread}");
        assert_eq!(*bytes, record(thread, number));
        *next += 1;
    }
    seen
}

#[test]
fn every_record_of_every_thread_is_there_once_and_in_its_order() {
    let place = Place::new("threads");
    let (writing, synced) = (AtomicBool::new(true), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let appenders: Vec<_> = (0..APPENDERS)
            .map(|thread| {
                let place = &place;
                scope.spawn(move || {
                    let mut log = open_shared(&place.machine, &place.path, &small()).unwrap();
                    let mut number = 0;
                    while number < RECORDS {
                        if number % 10 == 3 {
                            let records: Vec<_> =
                                (number..RECORDS.min(number + 5)).map(|n| record(thread, n)).collect();
                            let first = crate::log::batch(&log, &records).unwrap();
                            for (index, bytes) in (first..).zip(&records) {
                                assert_eq!(log.get(index, <[u8]>::to_vec).unwrap().as_ref(), Some(bytes));
                            }
                            number += records.len() as u64;
                        } else {
                            let index = log.append(&record(thread, number), None).unwrap();
                            let read = log.get(index, <[u8]>::to_vec).unwrap();
                            assert_eq!(read, Some(record(thread, number)), "what is written is seen at once");
                            number += 1;
                        }
                    }
                    log.close().unwrap();
                })
            })
            .collect();
        for _ in 0..2 {
            let (place, writing) = (&place, &writing);
            scope.spawn(move || {
                let log = open_shared(&place.machine, &place.path, &small()).unwrap();
                let mut reader = log.reader(0, None).unwrap();
                let mut found = Vec::new();
                while writing.load(Ordering::Acquire) {
                    found.extend(rest(&mut reader, 10_000).unwrap());
                    std::thread::yield_now();
                }
                found.extend(rest(&mut reader, 10_000).unwrap());
                assert!((0..APPENDERS * RECORDS).eq(found.iter().map(|(index, _)| *index)));
                assert_eq!(in_order(&found), [RECORDS; 4]);
            });
        }
        let syncer = scope.spawn(|| {
            let log = open_shared(&place.machine, &place.path, &small()).unwrap();
            while writing.load(Ordering::Acquire) {
                let before = log.next_index();
                assert!(log.sync().unwrap() >= before);
                synced.fetch_add(1, Ordering::Relaxed);
            }
        });
        appenders.into_iter().for_each(|appender| appender.join().unwrap());
        writing.store(false, Ordering::Release);
        syncer.join().unwrap();
    });
    assert!(synced.into_inner() > 0);
    let log = open_shared(&place.machine, &place.path, &WalOptions { verify: Some(true), ..small() }).unwrap();
    assert!(log.stats().recovery.torn.is_empty());
    assert_eq!(in_order(&all(&log)), [RECORDS; 4]);
}

#[test]
fn a_second_writer_is_told_who_holds_the_log() {
    let place = Place::new("locked");
    let log = open_shared(&place.machine, &place.path, &small()).unwrap();
    // Not shared: as another process does.
    let refused = Wal::open(Arc::clone(&place.machine), &place.path, &small()).unwrap_err();
    let Error::Segment(SegmentError::Locked { path, pid }) = &refused else { panic!("{refused}") };
    assert_eq!((path, *pid), (&place.path, Some(std::process::id())));
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    assert_eq!(refused.code(), ErrorCode::Locked);
    drop(log);
    Wal::open(Arc::clone(&place.machine), &place.path, &small()).unwrap().close().unwrap();
}

#[test]
fn a_lock_of_the_simulated_machine_tells_its_pid_too() {
    let (machine, wal) = fresh(&small());
    let refused = open(&machine, &small()).unwrap_err();
    assert!(refused.to_string().contains(&varve_io::sim::PID.to_string()), "{refused}");
    wal.close().unwrap();
    open(&machine, &small()).unwrap().close().unwrap();
}

#[test]
fn options_that_disagree_are_refused_naming_both_values() {
    let place = Place::new("options");
    let options = WalOptions { marker: Some(5), skip_damage: Some(false), ..small() };
    let mut log = open_shared(&place.machine, &place.path, &options).unwrap();
    let others = [
        (WalOptions { segment_size: Some(128 << 10), ..small() }, ["65536", "131072"]),
        (WalOptions { marker: Some(6), ..small() }, ["5", "6"]),
        (WalOptions { codec: "json".into(), ..small() }, ["'bytes'", "'json'"]),
        (WalOptions { skip_damage: Some(true), ..small() }, ["'fail'", "'skip'"]),
    ];
    for (other, values) in others {
        let refused = open_shared(&place.machine, &place.path, &other).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidArgument);
        assert!(values.iter().all(|value| refused.to_string().contains(value)), "{refused}");
    }
    // What is not given takes what the log has; what was refused holds nothing.
    let silent = WalOptions { codec: "bytes".into(), ..WalOptions::default() };
    let mut second = open_shared(&place.machine, &place.path, &silent).unwrap();
    second.close().unwrap();
    log.close().unwrap();
    assert!(matches!(log.append(b"x", None), Err(Error::Closed)));
}

#[test]
fn the_last_handle_closes_the_log_and_no_other() {
    let place = Place::new("handles");
    let mut first = open_shared(&place.machine, &place.path, &small()).unwrap();
    let mut second = open_shared(&place.machine, &place.path.join("."), &small()).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    first.append(b"a", None).unwrap();
    first.close().unwrap();
    first.close().unwrap();
    assert_eq!(second.durable_index(), 1, "a close syncs, whoever else has the log open");
    assert_eq!(second.append(b"b", None).unwrap(), 1);
    assert!(Wal::open(Arc::clone(&place.machine), &place.path, &small()).is_err(), "the lock is held still");
    second.close().unwrap();
    assert!(matches!(second.append(b"c", None), Err(Error::Closed)));
    let third = open_shared(&place.machine, &place.path, &small()).unwrap();
    assert!(!Arc::ptr_eq(&third, &second));
    assert_eq!(all(&third), [(0, b"a".to_vec()), (1, b"b".to_vec())]);
}

/// `get` lends a buffered record under the log's lock: a panic there is a panic of whoever has the lock.
#[test]
fn a_panic_under_the_lock_fails_the_log_and_nothing_else() {
    let (machine, wal) = fresh(&small());
    wal.append(b"flushed", None).unwrap();
    wal.sync().unwrap();
    wal.append(b"buffered", None).unwrap();
    let panicking = Arc::clone(&wal);
    let thread = std::thread::spawn(move || panicking.get(1, |_| panic!("on purpose, by a test")).map(drop));
    assert!(thread.join().is_err());
    let first = wal.append(b"x", None).unwrap_err();
    assert!(matches!(first, Error::Segment(SegmentError::Panicked)), "{first}");
    for later in [wal.sync().err(), wal.flush().err(), wal.rotate().err(), wal.request_sync().err()] {
        assert_eq!(later.map(|error| error.to_string()), Some(first.to_string()));
    }
    assert!(matches!(wal.failed(), Some(SegmentError::Panicked)));
    assert_eq!(all(&wal), [(0, b"flushed".to_vec()), (1, b"buffered".to_vec())]);
    assert_eq!(wal.close().unwrap_err().to_string(), first.to_string());
    wal.close().unwrap();
    assert_eq!(all(&open(&machine, &small()).unwrap())[0], (0, b"flushed".to_vec()));
}
