//! Power lost at every change of the disk, and a process killed there: what is opened then misses nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use varve_io::sim::SimMachine;

use super::life::{Life, crashed, machine};
use super::model::{Model, Rng, seeds};

const STEPS: u64 = 30;

/// Lives the life of `seed` until the machine crashes after `changes` changes.
fn until_crash(seed: u64, changes: Option<u64>, setup: &dyn Fn(&SimMachine)) -> (SimMachine, Model) {
    let machine = machine(seed);
    setup(&machine);
    if let Some(changes) = changes {
        machine.crash_after(changes);
    }
    let mut life = match Life::open(machine.clone(), Model::at(seed % 3), Rng(seed)) {
        Ok(life) => life,
        Err(error) => {
            assert!(crashed(&error));
            return (machine, Model::at(seed % 3));
        }
    };
    life.kills = false;
    for _ in 0..STEPS {
        if let Err(error) = life.step() {
            assert!(crashed(&error));
            break;
        }
    }
    (machine, life.model.clone())
}

/// Lives, crashes, and looks at what is left; panics where it is wrong. Gives how many changes there were.
fn explore(seed: u64, changes: Option<u64>, setup: &dyn Fn(&SimMachine)) -> u64 {
    let (machine, model) = until_crash(seed, changes, setup);
    let mut rng = Rng(seed ^ changes.unwrap_or(u64::MAX));
    for image in 0..3 {
        let left = if image == 0 { machine.kill() } else { machine.crash(rng.bits()) };
        // What is not durable may be gone, from some message on.
        let mut model = model.clone();
        let lost: Vec<u64> = model.messages.range(model.durable..).map(|(offset, _)| *offset).collect();
        if image > 0 && !lost.is_empty() {
            model.cut(lost[usize::try_from(rng.below(lost.len() as u64)).unwrap()].max(model.start));
        }
        let mut life = Life::open(left, model, Rng(rng.bits())).unwrap();
        life.model.check(&life.index).unwrap();
        for _ in 0..8 {
            life.step().unwrap();
        }
    }
    machine.changes()
}

#[test]
fn nothing_is_missed_after_a_crash_at_any_change() {
    for seed in seeds(5) {
        let changes = explore(seed, None, &|_| {});
        assert!(changes > 2, "seed {seed} changes next to nothing");
        for at in 0..changes {
            let explored = catch_unwind(AssertUnwindSafe(|| explore(seed, Some(at), &|_| {})));
            explored.unwrap_or_else(|_| panic!("run it again with VARVE_SEED={seed}: a crash after {at} changes"));
        }
    }
}

/// A sync that is left out is noticed: so each of them is needed, and the test above looks.
#[test]
fn a_sync_left_out_is_noticed() {
    let noticed = |setup: &dyn Fn(&SimMachine)| {
        let explored = |seed, at| catch_unwind(AssertUnwindSafe(|| explore(seed, Some(at), setup))).is_err();
        (0..40).any(|seed| (5..150).step_by(5).any(|at| explored(seed, at)))
    };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let data = noticed(&|machine| machine.ignore_sync_data(|path| path.extension().is_some_and(|name| name == "tmp")));
    let names = noticed(&|machine| machine.ignore_sync_dir(|_| true));
    std::panic::set_hook(hook);
    assert!(data, "tables may be named before they are durable");
    assert!(names, "tables may come back that were dropped");
}
