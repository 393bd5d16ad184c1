//! Group commit: one sync serves all that wait. Whoever needs the disk first leads a round on its own thread; who comes meanwhile
//! waits for the next one. For promises a thread of the log's own leads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use varve_format::Bound;
use varve_segment::{Captured, Directory, DurableFile, DurablePlace, Error, Failure};

use crate::latency::{Latency, Quantiles};
use crate::listen::{Listeners, News};
use crate::owner::Owner;
use crate::writer::Wal;

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
    durable_ticket: AtomicU64,
    /// How often the log has been cut: what a round captured before a cut says nothing of the records behind it.
    cuts: Mutex<u64>,
    slots: Mutex<DurableFile>,
    latency: Mutex<Latency>,
    listeners: Arc<Listeners>,
    failure_told: AtomicBool,
    failure: Arc<Failure>,
    /// Whose thread leads, where that is not one of its own.
    owner: Option<Arc<Owner>>,
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
        listeners: Arc<Listeners>,
        owner: Option<Arc<Owner>>,
    ) -> Self {
        Self {
            directory: directory.clone(),
            turn: Mutex::default(),
            changed: Condvar::new(),
            durable,
            durable_index: AtomicU64::new(durable_index),
            durable_ticket: AtomicU64::new(0),
            cuts: Mutex::new(0),
            slots: Mutex::new(slots),
            latency: Mutex::default(),
            listeners,
            failure_told: AtomicBool::new(false),
            failure,
            owner,
        }
    }

    pub(crate) fn durable_index(&self) -> u64 {
        self.durable_index.load(Ordering::Acquire)
    }

    /// All up to this ticket is durable.
    pub(crate) fn durable_ticket(&self) -> u64 {
        self.durable_ticket.load(Ordering::Acquire)
    }

    /// Everything before it is durable.
    pub(crate) fn durable(&self) -> Bound {
        self.durable.get()
    }

    /// The log ends before `next_index` now. Called under the appender's lock.
    pub(crate) fn cut(&self, next_index: u64) {
        let mut cuts = lock(&self.cuts);
        *cuts += 1;
        self.durable_index.fetch_min(next_index, Ordering::AcqRel);
    }

    /// How often the log has been cut. Read under the appender's lock.
    pub(crate) fn cuts(&self) -> u64 {
        *lock(&self.cuts)
    }

    pub(crate) fn quantiles(&self) -> (u64, Quantiles) {
        let latency = lock(&self.latency);
        (latency.count(), latency.quantiles())
    }

    /// Returns when everything before `target` is durable. Leads a round, unless one is under way; then that one is waited for first.
    pub(crate) fn reach(
        &self,
        target: Bound,
        capture: impl Fn() -> Result<(Captured, u64), Error>,
    ) -> Result<(), Error> {
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

    fn lead(&self, capture: impl Fn() -> Result<(Captured, u64), Error>) -> Result<(), Error> {
        let machine = self.directory.machine();
        let began = machine.now_micros();
        let (captured, cuts) = capture().inspect_err(|_| self.tell_failure())?;
        if let Err(error) = self.sync_files(&captured) {
            let error = self.failure.set(Error::SyncFailed(error));
            self.tell_failure();
            return Err(error);
        }
        lock(&self.latency).record(u64::try_from(machine.now_micros() - began).unwrap_or(0));
        self.durable.set(captured.bound);
        let known = lock(&self.cuts);
        if *known == cuts {
            self.durable_index.store(captured.next_index, Ordering::Release);
        }
        drop(known);
        self.durable_ticket.fetch_max(captured.ticket, Ordering::AcqRel);
        self.listeners.tell(&News::Durable { index: self.durable_index(), ticket: captured.ticket });
        // What was asked for is durable, and has been told. Where the slot cannot be written, this round stands, and the log takes no more.
        let mut slots = lock(&self.slots);
        // Nothing is new where who led before has come as far, or the file was closed meanwhile.
        let outcome = if slots.written() == captured.bound {
            Ok(())
        } else {
            slots.write(captured.bound, captured.next_index, captured.log)
        };
        drop(slots);
        if let Err(error) = outcome {
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

    /// All before `bound` is durable, and its files are closed: so are the slots. Where more has been written since, they stay open.
    pub(crate) fn rest(&self, bound: Bound, next_index: u64, log: u64) -> Result<(), Error> {
        let mut slots = lock(&self.slots);
        if slots.written() > bound { Ok(()) } else { slots.rest(bound, next_index, log) }
    }

    /// The slots are settled: closes their file.
    pub(crate) fn let_go(&self) {
        let mut slots = lock(&self.slots);
        let bound = slots.written();
        let _settled_before = slots.rest(bound, 0, 0);
    }

    /// Has the log's own thread make everything before `target` durable. The listeners are told.
    pub(crate) fn request(self: &Arc<Self>, wal: &Arc<Wal>, target: Bound) -> Result<(), Error> {
        let mut turn = lock(&self.turn);
        self.failure.check()?;
        turn.requested = turn.requested.max(target);
        if !turn.thread {
            let (commit, weak) = (Arc::clone(self), Arc::downgrade(wal));
            if let Some(owner) = &self.owner {
                turn.thread = true;
                drop(turn);
                owner.spawn(Box::new(move || commit.serve(&weak, false)));
                return Ok(());
            }
            let spawned =
                std::thread::Builder::new().name("varve-sync".into()).spawn(move || commit.serve(&weak, true));
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

    /// The log's own thread, which stays; or, for as long as something is to be done, that of its owner. It keeps the log open only while it works
    /// for it.
    fn serve(&self, wal: &Weak<Wal>, stays: bool) {
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
                if !stays {
                    turn.thread = false;
                    return;
                }
                turn = self.changed.wait(turn).unwrap_or_else(PoisonError::into_inner);
            };
            drop(turn);
            let Some(wal) = wal.upgrade() else { return };
            let led = catch_unwind(AssertUnwindSafe(|| self.reach(target, || wal.capture())));
            if led.is_err() {
                self.failure.set(Error::Panicked);
            }
            if matches!(led, Ok(Ok(()))) {
                wal.sweep();
            } else {
                self.tell_failure();
            }
        }
    }

    pub(crate) fn stop(&self) {
        lock(&self.turn).stopped = true;
        self.changed.notify_all();
    }

    /// Tells all listeners, once, that the log has failed.
    pub(crate) fn tell_failure(&self) {
        if let Some(error) = self.failure.get()
            && !self.failure_told.swap(true, Ordering::Relaxed)
        {
            self.listeners.tell(&News::Failed(error.clone()));
        }
    }
}
