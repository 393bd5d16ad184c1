//! Bounds: memory, tables, order, and what a scratch index leaves out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use varve_io::{Machine, Operation};
use varve_log::index::{IndexOptions, KeyIndex, MAX_MEMORY, MAX_TAIL, Refused, Role, key_hash};

use super::life::{DIR, machine, options};
use super::model::{Model, Rng};

/// Hashes that tables tell apart.
fn hash(key: u64) -> u64 {
    Rng(key).bits()
}

/// What the documentation says a job takes beside the index: the order of a tail, and its buffers.
const JOBS: usize = (5 << 18) + (384 << 10);

#[test]
fn memory_stays_below_the_bound() {
    let machine = machine(1);
    let whole = IndexOptions { tail: None, ..options(&Model::at(0), Role::Scratch, 1) };
    let (mut index, _) = KeyIndex::open(Arc::new(machine), Path::new(DIR), &whole).unwrap();
    let mut most = 0;
    let mut offset = 0;
    // The worst: a full tail frozen, one behind it that grows from nothing, and is copied while it does.
    for _ in 0..2 {
        for _ in 0..MAX_TAIL {
            index.insert(hash(offset), offset).unwrap();
            offset += 1;
        }
        index.freeze();
    }
    most = most.max(index.memory());
    assert_eq!(index.room(), 0);
    assert_eq!(index.insert(0, offset), Err(Refused::Full));
    assert_eq!(index.insert(0, offset - 1), Err(Refused::Order));
    assert_eq!(index.waits_for(), Some(MAX_TAIL as u64));
    assert!(index.take_job(MAX_TAIL as u64 - 1).is_none(), "what is not durable is not written");
    let growing = 2 << 20;
    assert!(most >= 12 << 20 && most + growing + JOBS < MAX_MEMORY - (256 << 10), "{most} bytes");
    index.make_room(u64::MAX, &|_| true).unwrap();
    assert!(index.room() >= MAX_TAIL);
    assert_eq!(index.newest(hash(7)).unwrap(), Some(7));
}

#[test]
fn tables_are_merged_in_tiers() {
    let machine = machine(1);
    let (mut index, _) =
        KeyIndex::open(Arc::new(machine.clone()), Path::new(DIR), &options(&Model::at(0), Role::Writer, 2048)).unwrap();
    let mut written = 0;
    machine.start_trace();
    for offset in 0..200_000 {
        while index.insert(hash(offset), offset).is_err() {
            index.make_room(offset, &|offset| offset % 3 != 0).unwrap();
            let (_, tables) = index.counts();
            assert!(tables <= 3 * 4, "{tables} tables at {offset}");
        }
        written += u64::from(offset % 2048 == 0);
    }
    let made = machine.take_trace().iter().filter(|(operation, _)| *operation == Operation::Create).count() as u64;
    assert!(made < written * 3 / 2, "{made} tables were written for {written}");
    let (entries, _) = index.counts();
    assert!(entries < 150_000, "{entries} entries: those of deleted messages are not dropped");
    for offset in (1..200_000).step_by(997).filter(|offset| offset % 3 != 0) {
        assert_eq!(index.newest(hash(offset)).unwrap(), Some(offset));
    }
    let names = machine.list(Path::new(DIR)).unwrap();
    assert_eq!(names.len(), index.counts().1, "{names:?}");
}

#[test]
fn a_scratch_index_never_waits_for_the_disk() {
    let machine = machine(1);
    let (mut index, _) =
        KeyIndex::open(Arc::new(machine.clone()), Path::new(DIR), &options(&Model::at(0), Role::Scratch, 50)).unwrap();
    machine.start_trace();
    for offset in 0..2000 {
        while index.insert(hash(offset % 7), offset).is_err() {
            index.make_room(u64::MAX, &|_| true).unwrap();
        }
    }
    assert_eq!(index.candidates(hash(3)).count(), 2000usize.div_ceil(7) - usize::from(3 >= 2000 % 7));
    let trace = machine.take_trace();
    let syncs = trace.iter().filter(|(operation, _)| matches!(operation, Operation::Sync | Operation::SyncDir));
    assert_eq!(syncs.count(), 0);
    assert!(trace.len() > 100);
}

#[test]
fn work_that_is_called_off_leaves_nothing() {
    let machine = machine(1);
    let (mut index, _) =
        KeyIndex::open(Arc::new(machine.clone()), Path::new(DIR), &options(&Model::at(0), Role::Writer, 50)).unwrap();
    for offset in 0..60 {
        index.insert(hash(offset), offset).unwrap();
    }
    let job = index.take_job(60).unwrap();
    assert!(index.take_job(60).is_none(), "it is taken");
    assert!(index.install(job.run(&|_| true, &AtomicBool::new(true))).is_err());
    let job = index.take_job(60).unwrap();
    assert_eq!(index.drop_from(20).unwrap(), 20);
    assert!(index.install(job.run(&|_| true, &AtomicBool::new(false))).is_ok(), "passed over");
    assert_eq!((index.newest(hash(19)).unwrap(), index.newest(hash(20)).unwrap()), (Some(19), None));
    for offset in 20..80 {
        index.insert(hash(offset + 1000), offset).unwrap();
    }
    let job = index.take_job(80).unwrap();
    drop(index);
    let _not_installed = job.run(&|_| true, &AtomicBool::new(false));
    assert_eq!(machine.list(Path::new(DIR)).unwrap(), []);
}

#[test]
fn offsets_end_where_tables_do() {
    let (mut index, _) =
        KeyIndex::open(Arc::new(machine(1)), Path::new(DIR), &options(&Model::at(0), Role::Writer, 50)).unwrap();
    for offset in [u64::MAX, 1 << 53, (1 << 53) - 1] {
        assert_eq!(index.insert(1, offset), Err(Refused::Order));
    }
    index.insert(1, (1 << 53) - 2).unwrap();
    index.freeze();
    index.make_room(u64::MAX, &|_| true).unwrap();
    assert_eq!(index.newest(1).unwrap(), Some((1 << 53) - 2));
    assert_ne!(key_hash(1, None), key_hash(2, None));
}
