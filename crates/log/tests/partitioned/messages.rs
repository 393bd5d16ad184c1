//! Where messages go, and that a partition is not there before its first.

use std::path::Path;

use varve_io::Operation;
use varve_io::sim::{Fault, SimMachine};
use varve_log::{Conditions, Error, ErrorCode, Fill, ROW_WORDS, ReaderOptions, Rule, Written};
use varve_testkit::Rng;

use crate::model::{DIR, all, any, held, keyed, names, open, options, put, seed, subdirectory, value};

const ENOSPC: i32 = 28;

#[test]
fn keys_go_where_kafka_puts_them_and_messages_without_one_in_turn() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(7)).unwrap();
    let none = Conditions::default();
    for (key, hash) in [(&b"21"[..], -973_932_308_i32), (b"foobar", -790_332_482), (b"abc", 479_470_107)] {
        let expected = (hash & 0x7fff_ffff) % 7;
        let (partition, _) = whole.append(None, &keyed(key, b"v"), &none).unwrap();
        assert_eq!(i32::try_from(partition).unwrap(), expected);
        let (elsewhere, _) = whole.append(Some(6), &keyed(key, b"v"), &none).unwrap();
        assert_eq!(elsewhere, 6);
    }
    let turns: Vec<_> = (0..14).map(|_| whole.append(None, &value(b"v"), &none).unwrap().0).collect();
    assert_eq!(turns, [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6]);
    let batch = vec![(None, value(b"v")); 10];
    let written = whole.append_batch(&batch, &none).unwrap();
    assert_eq!(written.iter().map(|one| one.count).collect::<Vec<_>>(), [2, 2, 2, 1, 1, 1, 1]);
    assert_eq!(whole.append(None, &value(b"v"), &none).unwrap().0, 3);
}

#[test]
fn a_batch_keeps_its_order_in_each_partition_and_tells_where_it_went() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(4)).unwrap();
    put(&whole, 2, b"before").unwrap();
    let batch = [(Some(2), value(b"a")), (Some(0), value(b"b")), (Some(2), value(b"c")), (Some(0), value(b"d"))];
    let written = whole.append_batch(&batch, &Conditions::default()).unwrap();
    let expected = [Written { partition: 0, offset: 0, count: 2 }, Written { partition: 2, offset: 1, count: 2 }];
    assert_eq!(written, expected);
    assert_eq!(held(&whole, 0), [b"b", b"d"]);
    assert_eq!(held(&whole, 2), [&b"before"[..], b"a", b"c"]);
    assert_eq!(whole.append_batch(&[], &Conditions::default()).unwrap(), []);
    let outside = [(Some(0), value(b"x")), (Some(4), value(b"y"))];
    assert_eq!(whole.append_batch(&outside, &Conditions::default()).unwrap_err().code(), ErrorCode::InvalidArgument);
    let expecting = Conditions { expected: Some(2), ..Conditions::default() };
    assert_eq!(whole.append_batch(&batch, &expecting).unwrap_err().code(), ErrorCode::InvalidArgument);
    assert_eq!(held(&whole, 0).len(), 2, "nothing was written");
    let large = vec![0; 20 << 20];
    let over = [(Some(0), value(b"x")), (Some(1), value(&large)), (Some(1), value(&large))];
    assert_eq!(whole.append_batch(&over, &Conditions::default()).unwrap_err().code(), ErrorCode::TooLarge);
    assert_eq!(held(&whole, 0).len(), 2, "nothing was written");
}

#[test]
fn where_one_partition_fails_the_error_tells_what_was_written_before() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(4)).unwrap();
    machine.inject(Fault::on(Operation::Allocate, ENOSPC).path("0002"));
    let batch = [(Some(3), value(b"d")), (Some(2), value(b"c")), (Some(0), value(b"a")), (Some(0), value(b"b"))];
    let error = whole.append_batch(&batch, &Conditions::default()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoSpace);
    let Error::Partial { written, .. } = error else { panic!("{error}") };
    assert_eq!(written, [Written { partition: 0, offset: 0, count: 2 }]);
    assert_eq!(whole.log(2).unwrap().next_offset(), 0);
    // A full disk fails no log: there is room now.
    let rest = whole.append_batch(&batch[..2], &Conditions::default()).unwrap();
    let expected = [Written { partition: 2, offset: 0, count: 1 }, Written { partition: 3, offset: 0, count: 1 }];
    assert_eq!(rest, expected);
    whole.close().unwrap();
    let whole = open(&machine, &any()).unwrap();
    assert_eq!(held(&whole, 0), [b"a", b"b"]);
    assert_eq!(held(&whole, 2), [b"c"]);
    assert_eq!(held(&whole, 3), [b"d"]);
}

#[test]
fn nothing_but_a_first_message_makes_a_partition() {
    let machine = SimMachine::new(1);
    let mut asked = options(5);
    asked.log.key_index = Some(true);
    for opened in 0..3 {
        let whole = open(&machine, &asked).unwrap();
        assert_eq!(names(&machine, Path::new(DIR)), ["LOCK", "partitions"]);
        let log = whole.log(3).unwrap();
        assert_eq!((log.start_offset(), log.next_offset(), log.high_water_mark()), (0, 0, 0));
        assert_eq!(log.durable_offset(), 0);
        assert_eq!(log.get(0, |_| ()).unwrap_err().code(), ErrorCode::OutOfRange);
        assert_eq!(log.first(|_| ()).unwrap(), None);
        assert_eq!(log.last(|_| ()).unwrap(), None);
        assert_eq!(log.get_by_key(Some(b"k"), |_| ()).unwrap(), None);
        assert_eq!(log.get_by_time(0, |_| ()).unwrap(), None);
        assert_eq!(log.cursors(), []);
        assert_eq!((log.stats().messages, log.stats().entries.segments), (0, 0));
        assert_eq!(log.wal().segments(), []);
        assert_eq!(all(log), []);
        log.flush().unwrap();
        assert_eq!(log.sync().unwrap(), 0);
        log.enforce_retention().unwrap();
        let care = varve_log::Care::default();
        for mut removal in [
            log.delete(vec![0, 1]).unwrap(),
            log.compact(i64::MAX).unwrap(),
            log.trim(&Rule::KeepMessages(0)).unwrap(),
            log.trim(&Rule::UpdatesBefore(9)).unwrap(),
        ] {
            while removal.step(&care).unwrap() {}
        }
        assert_eq!(whole.enforce_retention().unwrap().partitions, 5);
        let mut compaction = whole.compact(None, i64::MAX).unwrap();
        assert!(!compaction.step(&care).unwrap());
        whole.flush().unwrap();
        whole.sync().unwrap();
        assert_eq!(whole.stats().len(), 5);
        assert_eq!(whole.append_batch(&[], &Conditions::default()).unwrap(), []);
        if opened == 0 {
            drop(whole)
        } else {
            whole.close().unwrap()
        }
        assert_eq!(names(&machine, Path::new(DIR)), ["LOCK", "partitions"]);
    }
    assert!(machine.used() <= 2 * 4096);
}

#[test]
fn who_waits_at_a_partition_that_is_not_there_sees_its_first_message() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(2)).unwrap();
    let log = whole.log(1).unwrap();
    let mut reader = log.reader(ReaderOptions::default()).unwrap();
    let (mut slab, mut words) = (vec![0; 4096], vec![0; 256 * ROW_WORDS]);
    assert_eq!(reader.fill(&mut slab, &mut words).unwrap(), Fill::Messages(0));
    let moved = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = std::sync::Arc::clone(&moved);
    whole.listen(std::sync::Arc::new(move |partition, news| {
        if matches!(news, varve_log::News::Moved) {
            told.lock().unwrap().push(partition);
        }
    }));
    assert!(whole.wake_at(1, 0, false));
    put(&whole, 1, b"first").unwrap();
    assert_eq!(*moved.lock().unwrap(), [Some(1)]);
    for next in [&b"first"[..], b"second"] {
        assert_eq!(reader.fill(&mut slab, &mut words).unwrap(), Fill::Messages(1));
        assert_eq!(&slab[words[6] as usize..words[7] as usize], next);
        assert_eq!(reader.fill(&mut slab, &mut words).unwrap(), Fill::Messages(0));
        put(&whole, 1, b"second").unwrap();
        whole.flush().unwrap();
    }
    assert_eq!(names(&machine, &subdirectory(0)), [""; 0]);
}

#[test]
fn a_cursor_is_a_first_change_too() {
    let machine = SimMachine::new(1);
    let whole = open(&machine, &options(2)).unwrap();
    whole.log(1).unwrap().cursor("consumer", 0, Some(true)).unwrap();
    whole.sync().unwrap();
    let machine = machine.crash(7);
    let whole = open(&machine, &any()).unwrap();
    assert_eq!(whole.log(1).unwrap().cursors().len(), 1);
    assert_eq!(put(&whole, 1, b"first").unwrap(), 0);
    assert_eq!(held(&whole, 1), [b"first"]);
}

#[test]
fn a_first_message_larger_than_the_first_segment_has_its_place() {
    let machine = SimMachine::new(1);
    let mut asked = options(2);
    asked.log.segment_size = Some(4 << 20);
    let whole = open(&machine, &asked).unwrap();
    let large = vec![7; 2 << 20];
    put(&whole, 0, &large).unwrap();
    whole.append_batch(&[(Some(1), value(&large)), (Some(1), value(b"small"))], &Conditions::default()).unwrap();
    whole.close().unwrap();
    let whole = open(&machine, &asked).unwrap();
    assert_eq!(whole.log(0).unwrap().get(0, |message| message.value.map(<[u8]>::len)).unwrap(), Some(Some(2 << 20)));
    assert_eq!(whole.log(1).unwrap().next_offset(), 2);
}

#[test]
fn it_holds_what_was_appended_however_it_is_reopened() {
    let seed = seed();
    for round in 0..15 {
        let mut rng = Rng::new(seed + round);
        let mut machine = SimMachine::new(rng.bits());
        let mut count = 1 + rng.pick(5);
        let mut whole = open(&machine, &options(u32::try_from(count).unwrap())).unwrap();
        let mut known: Vec<Vec<Vec<u8>>> = vec![Vec::new(); count];
        for step in 0..60_u32 {
            match rng.below(10) {
                0..=3 => {
                    let bytes = [step.to_le_bytes().as_slice(), &vec![1; rng.pick(3000)]].concat();
                    let partition = rng.chance(50).then(|| rng.pick(count));
                    let (partition, offset) = whole.append(partition, &value(&bytes), &Conditions::default()).unwrap();
                    assert_eq!(offset, known[partition].len() as u64);
                    known[partition].push(bytes);
                }
                4..=6 => {
                    let values: Vec<Vec<u8>> = (0..rng.below(300)).map(|_| vec![2; rng.pick(500)]).collect();
                    let places: Vec<_> = values.iter().map(|_| rng.pick(count)).collect();
                    let batch: Vec<_> =
                        places.iter().zip(&values).map(|(at, bytes)| (Some(*at), value(bytes))).collect();
                    for written in whole.append_batch(&batch, &Conditions::default()).unwrap() {
                        assert_eq!(written.offset, known[written.partition].len() as u64);
                    }
                    places.into_iter().zip(values).for_each(|(at, bytes)| known[at].push(bytes));
                }
                7 => whole.sync().unwrap(),
                8 => {
                    whole.close().unwrap();
                    count += rng.pick(2);
                    known.resize(count, Vec::new());
                    whole = open(&machine, &options(u32::try_from(count).unwrap())).unwrap();
                }
                _ => {
                    whole.flush().unwrap();
                    machine = machine.kill();
                    whole = open(&machine, &any()).unwrap();
                }
            }
            while rng.chance(30) && machine.run_job() {}
        }
        for (partition, known) in known.iter().enumerate() {
            assert_eq!(&held(&whole, partition), known, "partition {partition}");
        }
        whole.close().unwrap();
        assert_eq!(machine.violations(), Vec::<String>::new());
    }
}
