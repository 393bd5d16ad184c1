//! A directory of tables of the key index that somebody has changed: whoever looks in it misses no message, or is told that the index is damaged.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use varve_format::{KEY_BLOCK_BODY, KEY_BLOCK_LEN, KeyTableHeader};
use varve_io::sim::SimMachine;
use varve_log::index::{IndexError, IndexOptions, KeyIndex, MAX_MEMORY, Refused, Role, key_hash};

use crate::base::{DIR, Files, files, machine};
use crate::forge::{change, seal};
use crate::input::Input;
use crate::memory::bounded;

const LOG: u64 = 5;
const SEED: u64 = 11;

/// Messages of the log, every third of which was removed, and messages that are frozen together.
const COUNT: u64 = 700;
const TAIL: usize = 60;

/// Edits of one input.
const MOST_EDITS: usize = 6;

/// Hash and offset of each message that is held. Few keys: most have several messages.
fn messages() -> &'static [(u64, u64)] {
    static MESSAGES: OnceLock<Vec<(u64, u64)>> = OnceLock::new();
    let held = || (0..COUNT).filter(|offset| !offset.is_multiple_of(3));
    MESSAGES.get_or_init(|| held().map(|at| (key_hash(SEED, Some(&(at % 31).to_le_bytes())), at)).collect())
}

fn open(machine: &SimMachine, role: Role, end: u64) -> (KeyIndex, u64) {
    // A follower writes nothing, and so has to have room for all.
    let tail = (role != Role::Follower).then_some(TAIL);
    let options = IndexOptions { log: LOG, seed: SEED, start: 0, end, role, tail };
    KeyIndex::open(Arc::new(machine.clone()), Path::new(DIR), &options).expect("bytes on a sound disk fail no open")
}

/// Tables that were merged once, and some that were not yet.
fn base() -> &'static Files {
    static BASE: OnceLock<Files> = OnceLock::new();
    BASE.get_or_init(|| {
        let machine = machine(&Files::new());
        let (mut index, from) = open(&machine, Role::Writer, COUNT);
        fill(&mut index, from).expect("there is no damage");
        index.freeze();
        work(&mut index).expect("there is no damage");
        drop(index);
        files(&machine)
    })
}

/// Adds all messages from `from` on, and writes what is full.
fn fill(index: &mut KeyIndex, from: u64) -> Result<(), IndexError> {
    for &(hash, offset) in messages().iter().filter(|(_, offset)| *offset >= from) {
        match index.insert(hash, offset) {
            Err(Refused::Full) => {
                work(index)?;
                index.insert(hash, offset).expect("what was in the way is written");
            }
            // Only behind a table that lies about where it ends.
            Ok(()) | Err(Refused::Order) => {}
        }
    }
    Ok(())
}

fn work(index: &mut KeyIndex) -> Result<(), IndexError> {
    index.make_room(COUNT, &|offset| !offset.is_multiple_of(3))
}

/// The input says what is done to the directory; then writer and follower look for every key.
pub fn keys(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (mut found, mut forged) = (base().clone(), false);
    for _ in 0..MOST_EDITS {
        if input.is_empty() {
            break;
        }
        forged |= edit(&mut found, &mut input);
    }
    let most = MAX_MEMORY + 2 * found.values().map(Vec::len).sum::<usize>();
    for role in [Role::Follower, Role::Writer, Role::Scratch] {
        bounded(most, "the key index", || look(&found, role, forged));
    }
}

/// Changes a file by accident, or puts another name to it; or, which is told, something else with the right checksums into it.
fn edit(files: &mut Files, input: &mut Input<'_>) -> bool {
    let Some(name) = files.keys().nth(input.pick(files.len())).cloned() else { return false };
    let kind = input.pick(9);
    let Some(bytes) = files.get_mut(&name) else { return false };
    let at = usize::from(input.short()).checked_rem(bytes.len()).unwrap_or(0);
    match kind {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << input.pick(8)),
        1 => bytes.truncate(at),
        2 => bytes.extend_from_slice(&vec![input.byte(); usize::from(input.short())]),
        3 => bytes.iter_mut().skip(at).take(usize::from(input.short())).for_each(|byte| *byte = 0),
        4 => drop(files.remove(&name)),
        5 => {
            let bytes = files.remove(&name).unwrap_or_default();
            let (from, to) = (input.number(60), input.number(120));
            files.insert(format!("{from:016}-{to:016}.key"), bytes);
            return false;
        }
        6 => {
            // One block in the place of another, of the same table or another one.
            let from = files.values().nth(input.pick(files.len())).cloned().unwrap_or_default();
            let block = from.chunks(KEY_BLOCK_LEN).nth(input.pick(12)).unwrap_or_default().to_vec();
            let place = files.get_mut(&name).and_then(|bytes| bytes.chunks_mut(KEY_BLOCK_LEN).nth(input.pick(12)));
            place.into_iter().flatten().zip(block).for_each(|(old, new)| *old = new);
        }
        7 => {
            let Some(head) = bytes.get_mut(..KeyTableHeader::LEN) else { return false };
            change(head, &KeyTableHeader::FIELDS[2..10], input);
            seal(head);
            // What it says of itself is its name, too.
            let told = head.first_chunk().map(KeyTableHeader::decode);
            if let Some(KeyTableHeader { from, to, .. }) = told
                && let Some(bytes) = files.remove(&name)
            {
                files.insert(format!("{from:016}-{to:016}.key"), bytes);
            }
            return true;
        }
        _ => {
            forge_table(bytes, input);
            return true;
        }
    }
    false
}

/// Other numbers in a block of a table, with the right checksum.
pub fn forge_table(bytes: &mut [u8], input: &mut Input<'_>) {
    let Some(header) = KeyTableHeader::read(bytes) else { return };
    let number = 1 + input.pick(4);
    let Some(block) = bytes.chunks_exact_mut(KEY_BLOCK_LEN).nth(number) else { return };
    let (body, sum) = block.split_at_mut(KEY_BLOCK_BODY);
    for _ in 0..=input.pick(3) {
        let at = usize::from(input.short()) % (KEY_BLOCK_BODY / 4) * 4;
        let new = input.number(at as u64).to_le_bytes();
        body.iter_mut().skip(at).zip(&new[..4]).for_each(|(old, new)| *old = *new);
    }
    sum.copy_from_slice(&header.block_checksum(number as u64, body).to_le_bytes());
}

/// Opens the index, adds what it does not know, and looks for all that is held; where it is damaged, it is mended as a log does it.
fn look(found: &Files, role: Role, forged: bool) {
    let machine = machine(found);
    let changes = machine.changes();
    let end = if role == Role::Follower { u64::MAX } else { COUNT };
    let (mut index, mut from) = open(&machine, role, end);
    let _either_way = index.verify();
    // Each time a table is taken away.
    for attempt in 0.. {
        assert!(attempt <= 2 * found.len() + 2, "an index that is mended is damaged again");
        let looked = fill(&mut index, from).and_then(|()| all_there(&index, forged));
        match looked {
            // A forged table fits none of the others.
            Ok(()) | Err(IndexError::Aborted) => break,
            Err(IndexError::Damaged { from: damaged, .. }) => {
                from = index.drop_from(damaged).expect("the disk is sound");
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(role != Role::Follower || machine.changes() == changes, "a follower changed something");
    assert!(machine.violations().is_empty(), "{:?}", machine.violations());
    drop(index);
    machine.drop_jobs();
}

/// No message is missed; and what is found goes down.
fn all_there(index: &KeyIndex, forged: bool) -> Result<(), IndexError> {
    let mut hashes: Vec<u64> = messages().iter().map(|(hash, _)| *hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes.extend([0, u64::MAX, key_hash(SEED, None)]);
    for hash in hashes {
        let found = index.candidates(hash).collect::<Result<Vec<u64>, _>>()?;
        assert!(found.is_sorted_by(|one, other| one > other), "candidates do not go down: {found:?}");
        for &(_, offset) in messages().iter().filter(|(of, _)| *of == hash) {
            let (held, next) = (found.contains(&offset), index.older(hash, offset + 1)?);
            assert!(forged || held, "offset {offset} is missed, and no damage told");
            assert!(forged || next == Some(offset), "{next:?} is found in place of {offset}");
        }
        for before in [0, 1, COUNT, u64::MAX] {
            assert!(index.older(hash, before)?.is_none_or(|offset| offset < before));
        }
    }
    Ok(())
}
