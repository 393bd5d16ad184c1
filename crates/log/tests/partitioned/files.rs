//! What partitions take on the disk, and that their files are not all open.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};

use varve_io::sim::SimMachine;

use crate::model::{any, held, names, open, options, put, subdirectory};

fn segments(machine: &SimMachine, partition: usize) -> usize {
    names(machine, &subdirectory(partition)).iter().filter(|name| name.ends_with(".seg")).count()
}

fn prepared(machine: &SimMachine, partition: usize) -> usize {
    names(machine, &subdirectory(partition)).iter().filter(|name| name.ends_with(".tmp")).count()
}

#[test]
fn a_partition_grows_in_steps_and_prepares_when_three_quarters_are_full() {
    let machine = SimMachine::new(1);
    let mut asked = options(2);
    asked.log.segment_size = Some(16 << 20);
    let whole = open(&machine, &asked).unwrap();
    let log = whole.log(0).unwrap();
    let fill = |to: u64| {
        while log.wal().segments().last().is_none_or(|active| active.bytes < to) {
            put(&whole, 0, &[1; 1000]).unwrap();
            whole.flush().unwrap();
        }
        while machine.run_job() {}
    };
    let capacities = || log.wal().segments().iter().map(|segment| segment.capacity >> 10).collect::<Vec<_>>();
    fill(180 << 10);
    assert_eq!((capacities(), prepared(&machine, 0)), (vec![256], 0));
    fill(200 << 10);
    assert_eq!((capacities(), prepared(&machine, 0)), (vec![256], 1));
    while capacities().len() < 2 {
        put(&whole, 0, &[1; 1000]).unwrap();
        whole.flush().unwrap();
    }
    assert_eq!(capacities(), [256, 1024]);
    fill(700 << 10);
    assert_eq!(prepared(&machine, 0), 0);
    fill(800 << 10);
    assert_eq!(prepared(&machine, 0), 1);
    // What rests has nothing prepared.
    whole.sync().unwrap();
    assert!(log.wal().rest().unwrap());
    assert_eq!(prepared(&machine, 0), 0);
    assert_eq!(names(&machine, &subdirectory(1)), [""; 0]);
    whole.close().unwrap();
}

#[test]
fn segments_that_are_left_before_they_are_full_do_not_make_the_next_larger() {
    let machine = SimMachine::new(1);
    let mut asked = options(1);
    asked.log.segment_size = Some(16 << 20);
    let whole = open(&machine, &asked).unwrap();
    for _ in 0..5 {
        put(&whole, 0, b"little").unwrap();
        whole.log(0).unwrap().wal().rotate().unwrap();
    }
    assert!(whole.log(0).unwrap().wal().segments().iter().all(|segment| segment.capacity == 256 << 10));
}

#[test]
fn sealed_segments_that_are_not_synced_are_few() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(20)).unwrap();
    for _ in 0..30 {
        for partition in 0..20 {
            put(&whole, partition, &[1; 50_000]).unwrap();
        }
    }
    // Two files each, one that is prepared, and sealed ones that wait.
    assert!(machine.open_files() <= 20 * (3 + 5) + 8, "{} files are open", machine.open_files());
    whole.close().unwrap();
}

#[test]
fn who_writes_waits_where_the_thread_that_closes_files_does_not_keep_up() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(300)).unwrap();
    let gate = Arc::new(Mutex::new(()));
    let (tell, told) = mpsc::channel();
    let (closed, tell) = (Arc::clone(&gate), Mutex::new(tell));
    let stops = gate.lock().unwrap();
    whole.listen(Arc::new(move |partition, _| {
        if partition.is_none() {
            // On the thread that all partitions share: it does nothing else until the gate is open.
            tell.lock().unwrap().send(()).unwrap();
            drop(closed.lock().unwrap());
        }
    }));
    whole.request_sync().unwrap();
    told.recv().unwrap();
    for partition in 0..300 {
        put(&whole, partition, b"message").unwrap();
        whole.log(partition).unwrap().flush().unwrap();
        assert!(machine.open_files() <= 200, "{} files are open", machine.open_files());
    }
    drop(stops);
    whole.close().unwrap();
}

#[test]
fn of_many_partitions_few_have_their_files_open_and_none_loses_anything() {
    const PARTITIONS: usize = 300;
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(300)).unwrap();
    for round in 0..3_u8 {
        for partition in 0..PARTITIONS {
            put(&whole, partition, &[round; 50]).unwrap();
        }
        whole.flush().unwrap();
        let open_now = machine.open_files();
        assert!(open_now <= 2 * 192 + 8, "{open_now} files are open");
        // Whatever was closed has been synced: it survives a crash.
        let durable: Vec<bool> = (0..PARTITIONS).map(|at| whole.log(at).unwrap().wal().is_durable()).collect();
        assert!(durable.iter().filter(|durable| **durable).count() >= PARTITIONS - 192);
        let after = open(&machine.crash(u64::from(round)), &any()).unwrap();
        for (partition, durable) in durable.iter().enumerate() {
            let held = held(&after, partition);
            let least = if *durable { usize::from(round) + 1 } else { 0 };
            assert!(held.len() >= least, "{} of {least} in partition {partition}", held.len());
        }
    }
    whole.sync().unwrap();
    whole.close().unwrap();
    let derived = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "idx" || extension == "dig");
    let unsynced: Vec<_> = machine.closed_unsynced().into_iter().filter(|path| !derived(&path)).collect();
    assert_eq!(unsynced, Vec::<PathBuf>::new(), "closed with unsynced bytes");
    assert_eq!(machine.open_files(), 0);
    let whole = open(&machine, &any()).unwrap();
    assert!(machine.open_files() <= 8, "{} after an open", machine.open_files());
    for partition in 0..PARTITIONS {
        assert_eq!(held(&whole, partition), [[0; 50], [1; 50], [2; 50]]);
        assert_eq!(segments(&machine, partition), 1);
    }
}
