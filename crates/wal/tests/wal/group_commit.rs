//! Group commit: one sync serves all that wait, and whoever listens is told.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use varve_io::Operation;
use varve_io::sim::{Fault, SimMachine};
use varve_wal::{Error, ErrorCode, News, Wal, open_shared};

use crate::log::{Place, fresh, open, record, small};

const PATIENCE: Duration = Duration::from_secs(20);

fn listen(wal: &Arc<Wal>) -> (u64, Receiver<News>) {
    let (told, rounds) = channel();
    let listener = wal.listen(Arc::new(move |round: &News| {
        let _nobody_listens_any_more = told.send(round.clone());
    }));
    (listener, rounds)
}

/// Waits for the round that makes all below `index` durable.
fn until(rounds: &Receiver<News>, index: u64) {
    loop {
        match rounds.recv_timeout(PATIENCE).unwrap() {
            News::Durable { index: durable, .. } if durable >= index => return,
            News::Failed(error) => panic!("{error}"),
            _ => {}
        }
    }
}

fn syncs(machine: &SimMachine) -> usize {
    machine.take_trace().iter().filter(|(operation, _)| *operation == Operation::Sync).count()
}

#[test]
fn many_that_wait_share_syncs() {
    const THREADS: u64 = 16;
    const ROUNDS: u64 = 50;
    let place = Place::new("group-commit");
    let log = open_shared(&place.machine, &place.path, &small()).unwrap();
    let barrier = Barrier::new(usize::try_from(THREADS).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (log, barrier) = (&log, &barrier);
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    barrier.wait();
                    let index = log.append(&record(thread, 100), None).unwrap();
                    assert!(log.sync().unwrap() > index);
                }
            });
        }
    });
    let stats = log.stats();
    assert_eq!((stats.next_index, stats.durable_index), (THREADS * ROUNDS, THREADS * ROUNDS));
    assert!(stats.syncs >= ROUNDS, "{} syncs for {ROUNDS} rounds", stats.syncs);
    assert!(stats.syncs * 2 < THREADS * ROUNDS, "{} syncs for {} waiters", stats.syncs, THREADS * ROUNDS);
}

#[test]
fn a_sync_of_nothing_new_syncs_nothing() {
    let (machine, wal) = fresh(&small());
    wal.append(b"a", None).unwrap();
    assert_eq!(wal.sync().unwrap(), 1);
    machine.start_trace();
    assert_eq!(wal.sync().unwrap(), 1);
    assert_eq!(machine.take_trace(), []);
}

#[test]
fn a_sync_takes_each_segment_once_and_the_names_once() {
    let (machine, wal) = fresh(&small());
    for index in 0..3 {
        wal.append(&record(index, 100), None).unwrap();
        wal.rotate().unwrap();
    }
    machine.start_trace();
    wal.sync().unwrap();
    let trace = machine.take_trace();
    let count = |wanted| trace.iter().filter(|(operation, _)| *operation == wanted).count();
    assert_eq!((count(Operation::Sync), count(Operation::SyncDir)), (4, 1), "{trace:?}");
    wal.append(b"b", None).unwrap();
    wal.sync().unwrap();
    let trace = machine.take_trace();
    assert_eq!(trace.iter().filter(|(operation, _)| *operation == Operation::Sync).count(), 1, "{trace:?}");
}

#[test]
fn what_is_asked_for_is_synced_and_told() {
    let (machine, wal) = fresh(&small());
    let (listener, rounds) = listen(&wal);
    for round in 1..20u64 {
        wal.append(&record(round, 4000), None).unwrap();
        if round % 6 == 0 {
            wal.rotate().unwrap();
        }
        assert_eq!(wal.request_sync().unwrap(), round);
        until(&rounds, round);
        assert_eq!(wal.durable_index(), round);
        // Whatever happens now, it is there.
        assert_eq!(open(&machine.crash(round), &small()).unwrap().next_index(), round);
    }
    wal.unlisten(listener);
    wal.append(b"x", None).unwrap();
    wal.sync().unwrap();
    assert!(rounds.try_recv().is_err(), "told after it was taken away");
    wal.close().unwrap();
}

#[test]
fn requests_that_come_together_are_one_round_or_few() {
    let (machine, wal) = fresh(&small());
    let (_, rounds) = listen(&wal);
    machine.start_trace();
    for index in 0..1000 {
        wal.append(&record(index, 20), None).unwrap();
        wal.request_sync().unwrap();
    }
    until(&rounds, 1000);
    assert!(syncs(&machine) <= 1000);
    assert_eq!((wal.durable_index(), wal.stats().durable_index), (1000, 1000));
}

#[test]
fn a_failed_sync_is_told_once_and_to_all_that_wait() {
    let (machine, wal) = fresh(&small());
    let (_, rounds) = listen(&wal);
    let (_, others) = listen(&wal);
    machine.inject(Fault::on(Operation::Sync, 5));
    wal.append(b"a", None).unwrap();
    wal.request_sync().unwrap();
    for rounds in [&rounds, &others] {
        let News::Failed(error) = rounds.recv_timeout(PATIENCE).unwrap() else { panic!("no failure is told") };
        assert_eq!(error.code(), ErrorCode::SyncFailed);
    }
    machine.start_trace();
    let waiting: Vec<_> = (0..8).map(|_| Arc::clone(&wal)).map(|wal| std::thread::spawn(move || wal.sync())).collect();
    for thread in waiting {
        assert_eq!(thread.join().unwrap().unwrap_err().code(), ErrorCode::SyncFailed);
    }
    assert_eq!(wal.request_sync().unwrap_err().code(), ErrorCode::SyncFailed);
    assert_eq!(syncs(&machine), 0, "a sync is tried again");
    assert!(rounds.recv_timeout(Duration::from_millis(50)).is_err(), "a failure is told twice");
    assert_eq!(wal.close().unwrap_err().code(), ErrorCode::SyncFailed);
}

#[test]
fn a_close_waits_for_nobody_and_stops_the_thread() {
    let (machine, wal) = fresh(&small());
    wal.append(b"a", None).unwrap();
    wal.request_sync().unwrap();
    wal.close().unwrap();
    assert!(matches!(wal.request_sync(), Err(Error::Closed)));
    let weak = Arc::downgrade(&wal);
    drop(wal);
    // The thread holds the log only while it works for it.
    let gone = (0..2000).any(|_| {
        std::thread::sleep(Duration::from_millis(1));
        weak.strong_count() == 0
    });
    assert!(gone, "something still holds a log that was closed");
    assert_eq!(open(&machine, &small()).unwrap().next_index(), 1);
}

/// Files with unsynced bytes stay open: a log that is never synced does it itself before there are too many.
#[test]
fn a_log_that_nobody_syncs_does_it_itself() {
    let (_, wal) = fresh(&small());
    let (_, rounds) = listen(&wal);
    for index in 0..70 {
        wal.append(&record(index, 10), None).unwrap();
        wal.rotate().unwrap();
    }
    until(&rounds, 60);
    wal.close().unwrap();
}
