//! Batches: whole or absent, over as many segments as they take.

use varve_io::Operation;
use varve_io::sim::Fault;
use varve_wal::{Error, ErrorCode, MAX_BATCH_BYTES, SegmentError, WalOptions};

use crate::log::{all, batch, fresh, open, record, small};

#[test]
fn a_batch_over_several_segments_is_read_as_one() {
    let (machine, wal) = fresh(&small());
    let lens = [50_000, 0, 50_000, 3, 60_000, 61_000, 10, 0];
    let records: Vec<_> = (0..).zip(lens).map(|(index, len)| record(index, len)).collect();
    assert_eq!(batch(&wal, &records).unwrap(), 0);
    assert!(wal.stats().segments >= 4, "{:?}", wal.stats());
    let expected: Vec<_> = (0..).zip(records).collect();
    assert_eq!(all(&wal), expected);
    wal.close().unwrap();
    let wal = open(&machine, &WalOptions { verify: Some(true), ..small() }).unwrap();
    assert_eq!(all(&wal), expected);
}

#[test]
fn a_batch_of_no_records_writes_nothing() {
    let (machine, wal) = fresh(&small());
    wal.append(b"a", None).unwrap();
    let changes = machine.changes();
    assert_eq!(batch(&wal, &[]).unwrap(), 1);
    assert_eq!((wal.next_index(), machine.changes(), wal.stats().entries), (1, changes, 1));
}

#[test]
fn a_batch_over_the_limit_is_refused_before_anything_is_written() {
    let (machine, wal) = fresh(&WalOptions { segment_size: Some(64 << 20), ..small() });
    let changes = machine.changes();
    let limit = usize::try_from(MAX_BATCH_BYTES).unwrap();
    let data = vec![1; limit + 1];
    let half = u32::try_from(limit / 2).unwrap();
    let refused = wal.append_packed(&data, &[half, u32::try_from(limit + 1).unwrap()], None).unwrap_err();
    let Error::Segment(SegmentError::TooLarge { bytes, limit: told, .. }) = refused else { panic!("{refused}") };
    assert_eq!((bytes, told), (MAX_BATCH_BYTES + 1, MAX_BATCH_BYTES));
    assert_eq!((wal.next_index(), machine.changes()), (0, changes));
    assert_eq!(wal.append_packed(&data[1..], &[half, u32::try_from(limit).unwrap()], None).unwrap(), 0);
    assert_eq!(wal.next_index(), 2);
}

#[test]
fn a_record_too_large_within_a_batch_refuses_all_of_it() {
    let (machine, wal) = fresh(&small());
    let changes = machine.changes();
    let most = usize::try_from(wal.max_record()).unwrap();
    let refused = batch(&wal, &[record(0, 10), record(1, most + 1), record(2, 10)]).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::TooLarge);
    assert_eq!((wal.next_index(), machine.changes()), (0, changes));
}

#[test]
fn ends_that_fall_or_run_past_the_data_are_refused() {
    let (_, wal) = fresh(&small());
    for ends in [&[2, 1][..], &[4], &[1, 2, 3, u32::MAX]] {
        let refused = wal.append_packed(b"abc", ends, None).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidArgument, "{ends:?}");
    }
    assert_eq!(wal.append_packed(b"abc", &[0, 3, 3], None).unwrap(), 0);
    assert_eq!(all(&wal), [(0, Vec::new()), (1, b"abc".to_vec()), (2, Vec::new())]);
}

/// No index is given before all the segments that a batch takes are there.
#[test]
fn a_full_disk_refuses_a_batch_whole_and_it_works_when_there_is_room() {
    let (machine, wal) = fresh(&small());
    wal.append(b"before", None).unwrap();
    wal.sync().unwrap();
    let records: Vec<_> = (1..9).map(|index| record(index, 60_000)).collect();
    // Room for some of the segments that it takes, and not for all.
    machine.set_capacity(Some(machine.used() + (300 << 10)));
    let refused = batch(&wal, &records).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NoSpace);
    assert_eq!((wal.next_index(), wal.failed().is_none(), wal.stats().segments), (1, true, 1));
    assert_eq!(wal.append(b"small ones still fit", None).unwrap(), 1);
    wal.sync().unwrap();
    machine.set_capacity(None);
    assert_eq!(batch(&wal, &records).unwrap(), 2);
    assert_eq!(wal.stats().entries, 10);
    wal.close().unwrap();
    assert_eq!(open(&machine, &small()).unwrap().next_index(), 10);
}

/// Half of a batch is in the file, and the log has failed: nobody sees it, now or after the next open.
#[test]
fn a_batch_that_fails_half_way_is_never_seen() {
    let (machine, wal) = fresh(&small());
    wal.append(b"before", None).unwrap();
    wal.flush().unwrap();
    machine.inject(Fault::on(Operation::Write, 5).path("seg").after(4));
    let records: Vec<_> = (1..9).map(|index| record(index, 60_000)).collect();
    machine.inject(Fault::on(Operation::Rename, 5).after(2));
    let failed = batch(&wal, &records).unwrap_err();
    assert_eq!(failed.code(), ErrorCode::Io);
    assert_eq!(all(&wal), [(0, b"before".to_vec())]);
    assert_eq!((wal.next_index(), wal.stats().entries, wal.stats().bytes), (1, 1, 6));
    assert_eq!(wal.append(b"later", None).unwrap_err().to_string(), failed.to_string());
    let next = open(&machine.kill(), &small()).unwrap();
    assert_eq!(all(&next), [(0, b"before".to_vec())]);
}
