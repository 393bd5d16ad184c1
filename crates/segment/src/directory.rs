//! A directory on a machine, the names in it, and the chores that are done in it in the background.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use varve_io::{Access, EntryKind, File, Job, Lock, LockAttempt, Machine};

use crate::error::{Error, Result};
use crate::name::{FileName, MOST_IDS};
use crate::residents::Residents;

/// A directory of segments. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory {
    machine: Arc<dyn Machine>,
    path: Arc<Path>,
    chores: Arc<Chores>,
    residents: Arc<Residents>,
    /// We hold its lock, and may write.
    ours: bool,
}

/// Background work of one directory. It runs on the machine's thread; whoever closes the directory does what is left of it.
#[derive(Default)]
struct Chores {
    state: Mutex<ChoresState>,
    done: Condvar,
}

#[derive(Default)]
struct ChoresState {
    waiting: VecDeque<Job>,
    running: usize,
}

impl std::fmt::Debug for Chores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chores").field("waiting", &self.state().waiting.len()).finish_non_exhaustive()
    }
}

impl Chores {
    fn state(&self) -> MutexGuard<'_, ChoresState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the oldest chore that waits. False: none does.
    fn run_one(&self) -> bool {
        let mut state = self.state();
        let Some(chore) = state.waiting.pop_front() else { return false };
        state.running += 1;
        drop(state);
        // Chores are for convenience: one that panics is one that was not done.
        let _not_done = catch_unwind(AssertUnwindSafe(chore));
        self.state().running -= 1;
        self.done.notify_all();
        true
    }

    fn settle(&self) {
        while self.run_one() {}
        let mut state = self.state();
        while state.running > 0 {
            state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Directory {
    /// The directory at `path`; nothing is looked at.
    pub fn new(machine: Arc<dyn Machine>, path: &Path) -> Self {
        Self { machine, path: Arc::from(path), chores: Arc::default(), residents: Arc::default(), ours: true }
    }

    /// The same, for one who only reads: nothing is written, whatever is missing or stale.
    pub fn for_reading(machine: Arc<dyn Machine>, path: &Path) -> Self {
        Self { ours: false, ..Self::new(machine, path) }
    }

    /// The directory at `path`, on the same machine. What the two keep in memory of their segments is bounded for both together.
    pub fn beside(&self, path: &Path) -> Self {
        Self { residents: Arc::clone(&self.residents), ours: self.ours, ..Self::new(Arc::clone(&self.machine), path) }
    }

    /// False for one who only reads.
    pub fn is_ours(&self) -> bool {
        self.ours
    }

    /// The machine it lies on.
    pub fn machine(&self) -> &Arc<dyn Machine> {
        &self.machine
    }

    pub(crate) fn residents(&self) -> &Residents {
        &self.residents
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of one of its files.
    pub fn file(&self, name: FileName) -> PathBuf {
        self.path.join(name.to_string())
    }

    /// The names in it that are ours. Anything but a regular file under such a name is refused: opening a pipe would wait for ever, and a link leads elsewhere.
    pub fn names(&self) -> Result<Vec<FileName>> {
        let mut names = Vec::new();
        for entry in self.machine.list(&self.path)? {
            let Some(name) = FileName::parse(&entry.name) else { continue };
            if entry.kind != EntryKind::File {
                let path = self.path.join(&entry.name);
                return Err(Error::Unsupported { path, what: "no regular file; move it out of the directory".into() });
            }
            if name.segment().is_some_and(|id| id >= MOST_IDS) {
                let path = self.path.join(&entry.name);
                let what = "named by a number that leaves none for later segments; move it out of the directory";
                return Err(Error::Unsupported { path, what: what.into() });
            }
            names.push(name);
        }
        Ok(names)
    }

    /// Takes the lock of who writes in it; [`Error::Locked`] if another process has it.
    pub fn lock(&self) -> Result<Box<dyn Lock>> {
        match self.machine.lock(&self.file(FileName::Lock))? {
            LockAttempt::Held(lock) => Ok(lock),
            LockAttempt::Busy(pid) => Err(Error::Locked { path: self.path.to_path_buf(), pid }),
        }
    }

    pub(crate) fn open(&self, name: FileName, access: Access) -> Result<Arc<dyn File>> {
        Ok(self.machine.open(&self.file(name), access)?)
    }

    pub(crate) fn create(&self, name: FileName) -> Result<Arc<dyn File>> {
        Ok(self.machine.create(&self.file(name))?)
    }

    pub(crate) fn rename(&self, from: FileName, to: FileName) -> Result<()> {
        Ok(self.machine.rename(&self.file(from), &self.file(to))?)
    }

    /// Removes one of its files.
    pub fn unlink(&self, name: FileName) -> Result<()> {
        Ok(self.machine.unlink(&self.file(name))?)
    }

    /// Makes all names created, renamed and removed in it so far durable.
    pub fn sync(&self) -> Result<()> {
        Ok(self.machine.sync_dir(&self.path)?)
    }

    /// Puts a derived file in the place of the one of that name, if there is one. It is not synced: whoever reads it checks it.
    pub fn replace_derived(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        let _missing = self.unlink(name);
        Ok(self.create(name)?.write_at(&[bytes], 0)?)
    }

    /// Puts a file in the place of the one of that name, if there is one: a crash leaves the one or the other, whole. Durable when it returns.
    pub fn replace_durably(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        let temporary = FileName::Prepared(self.machine.random());
        let file = self.create(temporary)?;
        let written = file.write_at(&[bytes], 0).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // One that stays behind is removed by the next open.
            let _stays = self.unlink(temporary);
            return Err(error.into());
        }
        self.rename(temporary, name)?;
        self.sync()
    }

    /// The first bytes of a derived file, at most `most`; `None` where it cannot be read.
    pub fn read_derived(&self, name: FileName, most: u64) -> Option<Vec<u8>> {
        let file = self.open(name, Access::Read).ok()?;
        let mut bytes = vec![0; usize::try_from(file.len().ok()?.min(most)).ok()?];
        let read = file.read_at(&mut bytes, 0).ok()?;
        bytes.truncate(read);
        Some(bytes)
    }

    /// Has `chore` done in the background, before [`Directory::settle`] returns.
    pub fn spawn(&self, chore: Job) {
        self.chores.state().waiting.push_back(chore);
        let chores = Arc::clone(&self.chores);
        self.machine.spawn(Box::new(move || {
            chores.run_one();
        }));
    }

    /// Returns when no chore is left: nothing more is done in the directory behind its owner's back.
    pub(crate) fn settle(&self) {
        self.chores.settle();
    }
}
