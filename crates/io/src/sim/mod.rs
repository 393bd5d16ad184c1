//! A machine in memory that loses, at a crash, whatever a real one may lose, and fails when it is told to.
//!
//! **What is durable.** A file has the bytes that readers see and the bytes that the disk holds. [`File::sync_data`](crate::File::sync_data) makes its
//! bytes and its length durable, but not its name: names are durable after [`Machine::sync_dir`](crate::Machine::sync_dir) alone.
//!
//! **A crash** ([`SimMachine::crash`]) gives one of the many disks that the machine may come up with. Of what was not synced, any
//! subset of the 512-byte sectors is there, with their last bytes or some earlier unsynced ones; one in a hundred is
//! torn in the middle. Any subset of the changes to the names of a directory was made, in their order. The length of a file grew or did not, whatever
//! became of its bytes. What was synced is there.
//!
//! **A kill** ([`SimMachine::kill`]) ends the process only: the next one finds everything that was written.
//!
//! **A failed sync** leaves readers with the new bytes and the disk with the old ones, and the next sync does not
//! mend it, as Linux behaves.
//!
//! Nothing here is left to time or to the system: equal seeds and equal calls give equal disks, byte for byte.
//! Calls block one another, so that they may come from several threads, whose order then is the caller's to fix.

mod directory;
mod disk;
mod handle;
mod inode;
mod machine;
mod pages;
mod plan;
mod rng;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Error, Job, Operation, Result};
use disk::Disk;
use handle::Lent;
use plan::Plan;
use rng::Rng;
use watch::Watches;

pub use plan::Fault;

/// Where the clock of a new machine stands: 2026-01-01, in microseconds.
const START: i64 = 1_767_225_600_000_000;

/// The process id that locks of a simulated machine tell.
pub const PID: u32 = 4711;

/// A simulated machine. Clones are handles of the same one.
#[derive(Clone)]
pub struct SimMachine {
    shared: Arc<Shared>,
}

struct Shared {
    /// Tells the directories of different machines in one process apart.
    device: u64,
    state: Mutex<State>,
    /// Apart from the state: a job calls the machine.
    jobs: Mutex<VecDeque<Job>>,
}

struct State {
    disk: Disk,
    plan: Plan,
    mutants: Mutants,
    rng: Rng,
    now: i64,
    locked: BTreeSet<u64>,
    lent: Lent,
    watches: Watches,
    violations: Vec<String>,
    open_files: usize,
    closed_unsynced: Vec<PathBuf>,
}

type PathPredicate = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

/// Syncs that are left out, to show that a test notices.
#[derive(Clone, Default)]
struct Mutants {
    ignore_sync_data: Option<PathPredicate>,
    ignore_sync_dir: Option<PathPredicate>,
}

impl SimMachine {
    /// An empty machine, all of whose random numbers come from `seed`.
    pub fn new(seed: u64) -> Self {
        Self::of(Disk::new(), Mutants::default(), Rng::new(seed), START)
    }

    fn of(disk: Disk, mutants: Mutants, rng: Rng, now: i64) -> Self {
        static DEVICES: AtomicU64 = AtomicU64::new(1);
        let state = State {
            disk,
            mutants,
            rng,
            now,
            plan: Plan::default(),
            locked: BTreeSet::new(),
            lent: Lent::default(),
            watches: Watches::default(),
            violations: Vec::new(),
            open_files: 0,
            closed_unsynced: Vec::new(),
        };
        let device = DEVICES.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::new(Shared { device, state: Mutex::new(state), jobs: Mutex::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// A machine as this one may come up after losing power now; each seed gives one. This one goes on as if nothing had
    /// happened. The new one has the same mutants, capacity and time, but no faults, locks, jobs or trace.
    ///
    /// Costs some microseconds, and the memory of what was written since the last syncs; the rest is shared.
    pub fn crash(&self, seed: u64) -> Self {
        let state = self.state();
        let mut rng = Rng::new(seed);
        let disk = state.disk.image(&mut rng);
        Self::of(disk, state.mutants.clone(), rng, state.now)
    }

    /// A machine as the next process finds it when this process ends now: everything written is there, durable or not as before, and all locks
    /// are free. This one goes on apart from it. The new one has the same mutants, capacity and time, but no faults, jobs or trace.
    pub fn kill(&self) -> Self {
        let state = self.state();
        Self::of(state.disk.survivor(), state.mutants.clone(), state.rng.clone(), state.now)
    }

    /// Adds a fault. Several may wait at the same time; of those that match an operation, the oldest strikes.
    pub fn inject(&self, fault: Fault) {
        self.state().plan.faults.push(fault);
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        self.state().plan.faults.clear();
    }

    /// How often the faults that are in place have struck.
    pub fn faults_hit(&self) -> u64 {
        self.state().plan.hits()
    }

    /// Limits the disk to `bytes` (`None`: no limit). What is beyond the limit already stays; allocating more fails with ENOSPC
    /// until names are removed, ranges punched or the limit raised.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.state().disk.capacity = bytes;
    }

    /// Bytes allocated on the disk, in blocks of 4 KiB.
    pub fn used(&self) -> usize {
        self.state().disk.used()
    }

    /// How many operations that change something were asked for. Each is a point to crash at.
    pub fn changes(&self) -> u64 {
        self.state().plan.changes
    }

    /// Lets only the first `changes` changing operations of this machine happen, as [`SimMachine::changes`] counts them: the
    /// next one, and every operation after it, does nothing and fails with an error that [`is_crash`] knows.
    /// Slices of maps stay readable.
    pub fn crash_after(&self, changes: u64) {
        self.state().plan.crash_at = Some(changes);
    }

    /// True once an operation has failed because of [`SimMachine::crash_after`].
    pub fn crashed(&self) -> bool {
        self.state().plan.crashed
    }

    /// Begins to record the changing operations.
    pub fn start_trace(&self) {
        self.state().plan.trace = Some(Vec::new());
    }

    /// The changing operations since [`SimMachine::start_trace`] or the last call, in order.
    pub fn take_trace(&self) -> Vec<(Operation, PathBuf)> {
        self.state().plan.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// A mutant: syncs of files whose path, as they were opened by, meets `ignored` say that they worked and do nothing.
    pub fn ignore_sync_data(&self, ignored: impl Fn(&Path) -> bool + Send + Sync + 'static) {
        self.state().mutants.ignore_sync_data = Some(Arc::new(ignored));
    }

    /// A mutant: syncs of directories whose path meets `ignored` say that they worked and do nothing.
    pub fn ignore_sync_dir(&self, ignored: impl Fn(&Path) -> bool + Send + Sync + 'static) {
        self.state().mutants.ignore_sync_dir = Some(Arc::new(ignored));
    }

    /// What broke the promise of [`Map::slice`](crate::Map::slice): writes and holes that changed a byte while a map that had lent it was alive.
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    /// How many files are open.
    pub fn open_files(&self) -> usize {
        self.state().open_files
    }

    /// Files, by the path they were opened by, that were closed with bytes written by that opener and not synced by it, while they had a name.
    pub fn closed_unsynced(&self) -> Vec<PathBuf> {
        self.state().closed_unsynced.clone()
    }

    /// Moves the clock, back too.
    pub fn advance(&self, micros: i64) {
        self.state().now += micros;
    }

    /// Runs the oldest job that waits, on this thread; false where none does.
    pub fn run_job(&self) -> bool {
        let job = self.shared.jobs().pop_front();
        // Not under the lock: a job may spawn another.
        job.map(|job| job()).is_some()
    }

    /// How many jobs wait.
    pub fn jobs(&self) -> usize {
        self.shared.jobs().len()
    }

    /// Drops the jobs that wait, as the end of the process does. A job that holds an engine that holds this machine keeps all three alive.
    pub fn drop_jobs(&self) {
        // The jobs are dropped after the lock is given up: they may own what calls the machine when it is dropped.
        let jobs = std::mem::take(&mut *self.shared.jobs());
        drop(jobs);
    }

    /// The bytes of a file as readers see them. Meets no fault, and is not counted.
    pub fn contents(&self, path: &Path) -> Result<Vec<u8>> {
        let mut state = self.state();
        let number = state.disk.file_number(path).map_err(|error| Error::new(Operation::Read, path, error))?;
        let inode = state.disk.inode(number);
        let mut bytes = vec![0; inode.len()];
        inode.read(0, &mut bytes);
        Ok(bytes)
    }

    /// Puts a file with these bytes in the place of another, or where none was, all of it durable: damage done from outside. Those who have
    /// the old one open keep it. Meets no fault, and is not counted.
    pub fn set_contents(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut state = self.state();
        let disk = &mut state.disk;
        let set = match disk.unlink(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => disk.create(path),
        };
        let number = set.map_err(|error| Error::new(Operation::Write, path, error))?;
        disk.inode(number).write(0, bytes);
        disk.inode(number).sync();
        let above = path.parent().unwrap_or(Path::new(""));
        disk.sync_directory(above).map_err(|error| Error::new(Operation::SyncDir, above, error))?;
        state.names_changed(path);
        state.contents_changed(number);
        Ok(())
    }
}

/// True for the errors that [`SimMachine::crash_after`] causes.
pub fn is_crash(error: &Error) -> bool {
    plan::is_crash(error)
}

impl Shared {
    /// A panic of a test may poison the lock; what it guards is still whole enough to look at.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn jobs(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SimMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimMachine").field("device", &self.shared.device).finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("device", &self.device).finish_non_exhaustive()
    }
}
