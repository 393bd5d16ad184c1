//! Damage that is met off the beaten track, and what is left in a directory by others.

use std::path::Path;
use std::sync::Arc;

use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_log::{Care, Input, Log, LogOptions, Rule};

use crate::care::{check, files};
use crate::model::{DIR, Known, all, open, open_with, options};

fn tables(machine: &SimMachine) -> Vec<std::path::PathBuf> {
    files(machine).into_iter().filter(|path| path.extension().is_some_and(|it| it == "key")).collect()
}

#[test]
fn a_damaged_table_does_not_keep_others_from_being_merged_for_ever() {
    let machine = SimMachine::new(1);
    let mut count = 0u64;
    for _ in 0..3 {
        let log = open(&machine).unwrap();
        for _ in 0..50 {
            log.append(&Input { key: Some(&count.to_le_bytes()), ..Input::default() }).unwrap();
            count += 1;
        }
        log.close().unwrap();
    }
    let mut found = tables(&machine);
    found.sort();
    assert_eq!(found.len(), 3);
    let mut bytes = machine.contents(&found[1]).unwrap();
    let at = bytes.len() - 4096 + 10;
    bytes[at] ^= 1;
    machine.set_contents(&found[1], &bytes).unwrap();
    // The fourth table has them merged.
    let log = open(&machine).unwrap();
    log.append(&Input { key: Some(b"last"), ..Input::default() }).unwrap();
    log.close().unwrap();
    drop(log);
    let report = check(&machine, DIR).unwrap();
    assert!(report.ok && report.damage.is_empty(), "{:?}", report.damage);
    assert!(tables(&machine).len() < 4, "{:?}", tables(&machine));
    let log = open(&machine).unwrap();
    for key in 0..count {
        assert_eq!(log.offset_by_key(Some(&key.to_le_bytes())).unwrap(), Some(key));
    }
    assert_eq!(log.offset_by_key(Some(b"last")).unwrap(), Some(count));
}

#[test]
fn the_least_time_finds_the_first_message_also_behind_a_segment_without_any() {
    let machine = SimMachine::new(1);
    let log = open(&machine).unwrap();
    // As a salvage leaves a log whose begin is lost.
    log.wal().skip_to(5).unwrap();
    log.append(&Input { time: i64::MIN, ..Input::default() }).unwrap();
    log.append(&Input { time: 3, ..Input::default() }).unwrap();
    for time in [i64::MIN, i64::MIN + 1, 3, 4] {
        let expected = all(&log).into_iter().find(|known| known.time >= time);
        assert_eq!(log.get_by_time(time, Known::of).unwrap(), expected, "{time}");
    }
    assert!(machine.contents(&Path::new(DIR).join("0000000000000002.seg")).is_ok(), "the first segment has no message");
}

#[test]
fn who_only_reads_searches_by_keys_that_are_not_indexed_and_changes_nothing() {
    let machine = SimMachine::new(1);
    let log = open_with(&machine, &options(false)).unwrap();
    for offset in 0..100u64 {
        log.append(&Input { key: Some(&[u8::try_from(offset % 7).unwrap()]), ..Input::default() }).unwrap();
    }
    log.sync().unwrap();
    // What the writer has there for a compaction, say.
    let table = Path::new(DIR).join(format!("{:016}-{:016}.key", 0, 10));
    machine.set_contents(&table, b"table").unwrap();
    let changes = machine.changes();
    let reading = LogOptions { read_only: true, ..options(false) };
    let follower = Log::follow(Arc::new(machine.clone()), Path::new(DIR), &reading).unwrap();
    let found = follower.matching(&Rule::UpdatesBefore(i64::MAX), &Care::default()).unwrap();
    assert_eq!(found, (0..93).collect::<Vec<_>>());
    follower.close().unwrap();
    assert_eq!(machine.changes(), changes);
}

#[test]
fn a_log_of_which_only_the_bound_is_left_is_one_that_opens_after_a_repair() {
    let first = SimMachine::new(1);
    let log = open(&first).unwrap();
    log.append(&Input { key: Some(b"key"), ..Input::default() }).unwrap();
    log.sync().unwrap();
    log.close().unwrap();
    drop(log);
    let durable = first.contents(&Path::new(DIR).join("durable")).unwrap();
    let machine = SimMachine::new(2);
    machine.create_dir_all(Path::new(DIR)).unwrap();
    machine.set_contents(&Path::new(DIR).join("durable"), &durable).unwrap();
    assert!(open_with(&machine, &options(false)).is_err(), "its segments are gone");
    let shared: Arc<dyn Machine> = Arc::new(machine.clone());
    let report = varve_log::recover(shared, Path::new(DIR), &Care::default()).unwrap();
    assert_eq!(report.kept_entries, 0);
    let bare = LogOptions { codec: String::new(), key_index: None, time_index: None, ..options(false) };
    let log = open_with(&machine, &bare).unwrap();
    assert_eq!(log.append(&Input::default()).unwrap(), 0);
    assert_eq!(all(&log).len(), 1);
}

#[test]
fn a_search_by_time_does_not_look_at_what_was_trimmed() {
    let machine = SimMachine::new(1);
    let log = open(&machine).unwrap();
    for time in 0..10 {
        log.append(&Input { value: Some(&[7; 100]), time, ..Input::default() }).unwrap();
    }
    log.wal().rotate().unwrap();
    log.append(&Input { time: 10, ..Input::default() }).unwrap();
    let third = log.wal().position_of(2).unwrap().unwrap();
    let mut removal = log.trim(&Rule::BeforeOffset(5)).unwrap();
    while removal.step(&Care::default()).unwrap() {}
    log.close().unwrap();
    drop(log);
    let file = Path::new(DIR).join(format!("{:016}.seg", third.segment));
    let mut bytes = machine.contents(&file).unwrap();
    bytes[usize::try_from(third.offset).unwrap() + 50] ^= 1;
    machine.set_contents(&file, &bytes).unwrap();
    let log = open(&machine).unwrap();
    for time in 0..=10 {
        let found = log.get_by_time(time, |message| message.offset).unwrap();
        assert_eq!(found, Some(time.max(5).cast_unsigned()), "{time}");
    }
}
