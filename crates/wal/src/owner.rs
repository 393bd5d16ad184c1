//! Logs that are many: their owner holds the one lock for them, has one thread for all their syncs, and sees to it that not too many of their files
//! are open at the same time.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use varve_format::Bound;
use varve_io::Job;
use varve_segment::Directory;

use crate::error::Result;
use crate::role::Role;
use crate::writer::Wal;

/// Logs whose files may be open. Beyond, those that were not written to for longest are closed in the background, synced if they have to be.
pub const MOST_AWAKE: usize = 128;

/// Beyond, who writes waits for that.
const MOST_BEFORE_WAITING: usize = MOST_AWAKE + MOST_AWAKE / 2;

/// As many are left open then: so that it is not done again at once.
const LEFT_AWAKE: usize = MOST_AWAKE / 4 * 3;

/// What logs in subdirectories of one directory share.
#[derive(Debug)]
pub struct Owner {
    directory: Directory,
    awake: Mutex<VecDeque<Awake>>,
    /// Some are being put to rest.
    resting: Mutex<()>,
    work: Arc<Work>,
}

/// A log whose files are open, and where it ended when that was looked at last.
#[derive(Debug)]
struct Awake {
    wal: Weak<Wal>,
    end: Bound,
}

/// What the one thread is to do.
#[derive(Default)]
struct Work {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    has_thread: bool,
    stopped: bool,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("waiting", &lock(&self.queue).jobs.len()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Work {
    fn run(&self) {
        let mut queue = lock(&self.queue);
        loop {
            match queue.jobs.pop_front() {
                Some(job) => {
                    drop(queue);
                    // A job tells of its own failure.
                    let _told = catch_unwind(AssertUnwindSafe(job));
                    queue = lock(&self.queue);
                }
                None if queue.stopped => {
                    queue.has_thread = false;
                    return;
                }
                None => queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Owner {
    /// Of logs in subdirectories of `directory`, whose lock the caller holds.
    pub fn new(directory: Directory) -> Arc<Self> {
        let (awake, resting, work) = (Mutex::default(), Mutex::default(), Arc::default());
        Arc::new(Self { directory, awake, resting, work })
    }

    /// The directory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Has `job` done on the one thread, after those before it. It begins with the first, and ends by [`Owner::stop`]. Where none is to be had, the
    /// job is done here.
    pub fn spawn(&self, job: Job) {
        let mut queue = lock(&self.work.queue);
        queue.jobs.push_back(job);
        if !queue.has_thread {
            let work = Arc::clone(&self.work);
            queue.has_thread = std::thread::Builder::new().name("varve-sync".into()).spawn(move || work.run()).is_ok();
        }
        let own = if queue.has_thread { None } else { queue.jobs.pop_back() };
        drop(queue);
        self.work.arrived.notify_one();
        if let Some(job) = own {
            job();
        }
    }

    /// Ends the thread, when nothing is left for it to do.
    pub fn stop(&self) {
        lock(&self.work.queue).stopped = true;
        self.work.arrived.notify_all();
    }

    /// Logs whose files are open.
    pub fn awake(&self) -> usize {
        lock(&self.awake).len()
    }

    /// The files of `wal` have been opened.
    pub fn woken(self: &Arc<Self>, wal: &Arc<Wal>) {
        let mut awake = lock(&self.awake);
        awake.push_back(Awake { wal: Arc::downgrade(wal), end: wal.end_bound() });
        let count = awake.len();
        drop(awake);
        if count > MOST_BEFORE_WAITING {
            self.put_to_rest(LEFT_AWAKE);
        } else if count == MOST_AWAKE + 1 {
            let owner = Arc::clone(self);
            self.spawn(Box::new(move || owner.put_to_rest(LEFT_AWAKE)));
        }
    }

    /// Closes files until those of `most` logs are open: first of logs that are durable and were not written to since they were looked at last, then of
    /// those before which no other was, synced.
    pub fn put_to_rest(&self, most: usize) {
        let _one_at_a_time = lock(&self.resting);
        for may_sync in [false, true] {
            let mut chances = self.awake();
            while chances > 0 && self.awake() > most {
                chances -= 1;
                let Some(Awake { wal: weak, end }) = lock(&self.awake).pop_front() else { return };
                let Some(wal) = weak.upgrade() else { continue };
                let now = wal.end_bound();
                let rests = (may_sync || now == end) && wal.put_to_rest(may_sync);
                if !rests {
                    lock(&self.awake).push_back(Awake { wal: weak, end: now });
                }
            }
        }
    }
}

impl Wal {
    fn end_bound(&self) -> Bound {
        let (segment, position, _) = self.active_end();
        Bound { segment: segment.header.id, position }
    }

    /// True if nothing more can be done about its open files.
    fn put_to_rest(self: &Arc<Self>, may_sync: bool) -> bool {
        let Role::Writer(writer) = &self.role else { return true };
        if writer.appender.lock().is_resting() {
            return true;
        }
        if may_sync {
            // Whoever writes next is told.
            let _told = self.sync();
        }
        self.rest().unwrap_or(true)
    }

    /// Closes the files of a log that has an owner, if all of it is durable; they are opened again by what is written next. False: it is not durable.
    pub fn rest(&self) -> Result<bool> {
        let (Role::Writer(writer), true) = (&self.role, self.options.thrifty) else { return Ok(false) };
        let mut appender = self.writer()?;
        if appender.is_to_come() {
            return Ok(true);
        }
        if !appender.rest() {
            return Ok(false);
        }
        let (bound, next_index, log) = (appender.bound(), appender.next_index(), appender.end().0.header.log);
        drop(appender);
        self.announce(writer.commit.rest(bound, next_index, log).map_err(|error| self.failure.set(error)))?;
        Ok(true)
    }

    /// True if it is not there yet: nothing was ever written to it, and it takes no place.
    pub fn is_to_come(&self) -> bool {
        matches!(&self.role, Role::Writer(writer) if writer.appender.lock().is_to_come())
    }

    /// True if all that it has accepted has been handed to the system.
    pub fn is_settled(&self) -> bool {
        matches!(&self.role, Role::Writer(writer) if writer.appender.lock().is_settled())
    }

    /// True if all that it has accepted is durable.
    pub fn is_durable(&self) -> bool {
        matches!(&self.role, Role::Writer(writer) if writer.appender.lock().is_durable())
    }
}
