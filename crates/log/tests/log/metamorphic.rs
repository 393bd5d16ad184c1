//! One list of operations, done to logs that are made and used in different ways: how large segments are, how groups are compressed, what is indexed, when a
//! log is closed, killed, copied or migrated in between. Whatever is asked, all of them tell the same.
//! `VARVE_SEED` says where to begin, `VARVE_ROUNDS` how many lists there are.

mod operations;

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_codec::Codec;
use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_log::{
    Care, Compression, Conditions, Error, Input, Log, LogOptions, Migrate, ReaderOptions, Removal, Result, Retention,
    Rule,
};
use varve_testkit::Rng;

use crate::model::{DIR, Known, all, rest, seed};
use operations::{Operation, Which, operations};

/// How a log is made and used. None of it is to be seen.
#[derive(Debug, Clone)]
struct Variant {
    segment_size: u64,
    codec: Codec,
    key_index: bool,
    time_index: bool,
    /// Of 100 operations so many are followed by a restart, or by a migration.
    restarts: u64,
    migrations: u64,
    /// Nothing that can be let go of is kept in memory.
    forgets: bool,
    /// All that is asked is asked of a copy, too.
    copies: bool,
}

fn variants() -> Vec<Variant> {
    let plain = Variant {
        segment_size: 1 << 20,
        codec: Codec::None,
        key_index: false,
        time_index: false,
        restarts: 0,
        migrations: 0,
        forgets: false,
        copies: false,
    };
    let small = Variant { segment_size: 64 << 10, ..plain.clone() };
    let indexed = Variant { key_index: true, time_index: true, ..small.clone() };
    vec![
        plain,
        Variant { restarts: 30, forgets: true, ..indexed.clone() },
        Variant { codec: Codec::Snappy, key_index: true, restarts: 10, ..small.clone() },
        Variant { codec: Codec::Lz4, segment_size: 128 << 10, forgets: true, copies: true, ..indexed.clone() },
        Variant { codec: Codec::Gzip, time_index: true, restarts: 20, copies: true, ..small.clone() },
        Variant { codec: Codec::Zstd, segment_size: 256 << 10, restarts: 10, ..indexed.clone() },
        Variant { codec: Codec::Zstd, migrations: 15, restarts: 10, ..indexed },
        Variant { migrations: 25, forgets: true, ..small },
    ]
}

/// What was asked, and what was told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    to: String,
    is: Told,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Messages(Vec<Known>),
    Words(String),
}

/// A log of a variant, and what it has told so far.
struct Using {
    variant: Variant,
    machine: SimMachine,
    log: Arc<Log>,
    /// Decides what may differ: when it is restarted, copied, and what its machine does meanwhile.
    rng: Rng,
    told: Vec<Answer>,
    copies: u32,
}

fn shared(machine: &SimMachine) -> Arc<dyn Machine> {
    Arc::new(machine.clone())
}

fn finish(mut removal: Removal) -> Result<(u64, Vec<u64>)> {
    while removal.step(&Care::default())? {}
    Ok((removal.removed().entries, removal.offsets().to_vec()))
}

impl Using {
    fn new(variant: Variant, seed: u64) -> Self {
        let machine = SimMachine::new(seed);
        let options = LogOptions {
            key_index: Some(variant.key_index),
            time_index: Some(variant.time_index),
            ..Self::options(&variant)
        };
        let log = Log::open(shared(&machine), Path::new(DIR), &options).unwrap();
        Self { variant, machine, log, rng: Rng::new(seed), told: Vec::new(), copies: 0 }
    }

    /// Indexes are as the log has them.
    fn options(variant: &Variant) -> LogOptions {
        LogOptions { segment_size: Some(variant.segment_size), codec: "bytes,bytes".into(), ..LogOptions::default() }
    }

    fn open(&self, dir: &Path, options: &LogOptions) -> Arc<Log> {
        Log::open(shared(&self.machine), dir, options).unwrap()
    }

    fn reopen(&mut self, retention: Option<Retention>) {
        self.log.close().unwrap();
        self.log = self.open(Path::new(DIR), &LogOptions { retention, ..Self::options(&self.variant) });
    }

    fn compression(&self) -> Compression {
        Compression { codec: self.variant.codec, level: None }
    }

    /// The offset at a part of 1024 of what the log has.
    fn offset(&self, place: u64) -> u64 {
        let (start, next) = (self.log.start_offset(), self.log.next_offset());
        start + (next - start) * place / 1024
    }

    /// The time of the message there, or about.
    fn time(&self, place: u64) -> i64 {
        let offset = self.offset(place);
        all(&self.log).iter().find(|known| known.offset >= offset).map_or(1000, |known| known.time)
    }

    /// Takes note of what an operation has come to.
    fn tell<T: Debug>(&mut self, to: impl Debug, is: Result<T>) {
        let is = is.map_err(|error| error.code());
        self.told.push(Answer { to: format!("{to:?}"), is: Told::Words(format!("{is:?}")) });
    }

    /// Does an operation, and what the variant does meanwhile.
    fn step(&mut self, operation: &Operation) {
        self.meanwhile();
        let next = self.log.next_offset();
        match operation {
            Operation::Singles(messages) => {
                let last = messages.iter().try_fold(next, |_, known| self.log.append(&known.input()));
                self.tell("singles", last);
            }
            Operation::Batch(messages, conditions) => {
                let inputs: Vec<Input<'_>> = messages.iter().map(Known::input).collect();
                let compression = if self.rng.chance(80) { self.compression() } else { Compression::default() };
                let first = self.log.append_batch(&inputs, &Conditions { compression, ..*conditions });
                self.tell("batch", first);
            }
            Operation::Delete { share, seed } => {
                let mut rng = Rng::new(*seed);
                let gone = (self.log.start_offset()..next).filter(|_| rng.chance(*share)).collect();
                let gone = self.log.delete(gone).and_then(finish);
                self.tell(operation, gone);
            }
            Operation::Trim(which, place) => {
                let rule = self.rule(*which, *place);
                let meant = self.log.matching(&rule, &Care::default());
                self.tell(("matching", which), meant);
                let gone = self.log.trim(&rule).and_then(finish);
                self.tell(operation, gone);
            }
            Operation::Compact(place) => {
                let gone = self.log.compact(self.time(*place)).and_then(finish);
                self.tell(operation, gone);
            }
            Operation::Cursor { name, place, holds } => {
                let cursor = self.log.cursor(name, self.offset(1024 - place), *holds);
                self.tell(operation, cursor);
                let saved = self.log.save_cursor(name, self.offset(*place));
                self.tell(operation, saved);
            }
            Operation::DeleteCursor(name) => {
                let deleted = self.log.delete_cursor(name);
                self.tell(operation, deleted);
            }
            Operation::HighWater(place) => {
                let moved = self.log.advance_high_water_mark(self.offset(*place));
                self.tell(operation, moved);
            }
            Operation::Retain { age, place } => self.retain(*age, *place),
            Operation::Sync => {
                let synced = self.log.sync();
                self.tell(operation, synced);
                assert_eq!(self.log.durable_offset(), self.log.next_offset());
            }
            Operation::Wait(micros) => self.machine.advance(*micros),
            Operation::Look(seed) => self.look(*seed),
        }
        let log = &self.log;
        let places = (log.start_offset(), log.next_offset(), log.high_water_mark(), log.cursors());
        self.tell(("after", operation.name()), Ok(places));
    }

    /// What a rule of that kind is at a place: the sizes of messages are told by the log itself, since its index takes a part in them.
    fn rule(&self, which: Which, place: u64) -> Rule {
        match which {
            Which::OlderThan => Rule::OlderThan(self.time(place)),
            Which::BeforeOffset => Rule::BeforeOffset(self.offset(place)),
            Which::Updates => Rule::UpdatesBefore(self.time(place)),
            Which::Deletes => Rule::DeletesBefore(self.time(place)),
            Which::KeepMessages | Which::KeepBytes => {
                let all = all(&self.log);
                let gone = usize::try_from(all.len() as u64 * place / 1024).unwrap();
                let sizes = all[gone..].iter().map(|known| self.log.size_of(&known.input()));
                if let Which::KeepBytes = which {
                    Rule::KeepBytes(sizes.sum())
                } else {
                    Rule::KeepMessages(sizes.len() as u64)
                }
            }
        }
    }

    fn retain(&mut self, age: bool, place: u64) {
        let now = self.machine.now_micros();
        let rules = if age {
            let max_age_micros = Some(now.saturating_sub(self.time(place)));
            Retention { max_age_micros, ..Retention::default() }
        } else {
            let kept = all(&self.log).len() as u64 * (1024 - place) / 1024;
            Retention { max_messages: Some(kept), ..Retention::default() }
        };
        self.reopen(Some(rules));
        let gone = self.log.enforce_retention().map(|gone| gone.entries);
        self.tell(("retain", age), gone);
        self.reopen(None);
    }

    /// What is not to be seen: background work, closes, kills, migrations, memory that is given back.
    fn meanwhile(&mut self) {
        while self.rng.chance(30) && self.machine.run_job() {}
        if self.rng.chance(self.variant.restarts) {
            if self.rng.chance(50) {
                self.reopen(None);
            } else {
                self.log.flush().unwrap();
                self.machine.drop_jobs();
                self.machine = self.machine.kill();
                self.log = self.open(Path::new(DIR), &Self::options(&self.variant));
            }
        }
        if self.rng.chance(self.variant.migrations) {
            self.migrate();
        }
        if self.variant.forgets {
            self.log.gc(0);
        }
    }

    fn migrate(&mut self) {
        let codec = Codec::ALL[self.rng.pick(Codec::ALL.len())];
        let to = Migrate {
            key_index: self.rng.chance(50).then(|| self.rng.chance(50)),
            time_index: self.rng.chance(50).then(|| self.rng.chance(50)),
            compression: self.rng.chance(70).then_some(Compression { codec, level: None }),
        };
        self.log.close().unwrap();
        let mut migration = Log::migrate(shared(&self.machine), Path::new(DIR), &to, &Care::default()).unwrap();
        while migration.step(&Care::default()).unwrap() {}
        drop(migration);
        self.log = self.open(Path::new(DIR), &Self::options(&self.variant));
    }

    /// Asks everything; of a copy and of a follower the same.
    fn look(&mut self, seed: u64) {
        let asked = self.ask(&Arc::clone(&self.log), seed);
        if self.variant.copies {
            self.copies += 1;
            // One that was begun before is added to.
            let to = PathBuf::from(format!("/copies/{}", self.copies / 3));
            let report = self.log.backup(&to, &Care::default()).unwrap();
            assert_eq!(report.position, self.log.next_offset());
            let copy = self.open(&to, &Self::options(&self.variant));
            assert_eq!(differing(&asked, &self.ask(&copy, seed)), None, "a copy tells something else");
            copy.close().unwrap();
            self.log.flush().unwrap();
            let options = LogOptions { read_only: true, ..Self::options(&self.variant) };
            let follower = Log::follow(shared(&self.machine), Path::new(DIR), &options).unwrap();
            assert_eq!(differing(&asked, &self.ask(&follower, seed)), None, "a follower tells something else");
            follower.close().unwrap();
        }
        self.told.extend(asked);
    }

    fn ask(&self, log: &Arc<Log>, seed: u64) -> Vec<Answer> {
        let mut rng = Rng::new(seed);
        let mut told = Vec::new();
        let mut tell = |to: String, is: Vec<Known>| told.push(Answer { to, is: Told::Messages(is) });
        let (start, next) = (log.start_offset(), log.next_offset());
        let every = all(log);
        let one = |found: Option<Known>| found.into_iter().collect::<Vec<_>>();
        let forget = || {
            if self.variant.forgets {
                log.gc(0)
            }
        };
        tell("first".into(), one(log.first(Known::of).unwrap()));
        tell("last".into(), one(log.last(Known::of).unwrap()));
        for _ in 0..12 {
            let (from, to) = (start + rng.below(next - start + 1), start + rng.below(next - start + 1));
            forget();
            if from < next {
                tell(format!("get {from}"), one(log.get(from, Known::of).unwrap()));
            }
            let key = every.get(rng.pick(every.len())).map(|known| known.key.clone());
            let options = ReaderOptions {
                from,
                to: rng.chance(50).then_some(to),
                gated: rng.chance(30),
                key: key.filter(|_| rng.chance(40)),
            };
            let slab = [100, 3000, 100_000][rng.pick(3)];
            tell(format!("{options:?}"), rest(&mut log.reader(options.clone()).unwrap(), slab).unwrap());
        }
        for key in [None, Some(vec![]), Some(vec![1]), Some(vec![3, 0]), Some(vec![9])] {
            forget();
            let found = match log.get_by_key(key.as_deref(), Known::of) {
                Err(Error::NoIndex { .. }) => every.iter().rfind(|known| known.key == key).cloned(),
                found => found.unwrap(),
            };
            tell(format!("last of {key:?}"), one(found));
        }
        let times = (0..12).map(|_| {
            let near = every.get(rng.pick(every.len())).map_or(0, |known| known.time);
            near.saturating_add(i64::try_from(rng.below(3)).unwrap() - 1)
        });
        let times: Vec<i64> = times.chain([i64::MIN, i64::MAX]).collect();
        for time in times {
            forget();
            let found = match log.get_by_time(time, Known::of) {
                Err(Error::NoIndex { .. }) => every.iter().find(|known| known.time >= time).cloned(),
                found => found.unwrap(),
            };
            tell(format!("at {time}"), one(found));
        }
        tell("all".into(), every);
        told
    }
}

/// Where two logs tell different things.
fn differing(one: &[Answer], other: &[Answer]) -> Option<String> {
    if let Some((one, other)) = one.iter().zip(other).find(|(one, other)| one != other) {
        return Some(match (&one.is, &other.is) {
            (Told::Messages(these), Told::Messages(those)) if one.to == other.to => {
                let same = these.iter().zip(those).take_while(|(this, that)| this == that).count();
                let (this, that) = (these.get(same), those.get(same));
                format!("{}: {} and {} messages, number {same} {this:?} and {that:?}", one.to, these.len(), those.len())
            }
            _ => format!("{one:?} and {other:?}"),
        });
    }
    (one.len() != other.len()).then(|| format!("{} and {} answers", one.len(), other.len()))
}

#[test]
fn however_a_log_is_made_and_used_it_tells_the_same() {
    let rounds = std::env::var("VARVE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(8);
    let first = seed();
    for seed in first..first + rounds {
        println!("VARVE_SEED={seed}");
        let list = operations(&mut Rng::new(seed));
        let mut expected: Option<Vec<Answer>> = None;
        for variant in variants() {
            let mut using = Using::new(variant.clone(), seed);
            for (number, operation) in list.iter().enumerate() {
                let before = using.told.len();
                using.step(operation);
                if let Some(expected) = &expected {
                    let now = using.told.len();
                    let differing = differing(&expected[before..now.min(expected.len())], &using.told[before..]);
                    let name = operation.name();
                    assert_eq!(differing, None, "VARVE_SEED={seed}, operation {number} {name}, {variant:?}");
                }
            }
            assert_eq!(using.machine.violations(), Vec::<String>::new());
            using.machine.drop_jobs();
            expected.get_or_insert(using.told);
        }
    }
}
