use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Shared, SimMachine, State};
use crate::{Change, Wake, Watch};

/// Who watches what, and what they are to be told.
#[derive(Default)]
pub(super) struct Watches {
    next: u64,
    all: BTreeMap<u64, Watcher>,
}

struct Watcher {
    directory: u64,
    wake: Wake,
    names: bool,
    contents: bool,
}

/// A directory being watched.
#[derive(Debug)]
pub(super) struct SimWatch {
    shared: Arc<Shared>,
    id: u64,
}

impl SimWatch {
    pub(super) fn new(shared: &Arc<Shared>, state: &mut State, directory: u64, wake: Wake) -> Self {
        let watches = &mut state.watches;
        watches.next += 1;
        watches.all.insert(watches.next, Watcher { directory, wake, names: false, contents: false });
        Self { shared: Arc::clone(shared), id: watches.next }
    }
}

impl Watch for SimWatch {}

impl Drop for SimWatch {
    fn drop(&mut self) {
        // Given up after the lock: what the watcher owns may call the machine when it is dropped.
        let watcher = self.shared.state().watches.all.remove(&self.id);
        drop(watcher);
    }
}

impl State {
    /// A name in the directory above `path` has changed.
    pub(super) fn names_changed(&mut self, path: &Path) {
        if self.watches.all.is_empty() {
            return;
        }
        let changed = self.disk.directory_number(path.parent().unwrap_or(Path::new(""))).ok();
        for watcher in self.watches.all.values_mut().filter(|watcher| Some(watcher.directory) == changed) {
            watcher.names = true;
        }
    }

    /// The bytes of a file have changed.
    pub(super) fn contents_changed(&mut self, file: u64) {
        if self.watches.all.is_empty() {
            return;
        }
        let changed = self.disk.directory_of(file);
        for watcher in self.watches.all.values_mut().filter(|watcher| Some(watcher.directory) == changed) {
            watcher.contents = true;
        }
    }
}

impl SimMachine {
    /// Wakes, on this thread, those whose directory has changed since they were woken last, each at most once for names and once for contents;
    /// gives how many watches were woken. The real machine does so by itself.
    pub fn run_watches(&self) -> usize {
        let mut due = BTreeMap::new();
        for (id, watcher) in &mut self.state().watches.all {
            let (names, contents) = (std::mem::take(&mut watcher.names), std::mem::take(&mut watcher.contents));
            if names || contents {
                due.insert(*id, (names, contents));
            }
        }
        let mut woken = 0;
        for (id, (names, contents)) in due {
            let called = [(names, Change::Names), (contents, Change::Contents)].map(|(is_due, change)| {
                // Looked up for each call, and called under no lock: a wake may drop any watch, and calls the machine.
                let wake = self.state().watches.all.get(&id).map(|watcher| Arc::clone(&watcher.wake));
                match wake {
                    Some(wake) if is_due => {
                        wake(change);
                        true
                    }
                    _ => false,
                }
            });
            woken += usize::from(called.contains(&true));
        }
        woken
    }
}
