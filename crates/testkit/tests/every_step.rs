//! What is done beside a log, or to a damaged one: no crash within it may break a promise.

use varve_testkit::every_step::{self, EveryStep};

fn holds(every_step: EveryStep) {
    let images = every_step(&|_| ()).unwrap_or_else(|failure| panic!("{}", failure.what));
    println!("{images} images");
    assert!(images > 100, "only {images} images");
}

#[test]
fn a_crash_in_a_backup_leaves_a_copy_that_opens_and_one_that_is_done_is_durable() {
    holds(every_step::backup);
}

#[test]
fn a_crash_in_a_salvage_leaves_its_source_and_one_that_is_done_is_durable() {
    holds(every_step::salvage);
}

#[test]
fn a_crash_in_a_repair_leaves_the_damage_or_the_repaired_log() {
    holds(every_step::repair);
}

#[test]
fn a_crash_in_an_open_past_damage_loses_nothing_that_is_intact() {
    holds(every_step::open_past_damage);
}
