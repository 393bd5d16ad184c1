//! Power losses: every partition is a prefix of what was appended to it, with all that was synced.

use varve_io::sim::SimMachine;
use varve_log::{Conditions, Result};
use varve_testkit::Rng;

use crate::model::{any, held, open, options, put, seed, value};

/// What was appended to each partition, and how much of it is durable.
#[derive(Default, Clone)]
struct Known {
    values: Vec<Vec<Vec<u8>>>,
    durable: Vec<usize>,
}

/// One life; it ends with the first error, which is the crash.
fn live(machine: &SimMachine, known: &mut Known) -> Result<()> {
    let whole = open(machine, &options(3))?;
    for round in 0..3_u8 {
        for partition in [0, 2] {
            let bytes = vec![round; 300];
            // Before the call: it may be there though the call failed.
            known.values[partition].push(bytes.clone());
            put(&whole, partition, &bytes)?;
        }
        whole.sync()?;
        known.durable = known.values.iter().map(Vec::len).collect();
        let batch = vec![round + 100; 30_000];
        known.values[1].push(batch.clone());
        known.values[2].push(batch.clone());
        whole.append_batch(&[(Some(1), value(&batch)), (Some(2), value(&batch))], &Conditions::default())?;
        whole.flush()?;
        for (_, log) in (0..3).map(|at| (at, whole.log(at))) {
            // What waits on a real machine for many others to be written to.
            log?.wal().rest()?;
        }
        while machine.run_job() {}
    }
    whole.close()?;
    known.durable = known.values.iter().map(Vec::len).collect();
    Ok(())
}

fn check(machine: &SimMachine, known: &Known, what: &str) {
    let whole = match open(machine, &any()) {
        Ok(whole) => whole,
        // The crash was before there were settings.
        Err(_) if known.durable.iter().all(|durable| *durable == 0) => open(machine, &options(3)).unwrap(),
        Err(error) => panic!("{what}: {error}"),
    };
    for partition in 0..3 {
        let held = held(&whole, partition);
        let (values, durable) = (&known.values[partition], known.durable[partition]);
        assert!(
            held.len() >= durable,
            "{what}: partition {partition} has {} of {durable} that were durable",
            held.len()
        );
        assert_eq!(held, values[..held.len()], "{what}: partition {partition}");
        assert_eq!(put(&whole, partition, b"goes on").unwrap(), held.len() as u64);
    }
    whole.close().unwrap();
}

#[test]
fn at_every_step_each_partition_has_what_was_synced_and_no_hole() {
    let seed = seed();
    for steps in 0.. {
        let machine = SimMachine::new(seed + steps);
        machine.crash_after(steps);
        let mut known = Known { values: vec![Vec::new(); 3], durable: vec![0; 3] };
        let lived = live(&machine, &mut known);
        for image in 0..3 {
            check(&machine.crash(seed + steps * 3 + image), &known, &format!("step {steps}, image {image}"));
        }
        if lived.is_ok() && !machine.crashed() {
            assert!(steps > 60, "{steps} steps");
            return;
        }
    }
}

#[test]
fn lives_that_end_in_a_crash_follow_one_another() {
    let seed = seed();
    for round in 0..25 {
        let mut rng = Rng::new(seed + round);
        let mut machine = SimMachine::new(rng.bits());
        let mut known = Known { values: vec![Vec::new(); 4], durable: vec![0; 4] };
        for _ in 0..5 {
            let whole = open(&machine, &options(4)).unwrap();
            for (partition, values) in known.values.iter_mut().enumerate() {
                let held = held(&whole, partition);
                assert!(held.len() >= known.durable[partition]);
                assert_eq!(held, values[..held.len()]);
                values.truncate(held.len());
            }
            known.durable = known.values.iter().map(Vec::len).collect();
            for step in 0..rng.below(60) {
                let partition = rng.pick(4);
                let bytes = [&step.to_le_bytes()[..], &vec![3; rng.pick(9000)]].concat();
                put(&whole, partition, &bytes).unwrap();
                known.values[partition].push(bytes);
                match rng.below(12) {
                    0 => {
                        whole.sync().unwrap();
                        known.durable = known.values.iter().map(Vec::len).collect();
                    }
                    1 => {
                        whole.log(partition).unwrap().sync().unwrap();
                        known.durable[partition] = known.values[partition].len();
                    }
                    2..=3 => whole.flush().unwrap(),
                    4..=6 => drop(whole.log(rng.pick(4)).unwrap().wal().rest().unwrap()),
                    _ => {}
                }
                while rng.chance(20) && machine.run_job() {}
            }
            machine = machine.crash(rng.bits());
        }
    }
}
