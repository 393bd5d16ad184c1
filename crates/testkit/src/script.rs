//! What is done to a log: operations drawn at random, and one life of a process that does them.

use std::sync::Arc;

use varve_io::Operation;
use varve_io::sim::{Fault, SimMachine};
use varve_wal::{ErrorCode, Wal, WalOptions};

use crate::failure::Failure;
use crate::model::Model;
use crate::open::open;
use crate::payload::{Content, payload};
use crate::rng::Rng;
use crate::verify::verify;

const EIO: i32 = 5;

/// No record or batch makes the log begin more segments than this without a sync: it would sync on a thread of its own.
const MOST_UNSYNCED: u64 = 40;

/// One thing to do.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Append { content: Content, len: usize },
    Batch { content: Content, lens: Vec<usize> },
    Flush,
    Sync,
    Rotate,
    Read,
    Job,
    Close,
    Kill,
    FailSync { operation: Operation, passing: u64 },
    FailWrite,
}

/// How a life went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// As it should.
    Done,
    /// The machine crashed in the middle.
    Crashed,
    /// The log has failed.
    Failed,
}

/// Operations for one life.
pub(crate) fn script(rng: &mut Rng, max_record: u64) -> Vec<Op> {
    let count = 4 + rng.pick(10);
    let max = usize::try_from(max_record).unwrap_or(usize::MAX);
    (0..count).map(|_| op(rng, max)).collect()
}

fn op(rng: &mut Rng, max: usize) -> Op {
    match rng.below(100) {
        0..34 => Op::Append { content: content(rng), len: len(rng, max) },
        34..52 => Op::Batch { content: content(rng), lens: lens(rng, max) },
        52..60 => Op::Flush,
        60..75 => Op::Sync,
        75..80 => Op::Rotate,
        80..84 => Op::Read,
        84..91 => Op::Job,
        91..94 => Op::Close,
        94..96 => Op::Kill,
        96..98 => Op::FailSync {
            operation: if rng.chance(70) { Operation::Sync } else { Operation::SyncDir },
            passing: rng.below(3),
        },
        _ => Op::FailWrite,
    }
}

fn content(rng: &mut Rng) -> Content {
    match rng.below(100) {
        0..5 => Content::Zeros,
        5..15 => Content::Frames,
        15..25 => Content::SamePlace,
        _ => Content::Noise,
    }
}

fn len(rng: &mut Rng, max: usize) -> usize {
    let drawn = match rng.below(100) {
        0..5 => 0,
        5..45 => rng.pick(300),
        45..80 => rng.pick(3000),
        80..85 => 512 * (1 + rng.pick(8)) - rng.pick(40),
        85..92 => max / 4 + rng.pick(max / 4),
        92..97 => max - rng.pick(50),
        // Past the group buffer, where the segment is large enough.
        _ => (300 << 10) + rng.pick(60 << 10),
    };
    drawn.min(max)
}

fn lens(rng: &mut Rng, max: usize) -> Vec<usize> {
    match rng.below(10) {
        0..5 => (0..1 + rng.pick(8)).map(|_| rng.pick(600)).collect(),
        5..8 => (0..1 + rng.pick(20)).map(|_| len(rng, max) / 4).collect(),
        // Over rotations.
        _ => (0..2 + rng.pick(4)).map(|_| max / 2 + rng.pick(max / 2)).collect(),
    }
}

/// A process that has the log open, or tries to.
pub(crate) struct Life {
    pub(crate) machine: SimMachine,
    pub(crate) wal: Option<Arc<Wal>>,
    pub(crate) model: Model,
    pub(crate) trail: Vec<String>,
    options: WalOptions,
    rng: Rng,
    /// Changes that machines before this one made.
    changes: u64,
    crash_at: Option<u64>,
}

impl Life {
    /// Nothing is opened yet. The machine is to crash after so many changes.
    pub(crate) fn new(machine: SimMachine, model: Model, options: WalOptions, rng: Rng, crash_at: Option<u64>) -> Self {
        if let Some(changes) = crash_at {
            machine.crash_after(changes);
        }
        Self { machine, wal: None, model, trail: Vec::new(), options, rng, changes: 0, crash_at }
    }

    /// Changes so far: points to crash at.
    pub(crate) fn changes(&self) -> u64 {
        self.changes + self.machine.changes()
    }

    /// Opens the log, which must end at `least` or later, and holds what is found against the model.
    pub(crate) fn open(&mut self, least: u64) -> Result<Step, Failure> {
        let opened = open(&self.machine, &self.options);
        if self.machine.crashed() {
            self.trail.push("opened, and crashed in it".into());
            return Ok(Step::Crashed);
        }
        let wal = opened?;
        let next = wal.next_index();
        self.trail.push(format!("opened: {} to {next}, cut {:?}", wal.first_index(), wal.stats().recovery.torn.len()));
        self.model.admits(next, least)?;
        if !wal.stats().recovery.gaps.is_empty() {
            return Err(Failure::new("a log that has only crashed has gaps"));
        }
        self.model.reopened(next);
        verify(&wal, &self.model, false)?;
        self.wal = Some(wal);
        Ok(Step::Done)
    }

    fn payload(&mut self, content: Content, len: usize, max: u64) -> Arc<[u8]> {
        payload(content, len, usize::try_from(max).unwrap_or(len), &mut self.rng, &self.machine)
    }

    /// Does one thing.
    pub(crate) fn apply(&mut self, op: &Op) -> Result<Step, Failure> {
        let Some(wal) = self.wal.clone() else { return Err(Failure::new("nothing is open")) };
        self.trail.push(format!("{op:?}"));
        let done = match op {
            Op::Append { content, len } => {
                let bytes = self.payload(*content, *len, wal.max_record());
                let expected = self.model.next();
                self.model.attempt([Arc::clone(&bytes)]);
                wal.append(&bytes, Some(expected))
                    .map(|index| (index == expected, "another index than the next was given"))
            }
            Op::Batch { content, lens } => {
                let records: Vec<_> = lens.iter().map(|len| self.payload(*content, *len, wal.max_record())).collect();
                let expected = self.model.next();
                let ends = records.iter().scan(0, |end, record| {
                    *end += u32::try_from(record.len()).unwrap_or(u32::MAX);
                    Some(*end)
                });
                let ends: Vec<u32> = ends.collect();
                let data = records.concat();
                self.model.attempt(records);
                wal.append_packed(&data, &ends, Some(expected))
                    .map(|index| (index == expected, "a batch got another index"))
            }
            Op::Flush => wal.flush().map(|()| {
                self.model.flushed();
                (wal.stats().pending_bytes == 0, "something is buffered after a flush")
            }),
            Op::Sync => wal.sync().map(|durable| {
                self.model.synced();
                (durable == self.model.next(), "a sync does not reach the end")
            }),
            Op::Rotate => wal.rotate().map(|()| (true, "")),
            Op::Read => {
                if !self.machine.crashed() {
                    verify(&wal, &self.model, true)?;
                }
                Ok((true, ""))
            }
            Op::Job => {
                self.machine.run_job();
                Ok((true, ""))
            }
            Op::Close => return self.close(&wal),
            Op::Kill => return self.kill(),
            Op::FailSync { operation, passing } => {
                self.machine.inject(Fault::on(*operation, EIO).after(*passing));
                return self.fail(&wal, ErrorCode::SyncFailed);
            }
            Op::FailWrite => {
                self.machine.inject(Fault::on(Operation::Write, EIO));
                return self.fail(&wal, ErrorCode::Io);
            }
        };
        if self.machine.crashed() {
            return Ok(Step::Crashed);
        }
        match done? {
            (true, _) => {}
            (false, what) => return Err(Failure::new(what)),
        }
        if wal.next_index() != self.model.next() {
            return Err(Failure::new(format!("the log ends at {}, not at {}", wal.next_index(), self.model.next())));
        }
        if wal.durable_index() > self.model.next() || wal.durable_index() < self.model.disk() {
            return Err(Failure::new("the durable index is out of place"));
        }
        if wal.stats().segments as u64 > MOST_UNSYNCED && self.model.disk() < self.model.next() {
            return self.apply(&Op::Sync);
        }
        Ok(Step::Done)
    }

    /// Syncs with a fault in the way. Where it strikes, the log must be failed from then on, and readable.
    fn fail(&mut self, wal: &Arc<Wal>, code: ErrorCode) -> Result<Step, Failure> {
        let synced = wal.sync();
        let struck = self.machine.faults_hit() > 0;
        self.machine.clear_faults();
        if self.machine.crashed() {
            return Ok(Step::Crashed);
        }
        match synced {
            Ok(_) => {
                self.model.synced();
                // A sync that worked, and a slot that could not be written: that fails the next one.
                Ok(if struck { Step::Failed } else { Step::Done })
            }
            Err(error) if !struck => Err(error.into()),
            Err(error) if error.code() != code => {
                Err(Failure::new(format!("{} is not {}", error.code().name(), code.name())))
            }
            Err(error) => {
                let later = [wal.append(b"x", None).err(), wal.flush().err(), wal.sync().err(), wal.rotate().err()];
                if later.iter().any(|later| later.as_ref().map(ToString::to_string) != Some(error.to_string())) {
                    return Err(Failure::new(format!("after '{error}' came {later:?}")));
                }
                verify(wal, &self.model, false)?;
                Ok(Step::Failed)
            }
        }
    }

    fn close(&mut self, wal: &Arc<Wal>) -> Result<Step, Failure> {
        let closed = wal.close();
        if self.machine.crashed() {
            return Ok(Step::Crashed);
        }
        closed?;
        self.model.synced();
        self.wal = None;
        let step = self.open(self.model.next())?;
        let torn = self.wal.as_ref().is_some_and(|wal| !wal.stats().recovery.torn.is_empty());
        if torn { Err(Failure::new("a log that was closed has a torn tail")) } else { Ok(step) }
    }

    /// The process ends, and another opens the log: only what was buffered is gone.
    fn kill(&mut self) -> Result<Step, Failure> {
        let least = self.survives()?;
        let next = self.machine.kill();
        self.changes += self.machine.changes();
        if let Some(changes) = self.crash_at {
            next.crash_after(changes.saturating_sub(self.changes));
        }
        self.end();
        self.machine = next;
        let step = self.open(least)?;
        if step == Step::Done && self.model.next() != least {
            return Err(Failure::new(format!("after a kill the log ends at {}, not at {least}", self.model.next())));
        }
        Ok(step)
    }

    /// Index after the records that outlive the process.
    pub(crate) fn survives(&self) -> Result<u64, Failure> {
        match &self.wal {
            Some(wal) if wal.failed().is_none() => self.model.without_buffered(wal.stats().pending_bytes),
            _ => Ok(self.model.os()),
        }
    }

    /// The process ends. Nothing that it would still do reaches the disk.
    pub(crate) fn end(&mut self) {
        self.machine.crash_after(0);
        self.wal = None;
        self.machine.drop_jobs();
    }

    /// An error if a byte that a map had lent was changed.
    pub(crate) fn honest(&self) -> Result<(), Failure> {
        match self.machine.violations().first() {
            None => Ok(()),
            Some(violation) => Err(Failure::new(violation.clone())),
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end();
    }
}
