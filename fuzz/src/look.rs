//! All that reads or repairs a directory, let loose on one: what must hold whatever lies there.

use std::path::Path;
use std::sync::Arc;

use varve_io::sim::SimMachine;
use varve_io::{Change, Machine};
use varve_wal::{
    Care, CheckReport, ErrorCode, Fill, Result, TABLE_LEN, Wal, WalOptions, check, first_of, markers, recover, salvage,
    stat,
};

use crate::base::{DIR, Files, files, machine, options};
use crate::memory::bounded;
use crate::written::Written;

/// Memory for a directory of so many bytes: what a log takes at all, and a part for what there is.
const LOG: usize = 24 << 20;
const A_BYTE: usize = 8;

/// Records that are read one by one.
const GETS: usize = 60;

const COPY: &str = "/copy";

type Records = Vec<(u64, Vec<u8>)>;

/// What came of reading a log from its first record on.
pub enum Reading {
    All(Records),
    /// Damage that the open did not look at was met.
    Failed(ErrorCode),
}

/// Opens, checks, follows, repairs and copies the directory, each from the same start.
pub fn look(found: &Files, written: &Written) {
    let most = LOG + A_BYTE * found.values().map(Vec::len).sum::<usize>();
    let report = bounded(most, "check", || checked(found));
    bounded(most, "following", || followed(found, written));
    let mut verified = None;
    for (verify, skip) in [(false, false), (true, false), (true, true)] {
        let records = bounded(most, "opening", || opened(found, written, &report, verify, skip));
        if verify {
            verified = records.or(verified);
        }
    }
    bounded(most, "recover", || recovered(found, written));
    bounded(2 * most, "salvage", || salvaged(found, written, verified.as_ref()));
}

/// Opens the log on `machine`.
pub fn open(machine: &SimMachine, options: &WalOptions) -> Result<Arc<Wal>> {
    Wal::open(Arc::new(machine.clone()), Path::new(DIR), options)
}

fn is_coded(code: ErrorCode, by: &str) {
    let expected = [ErrorCode::Corrupt, ErrorCode::Unsupported, ErrorCode::InvalidArgument, ErrorCode::OutOfRange];
    assert!(expected.contains(&code), "{by} says {}, which bytes on a sound disk cannot cause", code.name());
}

/// Names of files that are not the same, or not in both.
fn differences<'a>(left: &'a Files, found: &'a Files) -> Vec<&'a String> {
    left.keys().chain(found.keys()).filter(|name| left.get(*name) != found.get(*name)).collect()
}

fn checked(found: &Files) -> Option<CheckReport> {
    let machine = machine(found);
    let shared: Arc<dyn Machine> = Arc::new(machine.clone());
    let changes = machine.changes();
    let report = check(Arc::clone(&shared), Path::new(DIR), &Care::default());
    let outline = stat(Arc::clone(&shared), Path::new(DIR));
    let marks = markers(shared, Path::new(DIR));
    assert_eq!(machine.changes(), changes, "check, stat or markers changed something");
    assert!(machine.violations().is_empty(), "{:?}", machine.violations());
    [outline.err(), marks.err()].into_iter().flatten().for_each(|error| is_coded(error.code(), "stat"));
    report.inspect_err(|error| is_coded(error.code(), "check")).ok()
}

fn followed(found: &Files, written: &Written) {
    let machine = machine(found);
    let changes = machine.changes();
    match Wal::follow(Arc::new(machine.clone()), Path::new(DIR), &WalOptions { read_only: true, ..options() }) {
        Ok(wal) => {
            wal.refresh(Change::Contents);
            wal.refresh(Change::Names);
            read(&wal, written);
            wal.close().expect("a follower has nothing to write");
        }
        // Nothing is there to be followed.
        Err(error) if error.code() == ErrorCode::Io && !found.keys().any(|name| name.ends_with(".seg")) => {}
        Err(error) => is_coded(error.code(), "a follower"),
    }
    assert_eq!(machine.changes(), changes, "a follower changed something");
    machine.drop_jobs();
}

/// Opens, reads, appends, opens again: all is there. Gives what was read, if all could be.
fn opened(found: &Files, written: &Written, report: &Option<CheckReport>, verify: bool, skip: bool) -> Option<Records> {
    let machine = machine(found);
    let options = WalOptions { verify: Some(verify), skip_damage: Some(skip), ..options() };
    let by = if skip { "an open past damage" } else { "an open" };
    let wal = match open(&machine, &options) {
        Ok(wal) => wal,
        Err(error) => {
            is_coded(error.code(), by);
            if matches!(error.code(), ErrorCode::Corrupt | ErrorCode::Unsupported) {
                let left = files(&machine);
                let changed = differences(&left, found);
                assert!(changed.is_empty(), "{by} that was refused ({error}) changed {changed:?}");
                let sound = report.as_ref().is_some_and(|report| report.ok);
                // An open that does not verify believes footers, and is misled by a forged one; check reads the frames.
                let misled = !verify && written.is_forged();
                assert!(!sound || misled, "check finds no damage, and {by} fails: {error}");
            }
            machine.drop_jobs();
            return None;
        }
    };
    if verify && !skip {
        let report = report.as_ref().expect("what opens can be checked");
        assert!(report.ok, "check finds damage in a log that opens with verify: {:?}", report.damage);
    }
    let records = match read(&wal, written) {
        Reading::All(records) => Some(records),
        Reading::Failed(code) => {
            assert!(!verify, "a log that was verified fails at a read: {}", code.name());
            None
        }
    };
    // A forger's gaps need not be where he says that they are.
    if verify
        && !(skip && written.is_forged())
        && let Some(records) = &records
    {
        assert_eq!(wal.stats().entries, records.len() as u64, "stats count other records than are read");
    }
    if let Some(all) = going_on(&machine, wal, records.clone(), written) {
        match open(&machine, &options) {
            Ok(wal) if written.is_forged() => again(&wal, written),
            Ok(wal) => reads(&wal, &all, by),
            Err(error) if written.is_forged() => is_coded(error.code(), by),
            Err(error) => panic!("{by} that was closed fails: {error}"),
        }
        machine.crash_after(0);
    }
    assert!(machine.violations().is_empty(), "{:?}", machine.violations());
    machine.drop_jobs();
    records
}

/// Appends in every way, and closes. Gives what must be there then; `None` where a forger left no room to append.
fn going_on(machine: &SimMachine, wal: Arc<Wal>, records: Option<Records>, written: &Written) -> Option<Records> {
    let mut all = records;
    let mut append = || -> Result<()> {
        let one = wal.append(b"appended", None)?;
        let two = wal.append_packed(b"abcd", &[1, 4], None)?;
        wal.sync()?;
        wal.rotate()?;
        let three = wal.append(b"behind", None)?;
        if let Some(all) = &mut all {
            all.extend([(one, b"appended".to_vec()), (two, b"a".to_vec()), (two + 1, b"bcd".to_vec())]);
            all.push((three, b"behind".to_vec()));
        }
        Ok(())
    };
    if let Err(error) = append() {
        // A header may begin the log at the last index that there is.
        let excused = written.is_forged() || error.code() == ErrorCode::OutOfRange;
        assert!(excused, "a log that is open takes no record: {error}");
        all = None;
    }
    while machine.run_job() {}
    if let Err(error) = wal.close() {
        assert!(written.is_forged(), "a log does not close: {error}");
        all = None;
    }
    all
}

/// What goes on behind forged frames may change what they mean: a state, a bound or a cut that contradicted what followed now speaks of other segments,
/// a batch without its end ends at the cut behind it. So not the same records need be there; but none that nobody wrote, each at its own index.
fn again(wal: &Arc<Wal>, written: &Written) {
    let mut written = written.clone();
    [b"appended".as_slice(), b"a", b"bcd", b"behind"].into_iter().for_each(|record| written.forge(record));
    read(wal, &written);
}

fn reads(wal: &Arc<Wal>, records: &Records, by: &str) {
    let mut held = Records::new();
    let walked = walk(wal, |index, bytes| held.push((index, bytes.to_vec())));
    assert!(walked.is_ok(), "{by} that was closed fails at a read");
    let same = held.iter().zip(records).take_while(|(one, other)| one == other).count();
    let (there, wanted) = (held.get(same..), records.get(same..));
    assert!(
        held == *records,
        "{by} that was closed holds, from its record {same} on, {there:?} in place of {wanted:?}"
    );
}

/// Reads all in order, and some one by one; each must be one that was written, at its index.
pub fn read(wal: &Arc<Wal>, written: &Written) -> Reading {
    let (first, next) = (wal.first_index(), wal.next_index());
    let mut records = Records::new();
    let walked = walk(wal, |index, bytes| {
        assert!(index >= first && index < next, "record {index} of a log of {first} to {next}");
        assert!(records.last().is_none_or(|(last, _)| *last < index), "record {index} comes again");
        assert!(written.admits(index, bytes), "record {index} was never written: {bytes:?}");
        records.push((index, bytes.to_vec()));
    });
    let some = records.iter().take(GETS / 2).chain(records.iter().rev().take(GETS / 2));
    for (index, record) in some {
        match wal.get(*index, |bytes| (bytes == record.as_slice(), written.admits(*index, bytes))) {
            // A reader goes from frame to frame, and get by the sidecar: a forger may have put two records of one index into a segment, or one that the
            // sidecar does not know.
            Ok(None) if written.is_forged() => {}
            Ok(Some((false, true))) if written.is_forged() => {}
            Ok(found) => {
                let same = found.map(|(same, _)| same);
                assert_eq!(same, Some(true), "get gives another record {index} than the reader");
            }
            Err(error) => is_coded(error.code(), "get"),
        }
        if let Ok(Some(position)) = wal.position_of(*index) {
            let _of_a_forged_sidecar = wal.index_at(position);
        }
    }
    for outside in [first.wrapping_sub(1), next, u64::MAX] {
        assert!(matches!(wal.get(outside, <[u8]>::len), Ok(None)), "get finds record {outside} outside of the log");
    }
    let _figures = (wal.stats(), wal.segments());
    match walked {
        Ok(()) => Reading::All(records),
        Err(code) => Reading::Failed(code),
    }
}

fn walk(wal: &Arc<Wal>, mut each: impl FnMut(u64, &[u8])) -> std::result::Result<(), ErrorCode> {
    let failed = |error: varve_wal::Error| {
        is_coded(error.code(), "a reader");
        error.code()
    };
    let mut reader = wal.reader(wal.first_index(), None).map_err(failed)?;
    let (mut slab, mut table) = (vec![0; 4096], [0; TABLE_LEN]);
    loop {
        match reader.fill(&mut slab, &mut table).map_err(failed)? {
            Fill::Records(0) => return Ok(()),
            Fill::Records(count) => {
                let first = first_of(&table);
                for (index, ends) in (first..).zip(table.as_chunks::<2>().0.iter().take(count)) {
                    each(index, &slab[ends[0] as usize..ends[1] as usize]);
                }
            }
            Fill::Needs(bytes) => {
                assert!(bytes > slab.len(), "a slab of {} bytes is refused for {bytes}", slab.len());
                slab.resize(bytes, 0);
            }
        }
    }
}

/// A forged state may name another codec, or a bound beyond the end of the log. Where every state is lost, so is the codec's name.
fn is_excused(error: &varve_wal::Error, kept: u64, written: &Written) -> bool {
    written.is_forged() || (kept == 0 && error.code() == ErrorCode::InvalidArgument)
}

/// What is repaired opens, every checksum looked at, and holds nothing that was not written.
fn recovered(found: &Files, written: &Written) {
    let machine = machine(found);
    match recover(Arc::new(machine.clone()), Path::new(DIR), &Care::default()) {
        Ok(report) => {
            let kept = report.kept_entries;
            match open(&machine, &WalOptions { verify: Some(true), ..options() }) {
                Ok(wal) => {
                    let Reading::All(records) = read(&wal, written) else { panic!("a repaired log fails at a read") };
                    // Of forged gaps and bounds the repair tells what they say, and goes on behind them.
                    let counts = records.len() as u64 == kept || written.is_forged();
                    assert!(counts, "recover says that it kept {kept} records, and {} are read", records.len());
                    machine.crash_after(0);
                }
                Err(error) => assert!(is_excused(&error, kept, written), "a repaired log does not open: {error}"),
            }
        }
        Err(error) => is_coded(error.code(), "recover"),
    }
    assert!(machine.violations().is_empty(), "{:?}", machine.violations());
    machine.drop_jobs();
}

/// The copy opens, and holds all that could be read in place; but for what had been truncated, where that is told behind the damage alone: an open cuts
/// a torn tail, and the truncation with it, while a salvage goes on behind.
fn salvaged(found: &Files, written: &Written, readable: Option<&Records>) {
    let machine = machine(found);
    let shared: Arc<dyn Machine> = Arc::new(machine.clone());
    let copied = salvage(Arc::clone(&shared), Path::new(DIR), Path::new(COPY), &Care::default());
    assert!(files(&machine) == *found, "salvage changed what it copies");
    match copied {
        Ok(report) => match Wal::open(shared, Path::new(COPY), &WalOptions { verify: Some(true), ..options() }) {
            Ok(wal) => {
                let Reading::All(records) = read(&wal, written) else { panic!("a salvaged log fails at a read") };
                assert_eq!(
                    records.len() as u64,
                    report.kept_entries,
                    "salvage says that it kept other records than are read"
                );
                let first = wal.first_index();
                let kept = |record: &&(u64, Vec<u8>)| {
                    !written.is_forged() && (record.0 >= first || !written.may_begin_at(first))
                };
                for record in readable.into_iter().flatten().filter(kept) {
                    assert!(records.contains(record), "salvage loses record {}, which can be read", record.0);
                }
                machine.crash_after(0);
            }
            Err(error) => {
                let excused = is_excused(&error, report.kept_entries, written);
                assert!(excused, "a salvaged log does not open: {error}");
            }
        },
        Err(error) => is_coded(error.code(), "salvage"),
    }
    assert!(machine.violations().is_empty(), "{:?}", machine.violations());
    machine.drop_jobs();
}
