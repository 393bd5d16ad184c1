//! One log a directory in a process: several threads that open the same one share it, by whatever path they come.

use std::collections::HashMap;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use varve_io::{DirIdentity, Machine};

use crate::error::{Error, Result};
use crate::options::WalOptions;
use crate::writer::Wal;

/// The logs of one directory. Locked while one is being opened or closed, so that others wait for that.
type Slot = Arc<Mutex<Held>>;

/// The writer, and the one that follows the writer of another process: there are both where this process came to write later.
#[derive(Debug, Default)]
struct Held {
    writer: Option<(Arc<Wal>, usize)>,
    follower: Option<(Arc<Wal>, usize)>,
}

static OPEN: LazyLock<Mutex<HashMap<DirIdentity, Slot>>> = LazyLock::new(Mutex::default);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One opener's hold on a log. The last one to be closed or dropped closes it.
#[derive(Debug)]
pub struct Handle {
    wal: Arc<Wal>,
    slot: Slot,
    read_only: bool,
    closed: bool,
}

impl Deref for Handle {
    type Target = Arc<Wal>;

    fn deref(&self) -> &Arc<Wal> {
        &self.wal
    }
}

/// Opens the log at `dir`, or joins those who have it open in this process. Options that are given must be the open log's. With `read_only` the log
/// is not locked: it is that of the writer in this process, if there is one, and follows that of another if not.
pub fn open_shared(machine: &Arc<dyn Machine>, dir: &Path, options: &WalOptions) -> Result<Handle> {
    options.resolve()?;
    let read_only = options.read_only;
    if options.create.unwrap_or(true) && !read_only {
        machine.create_dir_all(dir)?;
    }
    let identity = machine.identity(dir)?;
    let slot = Arc::clone(lock(&OPEN).entry(identity).or_default());
    let mut held = lock(&slot);
    let follows = read_only && held.writer.is_none();
    let place = if follows { &mut held.follower } else { &mut held.writer };
    let wal = match place.as_mut() {
        Some((wal, handles)) => {
            options.agree(&wal.options)?;
            wal.agree_on_retention(options)?;
            *handles += 1;
            Arc::clone(wal)
        }
        None => {
            let open = if follows { Wal::follow } else { Wal::open };
            let wal = open(Arc::clone(machine), dir, options)?;
            *place = Some((Arc::clone(&wal), 1));
            wal
        }
    };
    drop(held);
    Ok(Handle { wal, slot, read_only, closed: false })
}

impl Handle {
    /// It was opened for reading.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Makes everything so far durable, and lets go; closes the log, if nobody else holds it.
    pub fn close(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        let mut held = lock(&self.slot);
        let is_ours =
            |held: &Option<(Arc<Wal>, usize)>| held.as_ref().is_some_and(|(wal, _)| Arc::ptr_eq(wal, &self.wal));
        let place = if is_ours(&held.writer) { &mut held.writer } else { &mut held.follower };
        match place.as_mut() {
            Some((_, handles)) if *handles > 1 => {
                *handles -= 1;
                if self.read_only {
                    return Ok(());
                }
                // Still under the slot's lock: nobody closes the log meanwhile.
                self.wal.failed().map_or_else(|| self.wal.sync().map(drop), |error| Err(Error::Segment(error)))
            }
            _ => {
                // Closed before the slot is empty: who opens it next finds the lock free.
                let closed = self.wal.close();
                *place = None;
                closed
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _nobody_to_tell = self.close();
    }
}

/// Hands what all logs of this process have buffered to the system. For the end of the process, whatever brings it about.
pub fn flush_all() {
    let slots: Vec<Slot> = lock(&OPEN).values().cloned().collect();
    for slot in slots {
        // A log that is just being opened or closed needs no flush; one whose lock is held by a thread that will not run again must not hold up the end.
        if let Ok(held) = slot.try_lock()
            && let Some((wal, _)) = held.writer.as_ref()
        {
            let _too_late_to_tell = wal.flush();
        }
    }
}
