//! Another process follows the log: its readers come by all that is there, whatever part of it they can see so far.

use std::path::Path;
use std::sync::Arc;

use varve_codec::Codec;
use varve_io::sim::SimMachine;
use varve_log::{Care, Compression, Log, LogReader, ReaderOptions};
use varve_testkit::Rng;

use crate::model::{DIR, Known, all, batch, check, compression, open_with, options, rest, seed};

const PLAIN: Compression = Compression { codec: Codec::None, level: None };

fn follow(machine: &SimMachine) -> Arc<Log> {
    Log::follow(Arc::new(machine.clone()), Path::new(DIR), &options(true)).unwrap()
}

fn reader(log: &Arc<Log>) -> LogReader {
    log.reader(ReaderOptions { from: log.start_offset(), ..ReaderOptions::default() }).unwrap()
}

/// Messages of which 500 fill more than a segment, and a group a third of one.
fn long(from: u64, count: u64) -> Vec<Known> {
    let message = |offset| Known { offset, time: 0, key: None, value: Some(vec![7; 150]), headers: Vec::new() };
    (from..from + count).map(message).collect()
}

/// The rest of a batch is in the group buffer of its writer, and its segment sealed: the messages before it, and then the batch, are seen. Whether the
/// follower opens there, or comes there with segments that were rewritten.
#[test]
fn a_batch_that_is_half_there_hides_nothing_in_its_segment() {
    for rewritten in [false, true] {
        let machine = SimMachine::new(1);
        let log = open_with(&machine, &options(true)).unwrap();
        let mut known = long(0, 100);
        batch(&log, &known, PLAIN).unwrap();
        log.sync().unwrap();
        let before = follow(&machine);
        let mut beside = reader(&before);
        let mut seen = rest(&mut beside, 4096).unwrap();
        assert_eq!(seen, known);
        if rewritten {
            let mut removal = log.delete(vec![3, 4, 5]).unwrap();
            while removal.step(&Care::default()).unwrap() {}
        }
        let single = long(100, 1);
        known.extend(single.clone());
        batch(&log, &single, PLAIN).unwrap();
        log.flush().unwrap();
        let half = long(101, 500);
        known.extend(half.clone());
        batch(&log, &half, PLAIN).unwrap();

        let after = follow(&machine);
        machine.run_watches();
        let left = |known: &[Known]| -> Vec<Known> {
            known.iter().filter(|one| !rewritten || !(3..6).contains(&one.offset)).cloned().collect()
        };
        let mut new = reader(&after);
        let mut found = rest(&mut new, 4096).unwrap();
        assert_eq!(found, left(&known[..101]), "{rewritten}");
        seen.extend(rest(&mut beside, 4096).unwrap());
        log.sync().unwrap();
        machine.run_watches();
        found.extend(rest(&mut new, 4096).unwrap());
        let offsets = |known: &[Known]| known.iter().map(|one| one.offset).collect::<Vec<_>>();
        assert_eq!(offsets(&found), offsets(&left(&known)), "{rewritten}");
        seen.extend(rest(&mut beside, 4096).unwrap());
        assert_eq!(offsets(&seen), offsets(&known), "{rewritten}");
        for follower in [before, after] {
            check(&follower, &left(&known), &mut Rng::new(1));
            follower.close().unwrap();
        }
        log.close().unwrap();
    }
}

#[test]
fn a_reader_of_a_follower_comes_by_all_that_is_there() {
    let mut passed = 0;
    // The last ones have found a last message in a segment that was none.
    for seed in (seed()..).take(15).chain(400..405) {
        let mut rng = Rng::new(seed);
        let machine = SimMachine::new(rng.bits());
        let log = open_with(&machine, &options(true)).unwrap();
        let mut follower = follow(&machine);
        let mut beside = reader(&follower);
        let (mut seen, mut next) = (Vec::new(), 0);
        for _ in 0..40 {
            let began = next;
            match rng.below(10) {
                0..=3 => next += rng.below(500),
                4..=6 => {
                    for _ in 0..rng.below(60) {
                        log.append(&Known::random(&mut rng, next).input()).unwrap();
                        next += 1;
                    }
                }
                7 | 8 => {
                    let share = 1 + rng.below(100);
                    let from = rng.below(next + 1);
                    let offsets: Vec<_> = (from..next.min(from + 300)).filter(|_| rng.chance(share)).collect();
                    let mut removal = log.delete(offsets).unwrap();
                    while removal.step(&Care::default()).unwrap() {}
                }
                _ => log.flush().unwrap(),
            }
            if log.next_offset() < next {
                let messages: Vec<_> = (began..next).map(|at| Known::random(&mut rng, at)).collect();
                assert_eq!(batch(&log, &messages, compression(&mut rng)).unwrap(), began);
            }
            while rng.chance(50) && machine.run_job() {}
            if rng.chance(60) {
                machine.run_watches();
            }
            if rng.chance(10) {
                (follower, seen) = (follow(&machine), Vec::new());
                beside = reader(&follower);
            }
            follower.catch_up();
            let start = follower.start_offset();
            if beside.offset() < start {
                beside.seek(start).unwrap();
            }
            if rng.chance(60) {
                seen.extend(rest(&mut beside, 4096).unwrap().into_iter().map(|known| known.offset));
                passed += 1;
            }
            let there = all(&follower).into_iter().map(|known| known.offset).filter(|at| *at < beside.offset());
            let missed: Vec<_> = there.filter(|at| seen.binary_search(at).is_err()).collect();
            assert_eq!(missed, [], "seed {seed}: passed over; it stands at {}", beside.offset());
        }
        log.sync().unwrap();
        machine.run_watches();
        check(&follower, &all(&log), &mut rng);
        log.close().unwrap();
    }
    assert!(passed > 100);
}
