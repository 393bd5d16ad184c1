//! One record: its limits, its index.

use varve_wal::{Error, ErrorCode, MAX_INDEX, SegmentError, WalOptions};

use crate::log::{all, fresh, open, record, small};

#[test]
fn records_of_no_bytes_and_of_the_most_there_may_be() {
    let (machine, wal) = fresh(&small());
    let most = usize::try_from(wal.max_record()).unwrap();
    assert_eq!(most, (64 << 10) - (4 << 10));
    let lens = [0, most, 1, most, 0, 0, most - 1, 7, 8, 9];
    for (index, len) in (0..).zip(lens) {
        assert_eq!(wal.append(&record(index, len), None).unwrap(), index);
    }
    let expected: Vec<_> = (0..).zip(lens).map(|(index, len)| (index, record(index, len))).collect();
    assert_eq!(all(&wal), expected);
    wal.close().unwrap();
    let wal = open(&machine, &small()).unwrap();
    assert_eq!(all(&wal), expected);
    for (index, bytes) in expected {
        assert_eq!(wal.get(index, <[u8]>::to_vec).unwrap(), Some(bytes));
    }
}

#[test]
fn one_byte_more_is_too_large_and_nothing_is_written() {
    let (machine, wal) = fresh(&small());
    let most = usize::try_from(wal.max_record()).unwrap();
    let changes = machine.changes();
    let refused = wal.append(&record(0, most + 1), None).unwrap_err();
    let Error::Segment(SegmentError::TooLarge { bytes, limit, .. }) = &refused else { panic!("{refused}") };
    assert_eq!((*bytes, *limit), (most as u64 + 1, most as u64));
    assert!(refused.to_string().contains(&most.to_string()), "{refused}");
    assert_eq!((wal.next_index(), machine.changes()), (0, changes));
    assert_eq!(wal.append(b"goes on", None).unwrap(), 0);
}

#[test]
fn a_record_larger_than_the_group_buffer_follows_what_is_buffered() {
    let options = WalOptions { segment_size: Some(4 << 20), ..small() };
    let (machine, wal) = fresh(&options);
    let lens = [100, 300 << 10, 5, (256 << 10) - 16, (256 << 10) - 15, 3 << 20, 0];
    for (index, len) in (0..).zip(lens) {
        wal.append(&record(index, len), None).unwrap();
    }
    let expected: Vec<_> = (0..).zip(lens).map(|(index, len)| (index, record(index, len))).collect();
    assert_eq!(all(&wal), expected);
    wal.close().unwrap();
    assert_eq!(all(&open(&machine, &options).unwrap()), expected);
}

#[test]
fn an_index_is_given_only_where_it_is_the_one_expected() {
    let (_, wal) = fresh(&WalOptions { first_index: Some(500), ..small() });
    assert_eq!(wal.append(b"a", Some(500)).unwrap(), 500);
    for wrong in [0, 500, 502, u64::MAX] {
        let refused = wal.append(b"b", Some(wrong)).unwrap_err();
        assert!(matches!(refused, Error::Conflict { expected, next: 501 } if expected == wrong), "{refused}");
        assert_eq!(wal.append_packed(b"bc", &[1, 2], Some(wrong)).unwrap_err().code(), ErrorCode::Conflict);
    }
    assert_eq!(wal.append_packed(b"bc", &[1, 2], Some(501)).unwrap(), 501);
    assert_eq!(all(&wal), [(500, b"a".to_vec()), (501, b"b".to_vec()), (502, b"c".to_vec())]);
}

#[test]
fn indexes_end_at_the_safe_integers() {
    let (_, wal) = fresh(&WalOptions { first_index: Some(MAX_INDEX - 2), ..small() });
    assert_eq!(wal.append_packed(b"abc", &[1, 2, 3], None).unwrap_err().code(), ErrorCode::OutOfRange);
    assert_eq!(wal.append_packed(b"ab", &[1, 2], None).unwrap(), MAX_INDEX - 2);
    assert_eq!(wal.append(b"c", None).unwrap_err().code(), ErrorCode::OutOfRange);
    assert_eq!(wal.next_index(), MAX_INDEX);
    assert_eq!(wal.get(MAX_INDEX - 1, <[u8]>::to_vec).unwrap(), Some(b"b".to_vec()));
}

#[test]
fn get_of_what_is_not_there_is_nothing() {
    let (_, wal) = fresh(&WalOptions { first_index: Some(10), ..small() });
    for index in [0, 9, 10, 11, u64::MAX] {
        assert_eq!(wal.get(index, <[u8]>::len).unwrap(), None);
    }
    wal.append(b"ten", None).unwrap();
    assert_eq!(wal.get(10, <[u8]>::to_vec).unwrap(), Some(b"ten".to_vec()));
    assert_eq!((wal.get(9, <[u8]>::len).unwrap(), wal.get(11, <[u8]>::len).unwrap()), (None, None));
}

#[test]
fn after_a_close_every_call_says_so() {
    let (_, wal) = fresh(&small());
    wal.append(b"a", None).unwrap();
    let mut reader = wal.reader(0, None).unwrap();
    wal.close().unwrap();
    wal.close().unwrap();
    let mut table = [0; varve_wal::TABLE_LEN];
    let refused = [
        wal.append(b"b", None).err(),
        wal.append_packed(b"b", &[1], None).err(),
        wal.get(0, <[u8]>::len).err(),
        wal.reader(0, None).err(),
        reader.fill(&mut [0; 64], &mut table).err(),
        reader.seek(0).err(),
        wal.flush().err(),
        wal.sync().err(),
        wal.rotate().err(),
        wal.request_sync().err(),
    ];
    assert!(refused.iter().all(|error| matches!(error, Some(Error::Closed))), "{refused:?}");
}
