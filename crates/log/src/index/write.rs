//! Writing a table, front to back, in small buffers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use varve_format::{
    KEY_BLOCK_BODY, KEY_BLOCK_LEN, KEY_BUCKETS_A_BLOCK, KEY_ENTRIES_A_BLOCK, KeyTableEntry, KeyTableHeader,
    key_bucket_bits,
};
use varve_io::{File, Machine};

use super::error::{IndexError, Result};
use super::name::Name;
use super::table::{Belongs, Table};

/// Blocks that are written together.
const TOGETHER: usize = 16;

/// Where an index lies.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) machine: Arc<dyn Machine>,
    pub(super) dir: PathBuf,
    pub(super) belongs: Belongs,
    /// Tables survive a power loss.
    pub(super) durable: bool,
}

impl Place {
    pub(super) fn path(&self, name: Name) -> PathBuf {
        self.dir.join(name.to_string())
    }

    /// Makes the names in it durable.
    pub(super) fn sync(&self) -> Result<()> {
        if self.durable {
            self.machine.sync_dir(&self.dir)?;
        }
        Ok(())
    }
}

/// What a job asks before it changes a name, so that nothing happens in the directory once the job was called off.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<bool>);

impl Gate {
    /// Does `change`, unless the job was called off; who calls it off waits until the change is done.
    pub(super) fn pass<T>(&self, change: impl FnOnce() -> Result<T>) -> Result<T> {
        let closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *closed {
            return Err(IndexError::Aborted);
        }
        change()
    }

    /// Calls the job off.
    pub(super) fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a table is to stand for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) base: u64,
}

/// A table that is being written under a temporary name.
#[derive(Debug)]
pub(super) struct TableWriter {
    place: Place,
    name: Name,
    file: Option<Arc<dyn File>>,
    header: KeyTableHeader,
    directory: Section,
    entries: Section,
    /// Buckets whose start is written.
    buckets: u64,
}

/// Blocks that are written one behind the other.
#[derive(Debug)]
struct Section {
    /// Number of the first block in `blocks`.
    number: u64,
    blocks: Vec<u8>,
    /// Bytes of the body of the last block that are there.
    filled: usize,
}

impl Section {
    fn new(number: u64) -> Self {
        Self { number, blocks: Vec::with_capacity(TOGETHER * KEY_BLOCK_LEN), filled: 0 }
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        self.blocks.extend_from_slice(bytes);
        self.filled += bytes.len();
    }

    /// Ends the block that is being filled.
    fn end_block(&mut self, header: &KeyTableHeader) {
        let start = self.blocks.len() - self.filled;
        self.blocks.resize(start + KEY_BLOCK_BODY, 0);
        let number = self.number + (start / KEY_BLOCK_LEN) as u64;
        let sum = header.block_checksum(number, self.blocks.get(start..).unwrap_or_default());
        self.blocks.extend_from_slice(&sum.to_le_bytes());
        self.filled = 0;
    }

    fn is_due(&self) -> bool {
        self.blocks.len() >= TOGETHER * KEY_BLOCK_LEN
    }

    /// Writes the blocks that are whole: all of them.
    fn flush(&mut self, file: &dyn File) -> Result<()> {
        if !self.blocks.is_empty() {
            file.write_at(&[&self.blocks], self.number * KEY_BLOCK_LEN as u64)?;
            self.number += (self.blocks.len() / KEY_BLOCK_LEN) as u64;
            self.blocks.clear();
        }
        Ok(())
    }
}

impl TableWriter {
    /// Begins a table of at most `most` entries.
    pub(super) fn create(place: &Place, span: Span, most: u64) -> Result<Self> {
        let name = Name::Temporary(place.machine.random());
        let file = place.machine.create(&place.path(name))?;
        let Belongs { log, seed } = place.belongs;
        let Span { from, to, base } = span;
        let salt = place.machine.random();
        let bucket_bits = key_bucket_bits(most);
        let header = KeyTableHeader {
            magic: 0,
            version: 0,
            bucket_bits,
            log,
            seed,
            from,
            to,
            base,
            count: 0,
            salt,
            checksum: 0,
        };
        let (directory, entries) = (Section::new(1), Section::new(header.first_entry_block()));
        Ok(Self { place: place.clone(), name, file: Some(file), header, directory, entries, buckets: 0 })
    }

    /// Adds an entry; its prefix and then its offset must not be below the last one's.
    #[inline]
    pub(super) fn push(&mut self, prefix: u64, offset: u64) -> Result<()> {
        let bucket = self.header.bucket(prefix);
        if self.buckets <= bucket {
            self.begin_buckets(bucket + 1)?;
        }
        let Ok(relative) = u32::try_from(offset.wrapping_sub(self.header.base)) else {
            // No entry of a table or a tail is so far from its base.
            return Err(IndexError::Aborted);
        };
        let [a, b, c, d, ..] = prefix.to_le_bytes();
        self.entries.push(&KeyTableEntry { tag: u32::from_le_bytes([a, b, c, d]), offset: relative }.encode());
        self.header.count += 1;
        if self.entries.filled == usize::try_from(KEY_ENTRIES_A_BLOCK).unwrap_or(0) * KeyTableEntry::LEN {
            self.entries.end_block(&self.header);
            if self.entries.is_due() {
                self.entries.flush(Self::file(&self.file)?)?;
            }
        }
        Ok(())
    }

    fn file(file: &Option<Arc<dyn File>>) -> Result<&dyn File> {
        file.as_deref().ok_or(IndexError::Aborted)
    }

    /// Writes the starts of the buckets below `end` that are not written: none of them has an entry yet.
    fn begin_buckets(&mut self, end: u64) -> Result<()> {
        let start = self.header.count.to_le_bytes();
        while self.buckets < end {
            if self.buckets > 0 && self.buckets.is_multiple_of(KEY_BUCKETS_A_BLOCK) {
                // A block ends with where its last bucket ends.
                self.directory.push(&start);
                self.directory.end_block(&self.header);
                if self.directory.is_due() {
                    self.directory.flush(Self::file(&self.file)?)?;
                }
            }
            self.directory.push(&start);
            self.buckets += 1;
        }
        Ok(())
    }

    /// Ends the table, gives it its name, makes both durable, and opens it. Nothing is there if it fails, or if `gate` is closed.
    pub(super) fn finish(mut self, gate: &Gate) -> Result<Table> {
        self.begin_buckets(1 << self.header.bucket_bits)?;
        self.directory.push(&self.header.count.to_le_bytes());
        self.directory.end_block(&self.header);
        if self.entries.filled > 0 {
            self.entries.end_block(&self.header);
        }
        let file = Self::file(&self.file)?;
        self.directory.flush(file)?;
        self.entries.flush(file)?;
        let mut first = vec![0; KEY_BLOCK_LEN];
        if let Some(head) = first.first_chunk_mut() {
            *head = self.header.sealed().encode();
        }
        file.write_at(&[&first], 0)?;
        if self.place.durable {
            file.sync_data()?;
        }
        let (place, KeyTableHeader { from, to, .. }) = (self.place.clone(), self.header);
        gate.pass(|| {
            place.machine.rename(&place.path(self.name), &place.path(Name::Table { from, to }))?;
            // It has its name: there is nothing to remove any more.
            self.file = None;
            place.sync()?;
            let table = Table::open(&*place.machine, &place.dir, from, to, place.belongs)?;
            // Somebody else has changed it in this moment.
            table.ok_or_else(|| IndexError::Damaged { path: place.path(Name::Table { from, to }), from })
        })
    }
}

impl Drop for TableWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _removed_by_the_next_open = self.place.machine.unlink(&self.place.path(self.name));
        }
    }
}
