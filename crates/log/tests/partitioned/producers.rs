//! Batches that are sent again.

use varve_io::Operation;
use varve_io::sim::{Fault, SimMachine};
use varve_log::{Conditions, Error, ErrorCode, Producer};

use crate::model::{any, held, keyed, open, options, value};

fn of(epoch: u32, sequence: u64) -> Conditions {
    Conditions { producer: Some(Producer { id: 7, epoch, sequence }), ..Conditions::default() }
}

#[test]
fn a_batch_that_failed_half_way_is_completed_by_sending_it_again() {
    let machine = SimMachine::new(1);
    let mut whole = open(&machine, &options(4)).unwrap();
    // Two have a key; the others go to the partitions in turn, and to the same ones again.
    let batch: Vec<_> = [(None, keyed(b"a", b"1")), (None, keyed(b"b", b"2"))]
        .into_iter()
        .chain((0..6).map(|_| (None, value(b"turn"))))
        .collect();
    whole.append_batch(&batch, &of(0, 1)).unwrap();
    let once: usize = (0..4).map(|partition| held(&whole, partition).len()).sum();
    assert_eq!(once, 8);
    whole.close().unwrap();
    whole = open(&machine, &any()).unwrap();
    machine.inject(Fault::on(Operation::Open, 24).path("0002/"));
    let error = whole.append_batch(&batch, &of(0, 2)).unwrap_err();
    let Error::Partial { written, .. } = error else { panic!("{error}") };
    assert_eq!(written.iter().map(|one| one.partition).collect::<Vec<_>>(), [0, 1]);
    for _ in 0..2 {
        let all = whole.append_batch(&batch, &of(0, 2)).unwrap();
        assert_eq!(all[..2], written);
        assert_eq!(all.iter().map(|one| one.count).sum::<usize>(), 8);
        let twice: usize = (0..4).map(|partition| held(&whole, partition).len()).sum();
        assert_eq!(twice, 16, "nothing is written twice, and nothing is left out");
    }
}

#[test]
fn a_partition_may_miss_batches_and_the_whole_may_not() {
    let machine = SimMachine::new(1);
    let mut whole = open(&machine, &options(3)).unwrap();
    for (sequence, partition) in [(1, 0), (2, 1), (3, 1), (4, 0), (5, 2)] {
        whole.append(Some(partition), &value(b"v"), &of(3, sequence)).unwrap();
    }
    for reopened in 0..2 {
        assert_eq!(whole.append(Some(0), &value(b"v"), &of(3, 4)).unwrap(), (0, 1), "{reopened}");
        let missing = whole.append(Some(0), &value(b"v"), &of(3, 7)).unwrap_err();
        assert_eq!(missing.code(), ErrorCode::OutOfRange, "6 is missing");
        let forgotten = whole.append(Some(0), &value(b"v"), &of(3, 0)).unwrap_err();
        assert_eq!(forgotten.code(), ErrorCode::OutOfRange);
        assert_eq!(whole.append(Some(0), &value(b"v"), &of(2, 6)).unwrap_err().code(), ErrorCode::Fenced);
        whole.close().unwrap();
        whole = open(&machine, &any()).unwrap();
    }
    assert_eq!(whole.append(Some(0), &value(b"v"), &of(4, 1)).unwrap(), (0, 2));
    // A partition that has not seen the new epoch knows of it all the same.
    assert_eq!(whole.append(Some(2), &value(b"v"), &of(3, 6)).unwrap_err().code(), ErrorCode::Fenced);
    let turns: Vec<_> = (2..6).map(|sequence| whole.append(None, &value(b"v"), &of(4, sequence)).unwrap().0).collect();
    assert_eq!(turns, [2, 0, 1, 2]);
}
