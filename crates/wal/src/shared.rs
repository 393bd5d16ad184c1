//! One engine a directory in a process: several threads that open the same one share it, by whatever path they come.

use std::collections::HashMap;
use std::fmt::Debug;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use varve_io::{DirIdentity, Machine};

use crate::error::{Error, Result};
use crate::options::WalOptions;
use crate::writer::Wal;

/// An engine that is shared.
pub trait Shared: Debug + Sized + 'static {
    /// What is asked for at open.
    type Options;
    /// What can go wrong.
    type Error: From<varve_io::Error>;

    /// All that are open in this process.
    fn registry() -> &'static Registry<Self>;

    /// An error for options out of their range; and of those that are not: create the directory, only read.
    fn resolve(options: &Self::Options) -> Result<(bool, bool), Self::Error>;

    /// Opens it, as its writer or to follow the writer of another process.
    fn open(
        machine: Arc<dyn Machine>,
        dir: &Path,
        options: &Self::Options,
        follow: bool,
    ) -> Result<Arc<Self>, Self::Error>;

    /// An error if an option that is given is not what the open one has.
    fn join(&self, options: &Self::Options) -> Result<(), Self::Error>;

    /// One of several handles is closed: everything so far is made durable.
    fn settle(self: &Arc<Self>) -> Result<(), Self::Error>;

    /// The last handle is closed.
    fn end(&self) -> Result<(), Self::Error>;

    /// Hands what is buffered to the system.
    fn hand_over(self: &Arc<Self>);
}

/// Those of one directory. Locked while one is being opened or closed, so that others wait for that.
type Slot<T> = Arc<Mutex<Held<T>>>;

/// The writer, and the one that follows the writer of another process: there are both where this process came to write later.
#[derive(Debug)]
struct Held<T> {
    writer: Option<(Arc<T>, usize)>,
    follower: Option<(Arc<T>, usize)>,
}

/// All engines of a kind that are open in this process.
#[derive(Debug)]
pub struct Registry<T>(LazyLock<Mutex<HashMap<DirIdentity, Slot<T>>>>);

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Registry<T> {
    /// None is open.
    pub const fn new() -> Self {
        Self(LazyLock::new(Mutex::default))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One opener's hold on an engine. The last one to be closed or dropped closes it.
#[derive(Debug)]
pub struct Handle<T: Shared = Wal> {
    engine: Arc<T>,
    slot: Slot<T>,
    read_only: bool,
    closed: bool,
}

impl<T: Shared> Deref for Handle<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.engine
    }
}

/// Opens the engine at `dir`, or joins those who have it open in this process. Options that are given must be the open one's. Where only reading is asked
/// for it is not locked: it is that of the writer in this process, if there is one, and follows that of another if not.
pub fn open_engine<T: Shared>(
    machine: &Arc<dyn Machine>,
    dir: &Path,
    options: &T::Options,
) -> Result<Handle<T>, T::Error> {
    let (create, read_only) = T::resolve(options)?;
    if create && !read_only {
        machine.create_dir_all(dir)?;
    }
    let identity = machine.identity(dir)?;
    let fresh = || Arc::new(Mutex::new(Held { writer: None, follower: None }));
    let slot = Arc::clone(lock(&T::registry().0).entry(identity).or_insert_with(fresh));
    let mut held = lock(&slot);
    let follows = read_only && held.writer.is_none();
    let place = if follows { &mut held.follower } else { &mut held.writer };
    let engine = match place.as_mut() {
        Some((engine, handles)) => {
            engine.join(options)?;
            *handles += 1;
            Arc::clone(engine)
        }
        None => {
            let engine = T::open(Arc::clone(machine), dir, options, follows)?;
            *place = Some((Arc::clone(&engine), 1));
            engine
        }
    };
    drop(held);
    Ok(Handle { engine, slot, read_only, closed: false })
}

impl<T: Shared> Handle<T> {
    /// It was opened for reading.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Makes everything so far durable, and lets go; closes the engine, if nobody else holds it.
    pub fn close(&mut self) -> Result<(), T::Error> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        let mut held = lock(&self.slot);
        let is_ours =
            |held: &Option<(Arc<T>, usize)>| held.as_ref().is_some_and(|(engine, _)| Arc::ptr_eq(engine, &self.engine));
        let place = if is_ours(&held.writer) { &mut held.writer } else { &mut held.follower };
        match place.as_mut() {
            Some((_, handles)) if *handles > 1 => {
                *handles -= 1;
                // Still under the slot's lock: nobody closes it meanwhile.
                if self.read_only { Ok(()) } else { self.engine.settle() }
            }
            _ => {
                // Closed before the slot is empty: who opens it next finds the lock free.
                let closed = self.engine.end();
                *place = None;
                closed
            }
        }
    }
}

impl<T: Shared> Drop for Handle<T> {
    fn drop(&mut self) {
        let _nobody_to_tell = self.close();
    }
}

/// Hands what all engines of a kind have buffered in this process to the system. For the end of the process, whatever brings it about.
pub fn flush_engines<T: Shared>() {
    let slots: Vec<Slot<T>> = lock(&T::registry().0).values().cloned().collect();
    for slot in slots {
        // One that is just being opened or closed needs no flush; one whose lock is held by a thread that will not run again must not hold up the end.
        if let Ok(held) = slot.try_lock()
            && let Some((engine, _)) = held.writer.as_ref()
        {
            engine.hand_over();
        }
    }
}

/// [`open_engine`] of a log of records.
pub fn open_shared(machine: &Arc<dyn Machine>, dir: &Path, options: &WalOptions) -> Result<Handle> {
    open_engine(machine, dir, options)
}

/// [`flush_engines`] of all logs of records.
pub fn flush_all() {
    flush_engines::<Wal>();
}

static LOGS: Registry<Wal> = Registry::new();

impl Shared for Wal {
    type Options = WalOptions;
    type Error = Error;

    fn registry() -> &'static Registry<Self> {
        &LOGS
    }

    fn resolve(options: &WalOptions) -> Result<(bool, bool)> {
        options.resolve()?;
        Ok((options.create.unwrap_or(true), options.read_only))
    }

    fn open(machine: Arc<dyn Machine>, dir: &Path, options: &WalOptions, follow: bool) -> Result<Arc<Self>> {
        if follow { Self::follow(machine, dir, options) } else { Self::open(machine, dir, options) }
    }

    fn join(&self, options: &WalOptions) -> Result<()> {
        options.agree(&self.options)?;
        self.agree_on_retention(options)
    }

    fn settle(self: &Arc<Self>) -> Result<()> {
        self.failed().map_or_else(|| self.sync().map(drop), |error| Err(Error::Segment(error)))
    }

    fn end(&self) -> Result<()> {
        self.close()
    }

    fn hand_over(self: &Arc<Self>) {
        let _too_late_to_tell = self.flush();
    }
}
