//! Group commit: one sync serves all that wait. Whoever needs the disk first leads a round on its own thread; who comes meanwhile
//! waits for the next one. For promises a thread of the log's own leads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use varve_format::Bound;
use varve_segment::{Captured, Directory, DurableFile, DurablePlace, Error, Failure};

use crate::latency::{Latency, Quantiles};
use crate::writer::Wal;

/// What listeners are told: after a sync, and once when the log fails.
#[derive(Debug, Clone)]
pub enum Round {
    /// Every record below this index is durable.
    Durable(u64),
    /// The log has failed.
    Failed(Error),
}

/// Told of each round, on the thread that led it.
pub type Listener = Arc<dyn Fn(&Round) + Send + Sync>;

#[derive(Debug, Default)]
struct Turn {
    /// A round is under way.
    running: bool,
    /// Everything before it is to be made durable by the thread.
    requested: Bound,
    thread: bool,
    stopped: bool,
}

/// The state of group commit.
pub(crate) struct GroupCommit {
    directory: Directory,
    turn: Mutex<Turn>,
    changed: Condvar,
    durable: Arc<DurablePlace>,
    durable_index: AtomicU64,
    slots: Mutex<DurableFile>,
    latency: Mutex<Latency>,
    listeners: Mutex<Vec<(u64, Listener)>>,
    next_listener: AtomicU64,
    failure_told: AtomicBool,
    failure: Arc<Failure>,
}

impl std::fmt::Debug for GroupCommit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupCommit").field("turn", &self.turn).field("durable", &self.durable).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the round even if it panics: others wait for it.
struct Leading<'a>(&'a GroupCommit);

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What was captured may not be synced, and nobody knows it any more.
            self.0.failure.set(Error::Panicked);
        }
        lock(&self.0.turn).running = false;
        self.0.changed.notify_all();
    }
}

impl GroupCommit {
    pub(crate) fn new(
        directory: &Directory,
        durable: Arc<DurablePlace>,
        durable_index: u64,
        slots: DurableFile,
        failure: Arc<Failure>,
    ) -> Self {
        Self {
            directory: directory.clone(),
            turn: Mutex::default(),
            changed: Condvar::new(),
            durable,
            durable_index: AtomicU64::new(durable_index),
            slots: Mutex::new(slots),
            latency: Mutex::default(),
            listeners: Mutex::default(),
            next_listener: AtomicU64::new(0),
            failure_told: AtomicBool::new(false),
            failure,
        }
    }

    pub(crate) fn durable_index(&self) -> u64 {
        self.durable_index.load(Ordering::Acquire)
    }

    pub(crate) fn quantiles(&self) -> (u64, Quantiles) {
        let latency = lock(&self.latency);
        (latency.count(), latency.quantiles())
    }

    /// Returns when everything before `target` is durable. Leads a round, unless one is under way; then that one is waited for first.
    pub(crate) fn reach(&self, target: Bound, capture: impl Fn() -> Result<Captured, Error>) -> Result<(), Error> {
        let mut turn = lock(&self.turn);
        loop {
            if self.durable.get() >= target {
                return Ok(());
            }
            self.failure.check()?;
            if turn.running {
                turn = self.changed.wait(turn).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            turn.running = true;
            drop(turn);
            let leading = Leading(self);
            let led = self.lead(&capture);
            drop(leading);
            led?;
            turn = lock(&self.turn);
        }
    }

    fn lead(&self, capture: impl Fn() -> Result<Captured, Error>) -> Result<(), Error> {
        let machine = self.directory.machine();
        let began = machine.now_micros();
        let captured = capture().inspect_err(|_| self.tell_failure())?;
        if let Err(error) = self.sync_files(&captured) {
            let error = self.failure.set(Error::SyncFailed(error));
            self.tell_failure();
            return Err(error);
        }
        lock(&self.latency).record(u64::try_from(machine.now_micros() - began).unwrap_or(0));
        captured.segments.iter().for_each(|(segment, _)| segment.synced());
        self.durable.set(captured.bound);
        self.durable_index.store(captured.next_index, Ordering::Release);
        self.tell(&Round::Durable(captured.next_index));
        // What was asked for is durable, and has been told. Where the slot cannot be written, this round stands, and the log takes no more.
        if let Err(error) = lock(&self.slots).write(captured.bound, captured.next_index, captured.log) {
            self.failure.set(error);
            self.tell_failure();
        }
        Ok(())
    }

    fn sync_files(&self, captured: &Captured) -> Result<(), varve_io::Error> {
        for (segment, file) in &captured.segments {
            file.sync_data().map_err(|error| error.at(&segment.path()))?;
        }
        if captured.names {
            self.directory.machine().sync_dir(self.directory.path())?;
        }
        Ok(())
    }

    /// After a clean close the bound is known for sure.
    pub(crate) fn settle(&self, captured: &Captured) -> Result<(), Error> {
        lock(&self.slots).settle(captured.bound, captured.next_index, captured.log)
    }

    /// Has the log's own thread make everything before `target` durable. The listeners are told.
    pub(crate) fn request(self: &Arc<Self>, wal: &Arc<Wal>, target: Bound) -> Result<(), Error> {
        let mut turn = lock(&self.turn);
        self.failure.check()?;
        turn.requested = turn.requested.max(target);
        if !turn.thread {
            let (commit, weak) = (Arc::clone(self), Arc::downgrade(wal));
            let spawned = std::thread::Builder::new().name("varve-sync".into()).spawn(move || commit.serve(&weak));
            turn.thread = spawned.is_ok();
            if !turn.thread {
                // No thread to be had: the caller waits itself.
                drop(turn);
                return self.reach(target, || wal.capture());
            }
        }
        drop(turn);
        self.changed.notify_all();
        Ok(())
    }

    /// The log's own thread. It keeps the log open only while it works for it.
    fn serve(&self, wal: &Weak<Wal>) {
        loop {
            let mut turn = lock(&self.turn);
            let target = loop {
                if turn.stopped || self.failure.get().is_some() {
                    turn.thread = false;
                    return;
                }
                if self.durable.get() < turn.requested {
                    break turn.requested;
                }
                turn = self.changed.wait(turn).unwrap_or_else(PoisonError::into_inner);
            };
            drop(turn);
            let Some(wal) = wal.upgrade() else { return };
            let led = catch_unwind(AssertUnwindSafe(|| self.reach(target, || wal.capture())));
            if led.is_err() {
                self.failure.set(Error::Panicked);
            }
            if !matches!(led, Ok(Ok(()))) {
                self.tell_failure();
            }
        }
    }

    pub(crate) fn stop(&self) {
        lock(&self.turn).stopped = true;
        self.changed.notify_all();
    }

    pub(crate) fn listen(&self, listener: Listener) -> u64 {
        let id = self.next_listener.fetch_add(1, Ordering::Relaxed);
        lock(&self.listeners).push((id, listener));
        id
    }

    pub(crate) fn unlisten(&self, id: u64) {
        lock(&self.listeners).retain(|(listener, _)| *listener != id);
    }

    fn tell(&self, round: &Round) {
        let listeners: Vec<Listener> = lock(&self.listeners).iter().map(|(_, listener)| Arc::clone(listener)).collect();
        listeners.iter().for_each(|listener| listener(round));
    }

    /// Tells all listeners, once, that the log has failed.
    pub(crate) fn tell_failure(&self) {
        if let Some(error) = self.failure.get()
            && !self.failure_told.swap(true, Ordering::Relaxed)
        {
            self.tell(&Round::Failed(error.clone()));
        }
    }
}
