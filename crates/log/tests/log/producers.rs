//! Conditions of an append: an offset that is expected, epochs, and batches that are sent again.

use varve_io::sim::SimMachine;
use varve_log::{Conditions, ErrorCode, Input, Log, Producer};

use crate::model::open;

fn send(log: &Log, count: usize, conditions: Conditions) -> varve_log::Result<u64> {
    log.append_batch(&vec![Input { value: Some(b"value"), ..Input::default() }; count], &conditions)
}

fn of(id: u64, epoch: u32, sequence: u64) -> Conditions {
    Conditions { producer: Some(Producer { id, epoch, sequence }), ..Conditions::default() }
}

#[test]
fn a_batch_that_is_sent_again_is_not_written_again_also_after_a_reopen() {
    let machine = SimMachine::new(1);
    let mut log = open(&machine).unwrap();
    for sequence in 1..=8 {
        assert_eq!(send(&log, 300, of(7, 0, sequence)).unwrap(), (sequence - 1) * 300);
        assert_eq!(send(&log, 300, of(7, 0, sequence)).unwrap(), (sequence - 1) * 300);
    }
    for reopened in 0..3 {
        assert_eq!(send(&log, 300, of(7, 0, 4)).unwrap(), 900, "{reopened}");
        assert_eq!(send(&log, 1, of(7, 0, 3)).unwrap_err().code(), ErrorCode::OutOfRange);
        assert_eq!(send(&log, 1, of(7, 0, 10)).unwrap_err().code(), ErrorCode::OutOfRange);
        assert_eq!(log.next_offset(), 2400);
        log.close().unwrap();
        log = open(&machine).unwrap();
    }
    assert_eq!(send(&log, 1, of(7, 1, 1)).unwrap(), 2400);
    assert_eq!(send(&log, 1, of(7, 0, 9)).unwrap_err().code(), ErrorCode::Fenced);
}

#[test]
fn an_offset_that_is_not_the_next_one_and_an_older_leader_are_refused_and_nothing_is_written() {
    let machine = SimMachine::new(1);
    let log = open(&machine).unwrap();
    let expected = |offset| Conditions { expected: Some(offset), ..Conditions::default() };
    assert_eq!(send(&log, 3, expected(0)).unwrap(), 0);
    assert_eq!(send(&log, 3, expected(0)).unwrap_err().code(), ErrorCode::Conflict);
    let led = |epoch| Conditions { leader_epoch: Some(epoch), ..Conditions::default() };
    assert_eq!(send(&log, 1, led(4)).unwrap(), 3);
    assert_eq!(send(&log, 1, led(3)).unwrap_err().code(), ErrorCode::Fenced);
    log.close().unwrap();
    let log = open(&machine).unwrap();
    assert_eq!(send(&log, 1, led(3)).unwrap_err().code(), ErrorCode::Fenced);
    assert_eq!(send(&log, 1, led(4)).unwrap(), 4);
}
