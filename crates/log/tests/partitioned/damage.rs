//! Damage in one partition.

use varve_io::Operation;
use varve_io::sim::{Fault, SimMachine};
use varve_log::ErrorCode;

use crate::model::{any, held, open, options, put, subdirectory};

const EIO: i32 = 5;

#[test]
fn damage_in_one_partition_fails_the_open_and_changes_nothing() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(3)).unwrap();
    for partition in 0..3 {
        for _ in 0..10 {
            put(&whole, partition, &[7; 100]).unwrap();
        }
    }
    whole.close().unwrap();
    let path = subdirectory(1).join("0000000000000001.seg");
    let mut bytes = machine.contents(&path).unwrap();
    let at = bytes.windows(100).position(|window| window == [7; 100]).unwrap();
    bytes[at] ^= 1;
    machine.set_contents(&path, &bytes).unwrap();
    let mut asked = any();
    asked.log.verify = Some(true);
    assert_eq!(open(&machine, &asked).unwrap_err().code(), ErrorCode::Corrupt);
    assert_eq!(machine.contents(&path).unwrap(), bytes);
    asked.log.skip_damage = Some(true);
    let whole = open(&machine, &asked).unwrap();
    assert_eq!(held(&whole, 0).len(), 10);
    assert_eq!(held(&whole, 1).len(), 9);
}

#[test]
fn one_that_loses_its_only_segment_after_a_sync_is_damaged_and_not_new() {
    use varve_io::Machine;
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(2)).unwrap();
    put(&whole, 1, b"one").unwrap();
    whole.sync().unwrap();
    whole.close().unwrap();
    machine.unlink(&subdirectory(1).join("0000000000000001.seg")).unwrap();
    assert_eq!(open(&machine, &any()).unwrap_err().code(), ErrorCode::Corrupt);
}

#[test]
fn a_failed_sync_fails_its_partition_is_told_by_all_that_wait_for_it_and_others_go_on() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(3)).unwrap();
    for partition in 0..3 {
        put(&whole, partition, b"before").unwrap();
    }
    whole.sync().unwrap();
    for partition in 0..3 {
        put(&whole, partition, b"after").unwrap();
    }
    machine.inject(Fault::on(Operation::Sync, EIO).path("0001/"));
    assert_eq!(whole.sync().unwrap_err().code(), ErrorCode::SyncFailed);
    assert_eq!(put(&whole, 1, b"no more").unwrap_err().code(), ErrorCode::SyncFailed);
    assert_eq!(whole.sync().unwrap_err().code(), ErrorCode::SyncFailed);
    assert_eq!(put(&whole, 0, b"goes on").unwrap(), 2);
    whole.log(0).unwrap().sync().unwrap();
    assert!(whole.log(2).unwrap().wal().is_durable(), "the others were synced all the same");
    assert_eq!(held(&whole, 1), [&b"before"[..], b"after"]);
    assert_eq!(whole.close().unwrap_err().code(), ErrorCode::SyncFailed);
    whole.close().unwrap();
    let whole = open(&machine.crash(3), &any()).unwrap();
    assert_eq!(held(&whole, 0).len(), 3);
    assert_eq!(held(&whole, 1), [b"before"]);
}

#[test]
fn a_partition_that_cannot_be_made_is_made_later() {
    for operation in [Operation::CreateDir, Operation::Create, Operation::Allocate, Operation::Write] {
        let machine = SimMachine::new(1);
        let whole = open(&machine, &options(2)).unwrap();
        machine.inject(Fault::on(operation, EIO).path("0001"));
        assert_eq!(put(&whole, 1, b"one").unwrap_err().code(), ErrorCode::Io, "{operation:?}");
        assert_eq!(whole.log(1).unwrap().next_offset(), 0);
        assert_eq!(put(&whole, 1, b"one").unwrap(), 0, "{operation:?}");
        whole.close().unwrap();
        assert_eq!(held(&open(&machine, &any()).unwrap(), 1), [b"one"], "{operation:?}");
    }
}

#[test]
fn a_file_that_cannot_be_opened_again_refuses_what_is_appended_and_loses_nothing() {
    const EMFILE: i32 = 24;
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(2)).unwrap();
    put(&whole, 1, b"one").unwrap();
    whole.sync().unwrap();
    assert!(whole.log(1).unwrap().wal().rest().unwrap());
    machine.inject(Fault::on(Operation::Open, EMFILE).path("0001/"));
    assert_eq!(put(&whole, 1, b"two").unwrap_err().code(), ErrorCode::Io);
    assert_eq!(whole.log(1).unwrap().next_offset(), 1);
    assert_eq!(put(&whole, 1, b"two").unwrap(), 1);
    assert_eq!(held(&whole, 1), [b"one", b"two"]);
}
