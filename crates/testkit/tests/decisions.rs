//! The decision table of recovery (`docs/formats/segment.md`, "Recovery"), row by row: what lies at x and behind, with D before it and beyond it.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod decisions {
    pub mod log;
    pub mod rows;
}

use std::path::Path;
use std::sync::Arc;

use varve_format::{Origin, read_header_block};
use varve_io::sim::SimMachine;
use varve_testkit::{DIR, Failure, open, read_all, restore, snapshot};
use varve_wal::{Care, ErrorCode, Wal, WalOptions, check};

use decisions::log::{Log, Outcome, RECORDS, options, record};
use decisions::rows::rows;

/// All records up to `next` are there, and no other.
fn holds(wal: &Arc<Wal>, next: u64) {
    assert_eq!((wal.first_index(), wal.next_index()), (0, next));
    let mut expected = 0;
    read_all(wal, 0, 4096, |index, bytes| {
        assert_eq!((index, bytes), (expected, record(index).as_slice()));
        expected += 1;
        Ok::<(), Failure>(())
    })
    .unwrap();
    assert_eq!(expected, next);
    assert!((0..next).all(|index| wal.get(index, |bytes| bytes == record(index)).unwrap() == Some(true)));
}

/// What an open makes of the directory.
fn outcome(machine: &SimMachine, verify: bool) -> Outcome {
    let before = snapshot(machine);
    let segments = before.keys().filter(|name| name.ends_with(".seg")).count();
    let wal = match open(machine, &WalOptions { verify: Some(verify), ..options() }) {
        Ok(wal) => wal,
        Err(error) => {
            assert!(snapshot(machine) == before, "a refused open changed something: {error}");
            return match error.code() {
                ErrorCode::Corrupt => Outcome::Damage,
                ErrorCode::Unsupported => Outcome::Unsupported,
                _ => panic!("{error}"),
            };
        }
    };
    let next = wal.next_index();
    let after = snapshot(machine);
    let (_, last) = after.iter().rfind(|(name, _)| name.ends_with(".seg")).unwrap();
    let origin = read_header_block(last).unwrap().header.origin;
    let found = match after.keys().filter(|name| name.ends_with(".seg")).count() {
        _ if origin == Origin::Recovery as u8 => Outcome::Torn(next),
        count if count > segments && segments > 0 => Outcome::Sealed(next),
        _ => Outcome::Clean(next),
    };
    assert!(matches!(found, Outcome::Torn(_)) || wal.stats().recovery.torn.is_empty(), "{found:?} cuts something");
    for torn in &wal.stats().recovery.torn {
        assert!(machine.contents(&torn.path).is_ok_and(|kept| kept.len() as u64 == torn.bytes), "{torn:?} is not kept");
    }
    if !verify {
        // Damage that nobody has looked at is met at the read.
        wal.close().unwrap();
        return found;
    }
    holds(&wal, next);
    // It goes on, and is clean from then on.
    wal.append(&record(next), Some(next)).unwrap();
    wal.close().unwrap();
    drop(wal);
    let again = open(machine, &WalOptions { verify: Some(true), ..options() }).unwrap();
    holds(&again, next + 1);
    assert!(again.stats().recovery.torn.is_empty());
    again.close().unwrap();
    assert!(machine.violations().is_empty());
    found
}

fn checked(machine: &SimMachine, expected: Outcome) {
    let before = snapshot(machine);
    let report = check(Arc::new(machine.clone()), Path::new(DIR), &Care::default());
    assert!(snapshot(machine) == before, "check changed something");
    match (report, expected) {
        (Err(error), Outcome::Unsupported) => assert_eq!(error.code(), ErrorCode::Unsupported),
        (Ok(report), Outcome::Damage) => assert!(!report.ok && !report.damage.is_empty(), "{report:?}"),
        (Ok(report), Outcome::Torn(next)) => {
            assert!(report.ok, "{report:?}");
            assert!(report.damage.iter().any(|damage| damage.reason == "torn tail"), "{report:?}");
            assert_eq!(report.entries, next);
        }
        (Ok(report), Outcome::Clean(next) | Outcome::Sealed(next)) => {
            assert!(report.ok, "{report:?}");
            assert_eq!(report.entries, next);
        }
        (report, expected) => panic!("check says {report:?} for {expected:?}"),
    }
}

#[test]
fn every_row_of_the_table() {
    let (low, high) = (Log::new(false), Log::new(true));
    let mut wrong = Vec::new();
    for row in rows() {
        for (log, expected, bound) in [(&low, row.low, "before x"), (&high, row.high, "beyond x")] {
            let mut files = log.files.clone();
            (row.edit)(log, &mut files);
            let decided = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                checked(&restore(&files).unwrap(), expected);
                outcome(&restore(&files).unwrap(), true)
            }));
            if decided.as_ref().ok() != Some(&expected) {
                wrong.push(format!("{}, D {bound}: {decided:?}, not {expected:?}", row.name));
                continue;
            }
            let trusting = outcome(&restore(&files).unwrap(), false);
            let overlooked = expected == Outcome::Damage && trusting == Outcome::Clean(RECORDS);
            if trusting != expected && !overlooked {
                wrong.push(format!("{}, D {bound}, not verified: {trusting:?}, not {expected:?}", row.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    println!("{} rows", rows().len());
}
