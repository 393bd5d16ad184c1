//! One inotify descriptor and one thread for the whole process. Both come with the first watch and stay.

use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::Watcher;
use crate::{Change, Watch};

/// Room for the events of one read.
const BUFFER: usize = 16 * 1024;

/// Between two rounds, should the descriptor ever fail.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

struct Watches {
    /// The descriptor, once there is one.
    descriptor: Option<Arc<OwnedFd>>,
    next: u64,
    /// By the system's number of the directory: it gives one number for all watches of the same one.
    directories: BTreeMap<i32, BTreeMap<u64, Arc<Watcher>>>,
}

static WATCHES: Mutex<Watches> = Mutex::new(Watches { descriptor: None, next: 0, directories: BTreeMap::new() });

/// Nobody is woken under this lock, so no panic can leave it in a bad state.
fn watches() -> MutexGuard<'static, Watches> {
    WATCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Notified {
    number: i32,
    id: u64,
    watcher: Arc<Watcher>,
}

/// `None` where the system has no more of what it takes, or nothing of the kind.
pub(super) fn watch(dir: &Path, watcher: &Arc<Watcher>) -> io::Result<Option<Notified>> {
    let mut watches = watches();
    let Some(descriptor) = watches.descriptor() else { return Ok(None) };
    let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVE | WatchFlags::DELETE;
    // Added under the lock, which the thread takes before it looks the number up: no event can be too early.
    let number = match inotify::add_watch(&*descriptor, dir, flags | WatchFlags::DELETE_SELF | WatchFlags::ONLYDIR) {
        Err(Errno::NOSPC | Errno::NOMEM) => return Ok(None),
        added => added?,
    };
    let id = watches.next;
    watches.next += 1;
    watches.directories.entry(number).or_default().insert(id, Arc::clone(watcher));
    Ok(Some(Notified { number, id, watcher: Arc::clone(watcher) }))
}

impl Watches {
    /// Tried again by the next watch where it fails.
    fn descriptor(&mut self) -> Option<Arc<OwnedFd>> {
        if self.descriptor.is_none() {
            let new = Arc::new(inotify::init(CreateFlags::CLOEXEC).ok()?);
            let reads = Arc::clone(&new);
            thread::Builder::new().name("varve-watch".into()).spawn(move || run(&reads)).ok()?;
            self.descriptor = Some(new);
        }
        self.descriptor.clone()
    }

    /// Whom the events of one read concern: those who are to hear of names, and those who are to hear of contents.
    fn concerned(&mut self, events: &Events) -> (Vec<Arc<Watcher>>, Vec<Arc<Watcher>>) {
        let (mut names, mut contents) = (Vec::new(), Vec::new());
        for (number, watchers) in &self.directories {
            let flags = events.of(*number);
            if flags.intersects(!ReadFlags::MODIFY) {
                names.extend(watchers.values().cloned());
            }
            if flags.contains(ReadFlags::MODIFY) {
                contents.extend(watchers.values().cloned());
            }
        }
        // The system has forgotten the number: the directory is gone.
        self.directories.retain(|number, _| !events.of(*number).contains(ReadFlags::IGNORED));
        (names, contents)
    }
}

/// The events of one read, put together.
#[derive(Default)]
struct Events {
    by_number: BTreeMap<i32, ReadFlags>,
    /// Some are missing.
    lost: bool,
}

impl Events {
    /// What happened to a directory; of what is lost, the most.
    fn of(&self, number: i32) -> ReadFlags {
        let lost = if self.lost { ReadFlags::QUEUE_OVERFLOW } else { ReadFlags::empty() };
        self.by_number.get(&number).copied().unwrap_or(ReadFlags::empty()) | lost
    }
}

fn run(descriptor: &OwnedFd) {
    let mut buffer = [MaybeUninit::uninit(); BUFFER];
    let mut reader = Reader::new(descriptor, &mut buffer);
    loop {
        let events = read(&mut reader);
        let (names, contents) = watches().concerned(&events);
        for watcher in names {
            watcher.tell(Change::Names);
        }
        for watcher in contents {
            watcher.tell(Change::Contents);
        }
    }
}

/// Waits for an event, and takes all that came with it.
fn read(reader: &mut Reader<'_, &OwnedFd>) -> Events {
    let mut events = Events::default();
    loop {
        match reader.next() {
            Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => events.lost = true,
            Ok(event) => *events.by_number.entry(event.wd()).or_insert(ReadFlags::empty()) |= event.events(),
            Err(Errno::INTR) => continue,
            // Not known to happen. It is polling then, and nobody waits for ever.
            Err(_) => {
                thread::sleep(AFTER_FAILURE);
                events.lost = true;
            }
        }
        if reader.is_buffer_empty() {
            return events;
        }
    }
}

impl Watch for Notified {}

impl Drop for Notified {
    fn drop(&mut self) {
        self.watcher.end();
        let mut watches = watches();
        let Some(watchers) = watches.directories.get_mut(&self.number) else { return };
        let watcher = watchers.remove(&self.id);
        if watchers.is_empty() {
            watches.directories.remove(&self.number);
            if let Some(descriptor) = &watches.descriptor {
                // Fails where the directory is gone already.
                let _ = inotify::remove_watch(&**descriptor, self.number);
            }
        }
        drop(watches);
        // After the lock: what the watcher owns may call the machine when it is dropped.
        drop(watcher);
    }
}

impl std::fmt::Debug for Notified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notified").field("directory", &self.number).field("id", &self.id).finish_non_exhaustive()
    }
}
