//! Defects that a review found, each as it was met. All on the simulated machine.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_format::{BatchFlags, DISTANCE_UNKNOWN, Footer, FrameKind, FramePlace, place_frame, read_header_block};
use varve_io::sim::{Fault, SimMachine};
use varve_io::{Machine, Operation};
use varve_wal::{Error, ErrorCode, Wal, WalOptions};

const DIR: &str = "/var/log";
const ENOSPC: i32 = 28;
const EIO: i32 = 5;
/// Where the first record of a fresh segment lies: behind the state.
const FIRST_RECORD: usize = 1024 + 16 + 48;
/// A record of 100 bytes with its header and padding.
const FRAME: usize = 120;

fn options(skip: bool) -> WalOptions {
    let skip_damage = skip.then_some(true);
    WalOptions { codec: "bytes".into(), segment_size: Some(65_536), skip_damage, ..WalOptions::default() }
}

fn open(machine: &SimMachine, skip: bool) -> Result<Arc<Wal>, Error> {
    Wal::open(Arc::new(machine.clone()), Path::new(DIR), &options(skip))
}

fn segment(id: u64) -> PathBuf {
    Path::new(DIR).join(format!("{id:016}.seg"))
}

fn change(machine: &SimMachine, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = machine.contents(path).unwrap();
    change(&mut bytes);
    machine.set_contents(path, &bytes).unwrap();
}

/// Records 0 to 8, three a segment, closed.
fn three_segments() -> SimMachine {
    let machine = SimMachine::new(1);
    let wal = open(&machine, false).unwrap();
    for i in 0..9_u8 {
        wal.append(&[i; 100], None).unwrap();
        if i % 3 == 2 && i < 8 {
            wal.rotate().unwrap();
        }
    }
    wal.close().unwrap();
    machine
}

/// What `get` gives for records 0 to 8 of a log that goes on behind damage.
fn held(wal: &Wal) -> Vec<Option<u8>> {
    (0..9).map(|index| wal.get(index, |record| record[0]).unwrap()).collect()
}

fn check_skip(machine: &SimMachine, lost: std::ops::Range<u8>) {
    assert_eq!(open(machine, false).unwrap_err().code(), ErrorCode::Corrupt);
    let wal = open(machine, true).unwrap();
    let expected: Vec<_> = (0..9).map(|index| (!lost.contains(&index)).then_some(index)).collect();
    assert_eq!(held(&wal), expected);
    let gaps: Vec<_> = wal.stats().recovery.gaps.iter().map(|gap| (gap.from, gap.to)).collect();
    assert_eq!(gaps, [(u64::from(lost.start), u64::from(lost.end))]);
    assert_eq!(wal.append(b"goes on", None).unwrap(), 9);
}

#[test]
fn behind_a_lost_first_segment_all_else_is_there() {
    let machine = three_segments();
    change(&machine, &segment(1), |bytes| {
        bytes[5] ^= 1;
        bytes[517] ^= 1;
    });
    check_skip(&machine, 0..3);
}

#[test]
fn a_missing_segment_is_a_gap() {
    let machine = three_segments();
    machine.unlink(&segment(2)).unwrap();
    check_skip(&machine, 3..6);
}

#[test]
fn the_index_of_a_lost_last_record_is_not_given_again() {
    let machine = three_segments();
    change(&machine, &segment(3), |bytes| bytes[FIRST_RECORD + 2 * FRAME + 30] ^= 1);
    check_skip(&machine, 8..9);
}

#[test]
fn going_on_behind_damage_begins_no_segment_each_time() {
    let machine = three_segments();
    change(&machine, &segment(1), |bytes| bytes[FIRST_RECORD + FRAME + 30] ^= 1);
    for _ in 0..20 {
        let wal = open(&machine, true).unwrap();
        wal.append(b"x", None).unwrap();
        wal.close().unwrap();
    }
    let segments = machine.list(Path::new(DIR)).unwrap().iter().filter(|entry| entry.name.ends_with(".seg")).count();
    assert_eq!(segments, 3);
}

#[test]
fn a_slot_that_finds_no_room_fails_the_log_with_an_error_that_does_not_say_try_again() {
    let machine = SimMachine::new(1);
    let wal = open(&machine, false).unwrap();
    wal.append(b"a", None).unwrap();
    machine.inject(Fault::on(Operation::Write, ENOSPC).path("durable"));
    assert_eq!(wal.sync().unwrap(), 1);
    assert_eq!(wal.append(b"b", None).unwrap_err().code(), ErrorCode::Io);
}

#[test]
fn a_close_beside_an_append_claims_no_more_than_it_synced() {
    for seed in 0..50 {
        let machine = SimMachine::new(seed);
        let wal = open(&machine, false).unwrap();
        let appending = Arc::clone(&wal);
        let appender = std::thread::spawn(move || while appending.append(&[1; 100], None).is_ok() {});
        while wal.next_index() < 5 {
            std::hint::spin_loop();
        }
        wal.close().unwrap();
        appender.join().unwrap();
        for crash in 0..20 {
            open(&machine.crash(crash), false).unwrap_or_else(|error| panic!("seed {seed}, crash {crash}: {error}"));
        }
    }
}

#[test]
fn a_footer_that_promises_more_records_than_fit_is_none() {
    let machine = three_segments();
    change(&machine, &segment(1), |bytes| {
        let header = read_header_block(&bytes[..1024]).unwrap().header;
        let at = bytes.len() - 128;
        let mut footer = Footer::decode(bytes[at + 16..].first_chunk().unwrap());
        footer.next_index = 1 << 42;
        let payload = footer.encode();
        let place = FramePlace {
            salt: header.salt,
            position: at as u64,
            kind: FrameKind::Footer,
            batch: BatchFlags::ALONE,
            index: 3,
            distance: DISTANCE_UNKNOWN,
        };
        bytes[at..at + 16].copy_from_slice(&place_frame(&place, &payload));
        bytes[at + 16..].copy_from_slice(&payload);
    });
    // The frames themselves are whole, and tell where the segment ends.
    let opened = open(&machine, false);
    if let Ok(wal) = opened {
        assert_eq!(held(&wal), (0..9).map(Some).collect::<Vec<_>>());
    } else {
        assert_eq!(opened.unwrap_err().code(), ErrorCode::Corrupt);
    }
}

#[test]
fn what_a_recovery_made_durable_is_known_without_the_slot() {
    let machine = SimMachine::new(1);
    let wal = open(&machine, false).unwrap();
    for _ in 0..50 {
        wal.append(&[1; 100], None).unwrap();
    }
    wal.flush().unwrap();
    let mut recovered = 0;
    for crash in 0..200 {
        let machine = machine.crash(crash);
        let wal = open(&machine, false).unwrap();
        if wal.stats().recovery.torn.is_empty() || wal.next_index() < 5 {
            continue;
        }
        recovered += 1;
        for crash in 0..20 {
            let machine = machine.crash(crash);
            change(&machine, &segment(1), |bytes| bytes[FIRST_RECORD + 2 * FRAME + 30] ^= 1);
            assert_eq!(open(&machine, false).unwrap_err().code(), ErrorCode::Corrupt);
        }
    }
    assert!(recovered > 0, "no image had a torn tail");
}

#[test]
fn a_name_with_the_greatest_number_is_not_ours() {
    let machine = three_segments();
    machine.create(&Path::new(DIR).join(format!("{}.idx", u64::MAX))).unwrap();
    change(&machine, &segment(3), |bytes| bytes[FIRST_RECORD + 3 * FRAME + 100] = 1);
    assert_eq!(open(&machine, false).unwrap().append(b"x", None).unwrap(), 9);
}

#[test]
fn a_name_above_that_cannot_be_synced_fails_the_creation() {
    let machine = SimMachine::new(1);
    machine.create_dir_all(Path::new(DIR)).unwrap();
    machine.inject(Fault::on(Operation::SyncDir, EIO));
    let existing = WalOptions { create: Some(false), ..options(false) };
    let error = Wal::open(Arc::new(machine.clone()), Path::new(DIR), &existing).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Io);
    assert!(open(&machine, false).is_ok());
}

fn follow(machine: &SimMachine) -> Arc<Wal> {
    Wal::follow(Arc::new(machine.clone()), Path::new(DIR), &options(false)).unwrap()
}

fn batch(wal: &Arc<Wal>, lens: &[usize]) {
    let ends = lens.iter().scan(0, |end, len| {
        *end += u32::try_from(*len).unwrap();
        Some(*end)
    });
    let ends: Vec<u32> = ends.collect();
    wal.append_packed(&vec![7; lens.iter().sum()], &ends, None).unwrap();
}

#[test]
fn a_sidecar_whose_segment_was_removed_goes_at_the_next_open() {
    let machine = three_segments();
    let wal = open(&machine, false).unwrap();
    wal.truncate_before(3).unwrap();
    wal.sync().unwrap();
    wal.close().unwrap();
    let sidecar = segment(1).with_extension("idx");
    // As a crash leaves it that kept the removal of the segment, and not that of its sidecar.
    let _kept = machine.create(&sidecar);
    open(&machine, false).unwrap().close().unwrap();
    assert!(!machine.list(Path::new(DIR)).unwrap().iter().any(|entry| entry.name == "0000000000000001.idx"));
}

#[test]
fn the_sidecar_of_a_segment_that_is_no_more_is_not_written() {
    let machine = SimMachine::new(1);
    let wal = open(&machine, false).unwrap();
    wal.append(b"a", None).unwrap();
    wal.truncate_before(1).unwrap();
    wal.sync().unwrap();
    wal.close().unwrap();
    assert!(!machine.list(Path::new(DIR)).unwrap().iter().any(|entry| entry.name.ends_with(".idx")));
}

#[test]
fn a_truncation_counts_where_the_segment_behind_it_lost_its_state() {
    let machine = SimMachine::new(1);
    let wal = open(&machine, false).unwrap();
    for i in 0..6_u8 {
        wal.append(&[i; 100], None).unwrap();
        if i == 2 {
            wal.rotate().unwrap();
        }
    }
    wal.truncate_before(5).unwrap();
    wal.sync().unwrap();
    wal.rotate().unwrap();
    let machine = machine.kill();
    // The power goes: the name of the third segment is there, and its header; the first frame is not. Of the removals that were not synced,
    // none is.
    change(&machine, &segment(3), |bytes| bytes[1024..2048].fill(0));
    let log = open(&machine, false).unwrap();
    assert_eq!((log.first_index(), log.next_index()), (5, 6));
}

#[test]
fn a_follower_that_begins_within_a_batch_over_segments_reads_it() {
    let machine = SimMachine::new(1);
    let wal = open(&machine, false).unwrap();
    batch(&wal, &[60_000, 50_000]);
    let follower = follow(&machine);
    let mut reader = follower.reader(0, None).unwrap();
    wal.flush().unwrap();
    machine.run_watches();
    let (mut slab, mut table) = (vec![0; 256 << 10], [0; varve_wal::TABLE_LEN]);
    let filled = reader.fill(&mut slab, &mut table).unwrap();
    assert!(matches!(filled, varve_wal::Fill::Records(1 | 2)), "{filled:?}");
}

#[test]
fn a_follower_counts_no_bytes_of_half_a_batch() {
    let machine = SimMachine::new(1);
    let wal = open(&machine, false).unwrap();
    batch(&wal, &[60_000, 50_000]);
    let follower = follow(&machine);
    assert_eq!((follower.next_index(), follower.stats().bytes), (0, 0));
    wal.flush().unwrap();
    machine.run_watches();
    assert_eq!((follower.next_index(), follower.stats().bytes), (2, 110_000));
}

#[test]
fn what_was_durable_before_a_cut_says_nothing_of_what_comes_after() {
    let machine = SimMachine::new(1);
    let wal = open(&machine, false).unwrap();
    for _ in 0..6 {
        wal.append(b"a", None).unwrap();
    }
    wal.sync().unwrap();
    let before = follow(&machine);
    wal.truncate_after(5).unwrap();
    let after = follow(&machine);
    wal.append(b"b", None).unwrap();
    wal.flush().unwrap();
    machine.run_watches();
    let stat = varve_wal::stat(Arc::new(machine.clone()), Path::new(DIR)).unwrap();
    assert_eq!([wal.durable_index(), before.durable_index(), after.durable_index(), stat.durable_index], [5; 4]);
}

#[test]
fn a_name_whose_number_leaves_none_for_later_segments_is_refused() {
    let machine = three_segments();
    let name = Path::new(DIR).join(format!("{}.seg", (1_u64 << 53) - 1));
    machine.create(&name).unwrap();
    for skip in [false, true] {
        assert_eq!(open(&machine, skip).unwrap_err().code(), ErrorCode::Unsupported);
    }
    machine.unlink(&name).unwrap();
    assert_eq!(open(&machine, false).unwrap().next_index(), 9);
}

#[test]
fn going_on_behind_damage_where_nothing_is_left_changes_nothing() {
    let machine = SimMachine::new(1);
    open(&machine, false).unwrap().close().unwrap();
    change(&machine, &segment(1), |bytes| bytes[..1024].fill(7));
    let left = Path::new(DIR).join("next-0000000000000001.tmp");
    machine.create(&left).unwrap();
    assert_eq!(open(&machine, true).unwrap_err().code(), ErrorCode::Corrupt);
    assert!(machine.contents(&left).is_ok());
}

#[test]
fn a_repair_keeps_nothing_behind_a_lost_beginning_that_only_a_later_state_tells_of() {
    let machine = three_segments();
    machine.unlink(&segment(1)).unwrap();
    change(&machine, &segment(2), |bytes| bytes[1025] ^= 1);
    let shared: Arc<dyn Machine> = Arc::new(machine.clone());
    let report = varve_wal::recover(shared, Path::new(DIR), &varve_wal::Care::default()).unwrap();
    let wal = open(&machine, false).unwrap();
    assert_eq!((report.kept_entries, wal.stats().entries, wal.first_index()), (0, 0, 0));
}

#[test]
fn what_was_durable_before_a_cut_that_is_gone_says_nothing_of_what_comes_after() {
    let machine = SimMachine::new(1);
    let wal = open(&machine, false).unwrap();
    for i in 0..6_u8 {
        wal.append(&[i; 100], None).unwrap();
    }
    wal.sync().unwrap();
    let follower = follow(&machine);
    wal.truncate_after(2).unwrap();
    wal.append(&[7; 100], None).unwrap();
    wal.rotate().unwrap();
    // With it goes the segment that cut the log.
    wal.truncate_before(3).unwrap();
    wal.append(&[8; 100], None).unwrap();
    wal.append(&[9; 100], None).unwrap();
    wal.flush().unwrap();
    machine.run_watches();
    assert_eq!((follower.first_index(), follower.next_index()), (3, 5));
    let told = follower.durable_index();
    assert!(told <= wal.durable_index(), "{told} is told to be durable");
}

#[test]
fn a_sidecar_of_an_end_that_a_power_loss_took_is_not_believed_of_another_end() {
    let sidecar = Path::new(DIR).join("0000000000000001.idx");
    let begun = |len: usize| {
        let machine = SimMachine::new(1);
        let wal = open(&machine, false).unwrap();
        wal.append(&[0; 10], None).unwrap();
        wal.sync().unwrap();
        (1..3_u8).for_each(|i| assert_eq!(wal.append(&vec![i; len], None).unwrap(), u64::from(i)));
        (machine, wal)
    };
    let (machine, wal) = begun(100);
    wal.rotate().unwrap();
    while machine.run_job() {}
    let stale = machine.contents(&sidecar).unwrap();

    let (machine, _killed) = begun(50);
    let machine = machine.kill();
    // Cut to the first record, as a power loss leaves it; but the sidecar had reached the disk.
    change(&machine, &segment(1), |bytes| bytes[FIRST_RECORD + 32..].fill(0));
    machine.set_contents(&sidecar, &stale).unwrap();
    let again = open(&machine, false).unwrap();
    (1..3_u8).for_each(|i| assert_eq!(again.append(&[i; 50], None).unwrap(), u64::from(i)));
    again.rotate().unwrap();
    again.sync().unwrap();
    let crashed = machine.crash(1);
    let last = open(&crashed, false).unwrap();
    let held: Vec<_> = (0..3).map(|index| last.get(index, |record| (record[0], record.len())).unwrap()).collect();
    assert_eq!(held, [Some((0, 10)), Some((1, 50)), Some((2, 50))]);
    drop(wal);
}
