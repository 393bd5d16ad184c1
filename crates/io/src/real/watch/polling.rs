//! The way out where the system tells nothing: every watch is woken a hundred times a second.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::Watcher;
use crate::{Change, Watch};

const INTERVAL: Duration = Duration::from_millis(10);

struct Watches {
    next: u64,
    all: BTreeMap<u64, Arc<Watcher>>,
    running: bool,
    /// The thread waits for a watch.
    asleep: bool,
}

static WATCHES: Mutex<Watches> = Mutex::new(Watches { next: 0, all: BTreeMap::new(), running: false, asleep: false });
static ARRIVED: Condvar = Condvar::new();

/// Nobody is woken under this lock, so no panic can leave it in a bad state.
fn watches() -> MutexGuard<'static, Watches> {
    WATCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Polling {
    id: u64,
    watcher: Arc<Watcher>,
}

pub(super) fn watch(dir: &Path, watcher: &Arc<Watcher>) -> io::Result<Polling> {
    if !fs::metadata(dir)?.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    let mut watches = watches();
    if !watches.running {
        thread::Builder::new().name("varve-poll".into()).spawn(run)?;
        watches.running = true;
    }
    let id = watches.next;
    watches.next += 1;
    watches.all.insert(id, Arc::clone(watcher));
    if watches.asleep {
        ARRIVED.notify_one();
    }
    Ok(Polling { id, watcher: Arc::clone(watcher) })
}

/// Sleeps as long as there is nobody to wake.
fn run() {
    loop {
        let mut waiting = watches();
        waiting.asleep = true;
        while waiting.all.is_empty() {
            waiting = ARRIVED.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.asleep = false;
        let all: Vec<_> = waiting.all.values().cloned().collect();
        drop(waiting);
        for watcher in all {
            watcher.tell(Change::Names);
        }
        thread::sleep(INTERVAL);
    }
}

impl Watch for Polling {}

impl Drop for Polling {
    fn drop(&mut self) {
        self.watcher.end();
        // Given up after the lock: what the watcher owns may call the machine when it is dropped.
        let watcher = watches().all.remove(&self.id);
        drop(watcher);
    }
}

impl std::fmt::Debug for Polling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Polling").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};

    use super::super::super::tests::TempDir;
    use super::*;

    /// Long enough for any machine; only a test that fails waits for it.
    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn polling_wakes_until_it_is_dropped() {
        let temp = TempDir::new();
        // The second finds the thread asleep.
        for _ in 0..2 {
            let (sender, told) = channel();
            let tell = move |change| {
                let _ = sender.send(change);
            };
            let watcher = Arc::new(Watcher { wake: Arc::new(tell), ended: false.into() });
            assert!(watch(&temp.path().join("gone"), &watcher).is_err());
            let watch = watch(temp.path(), &watcher).unwrap();
            drop(watcher);
            for _ in 0..3 {
                assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Change::Names);
            }
            drop(watch);
            while told.recv_timeout(PATIENCE).is_ok() {}
            assert_eq!(told.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "its wake is gone");
            while !watches().asleep {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn nobody_is_told_after_the_end() {
        let (sender, told) = channel();
        let tell = move |change| {
            let _ = sender.send(change);
        };
        let watcher = Watcher { wake: Arc::new(tell), ended: false.into() };
        watcher.tell(Change::Contents);
        watcher.end();
        watcher.tell(Change::Names);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [Change::Contents]);
    }
}
