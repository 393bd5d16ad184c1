//! A table file, mapped.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use varve_format::{
    KEY_BLOCK_BODY, KEY_BLOCK_LEN, KEY_BUCKETS_A_BLOCK, KEY_ENTRIES_A_BLOCK, KeyTableEntry, KeyTableHeader,
};
use varve_io::{Access, Machine, Map, Operation};

use super::error::{IndexError, Result};
use super::name::Name;

/// What every table of an index has to say of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Belongs {
    pub(super) log: u64,
    pub(super) seed: u64,
}

/// An immutable table. Blocks are verified when they are first touched.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) header: KeyTableHeader,
    path: PathBuf,
    map: Arc<dyn Map>,
    /// One bit a block: it has been found intact.
    verified: Box<[AtomicU64]>,
}

impl Table {
    /// Opens the table with this name; `None` if it is none of `belongs`, or not whole. Reads the header alone.
    pub(super) fn open(
        machine: &dyn Machine,
        dir: &Path,
        from: u64,
        to: u64,
        belongs: Belongs,
    ) -> varve_io::Result<Option<Self>> {
        let path = dir.join(Name::Table { from, to }.to_string());
        let file = machine.open(&path, Access::Read)?;
        let mut bytes = [0; KeyTableHeader::LEN];
        let read = match file.read_at(&mut bytes, 0) {
            Ok(read) => read,
            // Bytes that cannot be read are bytes that are wrong: the table is derived.
            Err(error) if error.operation() == Operation::Read && error.raw_os_error() == Some(5) => 0,
            Err(error) => return Err(error),
        };
        let header = bytes.get(..read).and_then(KeyTableHeader::read);
        let ours = |header: &KeyTableHeader| {
            header.from == from && header.to == to && header.log == belongs.log && header.seed == belongs.seed
        };
        let Some(header) = header.filter(ours) else { return Ok(None) };
        let len = header.blocks() * KEY_BLOCK_LEN as u64;
        if file.len()? != len {
            return Ok(None);
        }
        let words = usize::try_from(header.blocks().div_ceil(64)).unwrap_or(0);
        let verified = (0..words).map(|_| AtomicU64::new(0)).collect();
        Ok(Some(Self { header, path, map: file.map(len)?, verified }))
    }

    pub(super) fn name(&self) -> Name {
        Name::Table { from: self.header.from, to: self.header.to }
    }

    /// Bytes of its file.
    pub(super) fn bytes(&self) -> u64 {
        self.header.blocks() * KEY_BLOCK_LEN as u64
    }

    /// Bytes of memory that it takes, the map apart.
    pub(super) fn memory(&self) -> usize {
        self.verified.len() * size_of::<AtomicU64>() + size_of::<Self>() + self.path.capacity()
    }

    /// The offset of the newest message below `before` whose hash begins with `prefix`. bench: key_index, lookup
    pub(super) fn older(&self, prefix: u64, before: u64) -> Result<Option<u64>> {
        let header = &self.header;
        let Some(below) = before.checked_sub(header.base).filter(|below| *below > 0) else { return Ok(None) };
        let (mut low, mut high) = self.bucket(header.bucket(prefix))?;
        // The bucket has the upper bits of the prefix, at least 8; the tag all but those.
        let tag = tag(prefix);
        let mut newest = None;
        let mut block = Block::default();
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.entry(middle, &mut block)?;
            if (entry.tag, u64::from(entry.offset)) < (tag, below) {
                newest = Some(entry);
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.readable()?;
        Ok(newest.filter(|entry| entry.tag == tag).map(|entry| header.base + u64::from(entry.offset)))
    }

    /// Numbers of the first entry of a bucket, and of the one behind its last.
    fn bucket(&self, bucket: u64) -> Result<(u64, u64)> {
        let (number, slot) = (1 + bucket / KEY_BUCKETS_A_BLOCK, bucket % KEY_BUCKETS_A_BLOCK);
        let block = self.verified(number, slot * 4..slot * 4 + 8)?;
        let ([start, end], []) = block.as_chunks::<4>() else { return Err(self.damaged()) };
        self.checked_range(u32::from_le_bytes(*start), u32::from_le_bytes(*end))
    }

    fn checked_range(&self, start: u32, end: u32) -> Result<(u64, u64)> {
        if start > end || end > self.header.count {
            return Err(self.damaged());
        }
        Ok((u64::from(start), u64::from(end)))
    }

    /// Entry `at`. Its block stays in `held` for the next one.
    #[inline]
    fn entry<'a>(&'a self, at: u64, held: &mut Block<'a>) -> Result<KeyTableEntry> {
        let (number, slot) = (self.header.first_entry_block() + at / KEY_ENTRIES_A_BLOCK, at % KEY_ENTRIES_A_BLOCK);
        if held.number != number {
            *held = Block { number, bytes: self.verified(number, 0..KEY_BLOCK_BODY as u64)? };
        }
        let entry = usize::try_from(slot).ok().and_then(|slot| held.bytes.as_chunks::<8>().0.get(slot));
        entry.map(KeyTableEntry::decode).ok_or_else(|| self.damaged())
    }

    /// Bytes `range` of block `number`, which is verified if it has not been before.
    #[inline]
    fn verified(&self, number: u64, range: std::ops::Range<u64>) -> Result<Cow<'_, [u8]>> {
        let (Ok(word), bit) = (usize::try_from(number / 64), 1u64 << (number % 64)) else { return Err(self.damaged()) };
        let word = self.verified.get(word).ok_or_else(|| self.damaged())?;
        if word.load(Ordering::Relaxed) & bit == 0 {
            self.block(number)?;
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(self.map.slice(self.position(number, range.start)..self.position(number, range.end)))
    }

    /// The body of block `number`, verified now.
    fn block(&self, number: u64) -> Result<Cow<'_, [u8]>> {
        let block = self.map.slice(self.position(number, 0)..self.position(number + 1, 0));
        if !self.header.is_intact(number, &block) {
            return Err(self.damaged());
        }
        Ok(block)
    }

    #[inline]
    fn position(&self, number: u64, at: u64) -> usize {
        usize::try_from(number * KEY_BLOCK_LEN as u64 + at).unwrap_or(usize::MAX)
    }

    /// An error if the disk has failed below the map: what was read then may be zeros.
    #[inline]
    fn readable(&self) -> Result<()> {
        if self.map.is_faulted() { Err(self.damaged()) } else { Ok(()) }
    }

    #[cold]
    fn damaged(&self) -> IndexError {
        IndexError::Damaged { path: self.path.clone(), from: self.header.from }
    }

    /// Verifies every block now.
    pub(super) fn verify(&self) -> Result<()> {
        (1..self.header.blocks()).try_for_each(|number| self.block(number).map(drop))?;
        self.readable()
    }

    /// All entries, from the first one on.
    pub(super) fn scan(self: &Arc<Self>) -> Scan {
        Scan { table: Arc::clone(self), at: 0, part: 0, part_end: 0, block: Vec::new(), number: 0 }
    }
}

/// A block that a search stands in; none has number 0, which is the header's.
#[derive(Default)]
struct Block<'a> {
    number: u64,
    bytes: Cow<'a, [u8]>,
}

/// The part of a prefix that an entry holds.
#[inline]
fn tag(prefix: u64) -> u32 {
    let [a, b, c, d, ..] = prefix.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Reads a table's entries in order, every block verified once more: what has rotted since the last look is not carried on.
#[derive(Debug)]
pub(super) struct Scan {
    table: Arc<Table>,
    at: u32,
    /// The upper 8 bits of the prefixes, plus one, and the number of the entry behind the last one that has them.
    part: u64,
    part_end: u32,
    block: Vec<u8>,
    number: u64,
}

/// Prefixes that share their upper bits, which tags do not hold.
const PARTS: u64 = 1 << 8;

impl Scan {
    /// An error if the disk has failed below what was read.
    pub(super) fn readable(&self) -> Result<()> {
        self.table.readable()
    }

    /// The next entry: prefix and offset; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, u64)>> {
        let table = Arc::clone(&self.table);
        let header = &table.header;
        if self.at >= header.count {
            table.readable()?;
            return Ok(None);
        }
        while self.at >= self.part_end {
            if self.part >= PARTS {
                return Err(table.damaged());
            }
            let last = ((self.part + 1) << (header.bucket_bits - 8)) - 1;
            let number = 1 + last / KEY_BUCKETS_A_BLOCK;
            let block = table.block(number)?;
            let slot = usize::try_from(last % KEY_BUCKETS_A_BLOCK + 1).unwrap_or(usize::MAX);
            let end = block.as_chunks::<4>().0.get(slot).ok_or_else(|| table.damaged())?;
            table.checked_range(self.part_end, u32::from_le_bytes(*end))?;
            (self.part, self.part_end) = (self.part + 1, u32::from_le_bytes(*end));
        }
        let at = u64::from(self.at);
        let number = header.first_entry_block() + at / KEY_ENTRIES_A_BLOCK;
        if self.number != number {
            self.block.clear();
            self.block.extend_from_slice(&table.block(number)?);
            self.number = number;
            table.readable()?;
        }
        let slot = usize::try_from(at % KEY_ENTRIES_A_BLOCK).unwrap_or(usize::MAX);
        let entry = self.block.as_chunks::<8>().0.get(slot).map(KeyTableEntry::decode);
        let entry = entry.ok_or_else(|| table.damaged())?;
        self.at += 1;
        Ok(Some(((self.part - 1) << 32 | u64::from(entry.tag), header.base + u64::from(entry.offset))))
    }
}
