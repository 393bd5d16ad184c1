//! Removing messages, against a model: what is left, and that it stays so however the log is reopened.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use varve_io::sim::SimMachine;
use varve_log::{Care, Log, Removal, Rule};
use varve_testkit::Rng;

use crate::model::{Known, batch, check, compression, open_with, options, seed};

fn finish(mut removal: Removal) -> (u64, Vec<u64>) {
    while removal.step(&Care::default()).unwrap() {}
    (removal.removed().entries, removal.offsets().to_vec())
}

/// What `rule` means, of `known`.
fn meant(known: &[Known], rule: &Rule) -> BTreeSet<u64> {
    let prefix = |count: usize| known[..count].iter().map(|known| known.offset).collect();
    let of = |goes: &dyn Fn(usize, &Known) -> bool| {
        known.iter().enumerate().filter(|(i, one)| goes(*i, one)).map(|(_, one)| one.offset).collect()
    };
    match *rule {
        Rule::OlderThan(time) => prefix(known.iter().take_while(|one| one.time < time).count()),
        Rule::BeforeOffset(offset) => prefix(known.iter().take_while(|one| one.offset < offset).count()),
        Rule::KeepMessages(keep) => prefix(known.len().saturating_sub(usize::try_from(keep).unwrap())),
        Rule::KeepBytes(_) => unreachable!("sizes are the log's own"),
        Rule::UpdatesBefore(time) => {
            let last: HashMap<_, _> = known.iter().map(|one| (&one.key, one.offset)).collect();
            of(&|_, one| one.key.is_some() && one.time < time && last[&one.key] > one.offset)
        }
        Rule::DeletesBefore(time) => of(&|i, one| {
            let first = known[..i].iter().all(|before| before.key != one.key);
            one.key.is_some() && one.value.is_none() && one.time < time && first
        }),
    }
}

fn remove(log: &Arc<Log>, known: &mut Vec<Known>, rng: &mut Rng) {
    let next = log.next_offset();
    let time = i64::try_from(rng.below(next + 1) * 1000).unwrap();
    match rng.below(9) {
        0..=2 => {
            let (from, to) = (rng.below(next + 1), rng.below(next + 1));
            let share = 1 + rng.below(100);
            let offsets: Vec<u64> = (from.min(to)..from.max(to)).filter(|_| rng.chance(share)).collect();
            let there: Vec<u64> =
                known.iter().map(|one| one.offset).filter(|one| offsets.binary_search(one).is_ok()).collect();
            let (entries, gone) = finish(log.delete(offsets).unwrap());
            assert_eq!((entries, &gone), (there.len() as u64, &there));
            known.retain(|one| there.binary_search(&one.offset).is_err());
        }
        3 => {
            let updates = meant(known, &Rule::UpdatesBefore(time));
            known.retain(|one| !updates.contains(&one.offset));
            let deletes = meant(known, &Rule::DeletesBefore(time));
            known.retain(|one| !deletes.contains(&one.offset));
            let (entries, _) = finish(log.compact(time).unwrap());
            assert_eq!(entries, (updates.len() + deletes.len()) as u64);
        }
        4 => {
            let size = |one: &Known| log.size_of(&one.input());
            let total: u64 = known.iter().map(size).sum();
            let keep = rng.below(total + 1000);
            finish(log.trim(&Rule::KeepBytes(keep)).unwrap());
            let mut left = total;
            while left > keep && !known.is_empty() {
                left -= size(&known.remove(0));
            }
        }
        n => {
            let rule = match n {
                5 => Rule::OlderThan(time),
                6 => Rule::BeforeOffset(rng.below(next + 1)),
                7 => Rule::KeepMessages(rng.below(known.len() as u64 + 10)),
                _ if rng.chance(50) => Rule::UpdatesBefore(time),
                _ => Rule::DeletesBefore(time),
            };
            let goes = meant(known, &rule);
            let found = log.matching(&rule, &Care::default()).unwrap();
            assert_eq!(found, goes.iter().copied().collect::<Vec<_>>(), "{rule:?}");
            let (entries, _) = finish(log.trim(&rule).unwrap());
            assert_eq!(entries, goes.len() as u64, "{rule:?}");
            known.retain(|one| !goes.contains(&one.offset));
        }
    }
    let first = known.first().map_or(log.next_offset(), |one| one.offset);
    assert_eq!(log.start_offset(), first, "the start offset is the lowest that is left");
}

#[test]
fn what_is_removed_is_gone_for_good_and_all_else_is_there() {
    let seed = seed();
    for round in 0..30 {
        let mut rng = Rng::new(seed + round);
        let mut machine = SimMachine::new(rng.bits());
        let options = options(rng.chance(50));
        let mut log = open_with(&machine, &options).unwrap();
        let (mut known, mut next): (Vec<Known>, u64) = (Vec::new(), 0);
        for _ in 0..25 {
            match rng.below(10) {
                0..=3 => {
                    let count = rng.below(600);
                    let messages: Vec<_> = (0..count).map(|i| Known::random(&mut rng, next + i)).collect();
                    assert_eq!(batch(&log, &messages, compression(&mut rng)).unwrap(), next);
                    next += count;
                    known.extend(messages);
                }
                4..=6 => {
                    for _ in 0..rng.below(300) {
                        let message = Known::random(&mut rng, next);
                        assert_eq!(log.append(&message.input()).unwrap(), next);
                        next += 1;
                        known.push(message);
                    }
                }
                7 | 8 => {
                    remove(&log, &mut known, &mut rng);
                    check(&log, &known, &mut rng);
                }
                _ if rng.chance(50) => {
                    log.close().unwrap();
                    log = open_with(&machine, &options).unwrap();
                }
                _ => {
                    log.sync().unwrap();
                    machine = machine.crash(rng.bits());
                    log = open_with(&machine, &options).unwrap();
                }
            }
            assert_eq!(log.next_offset(), next);
            while rng.chance(30) && machine.run_job() {}
        }
        check(&log, &known, &mut rng);
        log.close().unwrap();
        assert_eq!(machine.violations(), Vec::<String>::new());
        check(&open_with(&machine, &options).unwrap(), &known, &mut rng);
    }
}
