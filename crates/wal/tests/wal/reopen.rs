//! Opening again: what is there goes on.

use std::path::Path;

use varve_io::Machine;
use varve_wal::{ErrorCode, WalOptions};

use crate::log::{DIR, all, fresh, open, record, small};

#[test]
fn ten_thousand_cycles_of_one_record_make_one_segment() {
    let (machine, wal) = fresh(&WalOptions { segment_size: Some(4 << 20), ..small() });
    wal.close().unwrap();
    let cycles = 10_000u64;
    for index in 0..cycles {
        let wal = open(&machine, &small()).unwrap();
        assert_eq!(wal.append(&index.to_le_bytes(), Some(index)).unwrap(), index);
        wal.close().unwrap();
        while machine.run_job() {}
    }
    let names: Vec<_> = machine.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names.iter().filter(|name| name.ends_with(".seg")).count(), 1, "{names:?}");
    let wal = open(&machine, &small()).unwrap();
    assert!((0..cycles).eq(all(&wal).into_iter().map(|(index, bytes)| {
        assert_eq!(bytes, index.to_le_bytes());
        index
    })));
}

#[test]
fn unused_space_is_given_back() {
    let (machine, wal) = fresh(&WalOptions { segment_size: Some(1 << 20), ..small() });
    for index in 0..100 {
        wal.append(&record(index, 1400), None).unwrap();
        machine.run_job();
    }
    wal.rotate().unwrap();
    wal.append(b"x", None).unwrap();
    let whole = machine.used();
    while machine.run_job() {}
    let sealed = machine.used();
    assert!(sealed + (100 << 10) < whole, "the end of a sealed segment stays allocated: {sealed} of {whole}");
    for index in 0..500 {
        wal.append(&record(index, 1400), None).unwrap();
    }
    while machine.run_job() {}
    let ahead = machine.used();
    wal.close().unwrap();
    assert!(
        machine.used() + (1 << 20) <= ahead,
        "the segment prepared ahead stays allocated: {} of {ahead}",
        machine.used()
    );
    let names: Vec<_> = machine.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect();
    assert!(!names.iter().any(|name| name.ends_with(".tmp")), "{names:?}");
    assert_eq!(open(&machine, &WalOptions { verify: Some(true), ..small() }).unwrap().next_index(), 601);
}

#[test]
fn a_codec_of_another_name_is_refused_naming_both() {
    let (machine, wal) = fresh(&small());
    wal.close().unwrap();
    let refused = open(&machine, &WalOptions { codec: "json".into(), ..small() }).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidArgument);
    assert!(refused.to_string().contains("'bytes'") && refused.to_string().contains("'json'"), "{refused}");
    open(&machine, &small()).unwrap().close().unwrap();
}

#[test]
fn sizes_and_marks_concern_new_segments_only() {
    let (machine, wal) = fresh(&WalOptions { first_index: Some(7), marker: Some(1), ..small() });
    wal.append(b"seven", None).unwrap();
    wal.close().unwrap();
    let other = WalOptions { first_index: Some(99), marker: Some(2), segment_size: Some(1 << 20), ..small() };
    let wal = open(&machine, &other).unwrap();
    assert_eq!((wal.first_index(), wal.next_index()), (7, 8));
    assert_eq!(wal.append(&record(8, 500_000), None).unwrap(), 8);
    assert_eq!(wal.stats().segments, 2);
}

#[test]
fn no_directory_is_made_where_none_is_asked_for() {
    let machine = varve_io::sim::SimMachine::new(1);
    let refused = open(&machine, &WalOptions { create: Some(false), ..small() }).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Io);
    assert!(machine.list(Path::new(DIR)).is_err());
}

#[test]
fn options_out_of_range_are_refused_before_anything_is_made() {
    let machine = varve_io::sim::SimMachine::new(1);
    let wrong = [
        WalOptions { segment_size: Some((64 << 10) - 1), ..small() },
        WalOptions { segment_size: Some((1 << 30) + 1), ..small() },
        WalOptions { first_index: Some(1 << 53), ..small() },
        WalOptions { codec: "c".repeat(256), ..small() },
    ];
    for options in wrong {
        assert_eq!(open(&machine, &options).unwrap_err().code(), ErrorCode::InvalidArgument, "{options:?}");
    }
    assert_eq!(machine.changes(), 0);
}

#[test]
fn a_log_that_is_dropped_is_written_and_synced() {
    let (machine, wal) = fresh(&small());
    wal.append(b"never closed", None).unwrap();
    drop(wal);
    let after = machine.crash(3);
    assert_eq!(all(&open(&after, &small()).unwrap()), [(0, b"never closed".to_vec())]);
}
