//! Directories watched: by inotify where the system has it, else by looking at the clock.

#[cfg(target_os = "linux")]
mod inotify;
mod polling;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Change, Wake, Watch};

pub(super) fn watch(dir: &Path, wake: Wake) -> io::Result<Box<dyn Watch>> {
    let watcher = Arc::new(Watcher { wake, ended: AtomicBool::new(false) });
    #[cfg(target_os = "linux")]
    if let Some(watch) = inotify::watch(dir, &watcher)? {
        return Ok(Box::new(watch));
    }
    Ok(Box::new(polling::watch(dir, &watcher)?))
}

/// Whom to tell.
struct Watcher {
    wake: Wake,
    ended: AtomicBool,
}

impl Watcher {
    /// Called under no lock: `wake` may make and drop watches.
    fn tell(&self, change: Change) {
        if !self.ended.load(Ordering::SeqCst) {
            // A panic is its owner's trouble; here it must only not take the thread with it.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| (self.wake)(change)));
        }
    }

    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}
