//! Random histories against a model: whatever is appended, however it is reopened, all that is read is what it should be.

use varve_io::sim::SimMachine;
use varve_log::{Compression, Input, LogOptions};
use varve_testkit::Rng;

use crate::model::{Known, all, batch, check, compression, open, open_with, options, seed};

#[test]
fn a_log_is_what_was_appended_however_it_is_reopened() {
    let seed = seed();
    for round in 0..20 {
        let mut rng = Rng::new(seed + round);
        let mut machine = SimMachine::new(rng.bits());
        let mut log = open(&machine).unwrap();
        let mut known: Vec<Known> = Vec::new();
        for _ in 0..40 {
            let next = log.next_offset();
            assert_eq!(next, known.len() as u64);
            match rng.below(10) {
                0..=3 => {
                    for _ in 0..rng.below(100) {
                        let message = Known::random(&mut rng, known.len() as u64);
                        assert_eq!(log.append(&message.input()).unwrap(), message.offset);
                        known.push(message);
                    }
                }
                4..=7 => {
                    let count = rng.below(400);
                    let messages: Vec<_> = (0..count).map(|i| Known::random(&mut rng, next + i)).collect();
                    assert_eq!(batch(&log, &messages, compression(&mut rng)).unwrap(), next);
                    known.extend(messages);
                }
                8 => {
                    log.close().unwrap();
                    log = open(&machine).unwrap();
                }
                _ => {
                    log.flush().unwrap();
                    machine = machine.kill();
                    log = open(&machine).unwrap();
                }
            }
            while rng.chance(30) && machine.run_job() {}
        }
        check(&log, &known, &mut rng);
        log.close().unwrap();
        assert_eq!(machine.violations(), Vec::<String>::new());
        check(&open(&machine).unwrap(), &known, &mut rng);
    }
}

#[test]
fn after_a_crash_it_is_a_prefix_that_has_all_that_was_synced_and_no_half_of_a_batch() {
    let seed = seed();
    for round in 0..60 {
        let mut rng = Rng::new(seed + round);
        let mut machine = SimMachine::new(rng.bits());
        let mut log = open(&machine).unwrap();
        let mut known: Vec<Known> = Vec::new();
        let mut ends = vec![0];
        for _ in 0..4 {
            let mut durable = known.len();
            for _ in 0..rng.below(25) {
                let next = known.len() as u64;
                let messages: Vec<_> = (0..1 + rng.below(200)).map(|i| Known::random(&mut rng, next + i)).collect();
                batch(&log, &messages, compression(&mut rng)).unwrap();
                known.extend(messages);
                ends.push(known.len());
                if rng.chance(20) {
                    assert_eq!(log.sync().unwrap(), known.len() as u64);
                    durable = known.len();
                }
                while rng.chance(30) && machine.run_job() {}
            }
            machine = machine.crash(rng.bits());
            log = open(&machine).unwrap();
            let held = all(&log);
            assert!(held.len() >= durable, "{} of {durable} that were durable", held.len());
            assert!(ends.contains(&held.len()), "{} is in the middle of a batch", held.len());
            assert_eq!(held, known[..held.len()]);
            known.truncate(held.len());
            ends.retain(|end| *end <= known.len());
            check(&log, &known, &mut rng);
        }
    }
}

#[test]
fn who_appends_faster_than_the_index_is_written_waits_and_every_message_is_found() {
    for jobs in [false, true] {
        let machine = SimMachine::new(1);
        let mut log = open(&machine).unwrap();
        let count = 700_000u64;
        for offset in 0..count {
            let key = (offset % 1000).to_le_bytes();
            log.append(&Input { key: Some(&key), ..Input::default() }).unwrap();
            if jobs && offset.is_multiple_of(50_000) {
                machine.run_job();
            }
        }
        for reopened in 0..2 {
            for key in 0..1000u64 {
                let last = count - 1000 + key;
                assert_eq!(log.offset_by_key(Some(&key.to_le_bytes())).unwrap(), Some(last), "{reopened}");
            }
            assert_eq!(log.offset_by_key(Some(&1000u64.to_le_bytes())).unwrap(), None);
            log.close().unwrap();
            log = open(&machine).unwrap();
        }
    }
}

#[test]
fn large_messages_go_into_groups_of_their_own() {
    let machine = SimMachine::new(1);
    let options = LogOptions { segment_size: Some(16 << 20), ..options(true) };
    let log = open_with(&machine, &options).unwrap();
    let known: Vec<Known> = (0..120)
        .map(|offset| Known { value: Some(vec![7; 200 << 10]), ..Known::random(&mut Rng::new(offset), offset) })
        .collect();
    assert_eq!(batch(&log, &known, Compression::default()).unwrap(), 0);
    assert_eq!(all(&log), known);
}
