//! Another process reads while the writer writes, merges and removes.

use std::path::Path;
use std::sync::Arc;

use varve_io::Machine;
use varve_log::index::{IndexOptions, KeyIndex, Role};

use super::life::{DIR, Life, machine};
use super::model::{Model, Rng, seeds};

fn follow(life: &Life) -> (KeyIndex, u64) {
    let options = IndexOptions {
        log: 5,
        seed: 6,
        start: life.model.start,
        end: u64::MAX,
        role: Role::Follower,
        tail: Some(100_000),
    };
    KeyIndex::open(Arc::new(life.machine.clone()), Path::new(DIR), &options).unwrap()
}

#[test]
fn a_follower_finds_what_the_writer_has_and_changes_nothing() {
    let mut followed = 0;
    for seed in seeds(60) {
        let mut life = Life::open(machine(seed), Model::at(seed % 2 * 70), Rng(seed)).unwrap();
        let device = |life: &Life| life.machine.identity(Path::new(DIR)).unwrap().device;
        let mut here = device(&life);
        let (mut index, mut replay) = follow(&life);
        for _ in 0..60 {
            let (next, start, changes) = (life.model.next, life.model.start, life.model.messages.len());
            life.step().unwrap();
            let before = life.machine.changes();
            let moved = device(&life) != here;
            here = device(&life);
            if moved
                || life.model.next < next
                || life.model.messages.len() < changes
                || life.model.start < start
                || life.rng.chance(5)
            {
                // The log was cut, as its follower notices by the generation.
                (index, replay) = follow(&life);
            } else if life.rng.chance(30) {
                replay = index.refresh().unwrap();
            }
            let new = life.model.held_from(replay.max(index.next()));
            if new.into_iter().any(|(offset, hash)| index.insert(hash, offset).is_err()) {
                // The offsets leap so often that they fill both tails: no matter here.
                break;
            }
            followed += 1;
            life.model.check(&index).unwrap();
            assert!(index.take_job(u64::MAX).is_none());
            assert_eq!(life.machine.changes(), before, "seed {seed}: a follower changed something");
        }
    }
    assert!(followed > 20, "only {followed} steps were followed");
}
