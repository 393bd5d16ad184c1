//! Another process reads.

use std::path::Path;
use std::sync::{Arc, Mutex};

use varve_io::sim::SimMachine;
use varve_log::{ErrorCode, News, PartitionedLog, PartitionedOptions};

use crate::model::{DIR, any, held, open, options, put};

fn follow(machine: &SimMachine) -> varve_log::Result<Arc<PartitionedLog>> {
    let mut asked: PartitionedOptions = any();
    asked.log.read_only = true;
    PartitionedLog::follow(Arc::new(machine.clone()), Path::new(DIR), &asked)
}

#[test]
fn a_follower_sees_partitions_that_are_made_later() {
    let machine = SimMachine::new(1);
    assert_eq!(follow(&machine).unwrap_err().code(), ErrorCode::Io);
    let whole = open(&machine, &options(4)).unwrap();
    put(&whole, 0, b"zero").unwrap();
    whole.flush().unwrap();
    let follower = follow(&machine).unwrap();
    assert_eq!(follower.partitions(), 4);
    assert_eq!(held(&follower, 0), [b"zero"]);
    assert!(follower.find(2).unwrap().is_none());
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    follower.listen(Arc::new(move |partition, news| {
        if matches!(news, News::Moved) {
            tell.lock().unwrap().push(partition);
        }
    }));
    assert!(follower.wake_at(2, 0, false));
    let before = machine.changes();
    for (round, next) in [&b"first"[..], b"second"].into_iter().enumerate() {
        put(&whole, 2, next).unwrap();
        whole.flush().unwrap();
        while machine.run_watches() > 0 || machine.run_job() {}
        assert_eq!(told.lock().unwrap().pop(), Some(Some(2)));
        assert_eq!(held(&follower, 2).len(), round + 1);
        assert!(follower.wake_at(2, round as u64 + 1, false));
    }
    assert!(machine.changes() > before);
    assert_eq!(held(&follower, 2), [&b"first"[..], b"second"]);
    assert_eq!(put(&follower, 2, b"no").unwrap_err().code(), ErrorCode::ReadOnly);
    assert_eq!(put(&follower, 3, b"no").unwrap_err().code(), ErrorCode::ReadOnly);
    assert_eq!(follower.sync().unwrap_err().code(), ErrorCode::ReadOnly);
    assert_eq!(follower.stats().len(), 4);
    follower.close().unwrap();
    assert_eq!(follower.find(0).unwrap_err().code(), ErrorCode::Closed);
    put(&whole, 1, b"goes on").unwrap();
    whole.close().unwrap();
}
