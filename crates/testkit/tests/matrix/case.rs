//! One case of the matrix, and what all have in common: what an error must say, what must be there afterwards.

use std::error::Error as _;
use std::sync::Arc;

use varve_io::Operation;
use varve_io::sim::{Fault, SimMachine};
use varve_testkit::{DIR, Model, open, verify};
use varve_wal::{Error, ErrorCode, SegmentError, Wal, WalOptions};

/// How an operation fails.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    errno: i32,
    code: &'static str,
    /// Half of the bytes are written before it does.
    short: bool,
}

/// All of them. Numbers as Linux has them.
pub const WAYS: &[Way] = &[
    Way { errno: 5, code: "EIO", short: false },
    Way { errno: 28, code: "ENOSPC", short: false },
    Way { errno: 122, code: "EDQUOT", short: false },
    Way { errno: 24, code: "EMFILE", short: false },
    Way { errno: 13, code: "EACCES", short: false },
    Way { errno: 30, code: "EROFS", short: false },
    Way { errno: 28, code: "ENOSPC", short: true },
    Way { errno: 5, code: "EIO", short: true },
];

impl Way {
    /// Only a write can be short.
    pub fn applies(&self, operation: Operation) -> bool {
        !self.short || operation == Operation::Write
    }

    /// The system's name for it.
    pub fn code(&self) -> &'static str {
        self.code
    }
}

/// A fault under a trial.
#[derive(Debug)]
pub struct Case {
    #[expect(dead_code, reason = "printed where a case fails")]
    pub name: &'static str,
    pub operation: Operation,
    pub way: Way,
    pub sticky: bool,
    /// So many such operations work before.
    pub passing: u64,
}

impl Case {
    /// Puts the fault in place.
    pub fn inject(&self, machine: &SimMachine) {
        let fault = Fault::on(self.operation, self.way.errno).after(self.passing);
        let fault = if self.sticky { fault.sticky() } else { fault };
        machine.inject(if self.way.short { fault.half() } else { fault });
    }

    /// An error that this fault causes is coded, and names operation, path and cause; so do its words.
    pub fn is_told(&self, error: &Error) -> varve_io::Error {
        let Error::Segment(error) = error else { panic!("{self:?} is told as {error:?}") };
        let (SegmentError::Io(cause) | SegmentError::NoSpace(cause) | SegmentError::SyncFailed(cause)) = error else {
            panic!("{self:?} is told as {error:?}");
        };
        assert_eq!((cause.operation(), cause.os_code()), (self.operation, Some(self.way.code)), "{self:?}: {error}");
        let path = cause.path().to_str().unwrap();
        assert!(path.starts_with(DIR) || DIR.starts_with(path), "{self:?} names {path}");
        let words = error.to_string();
        assert!(words.contains(path) && words.contains(self.operation.as_ref()), "{self:?}: {words}");
        assert!(error.source().is_some());
        let is_sync = matches!(self.operation, Operation::Sync | Operation::SyncDir);
        match error.code() {
            ErrorCode::NoSpace => assert!(matches!(self.way.code, "ENOSPC" | "EDQUOT"), "{self:?}: {words}"),
            ErrorCode::SyncFailed => assert!(is_sync, "{self:?}: {words}"),
            code => assert_eq!(code, ErrorCode::Io, "{self:?}: {words}"),
        }
        cause.clone()
    }
}

/// The size of segments where it does not matter: the least there is.
pub const SMALL: u64 = 64 << 10;

/// The options of a trial. The size concerns new segments only: whatever it is, any log opens.
pub fn options(segment_size: u64) -> WalOptions {
    WalOptions { segment_size: Some(segment_size), codec: "bytes".into(), ..WalOptions::default() }
}

/// The process ends, without a word to the machine.
pub fn end(machine: &SimMachine, wal: Option<Arc<Wal>>) {
    machine.crash_after(0);
    drop(wal);
    machine.drop_jobs();
}

/// Opens a machine that nothing is wrong with: all below `least` must be there, as the model has it; and it goes on.
pub fn holds(machine: &SimMachine, model: &Model, least: u64) -> u64 {
    let wal = open(machine, &options(SMALL)).unwrap();
    let next = wal.next_index();
    model.admits(next, least).unwrap();
    let mut model = model.clone();
    model.reopened(next);
    verify(&wal, &model, false).unwrap();
    assert!(wal.stats().recovery.gaps.is_empty());
    model.attempt([Arc::from(&b"one more"[..])]);
    assert_eq!(wal.append(b"one more", Some(next)).unwrap(), next);
    assert_eq!(wal.sync().unwrap(), next + 1);
    verify(&wal, &model, false).unwrap();
    wal.close().unwrap();
    assert!(machine.violations().is_empty(), "{:?}", machine.violations());
    end(machine, Some(wal));
    next
}

/// What was acknowledged is there after a power loss, and after the end of the process.
pub fn survives(machine: &SimMachine, model: &Model, seed: u64) {
    for seed in [seed, seed ^ 0x5555_5555] {
        holds(&machine.crash(seed), model, model.disk());
    }
    holds(&machine.kill(), model, model.os());
}
