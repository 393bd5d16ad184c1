//! Power losses at any step of everything that changes a log: what is there afterwards is what was acknowledged, and nothing that was removed for good
//! comes back. `VARVE_IMAGES` says how many images are looked at, `VARVE_SEED` where to begin.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use varve_io::sim::SimMachine;
use varve_log::{Care, Error, Log, LogOptions, Removal, Result, Rule};
use varve_testkit::Rng;

use crate::model::{Known, all, batch, compression, open_with, options, seed};

/// Images of one crash.
const IMAGES: u64 = 12;

/// What is known of a log from outside.
#[derive(Clone, Default)]
struct Model {
    /// All that was appended and may be there.
    there: BTreeMap<u64, Known>,
    /// What was removed, and may come back: that was not durable.
    fading: BTreeSet<u64>,
    next: u64,
    /// Of what was synced last.
    durable_next: u64,
    durable_cursor: u64,
    durable_mark: u64,
    cursor: u64,
    mark: u64,
    /// Offsets behind which a batch ends.
    ends: BTreeSet<u64>,
}

impl Model {
    fn synced(&mut self) {
        (self.durable_next, self.durable_cursor, self.durable_mark) = (self.next, self.cursor, self.mark);
        for offset in std::mem::take(&mut self.fading) {
            self.there.remove(&offset);
        }
    }

    /// What a removal means goes now, or has gone when it is known that it was done.
    fn fade(&mut self, offsets: impl IntoIterator<Item = u64>) {
        self.fading.extend(offsets);
    }

    /// What is held, of what was not removed.
    fn held(&self) -> impl Iterator<Item = &Known> {
        self.there.values().filter(|known| !self.fading.contains(&known.offset))
    }
}

fn finish(mut removal: Removal) -> Result<()> {
    while removal.step(&Care::default())? {}
    Ok(())
}

/// One change. What it means is in the model before it is begun.
fn change(log: &Arc<Log>, model: &mut Model, rng: &mut Rng) -> Result<()> {
    let next = model.next;
    match rng.below(20) {
        0..=7 => {
            let count = 1 + if rng.chance(30) { rng.below(300) } else { rng.below(20) };
            let messages: Vec<_> = (0..count).map(|i| Known::random(rng, next + i)).collect();
            model.there.extend(messages.iter().map(|known| (known.offset, known.clone())));
            model.next += count;
            model.ends.insert(model.next);
            batch(log, &messages, compression(rng)).map(drop)
        }
        8 | 9 => {
            log.sync()?;
            model.synced();
            Ok(())
        }
        10 => {
            model.cursor = rng.below(next + 1);
            log.cursor("consumer", 0, None)?;
            log.save_cursor("consumer", model.cursor)
        }
        11 => {
            model.mark = model.mark.max(rng.below(next + 1));
            log.advance_high_water_mark(model.mark)
        }
        12 => log.flush(),
        13..=15 => {
            let share = 1 + rng.below(100);
            let offsets: Vec<u64> = model.held().map(|known| known.offset).filter(|_| rng.chance(share)).collect();
            model.fade(offsets.iter().copied());
            finish(log.delete(offsets)?)?;
            // It is durable by now, and so is all before it, if anything was there to be removed.
            log.sync()?;
            model.synced();
            Ok(())
        }
        16 | 17 => {
            let last: BTreeMap<_, _> = model.held().map(|known| (known.key.clone(), known.offset)).collect();
            let updates: Vec<u64> = model
                .held()
                .filter(|known| known.key.is_some() && last[&known.key] > known.offset)
                .map(|known| known.offset)
                .collect();
            model.fade(updates);
            let mut seen = BTreeSet::new();
            let deletes: Vec<u64> = model
                .held()
                .filter(|known| seen.insert(known.key.clone()) && known.key.is_some() && known.value.is_none())
                .map(|known| known.offset)
                .collect();
            model.fade(deletes);
            finish(log.compact(i64::MAX)?)?;
            log.sync()?;
            model.synced();
            Ok(())
        }
        _ => {
            let keep = rng.below(1 + model.held().count() as u64);
            let count = usize::try_from((model.held().count() as u64).saturating_sub(keep)).unwrap();
            let gone: Vec<u64> = model.held().take(count).map(|known| known.offset).collect();
            model.fade(gone);
            let start = model.held().next().map_or(model.next, |known| known.offset);
            model.mark = model.mark.max(start);
            finish(log.trim(&Rule::KeepMessages(keep))?)
        }
    }
}

/// Looks at what a crash has left, and takes it over as what is there.
fn look(log: &Arc<Log>, before: &Model, rng: &mut Rng) -> Model {
    let next = log.next_offset();
    assert!(next >= before.durable_next, "ends at {next}, and was durable up to {}", before.durable_next);
    assert!(next <= before.next, "ends at {next}, and never went beyond {}", before.next);
    let held = all(log);
    let offsets: BTreeSet<u64> = held.iter().map(|known| known.offset).collect();
    for known in &held {
        assert_eq!(Some(known), before.there.get(&known.offset), "invented, changed, or back from the dead");
    }
    for known in before.held().filter(|known| known.offset < next) {
        assert!(offsets.contains(&known.offset), "{} is lost", known.offset);
    }
    let last = before.ends.range(..=next).last().copied().unwrap_or(0);
    assert_eq!(last, next, "the end is in the middle of a batch");
    let mark = log.high_water_mark();
    assert!(mark >= before.durable_mark.min(next), "the high-water mark went back to {mark}");
    let cursor = log.cursors().first().map_or(0, |cursor| cursor.offset);
    for key in [None, Some(vec![]), Some(vec![rng.below(4).try_into().unwrap()])] {
        let of_key = held.iter().rfind(|known| known.key == key).map(|known| known.offset);
        match log.offset_by_key(key.as_deref()) {
            Ok(found) => assert_eq!(found, of_key, "by key {key:?}"),
            Err(error) => assert!(matches!(error, Error::NoIndex { .. })),
        }
    }
    let time = i64::try_from(rng.below(next + 1) * 1000).unwrap();
    let at = held.iter().find(|known| known.time >= time).map(|known| known.offset);
    assert_eq!(log.offset_by_time(time).unwrap().map(|(offset, _)| offset), at, "by time {time}");
    let there = held.into_iter().map(|known| (known.offset, known)).collect();
    let ends = before.ends.range(..=next).copied().collect();
    Model {
        there,
        fading: BTreeSet::new(),
        next,
        durable_next: next,
        durable_cursor: cursor,
        durable_mark: mark,
        cursor,
        mark,
        ends,
    }
}

fn open(machine: &SimMachine, options: &LogOptions) -> Arc<Log> {
    open_with(machine, options).unwrap()
}

#[test]
fn no_crash_breaks_a_promise_of_the_log() {
    let most: u64 = std::env::var("VARVE_IMAGES").ok().and_then(|images| images.parse().ok()).unwrap_or(20_000);
    let (first, mut images) = (seed(), 0);
    for round in 0.. {
        if images >= most {
            break;
        }
        let seed = first + round;
        println!("VARVE_SEED={seed}");
        let mut rng = Rng::new(seed);
        let mut machine = SimMachine::new(rng.bits());
        let options = options(rng.chance(50));
        let mut model = Model { ends: BTreeSet::from([0]), ..Model::default() };
        // A crash of what was recovered from a crash, too.
        for _ in 0..3 {
            let log = open(&machine, &options);
            let most = if rng.chance(50) { 60 } else { 600 };
            machine.crash_after(rng.below(most));
            for _ in 0..40 {
                let changed = change(&log, &mut model, &mut rng);
                if let Err(error) = changed {
                    assert!(machine.crashed(), "{error:?}");
                    break;
                }
                while rng.chance(30) && machine.run_job() {}
            }
            drop(log);
            assert_eq!(machine.violations(), Vec::<String>::new());
            let mut left = None;
            for _ in 0..IMAGES {
                let image = machine.crash(rng.bits());
                let log = open(&image, &options);
                let seen = look(&log, &model, &mut rng);
                drop(log);
                left = Some((image, seen));
                images += 1;
            }
            let Some((image, mut seen)) = left else { return };
            // It is not closed cleanly by the look; what it found has been made durable.
            machine = image.kill();
            seen.synced();
            model = seen;
        }
    }
    println!("{images} images");
}
