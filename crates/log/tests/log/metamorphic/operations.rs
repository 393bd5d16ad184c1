//! Lists of operations, by chance.

use varve_log::{Conditions, Producer};
use varve_testkit::Rng;

use crate::model::Known;

/// Operations of a list.
const OPERATIONS: usize = 45;

/// What is done to a log. Places are parts of 1024 of what it holds then.
#[derive(Debug, Clone)]
pub enum Operation {
    Singles(Vec<Known>),
    /// Its codec is that of the variant, or none.
    Batch(Vec<Known>, Conditions),
    Delete {
        share: u64,
        seed: u64,
    },
    Trim(Which, u64),
    Compact(u64),
    Cursor {
        name: &'static str,
        place: u64,
        holds: Option<bool>,
    },
    DeleteCursor(&'static str),
    HighWater(u64),
    /// By messages or by age.
    Retain {
        age: bool,
        place: u64,
    },
    Sync,
    /// The clock goes on.
    Wait(i64),
    Look(u64),
}

#[derive(Debug, Clone, Copy)]
pub enum Which {
    OlderThan,
    BeforeOffset,
    KeepMessages,
    KeepBytes,
    Updates,
    Deletes,
}

fn messages(rng: &mut Rng, count: u64) -> Vec<Known> {
    let mut one = |at: u64| {
        let mut known = Known::random(rng, at);
        // Some are of another time altogether.
        if rng.chance(3) {
            known.time = [i64::MIN, -1, 0, i64::MAX, 77_000_000][rng.pick(5)];
        }
        known
    };
    (0..count).map(&mut one).collect()
}

/// Times rise with the offsets as far as `next` can be told here.
pub fn operations(rng: &mut Rng) -> Vec<Operation> {
    let (mut next, mut sequences, mut list) = (0, [0; 3], Vec::new());
    let mut made = |rng: &mut Rng, count: u64| {
        let mut made = messages(rng, count);
        made.iter_mut().for_each(|known| known.time = known.time.saturating_add(i64::try_from(next * 1000).unwrap()));
        next += count;
        made
    };
    while list.len() < OPERATIONS {
        let place = rng.below(1025);
        let operation = match rng.below(30) {
            0..=5 => {
                let most = if rng.chance(30) { 300 } else { 12 };
                let count = rng.below(most);
                Operation::Singles(made(rng, count))
            }
            6..=12 => {
                let most = if rng.chance(40) { 500 } else { 20 };
                let count = rng.below(most);
                let id = rng.pick(6);
                let producer = sequences.get_mut(id).map(|sequence| {
                    // The last one is sent again, now and then.
                    *sequence += u64::from(*sequence == 0 || rng.chance(80));
                    Producer { id: id as u64, epoch: 0, sequence: *sequence }
                });
                let leader_epoch = rng.chance(10).then(|| rng.below(3));
                Operation::Batch(made(rng, count), Conditions { producer, leader_epoch, ..Conditions::default() })
            }
            13 | 14 => Operation::Delete { share: 1 + rng.below(100), seed: rng.bits() },
            15 | 16 => {
                let rules = [
                    Which::OlderThan,
                    Which::BeforeOffset,
                    Which::KeepMessages,
                    Which::KeepBytes,
                    Which::Updates,
                    Which::Deletes,
                ];
                // From the start not much at a time, so that something is left.
                Operation::Trim(rules[rng.pick(rules.len())], place / 3)
            }
            17 => Operation::Compact(place),
            18 | 19 => {
                let holds = [None, Some(true), Some(false)][rng.pick(3)];
                Operation::Cursor { name: ["one", "two", "ü"][rng.pick(3)], place, holds }
            }
            20 => Operation::DeleteCursor(["one", "two", "none"][rng.pick(3)]),
            21 | 22 => Operation::HighWater(place),
            23 => Operation::Retain { age: rng.chance(50), place: place / 3 },
            24 => Operation::Sync,
            25 => Operation::Wait(i64::try_from(rng.below(100_000)).unwrap()),
            _ => Operation::Look(rng.bits()),
        };
        list.push(operation);
    }
    list.push(Operation::Look(rng.bits()));
    list
}

impl Operation {
    pub fn name(&self) -> String {
        let shown = format!("{self:?}");
        shown.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
    }
}
