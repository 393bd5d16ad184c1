//! The tests of the test: each defect must be noticed by the crash explorer, within the images that continuous integration looks at.

use std::path::Path;

use varve_io::sim::SimMachine;
use varve_testkit::explore::explore;
use varve_testkit::is_opening;

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

#[cfg(feature = "mutants")]
mod of_the_code {
    use varve_format::Mutant;

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
}
