//! Opening a log of partitions, following one, and closing it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use varve_io::{Change, Lock, Machine, Wake};
use varve_segment::{Directory, is_to_come};
use varve_wal::{News, Owner};

use super::listen::Listeners;
use super::settings::{self, Settings, subdirectory};
use super::sync::Rounds;
use super::{PartitionedLog, PartitionedOptions, lock};
use crate::error::{Error, Result};
use crate::writer::Log;

impl PartitionedLog {
    /// Opens the log of partitions at `dir` for writing, and takes its lock. Every partition that exists is opened, so that damage in one fails the open
    /// (about a millisecond each, as a log alone). For one opener a process; [`super::open_partitioned`] is for several.
    pub fn open(machine: Arc<dyn Machine>, dir: &Path, options: &PartitionedOptions) -> Result<Arc<Self>> {
        settings::check(options.partitions)?;
        options.log.wal(0).resolve()?;
        if options.log.create.unwrap_or(true) {
            machine.create_dir_all(dir)?;
        }
        let directory = Directory::new(machine, dir);
        let machine = directory.machine();
        if settings::read(&**machine, dir)?.is_none() {
            settings::check_fresh(&**machine, dir)?;
        }
        let lock = directory.lock()?;
        settings::clean(&directory);
        // Once more, now that nobody changes it.
        let there = settings::read(&**machine, dir)?;
        let count = counted(there.map(|there| there.count), options.partitions)?;
        let id = there.map_or_else(|| machine.random(), |there| there.log);
        if there != Some(Settings { count, log: id, whole: true }) {
            settings::write(&**machine, dir, count, id)?;
        }
        let owner = Owner::new(directory.clone());
        let whole = Self::over(directory, options, count, id, Some(Arc::clone(&owner)), Some(lock));
        let (mut there, mut to_come) = (Vec::new(), Vec::new());
        for partition in 0..count {
            let one = Directory::for_reading(Arc::clone(whole.directory.machine()), &dir.join(subdirectory(partition)));
            if is_to_come(&one)? { to_come.push(partition) } else { there.push(partition) }
        }
        // Those that are there tell those to come what the whole has, where that is not asked for.
        let mut log_options = options.log.clone();
        for partition in there.into_iter().chain(to_come) {
            let (machine, path) = (Arc::clone(whole.directory.machine()), dir.join(subdirectory(partition)));
            let log = Log::open_for(Some(Arc::clone(&owner)), machine, &path, &log_options)?;
            log_options.key_index = log_options.key_index.or(Some(log.key_index));
            log_options.time_index = log_options.time_index.or(Some(log.time_index));
            if !log.wal().rest()? {
                owner.woken(log.wal());
            }
            whole.put(partition, log);
        }
        Ok(whole)
    }

    /// Opens the log of partitions at `dir` for reading: takes no lock, writes nothing, and follows whoever writes it. Partitions that the writer makes
    /// later are found when they are; more of them than there are now, when it is opened again.
    pub fn follow(machine: Arc<dyn Machine>, dir: &Path, options: &PartitionedOptions) -> Result<Arc<Self>> {
        settings::check(options.partitions)?;
        let there = settings::read(&*machine, dir)?;
        let Some(Settings { count, log, .. }) = there else {
            // A directory that is missing is the more telling error.
            machine.list(dir)?;
            return Err(Error::invalid(format!("{} holds no log of partitions", dir.display())));
        };
        let whole = Self::over(Directory::for_reading(machine, dir), options, count, log, None, None);
        let weak = Weak::clone(&whole.me);
        let watch = whole.directory.machine().watch(dir, names_wake(&weak, None))?;
        lock(&whole.watches).insert(None, watch);
        for partition in 0..count {
            whole.look_for(partition)?;
        }
        Ok(whole)
    }

    fn over(
        directory: Directory,
        options: &PartitionedOptions,
        count: usize,
        id: u64,
        owner: Option<Arc<Owner>>,
        lock: Option<Box<dyn Lock>>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            directory,
            id,
            options: options.clone(),
            logs: (0..count).map(|_| OnceLock::new()).collect(),
            owner,
            lock: Mutex::new(lock),
            turn: AtomicUsize::new(0),
            producers: Mutex::default(),
            rounds: Mutex::new(Rounds::default()),
            listeners: Listeners::default(),
            retentions: AtomicU64::new(0),
            watches: Mutex::new(HashMap::new()),
            closed: AtomicBool::new(false),
        })
    }

    /// The log of `partition` is there; who listens to the whole listens to it. True if it was not there before.
    fn put(&self, partition: usize, log: Arc<Log>) -> bool {
        let Some(place) = self.logs.get(partition) else { return false };
        // Under the lock that who begins to listen takes: nobody misses it, and nobody hears it twice.
        self.listeners.attach(partition, log.wal(), || place.set(Arc::clone(&log)).is_ok())
    }

    /// Looks whether the writer, another process, has made a partition.
    pub(super) fn look_for(&self, partition: usize) -> Result<Option<&Arc<Log>>> {
        let Some(place) = self.logs.get(partition) else { return Ok(None) };
        let machine = self.directory.machine();
        let path = self.dir().join(subdirectory(partition));
        if is_to_come(&Directory::for_reading(Arc::clone(machine), &path))? {
            self.watch_for(partition);
            // What came before the watch.
            if is_to_come(&Directory::for_reading(Arc::clone(machine), &path))? {
                return Ok(None);
            }
        }
        let log = Log::follow_for_owner(Arc::clone(machine), &path, &self.options.log)?;
        if self.put(partition, log) {
            self.listeners.tell(Some(partition), &News::Moved);
        }
        lock(&self.watches).remove(&Some(partition));
        Ok(place.get())
    }

    /// The directory is there, and the log in it is being made.
    fn watch_for(&self, partition: usize) {
        if lock(&self.watches).contains_key(&Some(partition)) {
            return;
        }
        let path = self.dir().join(subdirectory(partition));
        // Where there is no directory yet, the watch of the whole tells.
        if let Ok(watch) = self.directory.machine().watch(&path, names_wake(&self.me, Some(partition))) {
            lock(&self.watches).insert(Some(partition), watch);
        }
    }

    fn look_again(&self, partition: Option<usize>) {
        if self.check_open().is_err() {
            return;
        }
        let missing = (0..self.logs.len()).filter(|at| self.logs.get(*at).is_some_and(|log| log.get().is_none()));
        for missing in missing.filter(|missing| partition.is_none_or(|partition| partition == *missing)) {
            // Told by who asks for it.
            let _told: Result<_> = self.look_for(missing);
        }
    }

    /// Writes and syncs what is there, gives unused space back, and lets go of the lock. All partitions are closed, also where one fails: then with the
    /// first error. Anything after it is an error; a second close does nothing.
    pub fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        lock(&self.watches).clear();
        let mut outcome = Ok(());
        for (_, log) in self.there() {
            let closed = log.close();
            outcome = outcome.and(closed);
        }
        if let Some(owner) = &self.owner {
            owner.stop();
        }
        lock(&self.lock).take();
        outcome
    }
}

/// How many partitions there are to be.
fn counted(there: Option<usize>, asked: Option<u32>) -> Result<usize> {
    let asked = asked.map(|asked| usize::try_from(asked).unwrap_or(usize::MAX));
    match (there, asked) {
        (Some(there), None) => Ok(there),
        (Some(there), Some(asked)) if asked < there => Err(Error::invalid(format!(
            "partitions is {there} in the log, and {asked} was asked for; there may be more of them, and never fewer"
        ))),
        (_, Some(asked)) => Ok(asked),
        (None, None) => Err(Error::invalid("partitions is needed to create a log of partitions".to_owned())),
    }
}

/// Has who follows look again, on another thread: it may take longer than the watch may.
fn names_wake(whole: &Weak<PartitionedLog>, partition: Option<usize>) -> Wake {
    let whole = Weak::clone(whole);
    Arc::new(move |change| {
        if change == Change::Names
            && let Some(found) = whole.upgrade()
        {
            let whole = Weak::clone(&whole);
            found.directory.machine().spawn(Box::new(move || {
                if let Some(whole) = whole.upgrade() {
                    whole.look_again(partition);
                }
            }));
        }
    })
}
