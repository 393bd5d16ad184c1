//! Every bit of a small log flipped, every file cut at every length: the data, or an error that says where; never a panic,
//! never wrong bytes, never a record less without a word.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_format::{DATA_START, Frame, FrameKind, read_header_block};
use varve_io::sim::SimMachine;
use varve_testkit::{DIR, Failure, Snapshot, open, read_all, restore, snapshot};
use varve_wal::{Care, Error, ErrorCode, Wal, WalOptions, check};

/// Where a frame lies, and which records are lost with it: its own, and those of its batch.
struct Place {
    file: String,
    bytes: Range<usize>,
    lost: Range<u64>,
}

struct Log {
    files: Snapshot,
    records: Vec<Vec<u8>>,
    places: Vec<Place>,
}

fn options() -> WalOptions {
    WalOptions { segment_size: Some(64 << 10), codec: "bytes".into(), ..WalOptions::default() }
}

/// Three segments with sidecars, closed: 20 records, three of them a batch in the second segment.
fn log() -> Log {
    let machine = SimMachine::new(7);
    let wal = open(&machine, &options()).unwrap();
    let records: Vec<Vec<u8>> = (0..20u8).map(|i| vec![i.wrapping_mul(37) | 1; usize::from(i) * 5 % 41]).collect();
    let batches =
        [0..1, 1..2, 2..3, 3..4, 4..5, 5..6, 6..7, 7..8, 8..11, 11..12, 12..13, 13..14, 14..15, 15..16, 16..17, 17..20];
    for batch in &batches {
        let mut ends = Vec::new();
        let data = records[batch.clone()].iter().fold(Vec::new(), |mut data, record| {
            data.extend_from_slice(record);
            ends.push(u32::try_from(data.len()).unwrap());
            data
        });
        wal.append_packed(&data, &ends, None).unwrap();
        if batch.end == 5 || batch.end == 13 {
            wal.sync().unwrap();
        }
        if batch.end == 7 || batch.end == 15 {
            wal.rotate().unwrap();
        }
    }
    while machine.run_job() {}
    wal.close().unwrap();
    drop(wal);
    let files = snapshot(&machine);
    let mut places = Vec::new();
    for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".seg")) {
        let header = read_header_block(bytes).unwrap().header;
        let mut at = usize::try_from(DATA_START).unwrap();
        while let Ok(frame) = Frame::read(&bytes[at..], header.salt, at as u64) {
            let index = header.first_index + u64::from(frame.index);
            let batch = batches.iter().find(|batch| batch.contains(&usize::try_from(index).unwrap()));
            let lost = match batch {
                Some(batch) if frame.kind == FrameKind::Record => batch.start as u64..batch.end as u64,
                _ => 0..0,
            };
            places.push(Place { file: name.clone(), bytes: at..at + frame.len(), lost });
            at += frame.len();
        }
    }
    assert_eq!(places.len(), 23, "20 records and a state each segment");
    assert_eq!(
        files.keys().map(String::as_str).collect::<Vec<_>>(),
        [
            "0000000000000001.idx",
            "0000000000000001.seg",
            "0000000000000002.idx",
            "0000000000000002.seg",
            "0000000000000003.seg",
            "durable",
        ]
    );
    Log { files, records, places }
}

/// The error of damage in `file`, at `byte` or before it.
fn is_coded(error: &Error, file: &str, byte: usize) -> bool {
    match error {
        Error::Segment(varve_segment::Error::Corrupt { path, position, .. }) => {
            *path == Path::new(DIR).join(file) && *position <= (byte as u64).max(DATA_START)
        }
        error => error.code() == ErrorCode::Unsupported,
    }
}

/// Reads everything in both ways. `Err`: the coded error that the damage met first.
fn read(log: &Log, wal: &Arc<Wal>) -> Result<(), Error> {
    assert_eq!((wal.first_index(), wal.next_index()), (0, 20), "records are gone without a word");
    for (index, record) in (0..).zip(&log.records) {
        let held = wal.get(index, |bytes| bytes == record.as_slice())?;
        assert_eq!(held, Some(true), "record {index}");
    }
    let mut next = 0;
    let mut reader = wal.reader(0, None)?;
    let (mut slab, mut table) = (vec![0; 4096], [0; varve_wal::TABLE_LEN]);
    loop {
        match reader.fill(&mut slab, &mut table)? {
            varve_wal::Fill::Records(0) => break,
            varve_wal::Fill::Records(count) => {
                for ends in table.as_chunks::<2>().0.iter().take(count) {
                    assert_eq!(&slab[ends[0] as usize..ends[1] as usize], log.records[next]);
                    next += 1;
                }
            }
            varve_wal::Fill::Needs(bytes) => panic!("a slab of {bytes} bytes for records of at most 40"),
        }
    }
    assert_eq!(next, 20);
    Ok(())
}

/// Opens without going past damage. Gives the error, if there is one.
fn strict(log: &Log, files: &Snapshot, file: &str, byte: usize, verify: bool) -> Option<Error> {
    let machine = restore(files).unwrap();
    let before = snapshot(&machine);
    let outcome = match open(&machine, &WalOptions { verify: Some(verify), ..options() }) {
        Ok(wal) => {
            let outcome = read(log, &wal);
            assert!(outcome.is_ok() || !verify, "a log that was verified fails at a read");
            machine.crash_after(0);
            outcome
        }
        Err(error) => {
            assert!(snapshot(&machine) == before, "a refused open changed something");
            Err(error)
        }
    };
    machine.drop_jobs();
    assert!(machine.violations().is_empty());
    let error = outcome.err();
    assert!(error.as_ref().is_none_or(|error| is_coded(error, file, byte)), "{error:?} for {file} at {byte}");
    error
}

/// Opens past damage: `lost` is lost, all else is there, the log goes on, and opens again.
fn skipping(log: &Log, files: &Snapshot, lost: Range<u64>) {
    let machine = restore(files).unwrap();
    let skip = WalOptions { skip_damage: Some(true), ..options() };
    for round in 0..2 {
        let wal = open(&machine, &skip).unwrap();
        let gaps: BTreeSet<u64> = wal.stats().recovery.gaps.iter().flat_map(|gap| gap.from..gap.to).collect();
        assert_eq!(gaps, lost.clone().collect(), "gaps of round {round}");
        assert_eq!(wal.stats().entries, 20 + round - gaps.len() as u64);
        let mut by_reader = BTreeSet::new();
        read_all(&wal, 0, 4096, |index, bytes| {
            let record: &[u8] = log.records.get(usize::try_from(index).unwrap()).map_or(b"more", |record| record);
            assert_eq!(bytes, record, "record {index} of round {round}");
            assert!(by_reader.insert(index));
            Ok::<(), Failure>(())
        })
        .unwrap();
        let held = (0..20 + round).filter(|index| !lost.contains(index)).collect::<BTreeSet<_>>();
        assert_eq!(by_reader, held, "by reader, in round {round}");
        let by_get =
            (0..20 + round).filter(|index| wal.get(*index, |_| ()).unwrap().is_some()).collect::<BTreeSet<_>>();
        assert_eq!(by_get, held, "by get, in round {round}");
        if round == 0 {
            assert_eq!(wal.append(b"more", None).unwrap(), 20);
        }
        wal.close().unwrap();
    }
    assert!(machine.violations().is_empty());
}

fn damage_found(files: &Snapshot) -> Vec<PathBuf> {
    let machine = restore(files).unwrap();
    let report = check(Arc::new(machine), Path::new(DIR), &Care::default()).unwrap();
    report.damage.into_iter().map(|damage| damage.path).collect()
}

fn flip(log: &Log, file: &str, byte: usize, bit: u32) {
    let mut files = log.files.clone();
    files.get_mut(file).unwrap()[byte] ^= 1 << bit;
    let place = log.places.iter().find(|place| place.file == file && place.bytes.contains(&byte));
    let lost = place.map_or(0..0, |place| place.lost.clone());
    let is_data = place.is_some();
    let verified = strict(log, &files, file, byte, true);
    let unverified = strict(log, &files, file, byte, false);
    assert_eq!(verified.is_some(), is_data, "{verified:?}");
    assert!(unverified.is_none() || is_data, "{unverified:?}");
    assert!(unverified.is_some() || lost.is_empty(), "a damaged record was read");
    skipping(log, &files, lost);
    let told = damage_found(&files);
    if file != "durable" {
        assert!(told.contains(&Path::new(DIR).join(file)), "check says nothing of it: {told:?}");
    }
}

/// Runs `trial` for all of `trials` on two threads, and says which one failed.
fn each<T: Sync + std::fmt::Debug>(trials: &[T], trial: impl Fn(&T) + Sync) {
    let halves = trials.split_at(trials.len() / 2);
    std::thread::scope(|scope| {
        for half in [halves.0, halves.1] {
            let trial = &trial;
            scope.spawn(move || {
                for one in half {
                    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| trial(one)));
                    assert!(caught.is_ok(), "failed at {one:?}");
                }
            });
        }
    });
}

/// The bytes of each file that say anything.
fn meaningful(log: &Log) -> Vec<(String, usize)> {
    let mut bytes = Vec::new();
    for (name, contents) in &log.files {
        let ranges = if name.ends_with(".seg") {
            let end = log.places.iter().filter(|place| place.file == *name).map(|place| place.bytes.end).max().unwrap();
            let footer = contents.len() - 128;
            let last = name.starts_with("0000000000000003");
            vec![0..128, 512..640, 1024..end, if last { 0..0 } else { footer..contents.len() }]
        } else if name == "durable" {
            vec![0..64, 512..576]
        } else {
            std::iter::once(0..contents.len()).collect()
        };
        bytes.extend(ranges.into_iter().flatten().map(|byte| (name.clone(), byte)));
    }
    bytes
}

#[test]
fn every_bit_flipped() {
    let log = log();
    let bytes = meaningful(&log);
    println!("{} bits", bytes.len() * 8);
    each(&bytes, |(file, byte)| (0..8).for_each(|bit| flip(&log, file, *byte, bit)));
}

#[test]
fn bits_set_where_zeros_lie() {
    let log = log();
    let mut places = Vec::new();
    for (name, contents) in log.files.iter().filter(|(name, _)| name.ends_with(".seg")) {
        let end = log.places.iter().filter(|place| place.file == *name).map(|place| place.bytes.end).max().unwrap();
        let zeros = (128..512).step_by(37).chain(640..1024).step_by(31).chain(end..contents.len() - 128).step_by(613);
        places.extend(zeros.map(|byte| (name.clone(), byte)));
    }
    each(&places, |(file, byte)| {
        let mut files = log.files.clone();
        files.get_mut(file).unwrap()[*byte] ^= 0x10;
        // Behind all that was ever durable it is a torn tail; elsewhere nobody looks.
        for verify in [true, false] {
            assert!(strict(&log, &files, file, *byte, verify).is_none());
        }
    });
}

#[test]
fn every_length_cut() {
    let log = log();
    let mut cuts = Vec::new();
    for (name, contents) in &log.files {
        let end = log
            .places
            .iter()
            .filter(|place| place.file == *name)
            .map(|place| place.bytes.end)
            .max()
            .unwrap_or(contents.len());
        let near_footer = contents.len().saturating_sub(130)..contents.len();
        let all = (0..end + 20).chain((end + 20..contents.len()).step_by(509)).chain(near_footer);
        cuts.extend(all.filter(|len| *len < contents.len()).map(|len| (name.clone(), len)));
    }
    println!("{} cuts", cuts.len());
    each(&cuts, |(file, len)| {
        let mut files = log.files.clone();
        files.get_mut(file).unwrap().truncate(*len);
        let end = log.places.iter().filter(|place| place.file == *file).map(|place| place.bytes.end).max();
        let verified = strict(&log, &files, file, *len, true);
        let unverified = strict(&log, &files, file, *len, false);
        let harmless = end.is_none_or(|end| *len >= end);
        assert_eq!(verified.is_none(), harmless, "{verified:?}");
        assert_eq!(unverified.is_none(), harmless, "{unverified:?}");
        let cut = log.places.iter().filter(|place| place.file == *file && place.bytes.end > *len);
        let lost = cut.map(|place| place.lost.clone()).filter(|lost| !lost.is_empty());
        let lost = lost.reduce(|all, one| all.start.min(one.start)..all.end.max(one.end)).unwrap_or(0..0);
        skipping(&log, &files, lost);
    });
}
