//! What was ever written, and so may be read.

use std::collections::{HashMap, HashSet};

/// Records by index. A log that was truncated had several at one index; which of them is read back is not for this to say.
#[derive(Debug, Clone, Default)]
pub struct Written {
    records: HashMap<u64, HashSet<Vec<u8>>>,
    forged: HashSet<Vec<u8>>,
    indexes_forged: bool,
    touched: bool,
    dropped_before: u64,
}

impl Written {
    /// A record that a log was given.
    pub fn add(&mut self, index: u64, bytes: &[u8]) {
        self.records.entry(index).or_default().insert(bytes.to_vec());
    }

    /// A log was truncated before `index`.
    pub fn drop_before(&mut self, index: u64) {
        self.dropped_before = self.dropped_before.max(index);
    }

    /// All that another log was given, too.
    pub fn join(&mut self, other: &Self) {
        self.drop_before(other.dropped_before);
        for (index, records) in &other.records {
            self.records.entry(*index).or_default().extend(records.iter().cloned());
        }
    }

    /// A payload in a frame with the right checks, which may lie wherever the forger put it.
    pub fn forge(&mut self, bytes: &[u8]) {
        self.forged.insert(bytes.to_vec());
    }

    /// Something has the right checksum that the log did not write there, or not then: a state, a gap, a slot, a sidecar, a file of another time.
    pub fn touch(&mut self) {
        self.touched = true;
    }

    /// Headers with the right checksum say something else: a record's index is theirs to say.
    pub fn forge_indexes(&mut self) {
        self.indexes_forged = true;
    }

    /// True if somebody wrote right checksums who is not the log.
    pub fn is_forged(&self) -> bool {
        self.indexes_forged || self.touched || !self.forged.is_empty()
    }

    /// True if no more than what was truncated is gone from a log that begins at `first_index`.
    pub fn may_begin_at(&self, first_index: u64) -> bool {
        first_index <= self.dropped_before
    }

    /// True if a log may return this record at this index.
    pub fn admits(&self, index: u64, bytes: &[u8]) -> bool {
        self.forged.contains(bytes)
            || self.records.get(&index).is_some_and(|records| records.contains(bytes))
            || (self.indexes_forged && self.records.values().any(|records| records.contains(bytes)))
    }
}
