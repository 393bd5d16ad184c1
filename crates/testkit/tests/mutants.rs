//! The tests of the test: each defect must be noticed, by the crash explorer within the images that continuous integration looks at, or by what
//! crashes at every step of something done beside a log.

use std::path::Path;

use varve_io::sim::SimMachine;
use varve_testkit::explore::explore;
use varve_testkit::{Failure, every_step, is_opening};

const IMAGES: u64 = 20_000;

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "seg" || extension == "tmp")
}

fn caught(name: &str, setup: &dyn Fn(&SimMachine)) {
    let mut images = 0;
    for seed in 0.. {
        match explore(seed, setup) {
            Ok(looked) => images += looked,
            Err(failure) => {
                println!("{name}: noticed by seed {seed}, after {images} images: {}", failure.what);
                return;
            }
        }
        assert!(images < IMAGES, "{name}: not noticed in {images} images");
    }
}

#[test]
fn no_sync_of_segments() {
    caught("no sync of segments", &|machine| machine.ignore_sync_data(is_segment));
}

#[test]
fn no_sync_of_the_directory() {
    caught("no sync of the directory", &|machine| machine.ignore_sync_dir(|_| true));
}

#[test]
fn no_sync_of_the_directory_after_a_rotation() {
    caught("no sync of the directory after a rotation", &|machine| machine.ignore_sync_dir(|_| !is_opening()));
}

#[test]
fn no_sync_of_the_directory_at_recovery() {
    caught("no sync of the directory at recovery", &|machine| machine.ignore_sync_dir(|_| is_opening()));
}

#[test]
fn no_sync_of_a_fresh_segment_before_its_rename() {
    let fresh = |path: &Path| is_opening() && path.extension().is_some_and(|extension| extension == "tmp");
    caught("no sync of a fresh segment before its rename", &|machine| machine.ignore_sync_data(fresh));
}

#[test]
fn no_sync_of_what_recovery_found() {
    let found = |path: &Path| is_opening() && path.extension().is_some_and(|extension| extension == "seg");
    caught("no sync of what recovery found", &|machine| machine.ignore_sync_data(found));
}

fn noticed(name: &str, outcome: Result<u64, Failure>) {
    match outcome {
        Ok(images) => panic!("{name}: not noticed in {images} images"),
        Err(failure) => println!("{name}: noticed: {}", failure.what),
    }
}

#[test]
fn no_sync_of_the_segments_of_a_copy() {
    let setup = |machine: &SimMachine| machine.ignore_sync_data(|path| every_step::is_copy(path) && is_segment(path));
    noticed("no sync of the segments of a backup", every_step::backup(&setup));
    noticed("no sync of the segments of a salvage", every_step::salvage(&setup));
}

#[test]
fn no_sync_of_the_directory_of_a_copy() {
    let setup = |machine: &SimMachine| machine.ignore_sync_dir(every_step::is_copy);
    noticed("no sync of the directory of a backup", every_step::backup(&setup));
    noticed("no sync of the directory of a salvage", every_step::salvage(&setup));
}

#[test]
fn no_sync_of_what_a_backup_says_is_durable() {
    let slots = |path: &Path| every_step::is_copy(path) && path.ends_with("durable");
    noticed("no sync of a backup's slots", every_step::backup(&|machine| machine.ignore_sync_data(slots)));
}

#[test]
fn no_sync_of_the_directory_by_a_repair() {
    let setup = |machine: &SimMachine| machine.ignore_sync_dir(|_| !is_opening());
    noticed("no sync of the directory by a repair", every_step::repair(&setup));
}

#[test]
fn no_sync_of_the_segment_that_a_repair_begins() {
    let fresh = |path: &Path| !is_opening() && path.extension().is_some_and(|extension| extension == "tmp");
    noticed(
        "no sync of the segment that a repair begins",
        every_step::repair(&|machine| machine.ignore_sync_data(fresh)),
    );
}

#[test]
fn no_sync_of_what_a_repair_sets_aside() {
    let aside = |path: &Path| path.extension().is_some_and(|extension| extension == "lost");
    noticed("no sync of what a repair sets aside", every_step::repair(&|machine| machine.ignore_sync_data(aside)));
}

#[test]
fn no_sync_of_the_directory_by_an_open_past_damage() {
    let setup = |machine: &SimMachine| machine.ignore_sync_dir(|_| is_opening());
    noticed("no sync of the directory by an open past damage", every_step::open_past_damage(&setup));
}

#[cfg(feature = "mutants")]
mod of_the_code {
    use varve_format::Mutant;
    use varve_testkit::every_step::{self, EveryStep};

    use super::noticed;

    fn caught(mutant: Mutant) {
        Mutant::set(Some(mutant));
        super::caught(&format!("{mutant:?}"), &|_| ());
        Mutant::set(None);
    }

    #[test]
    fn no_salt_in_the_checks() {
        caught(Mutant::NoSalt);
    }

    #[test]
    fn no_position_in_the_checks() {
        caught(Mutant::NoPosition);
    }

    #[test]
    fn batches_need_not_be_whole() {
        caught(Mutant::HalfBatches);
    }

    #[test]
    fn a_torn_tail_is_written_over() {
        caught(Mutant::WriteOverTail);
    }

    #[test]
    fn recovery_does_not_write_again() {
        caught(Mutant::NoRewrite);
    }

    #[test]
    fn a_sync_takes_the_active_segment_only() {
        caught(Mutant::ActiveOnly);
    }

    #[test]
    fn files_go_before_their_truncation_is_durable() {
        caught(Mutant::EarlyUnlink);
    }

    #[test]
    fn a_sync_does_not_write_the_state() {
        caught(Mutant::NoStateAtSync);
    }

    #[test]
    fn a_truncation_does_not_begin_a_generation() {
        caught(Mutant::SameGeneration);
    }

    #[test]
    fn recovery_leaves_what_is_no_part_of_the_log() {
        caught(Mutant::KeepHidden);
    }

    #[test]
    fn a_follower_believes_an_old_slot() {
        caught(Mutant::OldSlotCounts);
    }

    #[test]
    fn retention_does_not_wait_for_answers() {
        caught(Mutant::NoAnswers);
    }

    /// Noticed by a crash at one of the steps of something that is done beside the log, or to a damaged one.
    fn caught_by(mutant: Mutant, every_step: EveryStep) {
        Mutant::set(Some(mutant));
        noticed(&format!("{mutant:?}"), every_step(&|_| ()));
        Mutant::set(None);
    }

    #[test]
    fn a_backup_replaces_segments_under_a_bound_beyond_them() {
        caught_by(Mutant::CopyKeepsBound, every_step::backup);
    }

    #[test]
    fn a_backup_does_not_say_what_is_durable() {
        caught_by(Mutant::CopyLeavesBound, every_step::backup);
    }

    #[test]
    fn what_is_damaged_is_written_over() {
        caught_by(Mutant::WriteOverTail, every_step::repair);
        caught_by(Mutant::WriteOverTail, every_step::open_past_damage);
    }

    #[test]
    fn a_gap_is_within_a_segment() {
        caught_by(Mutant::GapWithin, every_step::salvage);
    }
}
