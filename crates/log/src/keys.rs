//! The key index at work: fed by appends, written in the background, and asked.

use std::sync::atomic::AtomicBool;

use varve_format::{LogState, Message};
use varve_wal::Wal;

use crate::entry;
use crate::error::{Error, Result};
use crate::index::{IndexError, IndexOptions, KeyIndex, MAX_TAIL, Refused, Role, key_hash};
use crate::lookup::Place;
use crate::tail::{LockedTail, Tail};
use crate::writer::Log;

impl From<IndexError> for Error {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Io(error) => error.into(),
            IndexError::Aborted => varve_segment::Error::Aborted.into(),
            IndexError::Damaged { path, .. } => {
                let reason = "a table of the key index is damaged";
                varve_segment::Error::Corrupt { path, position: 0, index: None, reason }.into()
            }
        }
    }
}

impl Log {
    /// Opens the key index, and adds what it does not know yet. Everything is durable now.
    pub(crate) fn open_keys(&self, tail: &mut Tail) -> Result<()> {
        if !tail.state.key_index {
            return self.forget_keys(tail);
        }
        let role = if self.wal.is_following() { Role::Follower } else { Role::Writer };
        let end = if role == Role::Writer { tail.next_offset } else { u64::MAX };
        let options = index_options(&self.wal, &tail.state, role, end);
        let (mut keys, from) = KeyIndex::open(self.machine(), self.dir(), &options)?;
        self.add_keys(&mut keys, tail, from)?;
        tail.keys = Some(keys);
        Ok(())
    }

    /// Tables that lie in the directory of a log whose keys are not indexed are leftovers.
    fn forget_keys(&self, tail: &Tail) -> Result<()> {
        if !self.wal.is_following() {
            KeyIndex::open(self.machine(), self.dir(), &index_options(&self.wal, &tail.state, Role::Writer, 0))?;
        }
        Ok(())
    }

    pub(crate) fn machine(&self) -> std::sync::Arc<dyn varve_io::Machine> {
        std::sync::Arc::clone(self.wal.directory().machine())
    }

    /// Adds the keys of all messages from `from` on to `keys`.
    fn add_keys(&self, keys: &mut KeyIndex, tail: &Tail, from: u64) -> Result<()> {
        let Some(Place { index, .. }) = self.locate_in(tail, from)? else { return Ok(()) };
        let (seed, next) = (tail.state.key_seed, tail.next_offset);
        let mut refused = Ok(());
        entry::all_messages(&self.wal, index, &mut |message| {
            if message.offset >= from && refused.is_ok() {
                refused = add(keys, key_hash(seed, message.key), message.offset, next);
            }
        })?;
        refused
    }

    /// The tail, when the index has room for so many messages: what is written to the log is in the index, too.
    #[inline]
    pub(crate) fn tail_with_room(&self, count: usize) -> Result<LockedTail<'_>> {
        let tail = self.tail.lock();
        if tail.has_key_room(count) { Ok(tail) } else { self.make_key_room(tail, count) }
    }

    /// What is in memory has to be written first: the disk, or the thread that does it, does not keep up, and who appends waits.
    #[cold]
    fn make_key_room<'l>(&'l self, mut tail: LockedTail<'l>, count: usize) -> Result<LockedTail<'l>> {
        if count > MAX_TAIL {
            let what = "a batch, in a log whose keys are indexed, by its messages";
            return Err(Error::too_large(what, count as u64, MAX_TAIL as u64));
        }
        while !tail.has_key_room(count) {
            drop(tail);
            self.work_on_keys()?;
            // Where another thread is at it, it is waited for: some milliseconds.
            std::thread::yield_now();
            tail = self.tail.lock();
        }
        Ok(tail)
    }

    /// Adds a message that has just been appended.
    #[inline]
    pub(crate) fn index_key(&self, tail: &mut Tail, key: Option<&[u8]>, offset: u64) -> Result<()> {
        let Some(keys) = &mut tail.keys else { return Ok(()) };
        let refused = keys.insert(key_hash(self.key_seed, key), offset);
        if refused.is_err() || keys.waits_for().is_some() != tail.keys_wait {
            self.keys_full(tail, refused)?;
        }
        Ok(())
    }

    #[cold]
    fn keys_full(&self, tail: &mut Tail, refused: std::result::Result<(), Refused>) -> Result<()> {
        refused.map_err(|refused| Error::invalid(refused.to_string()))?;
        tail.keys_wait = tail.keys.as_ref().is_some_and(|keys| keys.waits_for().is_some());
        if tail.keys_wait {
            let log = std::sync::Weak::clone(&self.me);
            // Not among the chores of the directory, which whoever closes it waits for: this may be the last to hold the log.
            self.machine().spawn(Box::new(move || {
                if let Some(log) = log.upgrade() {
                    let _tried_again = log.work_on_keys();
                }
            }));
        }
        Ok(())
    }

    /// Writes what is frozen as a table, and merges tables, until nothing is left to do.
    pub(crate) fn work_on_keys(&self) -> Result<()> {
        let never = AtomicBool::new(false);
        loop {
            let tail = self.tail.lock();
            let waits = tail.keys.as_ref().and_then(KeyIndex::waits_for);
            drop(tail);
            if waits.is_some() {
                // A table may stand for durable messages only.
                self.wal.sync()?;
            }
            let mut tail = self.tail.lock();
            let Some(job) = tail.keys.as_mut().and_then(|keys| keys.take_job(waits.unwrap_or(0))) else {
                tail.keys_wait = tail.keys.as_ref().is_some_and(|keys| keys.waits_for().is_some());
                return Ok(());
            };
            drop(tail);
            let done = job.run(&|_| true, &never);
            let mut tail = self.tail.lock();
            match tail.keys.as_mut().map_or(Ok(()), |keys| keys.install(done)) {
                // Else the tables that were to be merged never would be, and who appends would be told of damage that is none of the log.
                Err(IndexError::Damaged { from, .. }) => self.index_again(&mut tail, from)?,
                installed => installed?,
            }
        }
    }

    /// A table of the index is damaged: it goes, and what is known from the offset `from` on is read from the log again.
    #[cold]
    fn index_again(&self, tail: &mut LockedTail<'_>, from: u64) -> Result<()> {
        let Some(mut keys) = tail.keys.take() else { return Ok(()) };
        let added = match keys.drop_from(from) {
            Ok(from) => self.add_keys(&mut keys, tail, from),
            Err(error) => Err(error.into()),
        };
        tail.keys = Some(keys);
        added
    }

    /// Writes all that is in memory, so that the next open need not read the log, and ends the index: whoever still works on it does nothing more in
    /// the directory. For a close.
    pub(crate) fn settle_keys(&self) {
        for _ in 0..2 {
            let mut tail = self.tail.lock();
            let froze = tail.keys.as_mut().is_some_and(KeyIndex::freeze);
            drop(tail);
            // Derived: what is not written is read again.
            let _read_again = self.work_on_keys();
            if !froze {
                break;
            }
        }
        let ended = self.tail.lock().keys.take();
        drop(ended);
    }

    /// Offset of the last message of a key; `None` if there is none. bench: log-key
    pub fn offset_by_key(&self, key: Option<&[u8]>) -> Result<Option<u64>> {
        self.get_by_key(key, |message| message.offset)
    }

    /// Hands the last message of a key to `read`; `None` is the key of those that have none.
    pub fn get_by_key<R>(&self, key: Option<&[u8]>, mut read: impl FnMut(&Message<'_>) -> R) -> Result<Option<R>> {
        self.newest_of(key, u64::MAX, &mut read)
    }

    /// Hands the last message of a key whose offset is below `before` to `read`.
    pub(crate) fn newest_of<R>(
        &self,
        key: Option<&[u8]>,
        before: u64,
        read: &mut impl FnMut(&Message<'_>) -> R,
    ) -> Result<Option<R>> {
        self.wal.check_open()?;
        loop {
            let moves = self.settled()?;
            let found = self.newest_now(key, before, read);
            // What is followed may have been rewritten while its keys were read.
            if !self.wal.is_following() || self.moves() == moves {
                return found;
            }
        }
    }

    fn newest_now<R>(
        &self,
        key: Option<&[u8]>,
        mut before: u64,
        read: &mut impl FnMut(&Message<'_>) -> R,
    ) -> Result<Option<R>> {
        let hash = key_hash(self.key_seed, key);
        let start = self.start_offset();
        loop {
            let mut tail = self.tail.lock();
            let Some(candidate) = self.candidate(&mut tail, hash, before)?.filter(|offset| *offset >= start) else {
                return Ok(None);
            };
            drop(tail);
            let mut is_it = |message: &Message<'_>| (message.key == key).then(|| read(message));
            if let Some(found) = self.find(candidate, &mut is_it)?.flatten() {
                return Ok(Some(found));
            }
            before = candidate;
        }
    }

    /// The newest message below `before` whose key has this hash, held or not.
    fn candidate(&self, tail: &mut LockedTail<'_>, hash: u64, before: u64) -> Result<Option<u64>> {
        loop {
            if tail.keys.is_none() {
                if !(tail.state.key_index && self.wal.is_following()) {
                    return Err(Error::NoIndex { by: "key" });
                }
                self.open_keys(tail)?;
            }
            let Some(keys) = &mut tail.keys else { continue };
            match keys.older(hash, before) {
                Ok(found) => return Ok(found),
                Err(IndexError::Damaged { from, .. }) => self.index_again(tail, from)?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

pub(crate) fn add(keys: &mut KeyIndex, hash: u64, offset: u64, durable: u64) -> Result<()> {
    match keys.insert(hash, offset) {
        Ok(()) => Ok(()),
        Err(Refused::Full) => {
            keys.make_room(durable, &|_| true)?;
            keys.insert(hash, offset).map_err(|refused| Error::invalid(refused.to_string()))
        }
        Err(refused) => Err(Error::invalid(refused.to_string())),
    }
}

/// Those of the log in `wal`.
pub(crate) fn index_options(wal: &Wal, state: &LogState, role: Role, end: u64) -> IndexOptions {
    let log = wal.active_segment().header.log;
    IndexOptions { log, seed: state.key_seed, start: state.start_offset, end, role, tail: None }
}
