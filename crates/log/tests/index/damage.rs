//! Damage: never a wrong or a missing candidate without an error.

use std::path::Path;
use std::sync::Arc;

use varve_io::sim::SimMachine;
use varve_io::{Machine, Operation, sim::Fault};
use varve_log::index::{IndexError, KeyIndex, Role};

use super::life::{DIR, machine, options};
use super::model::{KEYS, Model, Rng, hash};

/// A log with one table of `count` messages.
fn one_table(count: u64) -> (SimMachine, Model, std::path::PathBuf) {
    let (machine, mut model, mut rng) = (machine(1), Model::at(0), Rng(3));
    let (mut index, _) =
        KeyIndex::open(Arc::new(machine.clone()), Path::new(DIR), &options(&model, Role::Writer, 1 << 18)).unwrap();
    for offset in 0..count {
        let hash = hash(rng.below(KEYS));
        index.insert(hash, offset).unwrap();
        model.append(offset, hash);
    }
    index.freeze();
    index.make_room(count, &|_| true).unwrap();
    model.durable = count;
    assert_eq!(index.tabled(), count);
    let path = Path::new(DIR).join(format!("{:016}-{count:016}.key", 0));
    (machine, model, path)
}

/// Opens the index, and rebuilds it where it says that it must be; gives whether the damage was noticed.
fn look(machine: &SimMachine, model: &Model) -> bool {
    let options = options(model, Role::Writer, 1 << 10);
    let (mut index, replay) = KeyIndex::open(Arc::new(machine.clone()), Path::new(DIR), &options).unwrap();
    let mut noticed = replay < model.next;
    insert(&mut index, model, replay);
    if let Err(error) = model.check(&index) {
        let IndexError::Damaged { from, .. } = error else { panic!("{error}") };
        noticed = true;
        let replay = index.drop_from(from).unwrap();
        insert(&mut index, model, replay);
        model.check(&index).unwrap();
    }
    noticed
}

fn insert(index: &mut KeyIndex, model: &Model, from: u64) {
    for (offset, hash) in model.held_from(from) {
        index.insert(hash, offset).unwrap();
    }
}

#[test]
fn every_bit_of_a_table_that_matters_is_guarded() {
    let (machine, model, path) = one_table(100);
    let intact = machine.contents(&path).unwrap();
    assert_eq!(intact.len(), 3 * 4096, "a header, a directory, entries");
    assert!(!look(&machine.kill(), &model));
    let mut unnoticed = 0;
    for bit in 0..intact.len() * 8 {
        let mut bytes = intact.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let machine = machine.kill();
        machine.set_contents(&path, &bytes).unwrap();
        unnoticed += u32::from(!look(&machine, &model));
    }
    // The rest of the header's block says nothing.
    assert_eq!(unnoticed, (4096 - 72) * 8);
}

#[test]
fn every_length_of_a_table_but_its_own_is_refused() {
    let (machine, model, path) = one_table(40);
    let intact = machine.contents(&path).unwrap();
    for len in (0..intact.len()).step_by(37).chain([intact.len() - 1]) {
        let machine = machine.kill();
        machine.set_contents(&path, &intact[..len]).unwrap();
        assert!(look(&machine, &model), "{len} bytes");
    }
    machine.set_contents(&path, &[intact, vec![0; 4096]].concat()).unwrap();
    assert!(look(&machine, &model));
}

/// A block at the place of another, and a table of another log, of another seed, under another name.
#[test]
fn what_belongs_elsewhere_is_not_believed() {
    let (machine, model, path) = one_table(2000);
    let intact = machine.contents(&path).unwrap();
    let blocks = intact.len() / 4096;
    assert!(blocks >= 6);
    for (a, b) in [(1, 2), (2, 3), (3, 4)] {
        let mut bytes = intact.clone();
        let (one, other) = (intact[a * 4096..][..4096].to_vec(), intact[b * 4096..][..4096].to_vec());
        bytes[a * 4096..][..4096].copy_from_slice(&other);
        bytes[b * 4096..][..4096].copy_from_slice(&one);
        let machine = machine.kill();
        machine.set_contents(&path, &bytes).unwrap();
        assert!(look_large(&machine, &model), "{a} and {b} changed places");
    }
    for (log, seed) in [(5, 7), (4, 6)] {
        let machine = machine.kill();
        let options = varve_log::index::IndexOptions { log, seed, ..options(&model, Role::Writer, 10) };
        let (index, replay) = KeyIndex::open(Arc::new(machine.clone()), Path::new(DIR), &options).unwrap();
        assert_eq!((replay, index.counts()), (0, (0, 0)));
        assert!(machine.contents(&path).is_err(), "a table that does not belong is removed");
    }
    let renamed = Path::new(DIR).join(format!("{:016}-{:016}.key", 0, 1999));
    machine.rename(&path, &renamed).unwrap();
    assert!(look_large(&machine, &model));
}

fn look_large(machine: &SimMachine, model: &Model) -> bool {
    let options = options(model, Role::Writer, 1 << 18);
    let (index, replay) = KeyIndex::open(Arc::new(machine.clone()), Path::new(DIR), &options).unwrap();
    replay < model.next || model.check(&index).is_err()
}

/// A table beyond the end is removed for good: once offsets are given again it would tell of messages that were.
#[test]
fn a_table_beyond_the_end_goes() {
    let (machine, mut model, path) = one_table(60);
    model.cut(59);
    let options = options(&model, Role::Writer, 10);
    let (_, replay) = KeyIndex::open(Arc::new(machine.clone()), Path::new(DIR), &options).unwrap();
    assert_eq!(replay, 0);
    assert!(machine.crash(9).contents(&path).is_err());
}

/// Whatever the system refuses while tables are written and merged, the index stays right, and the work is done once it is possible.
#[test]
fn a_job_that_fails_changes_nothing() {
    for operation in [
        Operation::Create,
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::SyncDir,
        Operation::Open,
        Operation::Map,
    ] {
        for after in 0..6 {
            let (machine, mut model) = (machine(2), Model::at(0));
            let options = options(&model, Role::Writer, 30);
            let (mut index, _) = KeyIndex::open(Arc::new(machine.clone()), Path::new(DIR), &options).unwrap();
            machine.inject(Fault::on(operation, 28).after(after));
            let mut failed = 0;
            for offset in 0..400 {
                while index.insert(hash(offset % KEYS), offset).is_err() {
                    failed += u32::from(index.make_room(model.next, &|_| true).is_err());
                    model.check(&index).unwrap();
                }
                model.append(offset, hash(offset % KEYS));
            }
            assert_eq!(failed, 1, "{operation:?} after {after}");
            model.check(&index).unwrap();
            drop(index);
            assert!(!machine.list(Path::new(DIR)).unwrap().iter().any(|entry| entry.name.ends_with(".tmp")));
            let options = super::life::options(&model, Role::Writer, 400);
            let (mut index, replay) = KeyIndex::open(Arc::new(machine), Path::new(DIR), &options).unwrap();
            insert(&mut index, &model, replay);
            model.check(&index).unwrap();
        }
    }
}
