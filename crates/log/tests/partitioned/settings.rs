//! How many partitions there are: needed to create, may grow, never shrinks, and is never guessed.

use std::path::Path;
use std::sync::Arc;

use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_log::{Conditions, ErrorCode, Log, LogOptions, PartitionedOptions};

use crate::model::{DIR, any, held, keyed, open, options, put, subdirectory};

#[test]
fn the_number_is_needed_to_create_kept_and_may_only_grow() {
    let machine = SimMachine::new(1);
    assert_eq!(open(&machine, &any()).unwrap_err().code(), ErrorCode::InvalidArgument);
    for wrong in [0, 4097, u32::MAX] {
        assert_eq!(open(&machine, &options(wrong)).unwrap_err().code(), ErrorCode::InvalidArgument, "{wrong}");
    }
    let whole = open(&machine, &options(3)).unwrap();
    assert_eq!(whole.partitions(), 3);
    assert_eq!(put(&whole, 2, b"two").unwrap(), 0);
    assert_eq!(put(&whole, 3, b"three").unwrap_err().code(), ErrorCode::InvalidArgument);
    whole.close().unwrap();

    assert_eq!(open(&machine, &any()).unwrap().partitions(), 3);
    assert_eq!(open(&machine, &options(2)).unwrap_err().code(), ErrorCode::InvalidArgument);
    let whole = open(&machine, &options(5)).unwrap();
    assert_eq!(put(&whole, 4, b"four").unwrap(), 0);
    whole.close().unwrap();
    let whole = open(&machine, &any()).unwrap();
    assert_eq!(whole.partitions(), 5);
    assert_eq!(held(&whole, 2), [b"two"]);
    assert_eq!(held(&whole, 4), [b"four"]);
}

#[test]
fn one_lock_for_all_and_nobody_comes_in_by_a_side_door() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(2)).unwrap();
    put(&whole, 0, b"zero").unwrap();
    assert_eq!(open(&machine, &any()).unwrap_err().code(), ErrorCode::Locked);
    let alone = |dir: &Path| Log::open(Arc::new(machine.clone()), dir, &LogOptions::default());
    assert_eq!(alone(Path::new(DIR)).unwrap_err().code(), ErrorCode::Unsupported);
    for partition in [0, 1] {
        assert_eq!(alone(&subdirectory(partition)).unwrap_err().code(), ErrorCode::Unsupported);
    }
    let follow = Log::follow(Arc::new(machine.clone()), &subdirectory(0), &LogOptions::default());
    assert_eq!(follow.unwrap_err().code(), ErrorCode::Unsupported);
    whole.close().unwrap();
    assert_eq!(alone(&subdirectory(0)).unwrap_err().code(), ErrorCode::Unsupported);
    assert!(machine.list(&subdirectory(0)).unwrap().iter().all(|entry| entry.name != "LOCK"));
    open(&machine, &any()).unwrap();
}

#[test]
fn what_is_no_log_of_partitions_is_refused_and_stays_as_it_is() {
    let machine = SimMachine::new(1);
    let log = Log::open(Arc::new(machine.clone()), Path::new(DIR), &LogOptions::default()).unwrap();
    log.close().unwrap();
    let before = machine.list(Path::new(DIR)).unwrap();
    assert_eq!(open(&machine, &options(2)).unwrap_err().code(), ErrorCode::Unsupported);
    assert_eq!(machine.list(Path::new(DIR)).unwrap(), before);
}

#[test]
fn settings_that_are_damaged_or_gone_are_an_error_and_no_new_beginning() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(3)).unwrap();
    put(&whole, 1, b"one").unwrap();
    whole.close().unwrap();
    let path = Path::new(DIR).join("partitions");
    let bytes = machine.contents(&path).unwrap();
    for at in 0..32 {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        machine.set_contents(&path, &damaged).unwrap();
        assert_eq!(open(&machine, &any()).unwrap().partitions(), 3, "byte {at}");
        assert_eq!(machine.contents(&path).unwrap(), bytes, "both copies are written anew");
        damaged[512 + 31 - at] ^= 4;
        machine.set_contents(&path, &damaged).unwrap();
        assert_eq!(open(&machine, &options(3)).unwrap_err().code(), ErrorCode::Corrupt, "byte {at}");
        machine.set_contents(&path, &bytes[..at]).unwrap();
        assert_eq!(open(&machine, &options(3)).unwrap_err().code(), ErrorCode::Corrupt, "cut at {at}");
    }
    machine.unlink(&path).unwrap();
    assert_eq!(open(&machine, &options(3)).unwrap_err().code(), ErrorCode::Corrupt);
    machine.set_contents(&path, &bytes).unwrap();
    assert_eq!(held(&open(&machine, &any()).unwrap(), 1), [b"one"]);
}

#[test]
fn a_crash_while_partitions_are_added_leaves_the_old_number_or_the_new_one() {
    let mut seen = [false; 2];
    for steps in 0.. {
        let machine = SimMachine::new(steps);
        let whole = open(&machine, &options(2)).unwrap();
        put(&whole, 1, b"one").unwrap();
        whole.close().unwrap();
        machine.crash_after(machine.changes() + steps);
        let grown = open(&machine, &options(6));
        let done = grown.is_ok() && !machine.crashed();
        if let Ok(grown) = grown {
            assert_eq!(grown.partitions(), 6);
        }
        for crash in 0..4 {
            let whole = open(&machine.crash(steps * 4 + crash), &any()).unwrap();
            let count = whole.partitions();
            assert!(count == 6 || (count == 2 && !done), "{count} after {steps} steps");
            seen[usize::from(count == 6)] = true;
            assert_eq!(held(&whole, 1), [b"one"]);
        }
        if done {
            break;
        }
    }
    assert_eq!(seen, [true; 2]);
}

#[test]
fn create_false_makes_no_directory() {
    let machine = SimMachine::new(1);
    let mut asked: PartitionedOptions = options(2);
    asked.log.create = Some(false);
    assert_eq!(open(&machine, &asked).unwrap_err().code(), ErrorCode::Io);
}

#[test]
fn a_partition_that_begins_later_has_the_indexes_of_those_that_are_there() {
    let machine = SimMachine::new(1);
    let mut indexed = options(3);
    indexed.log.key_index = Some(true);
    let plain = PartitionedOptions { log: LogOptions { time_index: None, ..any().log }, ..any() };
    let whole = open(&machine, &indexed).unwrap();
    put(&whole, 1, b"one").unwrap();
    whole.close().unwrap();
    for partition in [0, 2] {
        let whole = open(&machine, &plain).unwrap();
        whole.append(Some(partition), &keyed(b"key", b"value"), &Conditions::default()).unwrap();
        let log = whole.log(partition).unwrap();
        assert_eq!(log.offset_by_key(Some(b"key")).unwrap(), Some(0));
        assert_eq!(log.offset_by_time(0).unwrap().map(|(offset, _)| offset), Some(0));
        whole.close().unwrap();
    }
    open(&machine, &indexed).unwrap();
}
