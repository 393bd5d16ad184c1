//! One life of a process that has the log open, or tries to.

use std::sync::Arc;

use varve_io::Operation;
use varve_io::sim::{Fault, SimMachine};
use varve_wal::{ErrorCode, Wal, WalOptions};

use crate::beside::Beside;
use crate::failure::Failure;
use crate::held::Held;
use crate::model::{Bounds, Model};
use crate::objectors::Objectors;
use crate::open::open;
use crate::payload::{Content, payload};
use crate::rng::Rng;
use crate::script::Op;
use crate::verify::{verify, verify_at};

const EIO: i32 = 5;

/// No record or batch makes the log begin more segments than this without a sync: it would sync on a thread of its own.
const MOST_UNSYNCED: u64 = 40;

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

/// A process, its machine, and what the log may hold.
pub(crate) struct Life {
    pub(crate) machine: SimMachine,
    pub(crate) wal: Option<Arc<Wal>>,
    pub(crate) model: Model,
    pub(crate) trail: Vec<String>,
    pub(crate) held: Held,
    pub(crate) beside: Beside,
    pub(crate) objectors: Objectors,
    pub(crate) options: WalOptions,
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
        Self {
            machine,
            wal: None,
            model,
            trail: Vec::new(),
            held: Held::default(),
            beside: Beside::default(),
            objectors: Objectors::default(),
            options,
            rng,
            changes: 0,
            crash_at,
        }
    }

    /// Changes so far: points to crash at.
    pub(crate) fn changes(&self) -> u64 {
        self.changes + self.machine.changes()
    }

    /// Opens the log, which must be in one of the states within `bounds`.
    pub(crate) fn open(&mut self, bounds: &Bounds) -> Result<Step, Failure> {
        let opened = open(&self.machine, &self.options);
        if self.machine.crashed() {
            self.trail.push("opened, and crashed in it".into());
            return Ok(Step::Crashed);
        }
        let wal = opened?;
        let (first, next, committed) = (wal.first_index(), wal.next_index(), wal.committed());
        let recovery = wal.stats().recovery;
        self.trail.push(format!("opened: {first} to {next}, committed {committed}, cut {:?}", recovery.torn.len()));
        if !recovery.gaps.is_empty() {
            return Err(Failure::new("a log that has only crashed has gaps"));
        }
        if wal.durable_index() != next {
            return Err(Failure::new(format!("{} is durable of what ends at {next}", wal.durable_index())));
        }
        let at = self.model.find(bounds, (first, next, committed), |point| verify_at(&wal, point, false))?;
        self.model.found(at, committed);
        self.model.said_durable(next)?;
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
        let before = self.before(&wal);
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
            Op::Follow => {
                if !self.machine.crashed() {
                    self.beside.follow(&self.machine, &self.options)?;
                }
                Ok((true, ""))
            }
            _ => self.manage(&wal, op)?.map(|()| (true, "")),
        };
        self.rest(&wal, op, &before);
        if self.machine.crashed() {
            return Ok(Step::Crashed);
        }
        match done? {
            (true, _) => {}
            (false, what) => return Err(Failure::new(what)),
        }
        self.agrees(&wal)?;
        if wal.stats().segments as u64 > MOST_UNSYNCED && self.model.disk() < self.model.next() {
            return self.apply(&Op::Sync);
        }
        Ok(Step::Done)
    }

    /// An error unless the log, those who hold parts of it, and who follows it are where the model is.
    fn agrees(&mut self, wal: &Arc<Wal>) -> Result<(), Failure> {
        let now = self.model.now();
        let (has, expected) =
            ((wal.first_index(), wal.next_index(), wal.committed()), (now.first(), now.next(), now.committed()));
        if has != expected {
            return Err(Failure::new(format!("first, next and committed are {has:?}, not {expected:?}")));
        }
        self.model.said_durable(wal.durable_index())?;
        self.held.stands(&self.machine)?;
        let handed = self.model.without_buffered(wal.stats().pending_bytes)?;
        self.beside.look(&self.machine, &self.model, handed, wal.durable_index())
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
                let (first, next) = (wal.first_index(), wal.next_index());
                let later = [
                    wal.append(b"x", None).err(),
                    wal.flush().err(),
                    wal.sync().err(),
                    wal.rotate().err(),
                    wal.truncate_after(first).err(),
                    wal.truncate_before(next).err(),
                    wal.reset(next).err(),
                    wal.commit(next).err(),
                ];
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
        while self.machine.run_job() {}
        if self.machine.crashed() {
            return Ok(Step::Crashed);
        }
        closed?;
        self.model.synced();
        self.held.let_all_go();
        self.objectors.clear();
        self.tidy(wal, false)?;
        self.wal = None;
        let bounds = self.model.exactly_now();
        let step = self.open(&bounds)?;
        if let Some(wal) = self.wal.as_ref().filter(|_| step == Step::Done) {
            self.tidy(wal, true)?;
        }
        let torn = self.wal.as_ref().is_some_and(|wal| !wal.stats().recovery.torn.is_empty());
        if torn { Err(Failure::new("a log that was closed has a torn tail")) } else { Ok(step) }
    }

    /// The process ends, and another opens the log: only what was buffered is gone.
    fn kill(&mut self) -> Result<Step, Failure> {
        let bounds = self.survives(true)?;
        let next = self.machine.kill();
        self.changes += self.machine.changes();
        if let Some(changes) = self.crash_at {
            next.crash_after(changes.saturating_sub(self.changes));
        }
        self.end();
        self.machine = next;
        self.open(&bounds)
    }

    /// The states in which the log is when the process ends now: one alone, if all that was begun is `done`.
    pub(crate) fn survives(&self, done: bool) -> Result<Bounds, Failure> {
        match &self.wal {
            Some(wal) if done && wal.failed().is_none() => {
                Ok(self.model.exactly(self.model.without_buffered(wal.stats().pending_bytes)?))
            }
            _ => Ok(self.model.without_process()),
        }
    }

    /// The process ends. Nothing that it would still do reaches the disk.
    pub(crate) fn end(&mut self) {
        self.machine.crash_after(0);
        self.beside = Beside::default();
        self.held.let_all_go();
        self.objectors.clear();
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
