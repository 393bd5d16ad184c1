//! A log that lives with its key index: random operations, reopened now and then.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use varve_io::Machine;
use varve_io::sim::{SimMachine, is_crash};
use varve_log::index::{Done, IndexError, IndexOptions, Job, KeyIndex, Progress, Refused, Role};

use super::model::{KEYS, Model, Rng, hash, seeds};

pub const DIR: &str = "/log";

pub fn machine(seed: u64) -> SimMachine {
    let machine = SimMachine::new(seed);
    machine.create_dir_all(Path::new(DIR)).unwrap();
    machine
}

pub fn options(model: &Model, role: Role, tail: usize) -> IndexOptions {
    IndexOptions { log: 5, seed: 6, start: model.start, end: model.next, role, tail: Some(tail) }
}

/// True if the machine has crashed; any other error is a failure.
pub fn crashed(error: &IndexError) -> bool {
    match error {
        IndexError::Io(error) if is_crash(error) => true,
        error => panic!("{error}"),
    }
}

/// A job that somebody holds.
pub enum Held {
    Job(Job),
    Done(Done),
}

pub struct Life {
    pub machine: SimMachine,
    pub model: Model,
    pub rng: Rng,
    pub index: KeyIndex,
    pub held: Vec<Held>,
    /// It is reopened on a machine of its own now and then, as after the end of a process.
    pub kills: bool,
}

impl Life {
    /// Opens the index of `model` and inserts what it asks for.
    pub fn open(machine: SimMachine, mut model: Model, mut rng: Rng) -> Result<Self, IndexError> {
        let tail = usize::try_from(1 + rng.below(40)).unwrap();
        // What an open finds, it makes durable.
        model.durable = model.next;
        let (index, replay) =
            KeyIndex::open(Arc::new(machine.clone()), Path::new(DIR), &options(&model, Role::Writer, tail))?;
        let mut life = Self { machine, model, rng, index, held: Vec::new(), kills: true };
        // Also from before, as a caller does that begins at the start of a segment.
        let from = if life.rng.chance(30) { life.model.start } else { replay };
        life.replay(from)?;
        Ok(life)
    }

    fn replay(&mut self, from: u64) -> Result<(), IndexError> {
        self.model.held_from(from).into_iter().try_for_each(|(offset, hash)| self.insert(hash, offset))
    }

    fn insert(&mut self, hash: u64, offset: u64) -> Result<(), IndexError> {
        loop {
            let room = self.index.room();
            match self.index.insert(hash, offset) {
                Ok(()) => return Ok(()),
                Err(Refused::Order) => panic!("{offset} is refused, next is {}", self.index.next()),
                Err(Refused::Full) => {
                    assert!(room == 0 || offset - self.index.next() > 1 << 31, "refused with room for {room}");
                    self.held.clear();
                    self.model.durable = self.model.next;
                    let model = self.model.clone();
                    self.index.make_room(model.durable, &|offset| model.is_held(offset))?;
                }
            }
        }
    }

    /// One random operation.
    pub fn step(&mut self) -> Result<(), IndexError> {
        match self.rng.below(100) {
            0..40 => {
                for _ in 0..self.rng.below(30) {
                    let leap = match self.rng.below(400) {
                        0 => (1 << 32) + self.rng.below(10),
                        1..60 => self.rng.below(50),
                        _ => 0,
                    };
                    let (offset, hash) = (self.model.next + leap, hash(self.rng.below(KEYS)));
                    self.insert(hash, offset)?;
                    self.model.append(offset, hash);
                }
            }
            40..55 => self.model.durable = self.model.next,
            55..65 => {
                let share = self.rng.below(100);
                let offsets: Vec<u64> = self.model.messages.keys().copied().collect();
                let gone: Vec<u64> = offsets.into_iter().filter(|_| self.rng.chance(share)).collect();
                self.model.deleted.extend(gone);
            }
            65..80 => self.work()?,
            80..84 => {
                self.index.freeze();
            }
            84..88 => {
                let start = self.some_offset();
                // No crash brings back what is below the start: so it is durable.
                self.model.durable = self.model.next;
                self.model.start = self.model.start.max(start);
                self.index.trim(self.model.start);
            }
            88..92 => {
                let offset = self.some_offset();
                let replay = self.index.drop_from(offset)?;
                assert!(replay <= offset.max(self.model.start));
                self.model.cut(offset);
                self.model.start = self.model.start.min(self.model.next);
                self.replay(replay)?;
            }
            92..96 => {
                let from = self.some_offset();
                let replay = self.index.drop_from(from)?;
                assert!(self.index.candidates(hash(0)).all(|found| found.is_ok_and(|found| found < replay)));
                self.replay(replay)?;
            }
            _ => {
                let rng = Rng(self.rng.bits());
                let kills = self.kills;
                let machine = if kills && self.rng.chance(50) { self.machine.kill() } else { self.machine.clone() };
                *self = Self { kills, ..Self::open(machine, self.model.clone(), rng)? };
            }
        }
        self.model.check(&self.index)
    }

    fn some_offset(&mut self) -> u64 {
        let offsets: Vec<u64> = self.model.messages.range(self.model.start..).map(|(offset, _)| *offset).collect();
        let at = usize::try_from(self.rng.below(offsets.len() as u64 + 1)).unwrap();
        offsets.get(at).copied().unwrap_or(self.model.next)
    }

    /// Takes, goes on with, ends or gives up a job.
    fn work(&mut self) -> Result<(), IndexError> {
        let model = self.model.clone();
        let (is_held, stop) = (|offset: u64| model.is_held(offset), AtomicBool::new(self.rng.chance(5)));
        if let Some(job) = self.index.take_job(self.model.durable) {
            self.held.push(Held::Job(job));
        }
        let Some(held) = self.held.pop() else { return Ok(()) };
        let again = match held {
            Held::Job(job) => match self.rng.below(10) {
                0 => return Ok(()),
                1 => Held::Job(job),
                2..6 => match job.work(self.rng.below(20), &is_held, &stop) {
                    Progress::More(job) => Held::Job(job),
                    Progress::Done(done) => Held::Done(done),
                },
                _ => Held::Done(job.run(&is_held, &stop)),
            },
            Held::Done(done) => match self.index.install(done) {
                Err(IndexError::Aborted) => return Ok(()),
                installed => return installed,
            },
        };
        self.held.insert(0, again);
        Ok(())
    }
}

#[test]
fn random_histories_are_those_of_the_model() {
    let mut tables = 0;
    for seed in seeds(40) {
        let mut rng = Rng(seed);
        let start = if rng.chance(50) { 0 } else { rng.below(1 << 40) };
        let mut life = Life::open(machine(seed), Model::at(start), Rng(rng.bits())).unwrap();
        for step in 0..120 {
            life.step().unwrap_or_else(|error| panic!("seed {seed}, step {step}: {error}"));
            tables = tables.max(life.index.counts().1);
        }
        assert_eq!(life.machine.violations(), Vec::<String>::new(), "seed {seed}");
    }
    assert!(tables > 3, "no history had more than {tables} tables");
}
