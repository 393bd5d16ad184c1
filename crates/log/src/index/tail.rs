//! The newest part of the index, in memory.

/// Entries of a tail, at most: 4 MiB of entries, 2 MiB of slots.
pub(super) const MAX_ENTRIES: usize = 1 << 18;

/// Offsets stay below, so that the end of a table can be told.
const MOST_OFFSET: u64 = varve_format::MOST - 1;

/// Slots that a tail begins with.
const MIN_SLOTS: usize = 64;

/// Bits of a slot for the number of an entry, plus one; above them lie the lower bits of the hash.
const NUMBER_BITS: u32 = 19;
const NUMBER: u32 = (1 << NUMBER_BITS) - 1;
const _: () = assert!(MAX_ENTRIES < NUMBER as usize, "the number of an entry does not fit a slot");

/// One message.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u64,
    /// Less the tail's base.
    offset: u32,
    /// Number, plus one, of the entry of the same hash before this one; 0 where there is none.
    previous: u32,
}

/// Why an offset does not go into a tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// It is full, or the offset is too far from its first one.
    Full,
    /// The offset is not above the last one, or too great.
    Order,
}

/// Hashes and offsets of consecutive messages. Offsets rise, so entries lie in their order.
#[derive(Debug)]
pub(super) struct Tail {
    /// It stands for the messages from here on.
    pub(super) from: u64,
    /// Up to here: behind the last one that was inserted.
    pub(super) next: u64,
    /// Offset of the first entry.
    base: u64,
    limit: usize,
    entries: Vec<Entry>,
    /// Open addressing, at most half full: 0, or the newest entry of a hash.
    slots: Vec<u32>,
}

impl Tail {
    /// An empty one of up to `limit` entries that begins at `from`. It grows as it fills.
    pub(super) fn new(from: u64, limit: usize) -> Self {
        let limit = limit.clamp(1, MAX_ENTRIES);
        Self { from, next: from, base: from, limit, entries: Vec::new(), slots: vec![0; MIN_SLOTS] }
    }

    /// One that takes all of its memory at once, untouched: it never stops to grow.
    pub(super) fn whole(from: u64, limit: usize) -> Self {
        let mut tail = Self::new(from, limit);
        tail.entries.reserve_exact(tail.limit);
        tail.slots = vec![0; (tail.limit * 2).next_power_of_two().max(MIN_SLOTS)];
        tail
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn room(&self) -> usize {
        self.limit - self.entries.len()
    }

    /// Offset of its first entry; where it begins, if it has none.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.slots.capacity() * size_of::<u32>()
    }

    /// Adds a message. bench: key_index, insert
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, offset: u64) -> Result<(), NoRoom> {
        if offset < self.next || offset >= MOST_OFFSET {
            return Err(NoRoom::Order);
        }
        if self.entries.is_empty() {
            self.base = offset;
        }
        let Ok(relative) = u32::try_from(offset - self.base) else { return Err(NoRoom::Full) };
        // One less than what a table can hold, so that its end can be told, too.
        if self.entries.len() >= self.limit || relative == u32::MAX {
            return Err(NoRoom::Full);
        }
        if self.entries.len() * 2 >= self.slots.len() {
            self.rehash(self.slots.len() * 2);
        }
        if self.entries.len() == self.entries.capacity() {
            let more = self.entries.len().max(MIN_SLOTS / 2).min(self.limit - self.entries.len());
            self.entries.reserve_exact(more);
        }
        self.entries.push(Entry { hash, offset: relative, previous: 0 });
        self.link(self.entries.len() - 1);
        self.next = offset + 1;
        Ok(())
    }

    /// Makes the entry `at` the newest of its hash.
    #[inline]
    fn link(&mut self, at: usize) {
        let Ok(number) = u32::try_from(at + 1) else { return };
        let hash = self.entries[at].hash;
        let slot = self.slot(hash);
        self.entries[at].previous = self.slots[slot] & NUMBER;
        self.slots[slot] = lower_bits(hash) | number;
    }

    /// The slot of a hash, or the empty one that it would take.
    #[inline]
    fn slot(&self, hash: u64) -> usize {
        let (mask, tag) = (self.slots.len() - 1, lower_bits(hash));
        let mut at = upper_bits(hash) & mask;
        loop {
            let slot = self.slots[at];
            // The entry is looked at only where the tags agree.
            if slot == 0 || (slot & !NUMBER == tag && self.entries[(slot & NUMBER) as usize - 1].hash == hash) {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    fn rehash(&mut self, slots: usize) {
        self.slots = Vec::new();
        self.slots = vec![0; slots];
        for at in 0..self.entries.len() {
            self.link(at);
        }
    }

    /// The newest entry of a hash: its number plus one; 0 if there is none.
    #[inline]
    pub(super) fn newest(&self, hash: u64) -> u32 {
        self.slots[self.slot(hash)] & NUMBER
    }

    /// The offset of an entry, and the number of the one of the same hash before it; `None` of 0.
    #[inline]
    pub(super) fn entry(&self, number: u32) -> Option<(u64, u32)> {
        let entry = self.entries.get((number as usize).checked_sub(1)?)?;
        Some((self.base + u64::from(entry.offset), entry.previous))
    }

    /// Drops the messages from `offset` on.
    pub(super) fn truncate(&mut self, offset: u64) {
        let base = self.base;
        self.entries.truncate(self.entries.partition_point(|entry| base + u64::from(entry.offset) < offset));
        self.next = self.next.min(offset.max(self.from));
        self.base = if self.entries.is_empty() { self.from } else { base };
        self.rehash(self.slots.len());
    }

    /// A copy of the messages below `offset`.
    pub(super) fn below(&self, offset: u64) -> Self {
        let mut copy = Self::new(self.from, self.limit);
        for entry in &self.entries {
            let at = self.base + u64::from(entry.offset);
            if at >= offset || copy.insert(entry.hash, at).is_err() {
                break;
            }
        }
        copy.next = self.next.min(offset.max(self.from));
        copy
    }

    /// Hands on every entry as (hash, offset less base), ordered by the upper `bits` of the hash and then by offset. Takes 4 bytes an entry, and
    /// 256 KiB, while it works.
    pub(super) fn sorted<E>(&self, bits: u32, mut take: impl FnMut(u64, u32) -> Result<(), E>) -> Result<(), E> {
        const PART_BITS: u32 = 16;
        let part = |entry: &Entry| usize::try_from(entry.hash >> (64 - PART_BITS)).unwrap_or(0);
        let mut ends = vec![0u32; (1 << PART_BITS) + 1];
        self.entries.iter().for_each(|entry| ends[part(entry) + 1] += 1);
        for at in 1..ends.len() {
            ends[at] += ends[at - 1];
        }
        // From here on `ends[p]` is where the next entry of part `p` goes: it ends up as the end of that part.
        let mut order = vec![0u32; self.entries.len()];
        for (at, entry) in self.entries.iter().enumerate() {
            let place = &mut ends[part(entry)];
            order[*place as usize] = u32::try_from(at).unwrap_or(u32::MAX);
            *place += 1;
        }
        let mut start = 0;
        for end in &ends[..1 << PART_BITS] {
            let part = &mut order[start..*end as usize];
            // Stable: the same prefix stays in the order of offsets.
            part.sort_by_key(|at| self.entries[*at as usize].hash >> (64 - bits));
            for at in part {
                let entry = self.entries[*at as usize];
                take(entry.hash, entry.offset)?;
            }
            start = *end as usize;
        }
        Ok(())
    }
}

/// The lower bits of a hash, at their place in a slot.
#[inline]
fn lower_bits(hash: u64) -> u32 {
    let [a, b, c, d, ..] = hash.to_le_bytes();
    u32::from_le_bytes([a, b, c, d]) << NUMBER_BITS
}

/// The upper bits of a hash, which choose a slot.
#[inline]
fn upper_bits(hash: u64) -> usize {
    usize::try_from(hash >> 32).unwrap_or(0)
}
