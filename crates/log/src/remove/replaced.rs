//! Whether a message has later or earlier ones of its key.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use varve_format::Message;

use crate::error::{Error, Result};
use crate::index::{KeyIndex, Role, key_hash};
use crate::keys::{add, index_options};
use crate::writer::Log;

/// Keys whose last message is remembered, so that it need not be read again for each that it replaces.
const REMEMBERED: usize = 1 << 14;

/// The last message of a key.
#[derive(Debug, Clone)]
struct Last {
    hash: u64,
    offset: u64,
    key: Box<[u8]>,
}

/// Asks the key index; where the log has none, one that is made for this.
#[derive(Debug)]
pub(crate) struct Replaced {
    log: Arc<Log>,
    scratch: Option<KeyIndex>,
    /// That one has files: one at a time in a directory.
    has_files: bool,
    last: Vec<Option<Last>>,
}

impl Replaced {
    /// For a log. Reads all of it, if its keys are not indexed.
    pub(crate) fn new(log: &Arc<Log>) -> Result<Self> {
        let mut replaced = Self::none(log);
        replaced.last = vec![None; REMEMBERED];
        if !log.key_index {
            let tail = log.tail.lock();
            // In a directory that another process writes nothing is changed, and where another search has files, they are not ours: more than has room in
            // memory needs an index.
            let in_memory = log.wal.is_following() || log.scratched.swap(true, Ordering::AcqRel);
            let role = if in_memory { Role::Follower } else { Role::Scratch };
            replaced.has_files = !in_memory;
            let options = index_options(&log.wal, &tail.state, role, 0);
            drop(tail);
            let (mut keys, _) = KeyIndex::open(log.machine(), log.dir(), &options)?;
            let next = log.next_offset();
            log.each_held(&varve_segment::Care::default(), &mut |message| {
                if role == Role::Follower && keys.room() == 0 {
                    return Err(Error::NoIndex { by: "key" });
                }
                add(&mut keys, key_hash(log.key_seed, message.key), message.offset, next)?;
                Ok(true)
            })?;
            replaced.scratch = Some(keys);
        }
        Ok(replaced)
    }

    /// One that is not asked.
    pub(crate) fn none(log: &Arc<Log>) -> Self {
        Self { log: Arc::clone(log), scratch: None, has_files: false, last: Vec::new() }
    }

    /// True if a later message has its key. One without a key is replaced by none.
    pub(crate) fn has_later(&mut self, message: &Message<'_>) -> Result<bool> {
        let Some(key) = message.key else { return Ok(false) };
        let hash = key_hash(self.log.key_seed, Some(key));
        let at = usize::try_from(hash % REMEMBERED as u64).unwrap_or(0);
        if let Some(Some(last)) = self.last.get(at)
            && last.hash == hash
            && *last.key == *key
        {
            return Ok(last.offset > message.offset);
        }
        let Some(offset) = self.newest(key, hash, u64::MAX)? else { return Ok(false) };
        if let Some(place) = self.last.get_mut(at) {
            *place = Some(Last { hash, offset, key: key.into() });
        }
        Ok(offset > message.offset)
    }

    /// True if an earlier message has its key. One without a key deletes nothing, and is not deleted either.
    pub(crate) fn has_earlier(&mut self, message: &Message<'_>) -> Result<bool> {
        let Some(key) = message.key else { return Ok(true) };
        let hash = key_hash(self.log.key_seed, Some(key));
        Ok(self.newest(key, hash, message.offset)?.is_some())
    }

    /// Offset of the newest message held of a key, below `before`.
    fn newest(&self, key: &[u8], hash: u64, before: u64) -> Result<Option<u64>> {
        let Some(scratch) = &self.scratch else {
            return self.log.newest_of(Some(key), before, &mut |message| message.offset);
        };
        let start = self.log.start_offset();
        for candidate in scratch.candidates(hash) {
            let candidate = candidate?;
            if candidate < start {
                break;
            }
            if candidate < before
                && let Some(true) = self.log.find(candidate, &mut |message| message.key == Some(key))?
            {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        if !self.has_files {
            return;
        }
        if let Some(mut scratch) = self.scratch.take() {
            let _removed_by_the_next_open: Result<u64> = scratch.drop_from(0).map_err(Error::from);
        }
        self.log.scratched.store(false, Ordering::Release);
    }
}
