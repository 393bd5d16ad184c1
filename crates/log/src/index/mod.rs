//! The key index of a log: from the hash of a message's key to the offsets of all messages that have it, newest first.
//!
//! **It is a superset.** It never misses a message that is held. It may name one that has been deleted since, or (once in 2^40 / entries
//! lookups) one of another key: who asks reads the message at each candidate, compares the key itself, and goes on to the next older one.
//!
//! **Where it is.** The newest part is in memory: the *tail*, and the *frozen* tail before it, which waits to be written. What is older lies in
//! immutable *tables* in the log's directory (`docs/formats/key-index.md`), mapped. Tables stand for ranges of offsets without a hole between
//! them. A table may stand for durable messages only: [`KeyIndex::take_job`] is told how far the log is durable, and does not give out the frozen
//! tail before.
//!
//! **Locks and threads are the caller's.** Nothing here blocks, but for [`KeyIndex::open`], [`KeyIndex::drop_from`] and
//! [`KeyIndex::make_room`]. Long work is a [`Job`]: taken under the caller's lock, run without it, installed under it.
//!
//! ```text
//! insert ──► tail ──full──► frozen ──durable──► take_job ─► Job::run ─► install ──► tables, merged in tiers by further jobs
//! ```
//!
//! **Memory.** At most 16 MiB an index: see [`MAX_MEMORY`]. When both halves are full an insert is refused, before anything has changed.

mod error;
mod hash;
mod job;
mod merge;
mod name;
mod survey;
mod table;
mod tail;
mod write;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use varve_io::Machine;

pub use error::{IndexError, Refused, Result};
pub use hash::key_hash;
pub use job::{Done, Job, Progress};

use job::{Outcome, Work, prefix};
use name::Name;
use table::{Belongs, Table};
use tail::{NoRoom, Tail};
use write::{Gate, Place};

/// Messages in the tail before it is frozen, at most.
pub const MAX_TAIL: usize = tail::MAX_ENTRIES;

/// Bytes of memory that an index takes, at most: 6 MiB for each of tail and frozen tail, 1.25 MiB while the latter is written, 2 MiB while a tail that was frozen early
/// grows, the buffers of a job. Of what is mapped, one bit for 4 KiB is in memory: at 800 million messages the last 256 KiB are reached.
pub const MAX_MEMORY: usize = 16 << 20;

/// Who uses an index, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one writer of a log: tables are written, merged and removed, and survive a power loss.
    Writer,
    /// Another process writes. Nothing is changed on the disk; [`KeyIndex::refresh`] takes over what the writer has written.
    Follower,
    /// An index for one piece of work, in a directory of its own that the caller removes: as the writer's, and never synced.
    Scratch,
}

/// What an index is opened with.
#[derive(Debug, Clone, Copy)]
pub struct IndexOptions {
    /// The log's own random number. Tables of another log are not used.
    pub log: u64,
    /// The seed of [`key_hash`]. Tables of another seed are not used.
    pub seed: u64,
    /// First offset of the log: no message below is held, whatever crashes.
    pub start: u64,
    /// Offset behind the last durable message. No table beyond is used. A follower gives `u64::MAX`.
    pub end: u64,
    /// Who it is for.
    pub role: Role,
    /// Messages in the tail before it is frozen: 1 to [`MAX_TAIL`], which is what `None` stands for.
    pub tail: Option<usize>,
}

/// The key index of one log. See the module's documentation.
#[derive(Debug)]
pub struct KeyIndex {
    place: Place,
    role: Role,
    limit: usize,
    start: u64,
    tables: Vec<Arc<Table>>,
    frozen: Option<Arc<Tail>>,
    tail: Tail,
    /// Files of tables that were merged or fell below the start.
    retired: Vec<Name>,
    /// What is being done; nothing, where nobody holds the job any more.
    writing: Weak<Gate>,
    merging: Weak<Gate>,
}

impl KeyIndex {
    /// Opens the index that lies in `dir`, and tells the offset from which the caller must [`KeyIndex::insert`] every message that is held,
    /// in order. Reads a header a table. A writer removes what does not belong there, and syncs the directory if anything was removed.
    ///
    /// # Errors
    /// [`IndexError::Io`] alone. Damage is no error here: such a table is left out, or met later.
    pub fn open(machine: Arc<dyn Machine>, dir: &Path, options: &IndexOptions) -> Result<(Self, u64)> {
        let IndexOptions { log, seed, start, end, role, tail } = *options;
        let belongs = Belongs { log, seed };
        let place = Place { machine, dir: dir.to_path_buf(), belongs, durable: role == Role::Writer };
        let found = survey::survey(&place, start, end)?;
        if role != Role::Follower {
            found.clean(&place)?;
        }
        let tables = found.tables;
        let next = tables.last().map_or(start, |table| table.header.to);
        let limit = tail.unwrap_or(MAX_TAIL).clamp(1, MAX_TAIL);
        let (retired, writing, merging) = (Vec::new(), Weak::new(), Weak::new());
        let tail = Tail::new(next, limit);
        Ok((Self { place, role, limit, start, tables, frozen: None, tail, retired, writing, merging }, next))
    }

    /// Adds a message: the hash of its key, and its offset, which must be above all others. What tables already stand for is passed over, so
    /// that a replay may begin before the offset that [`KeyIndex::open`] told.
    ///
    /// When the tail is full it is frozen, and a new one goes on. Costs 20 to 40 ns.
    ///
    /// # Errors
    /// [`Refused::Full`] if the frozen tail is not written yet; [`Refused::Order`]. Nothing has changed then.
    #[inline]
    pub fn insert(&mut self, hash: u64, offset: u64) -> std::result::Result<(), Refused> {
        match self.tail.insert(hash, offset) {
            Ok(()) => Ok(()),
            Err(reason) => self.insert_apart(hash, offset, reason),
        }
    }

    #[cold]
    fn insert_apart(&mut self, hash: u64, offset: u64, reason: NoRoom) -> std::result::Result<(), Refused> {
        if offset < self.tabled() {
            return Ok(());
        }
        if reason == NoRoom::Order {
            return Err(Refused::Order);
        }
        if self.frozen.is_some() {
            return Err(Refused::Full);
        }
        let next = Tail::whole(self.tail.next, self.limit);
        self.frozen = Some(Arc::new(std::mem::replace(&mut self.tail, next)));
        self.tail.insert(hash, offset).map_err(|_| Refused::Order)
    }

    /// How many messages are taken at least before an insert is refused, as long as offsets do not leap by 2^32. Asked before a message is written to the log: so
    /// nothing is in the log that the index refuses.
    #[inline]
    pub fn room(&self) -> usize {
        self.tail.room() + if self.frozen.is_none() { self.limit } else { 0 }
    }

    /// Offset behind the last message that it knows.
    #[inline]
    pub fn next(&self) -> u64 {
        self.tail.next
    }

    /// Offset behind the last message that tables stand for: where a replay would begin.
    #[inline]
    pub fn tabled(&self) -> u64 {
        self.tables.last().map_or_else(|| self.memory_from(), |table| table.header.to)
    }

    fn memory_from(&self) -> u64 {
        self.frozen.as_ref().map_or(self.tail.from, |frozen| frozen.from)
    }

    /// Bytes of memory that it takes now, what jobs take apart.
    pub fn memory(&self) -> usize {
        let frozen = self.frozen.as_ref().map_or(0, |frozen| frozen.memory());
        let tables: usize = self.tables.iter().map(|table| table.memory()).sum();
        self.tail.memory() + frozen + tables
    }

    /// Bytes of the files of its tables.
    pub fn file_bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes()).sum()
    }

    /// Entries in tables and memory, and tables.
    pub fn counts(&self) -> (u64, usize) {
        let tabled: u64 = self.tables.iter().map(|table| u64::from(table.header.count)).sum();
        let frozen = self.frozen.as_ref().map_or(0, |frozen| frozen.len());
        (tabled + (frozen + self.tail.len()) as u64, self.tables.len())
    }
}

/// Lookups.
impl KeyIndex {
    /// The newest message of that hash, if there is one.
    ///
    /// # Errors
    /// [`IndexError::Damaged`]: what the index would say is not known. So do all lookups.
    pub fn newest(&self, hash: u64) -> Result<Option<u64>> {
        self.older(hash, u64::MAX)
    }

    /// The newest message of that hash whose offset is above `offset`, if there is one.
    pub fn later_than(&self, hash: u64, offset: u64) -> Result<Option<u64>> {
        Ok(self.newest(hash)?.filter(|newest| *newest > offset))
    }

    /// The newest message of that hash whose offset is below `before`, if there is one. For callers that give up their lock between
    /// two candidates; each call searches anew.
    pub fn older(&self, hash: u64, before: u64) -> Result<Option<u64>> {
        let mut candidates = self.candidates(hash);
        candidates.before = before;
        candidates.next().transpose()
    }

    /// All messages of that hash, newest first. Ends at the first error.
    pub fn candidates(&self, hash: u64) -> Candidates<'_> {
        let frozen = self.frozen.as_ref().map_or(0, |frozen| frozen.newest(hash));
        Candidates {
            index: self,
            hash,
            in_tail: self.tail.newest(hash),
            in_frozen: frozen,
            before: u64::MAX,
            tables: self.tables.len(),
        }
    }
}

/// The candidates of one hash, newest first.
#[derive(Debug)]
pub struct Candidates<'a> {
    index: &'a KeyIndex,
    hash: u64,
    in_tail: u32,
    in_frozen: u32,
    before: u64,
    /// Tables not searched to their end.
    tables: usize,
}

impl Iterator for Candidates<'_> {
    type Item = Result<u64>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((offset, previous)) = self.index.tail.entry(self.in_tail) {
            self.in_tail = previous;
            if offset < self.before {
                return self.found(offset);
            }
        }
        while let Some((offset, previous)) = self.index.frozen.as_ref().and_then(|frozen| frozen.entry(self.in_frozen))
        {
            self.in_frozen = previous;
            if offset < self.before {
                return self.found(offset);
            }
        }
        while let Some(table) = self.tables.checked_sub(1).and_then(|at| self.index.tables.get(at)) {
            match table.older(prefix(self.hash), self.before) {
                Ok(Some(offset)) => return self.found(offset),
                Ok(None) => self.tables -= 1,
                Err(error) => {
                    self.tables = 0;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Candidates<'_> {
    fn found(&mut self, offset: u64) -> Option<Result<u64>> {
        self.before = offset;
        Some(Ok(offset))
    }
}

/// Tables.
impl KeyIndex {
    /// Reads all tables, and verifies them.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] of the first that is not intact.
    pub fn verify(&self) -> Result<()> {
        self.tables.iter().try_for_each(|table| table.verify())
    }

    /// Freezes the tail, though it is not full, so that it can be written: before a clean close, say. False if there is nothing
    /// in it, or the one before is not written yet.
    pub fn freeze(&mut self) -> bool {
        if self.frozen.is_some() || self.tail.len() == 0 {
            return false;
        }
        let next = Tail::new(self.tail.next, self.limit);
        self.frozen = Some(Arc::new(std::mem::replace(&mut self.tail, next)));
        true
    }

    /// The log must be durable up to this offset before the frozen tail can be written; `None` if nothing waits.
    pub fn waits_for(&self) -> Option<u64> {
        self.frozen.as_ref().map(|frozen| frozen.next)
    }

    /// Messages below `start` are no more held, whatever crashes. Tables that stand for no others go.
    pub fn trim(&mut self, start: u64) {
        self.start = self.start.max(start);
        let gone = self.tables.iter().take_while(|table| table.header.to <= self.start).count();
        if self.role != Role::Follower {
            self.retired.extend(self.tables.iter().take(gone).map(|table| table.name()));
        }
        self.tables.drain(..gone);
    }

    /// Work that waits, if there is any. The log is durable up to `durable`. At most one merge, and one job of another kind, are under way at a time.
    ///
    /// Whoever takes it runs it without the lock, and gives what comes of it to [`KeyIndex::install`]. Then there may be more.
    pub fn take_job(&mut self, durable: u64) -> Option<Job> {
        if self.role == Role::Follower {
            return None;
        }
        if self.writing.strong_count() == 0 {
            let due = self.frozen.as_ref().filter(|frozen| frozen.next <= durable);
            let work = due.map(|frozen| Work::Write(Arc::clone(frozen)));
            let remove = || (!self.retired.is_empty()).then(|| Work::Remove(self.retired.clone()));
            if let Some(work) = work.or_else(remove) {
                let gate = Arc::new(Gate::default());
                self.writing = Arc::downgrade(&gate);
                return Some(Job { gate, place: self.place.clone(), work });
            }
        }
        if self.merging.strong_count() == 0
            && let Some(tables) = merge::choose(&self.tables)
        {
            let work = Work::Merge { tables: tables.to_vec(), start: self.start, under_way: None };
            let gate = Arc::new(Gate::default());
            self.merging = Arc::downgrade(&gate);
            return Some(Job { gate, place: self.place.clone(), work });
        }
        None
    }

    /// Takes over what a job has done. What has been called off meanwhile is passed over.
    ///
    /// # Errors
    /// Those of the job: the index is as it was, and the job is offered again. After [`IndexError::Damaged`] the caller calls [`KeyIndex::drop_from`].
    pub fn install(&mut self, done: Done) -> Result<()> {
        let Done { gate, outcome } = done;
        let ours = [&self.writing, &self.merging].iter().any(|weak| Weak::ptr_eq(weak, &Arc::downgrade(&gate)));
        if !ours || gate.is_closed() {
            return Ok(());
        }
        match outcome? {
            Outcome::Written(table) => {
                self.frozen = None;
                self.tables.push(Arc::new(table));
            }
            Outcome::Removed(names) => self.retired.retain(|name| !names.contains(name)),
            Outcome::Merged { of, into } => self.replace(&of, into),
        }
        Ok(())
    }

    /// Puts `into` in the place of the tables it was made of. Those that were trimmed meanwhile are at their front.
    fn replace(&mut self, of: &[Arc<Table>], into: Table) {
        let is_old = |table: &Arc<Table>| of.iter().any(|old| Arc::ptr_eq(old, table));
        let Some(first) = self.tables.iter().position(is_old) else {
            self.retired.push(into.name());
            return;
        };
        self.retired.extend(self.tables.iter().filter(|table| is_old(table)).map(|table| table.name()));
        self.tables.retain(|table| !is_old(table));
        self.tables.insert(first, Arc::new(into));
    }

    /// Forgets all messages from `offset` on, durably, and tells from where the caller must insert again: from there on the index knows nothing.
    /// That is `offset` where it lies in memory, or the start of the table that has it.
    ///
    /// Called **before** messages are cut off the end of the log, so that offsets given once more are never looked up in an old table; and with
    /// the `from` of [`IndexError::Damaged`]. Work under way is called off. Waits for the disk. A follower changes nothing on the disk.
    ///
    /// # Errors
    /// [`IndexError::Io`]: old tables may come back after a crash. The caller must not cut, and may try again.
    pub fn drop_from(&mut self, offset: u64) -> Result<u64> {
        self.call_off();
        self.start = self.start.min(offset);
        let kept = self.tables.partition_point(|table| table.header.to <= offset);
        if kept < self.tables.len() || offset < self.memory_from() {
            self.tables.truncate(kept);
            let from = self.tables.last().map_or(self.start, |table| table.header.to);
            self.frozen = None;
            self.tail = Tail::new(from, self.limit);
        } else if offset >= self.tail.from {
            self.tail.truncate(offset);
        } else if let Some(frozen) = self.frozen.take() {
            self.tail = Tail::new(self.tail.from, self.limit);
            self.tail = frozen.below(offset);
        }
        if self.role != Role::Follower {
            // Not only what goes beyond `offset`: a name behind the tables that are kept may be given once more, and must not be in the way then.
            let kept = self.tabled();
            survey::remove_behind(&self.place, kept)?;
            self.retired.retain(|name| name.ends_by(kept));
        }
        Ok(self.next())
    }

    /// Runs all the work that waits, here and now. For opening and for [`Role::Scratch`], where no other thread does; while one does, its job is left to it.
    /// The log is durable up to `durable`.
    ///
    /// # Errors
    /// Those of [`KeyIndex::install`].
    pub fn make_room(&mut self, durable: u64, is_held: &dyn Fn(u64) -> bool) -> Result<()> {
        let never = AtomicBool::new(false);
        while let Some(job) = self.take_job(durable) {
            let done = job.run(is_held, &never);
            self.install(done)?;
        }
        Ok(())
    }

    /// Of a follower: looks what the writer has written since, and lets go of what it then has twice. Tells as [`KeyIndex::open`] does from where messages are
    /// to be inserted: from [`KeyIndex::next`] on, or below, where the tables that were there are gone.
    ///
    /// # Errors
    /// [`IndexError::Io`].
    pub fn refresh(&mut self) -> Result<u64> {
        if self.role != Role::Follower {
            return Ok(self.next());
        }
        let found = survey::survey(&self.place, self.start, u64::MAX)?.tables;
        let tabled = found.last().map_or(self.start, |table| table.header.to);
        // Tables that are mapped stay good, though their files are gone.
        if tabled >= self.tabled() {
            self.tables = found;
            self.frozen = self.frozen.take().filter(|frozen| frozen.next > tabled);
            if self.tail.next <= tabled {
                self.tail = Tail::new(tabled, self.limit);
            }
        }
        Ok(self.next())
    }

    fn call_off(&mut self) {
        for job in [&mut self.writing, &mut self.merging] {
            if let Some(gate) = job.upgrade() {
                gate.close();
            }
            *job = Weak::new();
        }
    }
}

/// Nothing happens in the directory any more, whoever still runs a job.
impl Drop for KeyIndex {
    fn drop(&mut self) {
        self.call_off();
    }
}
