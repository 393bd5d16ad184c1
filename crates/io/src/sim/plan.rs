use std::io;
use std::path::{Path, PathBuf};

use crate::{Error, Operation, Result};

/// An error that a [`SimMachine`](super::SimMachine) gives instead of doing what it is asked.
///
/// A write that fails so has written any prefix of its bytes, and a sync that fails so has lost what was to be synced:
/// readers see it, no later sync makes it durable. Anything else that fails has done nothing.
#[derive(Debug, Clone)]
pub struct Fault {
    operation: Option<Operation>,
    path: String,
    passing: u64,
    errno: i32,
    sticky: bool,
    half: bool,
    hits: u64,
}

impl Fault {
    /// The first such operation fails with this number of the system (5 is EIO, 28 ENOSPC, 122 EDQUOT on Linux).
    pub fn on(operation: Operation, errno: i32) -> Self {
        Self { operation: Some(operation), ..Self::any(errno) }
    }

    /// The first operation of whatever kind fails.
    pub fn any(errno: i32) -> Self {
        Self { operation: None, path: String::new(), passing: 0, errno, sticky: false, half: false, hits: 0 }
    }

    /// Only on paths that contain `part`. A file has the path it was opened by.
    pub fn path(mut self, part: &str) -> Self {
        self.path = part.to_owned();
        self
    }

    /// Lets the first `passing` operations that match through.
    pub fn after(mut self, passing: u64) -> Self {
        self.passing = passing;
        self
    }

    /// From then on, every operation that matches fails.
    pub fn sticky(mut self) -> Self {
        self.sticky = true;
        self
    }

    /// A write writes half of its bytes, then fails.
    pub fn half(mut self) -> Self {
        self.half = true;
        self
    }

    fn matches(&self, operation: Operation, path: &Path) -> bool {
        self.operation.is_none_or(|ours| ours == operation) && path.to_string_lossy().contains(&self.path)
    }
}

/// Why an operation is not done.
#[derive(Debug)]
pub(super) enum Denied {
    /// The machine has crashed: nothing happens any more.
    Crashed(Error),
    /// A fault; of a write, half of the bytes are written, or any prefix.
    Fault { error: Error, half: bool },
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Crashed(error) | Denied::Fault { error, .. } => error,
        }
    }
}

/// Marks the errors of a machine that has crashed.
#[derive(Debug)]
struct Crashed;

impl std::fmt::Display for Crashed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the simulated machine has crashed")
    }
}

impl std::error::Error for Crashed {}

pub(super) fn is_crash(error: &Error) -> bool {
    error.io_error().get_ref().is_some_and(|inner| inner.is::<Crashed>())
}

/// What is to go wrong, and what was asked so far.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) faults: Vec<Fault>,
    pub(super) crash_at: Option<u64>,
    pub(super) crashed: bool,
    /// Operations so far that changed something.
    pub(super) changes: u64,
    pub(super) trace: Option<Vec<(Operation, PathBuf)>>,
}

impl Plan {
    /// Asked before each operation.
    pub(super) fn admit(&mut self, operation: Operation, path: &Path) -> std::result::Result<(), Denied> {
        if self.crashed || (changes(operation) && self.crash_at.is_some_and(|at| self.changes >= at)) {
            self.crashed = true;
            return Err(Denied::Crashed(Error::new(operation, path, io::Error::other(Crashed))));
        }
        if changes(operation) {
            self.changes += 1;
            if let Some(trace) = &mut self.trace {
                trace.push((operation, path.to_path_buf()));
            }
        }
        // Every fault counts what it sees, also where another one strikes.
        let mut denied = Ok(());
        for fault in self.faults.iter_mut().filter(|fault| fault.matches(operation, path)) {
            if fault.passing > 0 {
                fault.passing -= 1;
            } else if denied.is_ok() && (fault.sticky || fault.hits == 0) {
                fault.hits += 1;
                let error = Error::new(operation, path, io::Error::from_raw_os_error(fault.errno));
                denied = Err(Denied::Fault { error, half: fault.half });
            }
        }
        denied
    }

    /// The same, where nothing is done by halves.
    pub(super) fn require(&mut self, operation: Operation, path: &Path) -> Result<()> {
        Ok(self.admit(operation, path)?)
    }

    pub(super) fn hits(&self) -> u64 {
        self.faults.iter().map(|fault| fault.hits).sum()
    }
}

/// True for what changes something on the disk: these are the points to crash at.
fn changes(operation: Operation) -> bool {
    match operation {
        Operation::CreateDir
        | Operation::Create
        | Operation::Write
        | Operation::Allocate
        | Operation::Punch
        | Operation::Sync
        | Operation::SyncDir
        | Operation::Rename
        | Operation::Unlink
        | Operation::Lock => true,
        Operation::List | Operation::Stat | Operation::Open | Operation::Read | Operation::Map | Operation::Watch => {
            false
        }
    }
}
