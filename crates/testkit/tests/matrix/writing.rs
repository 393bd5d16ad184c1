//! Faults under a log that is open.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use varve_io::Operation;
use varve_io::sim::SimMachine;
use varve_testkit::{Model, open, verify};
use varve_wal::{Error, News, Result, SegmentError, Wal};

use super::case::{Case, SMALL, end, options, survives};

/// What is done while the fault waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    AppendSmall,
    AppendPastBuffer,
    BatchOverRotations,
    Rotate,
    Flush,
    Sync,
    Request,
    Close,
}

/// All of them.
pub const WRITINGS: &[Writing] = &[
    Writing::AppendSmall,
    Writing::AppendPastBuffer,
    Writing::BatchOverRotations,
    Writing::Rotate,
    Writing::Flush,
    Writing::Sync,
    Writing::Request,
    Writing::Close,
];

impl Writing {
    pub fn name(self) -> &'static str {
        match self {
            Self::AppendSmall => "append small, until a rotation",
            Self::AppendPastBuffer => "append what is larger than the buffer",
            Self::BatchOverRotations => "a batch over several rotations",
            Self::Rotate => "rotate",
            Self::Flush => "flush",
            Self::Sync => "sync",
            Self::Request => "request a sync of several segments",
            Self::Close => "close",
        }
    }

    /// Larger than the group buffer, where that matters.
    fn segment_size(self) -> u64 {
        match self {
            Self::AppendPastBuffer | Self::BatchOverRotations => 1 << 20,
            _ => 256 << 10,
        }
    }
}

/// A log that is open, and what it must hold.
struct Life {
    machine: SimMachine,
    wal: Arc<Wal>,
    model: Model,
}

/// Records of the trial, never the same twice.
fn record(index: u64, len: usize) -> Arc<[u8]> {
    let word = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    word.into_iter().cycle().take(len).collect()
}

impl Life {
    /// Some records synced, some with the system, some in the buffer, in two segments.
    fn new(writing: Writing) -> Self {
        let machine = SimMachine::new(11);
        let wal = open(&machine, &options(writing.segment_size())).unwrap();
        let mut life = Self { machine, wal, model: Model::new(0) };
        life.append(100).unwrap();
        life.append(30_000).unwrap();
        life.sync().unwrap();
        life.append(5_000).unwrap();
        life.rotate().unwrap();
        life.batch(&[10, 20_000, 0]).unwrap();
        life.flush().unwrap();
        life.append(70).unwrap();
        life.append(3_000).unwrap();
        while life.machine.run_job() {}
        life
    }

    fn append(&mut self, len: usize) -> Result<()> {
        let next = self.model.next();
        let bytes = record(next, len);
        self.model.attempt([Arc::clone(&bytes)]);
        self.wal.append(&bytes, None).map(|index| assert_eq!(index, next))
    }

    fn batch(&mut self, lens: &[usize]) -> Result<()> {
        let next = self.model.next();
        let records: Vec<_> = (next..).zip(lens).map(|(index, len)| record(index, *len)).collect();
        let ends: Vec<u32> = records
            .iter()
            .scan(0, |end, record| {
                *end += u32::try_from(record.len()).unwrap();
                Some(*end)
            })
            .collect();
        let data = records.concat();
        self.model.attempt(records);
        self.wal.append_packed(&data, &ends, None).map(|index| assert_eq!(index, next))
    }

    fn flush(&mut self) -> Result<()> {
        self.wal.flush()?;
        self.model.flushed();
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        assert_eq!(self.wal.sync()?, self.model.next());
        self.model.synced();
        Ok(())
    }

    fn rotate(&mut self) -> Result<()> {
        self.wal.rotate()
    }

    /// Asks for a sync, and waits until it is told how that went.
    fn request(&mut self) -> Result<()> {
        let (told, rounds) = channel();
        let listener = self.wal.listen(Arc::new(move |round: &News| {
            let _gone = told.send(round.clone());
        }));
        let outcome = self.wal.request_sync().and_then(|ticket| {
            if self.wal.durable_ticket() >= ticket {
                return Ok(());
            }
            loop {
                match rounds.recv_timeout(Duration::from_secs(20)).expect("nobody tells how the sync went") {
                    News::Durable { ticket: reached, .. } if reached >= ticket => return Ok(()),
                    News::Failed(error) => return Err(Error::Segment(error)),
                    _ => {}
                }
            }
        });
        self.wal.unlisten(listener);
        if outcome.is_ok() {
            self.model.synced();
        }
        outcome
    }

    fn run(&mut self, writing: Writing) -> Result<()> {
        match writing {
            Writing::AppendSmall => {
                // Fills the segment, which asks for the next one, and goes on in it.
                for _ in 0..9 {
                    let before = self.model.clone();
                    let appended = self.append(60_000);
                    self.machine.run_job();
                    if appended.is_err() && self.wal.next_index() == before.next() && self.wal.failed().is_none() {
                        self.model = before;
                    }
                    appended?;
                }
                Ok(())
            }
            Writing::AppendPastBuffer => self.append(700_000),
            Writing::BatchOverRotations => self.batch(&[900_000, 400_000, 10, 800_000, 0, 1_000_000, 30]),
            Writing::Rotate => self.rotate(),
            Writing::Flush => self.flush(),
            Writing::Sync => self.sync(),
            Writing::Request => {
                self.rotate()?;
                self.append(2_000)?;
                self.request()
            }
            Writing::Close => {
                self.wal.close()?;
                self.model.synced();
                Ok(())
            }
        }
    }

    /// All later writes get the error that the log has failed with, nothing is tried on the disk again, and reads go on.
    fn is_failed(&mut self) {
        let failed = self.wal.failed().unwrap();
        self.machine.take_trace();
        let later = [
            self.wal.append(b"x", None).err(),
            self.wal.append_packed(b"xy", &[1, 2], None).err(),
            self.wal.flush().err(),
            self.wal.sync().err(),
            self.wal.rotate().err(),
            self.wal.request_sync().err(),
        ];
        for later in later {
            let later = later.expect("a failed log takes a write");
            assert_eq!((later.code(), later.to_string()), (failed.code(), failed.to_string()));
        }
        assert_eq!(self.machine.take_trace(), [], "a failed log still writes or syncs");
    }

    fn reads_all(&self, next: u64) {
        let mut model = self.model.clone();
        model.reopened(next);
        verify(&self.wal, &model, true).unwrap();
    }
}

fn reads(operation: Operation) -> bool {
    use Operation::{List, Map, Open, Read, Stat};
    matches!(operation, List | Map | Open | Read | Stat)
}

fn is_prepared(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tmp")
}

/// True if `error` met a segment before it became part of the log. One that is made while somebody waits for it is only allocated: its first
/// write is that of its header, when the one before is sealed already.
fn preparing(error: &SegmentError) -> bool {
    let (SegmentError::Io(cause) | SegmentError::NoSpace(cause) | SegmentError::SyncFailed(cause)) = error else {
        return false;
    };
    matches!(cause.operation(), Operation::Create | Operation::Allocate)
}

/// One case. True if the fault struck.
pub fn writing(writing: Writing, case: &Case) -> bool {
    let mut life = Life::new(writing);
    let segments = life.wal.stats().segments;
    let before = (life.model.clone(), life.wal.next_index());
    life.machine.start_trace();
    case.inject(&life.machine);
    let outcome = life.run(writing);
    while life.machine.run_job() {}
    let struck = life.machine.faults_hit() > 0;
    if let Err(error) = &outcome {
        assert!(struck, "an error without a fault: {error}");
    }
    let cause = outcome.as_ref().err().map(|error| case.is_told(error));
    if writing == Writing::Close {
        closed(&mut life, case, &outcome);
        return struck;
    }
    if let Some(failed) = life.wal.failed() {
        assert!(struck);
        if let Err(error) = &outcome {
            assert_eq!(error.to_string(), failed.to_string(), "the log fails with another error than the call");
        }
        case.is_told(&Error::Segment(failed.clone()));
        assert!(!preparing(&failed), "the log fails because of a segment that was only being prepared: {failed}");
        if !case.sticky || !reads(case.operation) {
            life.reads_all(life.wal.next_index());
        }
        life.is_failed();
        survives(&life.machine, &life.model, case.passing);
        let closing = life.wal.close().expect_err("a failed log closes as if nothing had been");
        assert_eq!(closing.to_string(), failed.to_string());
        life.wal.close().expect("the error of a close is given once");
    } else if let Some(cause) = cause {
        // Nothing has happened: no index is given, nothing is to be seen, and it works when the fault is gone.
        assert!(is_prepared(cause.path()) || reads(case.operation), "{cause} is not sticky");
        assert!(reads(case.operation) || preparing(&SegmentError::from(cause)), "the log should have failed");
        if writing == Writing::BatchOverRotations || writing == Writing::AppendPastBuffer {
            life.model = before.0;
            assert_eq!(life.wal.next_index(), before.1, "an index was given, and the call failed");
            assert_eq!(life.wal.stats().segments, segments);
        }
        life.reads_all(life.model.next());
        survives(&life.machine, &life.model, case.passing);
        life.machine.clear_faults();
        life.run(writing).unwrap();
        ends_well(&mut life);
    } else {
        life.machine.clear_faults();
        ends_well(&mut life);
    }
    assert!(life.machine.violations().is_empty(), "{:?}", life.machine.violations());
    survives(&life.machine, &life.model, case.passing);
    end(&life.machine, Some(life.wal));
    struck
}

/// A log that has not failed goes on to its end.
fn ends_well(life: &mut Life) {
    life.append(333).unwrap();
    life.reads_all(life.model.next());
    life.sync().unwrap();
    life.reads_all(life.model.next());
    life.wal.close().unwrap();
}

/// A close gives the lock up, and its error once, whatever happens to it.
fn closed(life: &mut Life, case: &Case, outcome: &Result<()>) {
    let (machine, model) = (&life.machine, &life.model);
    life.wal.close().expect("the error of a close is given once");
    for later in [life.wal.append(b"x", None).err(), life.wal.sync().err(), life.wal.flush().err()] {
        assert!(matches!(later, Some(Error::Closed)), "{later:?} after {outcome:?}");
    }
    survives(machine, model, case.passing);
    machine.clear_faults();
    let again = open(machine, &options(SMALL)).expect("a close gives the lock up");
    model.admits(again.next_index(), model.disk()).unwrap();
    end(machine, Some(again));
}
