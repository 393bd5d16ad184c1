//! Readers: over segments, over what is still buffered, and on as the log grows.

use varve_wal::{Error, Fill, TABLE_LEN, WalOptions};

use crate::log::{fresh, open, record, rest, small};

#[test]
fn a_reader_goes_over_everything_and_on() {
    let (machine, wal) = fresh(&small());
    let mut reader = wal.reader(0, None).unwrap();
    let mut expected = 0;
    for round in 0..40u64 {
        for _ in 0..round * 7 % 50 {
            let next = wal.next_index();
            wal.append(&record(next, usize::try_from(next * 37 % 900).unwrap()), None).unwrap();
        }
        // Sometimes in the buffer, sometimes in the file, sometimes in a segment that has just been sealed.
        match round % 5 {
            0 => wal.flush().unwrap(),
            1 => wal.rotate().unwrap(),
            2 => drop(wal.sync().unwrap()),
            _ => drop(machine.run_job()),
        }
        for (index, bytes) in rest(&mut reader, 64).unwrap() {
            assert_eq!((index, &bytes), (expected, &record(index, bytes.len())));
            assert_eq!(bytes.len() as u64, index * 37 % 900);
            expected += 1;
        }
        assert_eq!((expected, reader.index()), (wal.next_index(), wal.next_index()));
    }
    assert!(wal.stats().segments > 5);
    assert!(machine.violations().is_empty());
}

#[test]
fn a_reader_stops_where_it_was_told_to() {
    let (_, wal) = fresh(&small());
    for index in 0..100 {
        wal.append(&record(index, 1500), None).unwrap();
    }
    for (from, to) in [(0, 0), (0, 1), (17, 60), (99, 100), (50, 5000)] {
        let found = rest(&mut wal.reader(from, Some(to)).unwrap(), 4096).unwrap();
        let indexes: Vec<_> = found.into_iter().map(|(index, _)| index).collect();
        assert_eq!(indexes, (from..to.min(100)).collect::<Vec<_>>(), "{from} to {to}");
    }
}

#[test]
fn seek_goes_anywhere_within_the_log() {
    let (_, wal) = fresh(&WalOptions { first_index: Some(1000), ..small() });
    for index in 1000..1200 {
        wal.append(&record(index, 1500), None).unwrap();
    }
    let mut reader = wal.reader(1000, None).unwrap();
    for index in [1199, 1000, 1043, 1044, 1100, 1042, 1198] {
        reader.seek(index).unwrap();
        let found = rest(&mut reader, 4096).unwrap();
        assert_eq!(found.first().unwrap(), &(index, record(index, 1500)));
        assert_eq!(found.len() as u64, 1200 - index);
    }
    reader.seek(1200).unwrap();
    assert_eq!(rest(&mut reader, 4096).unwrap(), []);
    wal.append(&record(1200, 3), None).unwrap();
    assert_eq!(rest(&mut reader, 4096).unwrap(), [(1200, record(1200, 3))]);
    for outside in [0, 999, 1202, u64::MAX] {
        let refused = reader.seek(outside).unwrap_err();
        assert!(
            matches!(refused, Error::OutOfRange { index, first: 1000, last: 1201 } if index == outside),
            "{refused}"
        );
        assert!(wal.reader(outside, None).is_err());
    }
    assert_eq!(reader.index(), 1201, "a seek that fails moves nothing");
}

#[test]
fn a_slab_too_small_says_what_it_takes_and_loses_nothing() {
    let (_, wal) = fresh(&small());
    wal.append(&record(0, 10), None).unwrap();
    wal.append(&record(1, 5000), None).unwrap();
    wal.append(&record(2, 10), None).unwrap();
    let mut table = [0; TABLE_LEN];
    for flushed in [false, true] {
        if flushed {
            wal.flush().unwrap();
        }
        let mut reader = wal.reader(0, None).unwrap();
        let mut slab = vec![0; 200];
        assert_eq!(reader.fill(&mut slab, &mut table).unwrap(), Fill::Records(1));
        let Fill::Needs(needs) = reader.fill(&mut slab, &mut table).unwrap() else { panic!("5,000 bytes in 200") };
        assert_eq!(reader.index(), 1);
        slab.resize(needs, 0);
        assert_eq!(reader.fill(&mut slab, &mut table).unwrap(), Fill::Records(1));
        assert_eq!(slab[table[0] as usize..table[1] as usize], record(1, 5000));
        assert_eq!(reader.fill(&mut slab, &mut table).unwrap(), Fill::Records(1));
        assert_eq!(reader.fill(&mut slab, &mut table).unwrap(), Fill::Records(0));
        for len in 0..40 {
            // However small: an answer, and no loop without end.
            let small = wal.reader(0, None).unwrap().fill(&mut vec![0; len], &mut table).unwrap();
            assert!(matches!(small, Fill::Needs(needs) if needs > len) || len >= 32, "{small:?} of {len}");
        }
    }
}

#[test]
fn readers_see_a_reopened_log_as_it_was() {
    let (machine, wal) = fresh(&small());
    for index in 0..150 {
        wal.append(&record(index, 1500), None).unwrap();
    }
    wal.close().unwrap();
    let wal = open(&machine, &small()).unwrap();
    for from in [0, 1, 42, 149, 150] {
        let found = rest(&mut wal.reader(from, None).unwrap(), 4096).unwrap();
        assert_eq!(found.len() as u64, 150 - from);
        assert!(found.iter().all(|(index, bytes)| *bytes == record(*index, 1500)));
    }
}
