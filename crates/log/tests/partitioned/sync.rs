//! Syncs of all partitions at once.

use std::sync::{Arc, mpsc};

use varve_io::sim::{Fault, SimMachine};
use varve_io::{Machine, Operation};
use varve_log::{ErrorCode, News, PartitionedLog, open_partitioned};

use crate::model::{DIR, any, held, open, options, put};

/// What is told of all partitions together.
fn listen(whole: &PartitionedLog) -> mpsc::Receiver<News> {
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    whole.listen(Arc::new(move |partition, news| {
        if partition.is_none() {
            let _gone = tell.lock().unwrap().send(news.clone());
        }
    }));
    told
}

#[test]
fn a_ticket_is_told_when_all_partitions_are_durable() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(5)).unwrap();
    let told = listen(&whole);
    for round in 1..4 {
        for partition in [0, 1, 4] {
            put(&whole, partition, b"message").unwrap();
        }
        let ticket = whole.request_sync().unwrap();
        loop {
            match told.recv().unwrap() {
                News::Durable { ticket: reached, .. } if reached >= ticket => break,
                News::Durable { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(whole.durable_ticket() >= ticket);
        let after = open(&machine.crash(round), &any()).unwrap();
        for partition in [0, 1, 4] {
            assert_eq!(held(&after, partition).len() as u64, round);
        }
    }
    put(&whole, 2, b"message").unwrap();
    machine.inject(Fault::on(Operation::Sync, 5).path("0002/"));
    whole.request_sync().unwrap();
    assert!(matches!(told.recv().unwrap(), News::Failed(_)));
    assert_eq!(whole.close().unwrap_err().code(), ErrorCode::SyncFailed);
}

#[test]
fn nothing_is_synced_where_nothing_is_new() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(50)).unwrap();
    for partition in 0..50 {
        put(&whole, partition, b"message").unwrap();
    }
    whole.sync().unwrap();
    put(&whole, 17, b"message").unwrap();
    machine.start_trace();
    whole.sync().unwrap();
    let synced: Vec<_> =
        machine.take_trace().into_iter().filter(|(operation, _)| *operation == Operation::Sync).collect();
    assert_eq!(synced.len(), 1, "{synced:?}");
    whole.sync().unwrap();
    assert_eq!(machine.take_trace(), []);
}

#[test]
fn handles_share_one_and_the_last_one_closes_it() {
    let sim = SimMachine::new(1);
    let machine: Arc<dyn Machine> = Arc::new(sim.clone());
    let dir = std::path::Path::new(DIR);
    let mut one = open_partitioned(&machine, dir, &options(3)).unwrap();
    let mut other = open_partitioned(&machine, dir, &any()).unwrap();
    assert!(Arc::ptr_eq(&one, &other));
    assert_eq!(open_partitioned(&machine, dir, &options(4)).unwrap_err().code(), ErrorCode::InvalidArgument);
    put(&one, 1, b"message").unwrap();
    one.close().unwrap();
    assert_eq!(held(&open(&sim.crash(1), &any()).unwrap(), 1), [b"message"], "a handle's close is a sync");
    assert_eq!(put(&other, 1, b"message").unwrap(), 1);
    other.close().unwrap();
    assert_eq!(put(&other, 1, b"message").unwrap_err().code(), ErrorCode::Closed);
    assert_eq!(held(&open_partitioned(&machine, dir, &any()).unwrap(), 1).len(), 2);
}
