//! The one background thread of the process, for work that nobody waits for. It starts with the first job and never ends;
//! a thread that waits keeps no process alive.

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::Job;

struct Queue {
    jobs: VecDeque<Job>,
    running: bool,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { jobs: VecDeque::new(), running: false });
static ARRIVED: Condvar = Condvar::new();

/// No job runs under this lock, so no panic can leave it in a bad state.
fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn spawn(job: Job) {
    let mut queue = queue();
    queue.jobs.push_back(job);
    if !queue.running {
        // Where the system has no thread to give, the job waits for the next call.
        queue.running = thread::Builder::new().name("varve-housekeeping".into()).spawn(run).is_ok();
    }
    ARRIVED.notify_one();
}

fn run() {
    loop {
        let mut waiting = queue();
        let job = loop {
            match waiting.jobs.pop_front() {
                Some(job) => break job,
                None => waiting = ARRIVED.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(waiting);
        // A job reports its own failure; here it must only not take the thread with it.
        let _ = panic::catch_unwind(AssertUnwindSafe(job));
    }
}
