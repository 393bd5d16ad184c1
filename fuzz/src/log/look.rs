//! All that reads or repairs the directory of a log, let loose on one: what must hold whatever lies there.

use std::path::Path;
use std::sync::Arc;

use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_log::{Care, CheckReport, ErrorCode, Log, LogOptions, check, recover, salvage, stat};

use super::Written;
use super::base::{open, options};
use super::read::{Reading, is_coded, read};
use super::remove::{add, remove};
use crate::base::{DIR, Files, files, machine};
use crate::known::Known;
use crate::memory::bounded;

/// Memory for a directory of so many bytes: what a log takes at all, its index of keys among it, and a part for what there is.
const LOG: usize = 48 << 20;
const A_BYTE: usize = 8;

/// A forged group may say that it is as long as a group can be: twice, since it is kept where it was uncompressed, and copied from there.
const FORGED: usize = 2 * (33 << 20);

const COPY: &str = "/copy";

/// Opens, checks, follows, repairs and copies the directory, each from the same start.
pub fn look(found: &Files, written: &Written) {
    let forged = if written.is_forged() { FORGED } else { 0 };
    let most = LOG + forged + A_BYTE * found.values().map(Vec::len).sum::<usize>();
    let report = bounded(most, "check", || checked(found));
    bounded(most, "following", || followed(found, written));
    let mut verified = None;
    for (verify, skip) in [(false, false), (true, false), (true, true)] {
        let held = bounded(most, "opening", || opened(found, written, &report, verify, skip));
        if verify {
            verified = held.or(verified);
        }
    }
    bounded(most, "recover", || recovered(found, written));
    bounded(2 * most, "salvage", || salvaged(found, written, verified.as_deref()));
}

fn shared(machine: &SimMachine) -> Arc<dyn Machine> {
    Arc::new(machine.clone())
}

fn is_sound(machine: &SimMachine) {
    assert!(machine.violations().is_empty(), "{:?}", machine.violations());
    machine.drop_jobs();
}

fn checked(found: &Files) -> Option<CheckReport> {
    let machine = machine(found);
    let changes = machine.changes();
    let report = check(shared(&machine), Path::new(DIR), &Care::default());
    let figures = stat(shared(&machine), Path::new(DIR));
    assert_eq!(machine.changes(), changes, "check or stat changed something");
    is_sound(&machine);
    match figures {
        // Nothing is there.
        Err(error) if error.code() == ErrorCode::Io && !has_segments(found) => {}
        figures => drop(figures.inspect_err(|error| is_coded(error.code(), "stat"))),
    }
    report.inspect_err(|error| is_coded(error.code(), "check")).ok()
}

fn has_segments(found: &Files) -> bool {
    found.keys().any(|name| name.ends_with(".seg"))
}

fn followed(found: &Files, written: &Written) {
    let machine = machine(found);
    let changes = machine.changes();
    match Log::follow(shared(&machine), Path::new(DIR), &LogOptions { read_only: true, ..options() }) {
        Ok(log) => {
            read(&log, written);
            log.close().expect("a follower has nothing to write");
        }
        Err(error) if error.code() == ErrorCode::Io && !has_segments(found) => {}
        Err(error) => is_coded(error.code(), "a follower"),
    }
    assert_eq!(machine.changes(), changes, "a follower changed something");
    is_sound(&machine);
}

/// Opens, reads, adds, removes, opens again: all is there. Gives what was read, if all could be.
fn opened(
    found: &Files,
    written: &Written,
    report: &Option<CheckReport>,
    verify: bool,
    skip: bool,
) -> Option<Vec<Known>> {
    let machine = machine(found);
    let options = LogOptions { verify: Some(verify), skip_damage: Some(skip), ..options() };
    let by = if skip { "an open past damage" } else { "an open" };
    let log = match open(&machine, &options) {
        Ok(log) => log,
        Err(error) => {
            is_coded(error.code(), by);
            let sound = report.as_ref().is_some_and(|report| report.ok);
            // Where no state is left, the name of the codec is not, either.
            let excused = written.is_forged() || error.code() == ErrorCode::InvalidArgument;
            assert!(!sound || excused, "check finds no damage, and {by} fails: {error}");
            machine.drop_jobs();
            return None;
        }
    };
    if verify && !skip && !written.is_forged() {
        let report = report.as_ref().expect("what opens can be checked");
        assert!(report.ok, "check finds damage in a log that opens with verify: {:?}", report.damage);
    }
    let held = match read(&log, written) {
        Reading::All(held) => Some(held),
        Reading::Failed => {
            assert!(!verify || written.is_forged(), "a log that was verified fails at a read");
            None
        }
    };
    let mut expected = held.clone();
    let mut written = written.clone();
    let went_on = go_on(&log, &mut expected, skip);
    if let Err(error) = &went_on {
        // Damage that was not looked at before is met by a removal; and a header may begin the log at the last index that there is.
        let excused = written.is_forged() || error.code() == ErrorCode::OutOfRange || held.is_none();
        assert!(excused, "a log that is open does not go on: {error}");
        is_coded(error.code(), "going on");
    }
    while machine.run_job() {}
    let closed = log.close();
    drop(log);
    match (closed.and(went_on), &expected) {
        (Ok(()), Some(expected)) => {
            expected.iter().for_each(|known| written.add(known.clone()));
            again(&machine, &written, &options, expected);
        }
        (Ok(()) | Err(_), _) => {}
    }
    is_sound(&machine);
    held
}

fn go_on(log: &Arc<Log>, held: &mut Option<Vec<Known>>, skip: bool) -> varve_log::Result<()> {
    add(log, held)?;
    match held {
        // What is damaged is not rewritten.
        Some(held) if !skip => remove(log, held),
        _ => Ok(()),
    }
}

fn again(machine: &SimMachine, written: &Written, options: &LogOptions, expected: &[Known]) {
    match open(machine, options) {
        Ok(log) => {
            let Reading::All(held) = read(&log, written) else {
                assert!(written.is_forged(), "a log that was closed fails at a read");
                return machine.crash_after(0);
            };
            let same = held.iter().zip(expected).take_while(|(one, other)| one == other).count();
            let (there, wanted) = (held.get(same), expected.get(same));
            assert!(written.is_forged() || held == expected, "message {same} is {there:?} in place of {wanted:?}");
            machine.crash_after(0);
        }
        Err(error) if written.is_forged() => is_coded(error.code(), "the next open"),
        Err(error) => panic!("a log that was closed does not open: {error}"),
    }
}

/// What is repaired opens, every checksum looked at, and holds nothing that was not written.
fn recovered(found: &Files, written: &Written) {
    let machine = machine(found);
    match recover(shared(&machine), Path::new(DIR), &Care::default()) {
        Ok(report) => match open(&machine, &LogOptions { verify: Some(true), ..options() }) {
            Ok(log) => {
                let read = read(&log, written);
                let failed = matches!(read, Reading::Failed);
                assert!(!failed || written.is_forged(), "a repaired log fails at a read");
                let next = log.next_offset();
                match add(&log, &mut None) {
                    Ok(()) => assert_eq!(log.next_offset(), next + 61),
                    Err(error) => {
                        let excused = written.is_forged() || error.code() == ErrorCode::OutOfRange;
                        assert!(excused, "a repaired log does not go on: {error}");
                    }
                }
                machine.crash_after(0);
            }
            Err(error) => {
                assert!(is_excused(&error, report.kept_entries, written), "a repaired log does not open: {error}")
            }
        },
        Err(error) => is_coded(error.code(), "recover"),
    }
    is_sound(&machine);
}

/// A forged state may name another codec, or a bound beyond the end of the log. Where every state is lost, so is the codec's name.
fn is_excused(error: &varve_log::Error, kept: u64, written: &Written) -> bool {
    written.is_forged() || (kept == 0 && error.code() == ErrorCode::InvalidArgument)
}

/// The copy opens, and holds all that could be read in place.
fn salvaged(found: &Files, written: &Written, readable: Option<&[Known]>) {
    let machine = machine(found);
    let copied = salvage(shared(&machine), Path::new(DIR), Path::new(COPY), &Care::default());
    assert!(files(&machine) == *found, "salvage changed what it copies");
    match copied {
        Ok(report) => {
            let options = LogOptions { verify: Some(true), ..options() };
            match Log::open(shared(&machine), Path::new(COPY), &options) {
                Ok(log) => {
                    match read(&log, written) {
                        Reading::All(held) => {
                            for known in readable.into_iter().flatten().filter(|_| !written.is_forged()) {
                                let there = held.binary_search_by_key(&known.offset, |held| held.offset).is_ok();
                                assert!(there, "salvage loses message {}, which can be read", known.offset);
                            }
                        }
                        Reading::Failed => assert!(written.is_forged(), "a salvaged log fails at a read"),
                    }
                    machine.crash_after(0);
                }
                Err(error) => {
                    let excused = is_excused(&error, report.kept_entries, written);
                    assert!(excused, "a salvaged log does not open: {error}");
                }
            }
        }
        Err(error) => is_coded(error.code(), "salvage"),
    }
    is_sound(&machine);
}
