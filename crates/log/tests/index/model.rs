//! What a log holds, as far as its key index is concerned.

use std::collections::{BTreeMap, BTreeSet};

use varve_log::index::{IndexError, KeyIndex};

/// The generator that decides everything (SplitMix64).
#[derive(Debug, Clone)]
pub struct Rng(pub u64);

impl Rng {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.bits() % limit.max(1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// The seeds of a test: `count` of them, or the one asked for.
pub fn seeds(count: u64) -> Vec<u64> {
    let asked = std::env::var("VARVE_SEED").ok().and_then(|seed| seed.parse().ok());
    asked.map_or_else(|| (0..count).collect(), |seed| vec![seed])
}

/// Hashes, some of which differ only where tables do not look.
pub fn hash(key: u64) -> u64 {
    Rng(key / 3).bits() ^ (key % 3)
}

pub const KEYS: u64 = 24;

/// Bits of a hash that tables keep.
const PREFIX_BITS: u32 = 40;

#[derive(Debug, Clone, Default)]
pub struct Model {
    /// Every message that was not cut off, by offset: its hash, deleted or not.
    pub messages: BTreeMap<u64, u64>,
    pub deleted: BTreeSet<u64>,
    pub start: u64,
    pub next: u64,
    pub durable: u64,
}

impl Model {
    pub fn at(start: u64) -> Self {
        Self { start, next: start, durable: start, ..Self::default() }
    }

    pub fn append(&mut self, offset: u64, hash: u64) {
        self.messages.insert(offset, hash);
        self.next = offset + 1;
    }

    /// Messages from `end` on are no more.
    pub fn cut(&mut self, end: u64) {
        self.messages.split_off(&end);
        self.deleted.split_off(&end);
        self.next = self.next.min(end);
        self.durable = self.durable.min(end);
    }

    pub fn is_held(&self, offset: u64) -> bool {
        offset >= self.start && !self.deleted.contains(&offset)
    }

    /// Tells the index of every held message from `from` on.
    pub fn held_from(&self, from: u64) -> Vec<(u64, u64)> {
        let held = self.messages.range(from..).filter(|(offset, _)| self.is_held(**offset));
        held.map(|(offset, hash)| (*offset, *hash)).collect()
    }

    /// Holds every answer of the index against the messages. An error of the index is handed on; a wrong answer is a panic.
    pub fn check(&self, index: &KeyIndex) -> Result<(), IndexError> {
        (0..=KEYS).try_for_each(|key| self.check_key(index, hash(key)))
    }

    pub fn check_key(&self, index: &KeyIndex, hash: u64) -> Result<(), IndexError> {
        let found: Vec<u64> = index.candidates(hash).collect::<Result<_, _>>()?;
        assert!(found.windows(2).all(|two| two[0] > two[1]), "not newest first: {found:?}");
        for offset in &found {
            let of = self.messages.get(offset);
            let same = of.is_some_and(|of| of >> (64 - PREFIX_BITS) == hash >> (64 - PREFIX_BITS));
            assert!(same, "offset {offset} is named, and never had the key");
        }
        let held = self.messages.iter().filter(|(offset, of)| **of == hash && self.is_held(**offset));
        for (offset, _) in held {
            assert!(found.binary_search_by(|found| offset.cmp(found)).is_ok(), "offset {offset} is missed: {found:?}");
        }
        assert_eq!(index.newest(hash)?, found.first().copied());
        let mut before = u64::MAX;
        for offset in found.iter().take(12) {
            assert_eq!(index.older(hash, before)?, Some(*offset));
            before = *offset;
            assert_eq!(index.later_than(hash, *offset)?, found.first().copied().filter(|newest| newest > offset));
        }
        assert_eq!(index.older(hash, before)?, found.get(12).copied());
        Ok(())
    }
}
