//! The fault matrix, generated: every operation of the machine, failing in every way it is known to, the first time, the second time … or from
//! then on, under everything that a log does. Whatever fails: a coded error with its facts; nothing acknowledged lost; nothing made up.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod matrix {
    pub mod case;
    pub mod opening;
    pub mod writing;
}

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use varve_io::Operation;

use matrix::case::{Case, WAYS, Way};
use matrix::opening::{OPENINGS, opening};
use matrix::writing::{WRITINGS, writing};

/// No trial has so many operations of one kind.
const MOST: u64 = 400;

/// Runs all cases of one trial: each operation, each way, once and for ever, at each of its occurrences. Gives how many there were, and how many struck.
fn all(name: &'static str, run: &(dyn Fn(&Case) -> bool + Sync)) -> (u64, u64) {
    let (mut cases, mut struck) = (0, 0);
    for operation in Operation::ALL {
        for way in WAYS.iter().filter(|way| way.applies(operation)) {
            for sticky in [false, true] {
                for passing in 0..MOST {
                    let case = Case { name, operation, way: *way, sticky, passing };
                    let hit = catch_unwind(AssertUnwindSafe(|| run(&case))).unwrap_or_else(|_| panic!("at {case:?}"));
                    cases += 1;
                    if !hit {
                        break;
                    }
                    struck += 1;
                    assert!(passing + 1 < MOST, "{case:?} never ends");
                }
            }
        }
    }
    (cases, struck)
}

/// All trials on two threads.
fn each<T: Sync + Copy>(trials: &[T], name: impl Fn(T) -> &'static str + Sync, run: impl Fn(T, &Case) -> bool + Sync) {
    let next = AtomicUsize::new(0);
    let total = Mutex::new((0, 0));
    let work = || {
        while let Some(trial) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (cases, struck) = all(name(*trial), &|case| run(*trial, case));
            assert!(struck > 0, "no fault struck {}", name(*trial));
            println!("{}: {cases} cases, {struck} struck", name(*trial));
            let mut total = total.lock().unwrap();
            *total = (total.0 + cases, total.1 + struck);
        }
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        for thread in threads {
            assert!(thread.join().is_ok(), "a case failed, see above");
        }
    });
    println!("in all: {:?} cases, struck", total.into_inner().unwrap());
}

#[test]
fn a_fault_while_writing() {
    each(WRITINGS, |trial| trial.name(), writing);
}

#[test]
fn a_fault_while_opening() {
    each(OPENINGS, |trial| trial.name(), opening);
}

#[test]
fn a_way_is_a_number_of_the_system() {
    let numbers: std::collections::BTreeSet<_> = WAYS.iter().map(Way::code).collect();
    assert_eq!(numbers.into_iter().collect::<Vec<_>>(), ["EACCES", "EDQUOT", "EIO", "EMFILE", "ENOSPC", "EROFS"]);
}
