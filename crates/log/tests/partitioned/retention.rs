//! Retention: of one log, and of all partitions.

use std::path::Path;
use std::sync::{Arc, Mutex};

use varve_io::sim::SimMachine;
use varve_log::{ErrorCode, Input, Log, LogOptions, News, Retention};
use varve_testkit::Rng;

use crate::model::{all, any, open, options, put, seed};

const DIR: &str = "/data/log";

fn single(machine: &SimMachine, rules: Option<Retention>) -> Arc<Log> {
    let options = LogOptions { retention: rules, ..options(1).log };
    Log::open(Arc::new(machine.clone()), Path::new(DIR), &options).unwrap()
}

fn add(log: &Log, time: i64, len: usize) -> u64 {
    log.append(&Input { value: Some(&vec![1; len]), time, ..Input::default() }).unwrap()
}

fn rules() -> Retention {
    Retention::default()
}

fn offsets(log: &Arc<Log>) -> Vec<u64> {
    all(log).into_iter().map(|(offset, _)| offset).collect()
}

#[test]
fn age_and_number_remove_exactly_by_message_and_bytes_by_segment() {
    let seed = seed();
    for round in 0..30 {
        let mut rng = Rng::new(seed + round);
        let machine = SimMachine::new(rng.bits());
        let now = varve_io::Machine::now_micros(&machine);
        let count = 1 + rng.below(600);
        let (keep, age) = (rng.below(count + 50), i64::try_from(rng.below(count) * 1000).unwrap());
        let bytes = 70_000 + rng.below(200_000);
        let asked = Retention {
            max_messages: rng.chance(60).then_some(keep),
            max_age_micros: rng.chance(60).then_some(age),
            max_bytes: rng.chance(60).then_some(bytes),
        };
        let log = single(&machine, Some(asked));
        let mut times = Vec::new();
        for offset in 0..count {
            // Times go back, too: what stands behind a younger message stays.
            let time =
                now - i64::try_from((count - offset) * 1000).unwrap() + i64::try_from(rng.below(9000)).unwrap() - 4000;
            times.push(time);
            add(&log, time, rng.pick(1500));
        }
        let segments = log.wal().segments();
        let removed = log.enforce_retention().unwrap();
        let start = log.start_offset();
        let number = asked.max_messages.map_or(0, |keep| count.saturating_sub(keep));
        let now = varve_io::Machine::now_micros(&machine);
        let old =
            asked.max_age_micros.map_or(0, |age| times.iter().take_while(|time| **time < now - age).count() as u64);
        let exact = number.max(old);
        assert!(start >= exact, "{start} of {exact}");
        if start > exact {
            let most = asked.max_bytes.unwrap();
            let left: u64 = log.wal().segments().iter().map(|segment| segment.bytes).sum();
            assert!(left <= most, "{left} bytes are left of at most {most}");
            let total: u64 = segments.iter().map(|segment| segment.bytes).sum();
            assert!(total + 8192 * segments.len() as u64 > most);
        }
        assert_eq!(removed.entries, start);
        assert_eq!(offsets(&log), (start..count).collect::<Vec<_>>());
        assert_eq!(log.enforce_retention().unwrap().entries, 0, "once is enough");
        if start == 0 {
            log.sync().unwrap();
        }
        let machine = machine.crash(rng.bits());
        let log = single(&machine, None);
        assert_eq!(log.start_offset(), start, "it is durable");
        assert_eq!(log.next_offset(), count);
        assert_eq!(add(&log, 0, 1), count);
    }
}

#[test]
fn bytes_go_by_whole_segments_and_the_active_one_stays() {
    let machine = SimMachine::new(1);
    let log = single(&machine, Some(Retention { max_bytes: Some(150_000), ..rules() }));
    for _ in 0..400 {
        add(&log, 0, 1000);
    }
    log.flush().unwrap();
    let before = log.wal().segments();
    let removed = log.enforce_retention().unwrap();
    let after = log.wal().segments();
    assert_eq!(removed.segments, (before.len() - after.len()) as u64);
    let ids = |segments: &[varve_log::SegmentInfo]| segments.iter().map(|segment| segment.id).collect::<Vec<_>>();
    assert_eq!(ids(&after), ids(&before)[before.len() - after.len()..]);
    assert!((2..=3).contains(&after.len()), "{}", after.len());
    let log_of_one = single(&SimMachine::new(2), Some(Retention { max_bytes: Some(1), ..rules() }));
    add(&log_of_one, 0, 1000);
    assert_eq!(log_of_one.enforce_retention().unwrap().entries, 0);
    assert_eq!(log_of_one.start_offset(), 0);
}

#[test]
fn what_a_cursor_holds_stays_and_stats_tell() {
    let machine = SimMachine::new(1);
    let log = single(&machine, Some(Retention { max_messages: Some(10), ..rules() }));
    for _ in 0..200 {
        add(&log, 0, 1000);
    }
    log.cursor("slow", 50, Some(true)).unwrap();
    log.cursor("free", 0, None).unwrap();
    assert_eq!(log.enforce_retention().unwrap().entries, 50);
    assert_eq!(log.start_offset(), 50);
    let held = log.stats().held;
    assert_eq!(held.messages, 140);
    assert!((140_000..200_000).contains(&held.bytes), "{}", held.bytes);
    log.save_cursor("slow", 195).unwrap();
    assert_eq!(log.enforce_retention().unwrap().entries, 140);
    assert_eq!(log.start_offset(), 190);
    assert_eq!(log.stats().held.messages, 0);
    log.delete_cursor("slow").unwrap();
    assert_eq!(log.start_offset(), 190);
}

#[test]
fn what_somebody_objects_to_stays_with_all_behind_it() {
    let machine = SimMachine::new(1);
    let log = single(&machine, Some(Retention { max_messages: Some(1), ..rules() }));
    for _ in 0..400 {
        add(&log, 0, 1000);
    }
    let asked = Arc::new(Mutex::new(Vec::new()));
    let ask = Arc::clone(&asked);
    let listener = log.wal().listen(Arc::new(move |news| {
        if let News::MayDelete(question) = news {
            ask.lock().unwrap().push(Arc::clone(question));
        }
    }));
    log.wal().object(listener);
    let segments = log.wal().segments();
    for allowed in [0, 2] {
        std::thread::scope(|scope| {
            let enforced = scope.spawn(|| log.enforce_retention());
            let question = loop {
                if let Some(question) = asked.lock().unwrap().pop() {
                    break question;
                }
                std::thread::yield_now();
            };
            assert_eq!(question.segments.len(), segments.len() - 1);
            assert_eq!(log.start_offset(), 0, "nothing goes before the answer");
            log.wal().answer(listener, question.number, allowed);
            assert_eq!(enforced.join().unwrap().unwrap().segments, allowed as u64);
        });
        let stays = &segments[allowed];
        assert_eq!(log.start_offset(), stays.first_index, "entries are single messages here");
        assert_eq!(log.wal().segments()[0].id, stays.id);
    }
}

#[test]
fn it_runs_after_a_rotation() {
    let machine = SimMachine::new(1);
    let log = single(&machine, Some(Retention { max_messages: Some(100), ..rules() }));
    let mut least = 0;
    for _ in 0..600 {
        add(&log, 0, 1000);
        while machine.run_job() {}
        least = log.start_offset().max(least);
    }
    assert!(least > 300, "{least}");
    assert!(log.next_offset() - log.start_offset() >= 100);
    let left = log.wal().segments().iter().filter(|segment| !segment.pending_deletion).count();
    assert!(left <= 4, "{left} segments");
}

#[test]
fn rules_are_agreed_on_by_who_shares_a_log() {
    let machine: Arc<dyn varve_io::Machine> = Arc::new(SimMachine::new(1));
    let shared = |rules| {
        let options = LogOptions { retention: rules, ..options(1).log };
        varve_log::open_shared(&machine, Path::new(DIR), &options)
    };
    let log = shared(None).unwrap();
    let asked = Retention { max_messages: Some(5), ..rules() };
    let other = shared(Some(asked)).unwrap();
    assert_eq!(log.retention(), Some(asked));
    let refused = shared(Some(Retention { max_messages: Some(6), ..asked })).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidArgument);
    assert!(refused.to_string().contains("maxMessages is 5") && refused.to_string().contains('6'), "{refused}");
    (0..9).for_each(|_| {
        add(&other, 0, 1);
    });
    log.enforce_retention().unwrap();
    assert_eq!(other.start_offset(), 4);
}

#[test]
fn all_messages_too_old_leave_an_empty_log_that_goes_on() {
    let machine = SimMachine::new(1);
    let log = single(&machine, Some(Retention { max_age_micros: Some(1), ..rules() }));
    for _ in 0..3 {
        let next = log.next_offset();
        (0..50).for_each(|_| {
            add(&log, 0, 1000);
        });
        assert_eq!(log.enforce_retention().unwrap().entries, 50);
        assert_eq!((log.start_offset(), log.next_offset()), (next + 50, next + 50));
    }
    log.close().unwrap();
    assert_eq!(add(&single(&machine, None), 0, 1), 150);
}

#[test]
fn of_partitions_each_is_seen_to_and_what_went_is_counted() {
    let machine = SimMachine::new(1);
    let mut asked = options(4);
    asked.log.retention = Some(Retention { max_messages: Some(10), ..rules() });
    let whole = open(&machine, &asked).unwrap();
    for (partition, count) in [(0, 5), (1, 30), (3, 200)] {
        (0..count).for_each(|_| {
            put(&whole, partition, &[1; 1000]).unwrap();
        });
    }
    let enforced = whole.enforce_retention().unwrap();
    assert_eq!((enforced.partitions, enforced.removed.entries), (4, 20 + 190));
    let starts: Vec<_> = (0..4).map(|partition| whole.log(partition).unwrap().start_offset()).collect();
    assert_eq!(starts, [0, 20, 0, 190]);
    (0..7).for_each(|_| {
        put(&whole, 1, b"more").unwrap();
    });
    assert_eq!(whole.enforce_retention().unwrap().removed.entries, 7);
    let stats = whole.retention_stats();
    assert_eq!((stats.runs, stats.removed.entries), (2, 217));
    assert_eq!(stats.removed.segments, enforced.removed.segments);
    whole.close().unwrap();
    assert_eq!(open(&machine, &any()).unwrap().log(3).unwrap().start_offset(), 190);
}

#[test]
fn a_delete_meanwhile_makes_no_rule_remove_more_than_it_says() {
    for round in 0..400 {
        let machine = SimMachine::new(round);
        let log = single(&machine, Some(Retention { max_messages: Some(20), ..rules() }));
        (0..23).for_each(|time| assert_eq!(add(&log, time, 10), time.cast_unsigned()));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut removal = log.delete(vec![0, 1, 2]).unwrap();
                while removal.step(&varve_log::Care::default()).unwrap() {}
            });
            log.enforce_retention().unwrap();
        });
        assert_eq!(offsets(&log).len(), 20, "round {round}");
    }
}
