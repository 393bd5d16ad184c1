//! What is known to be durable: in memory, and in the file `durable` beside the segments.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use varve_format::{Bound, DISTANCE_UNKNOWN, DurableSlot, SLOT_POSITIONS};
use varve_io::{Access, File};

use crate::directory::Directory;
use crate::error::Result;
use crate::name::FileName;

/// The two slots, written in turns after each sync, so that one of them is whole whatever happens. Not synced but at
/// [`DurableFile::settle`]: a slot that is lost makes the bound smaller, and never wrong.
#[derive(Debug)]
pub struct DurableFile {
    directory: Directory,
    /// The open file, and the greatest sequence of a slot in it.
    open: Option<(Arc<dyn File>, u64)>,
    unsynced: bool,
    /// The bound that was written last.
    written: Bound,
}

impl DurableFile {
    /// The newest intact slot, if the file is there and has one.
    pub fn read(directory: &Directory) -> Result<Option<DurableSlot>> {
        match directory.open(FileName::Durable, Access::Read) {
            Ok(file) => Ok(newest(&slots(&file)?)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens the file for writing, and creates it if it is missing; the name is durable after the next sync of the directory.
    pub fn open(directory: &Directory) -> Result<Self> {
        let mut durable_file = Self::later(directory);
        if directory.names()?.contains(&FileName::Durable) {
            durable_file.file()?;
        } else {
            let file = directory.create(FileName::Durable)?;
            // A slot written later must not need room.
            file.allocate(SLOT_POSITIONS[1] + DurableSlot::LEN as u64)?;
            durable_file.open = Some((file, 0));
        }
        Ok(durable_file)
    }

    /// One that is there when it is first written to.
    pub(crate) fn later(directory: &Directory) -> Self {
        Self { directory: directory.clone(), open: None, unsynced: false, written: Bound::default() }
    }

    fn file(&mut self) -> Result<&mut (Arc<dyn File>, u64)> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let file = self.directory.open(FileName::Durable, Access::Write)?;
                let sequence = newest(&slots(&file)?).map_or(0, |slot| slot.sequence);
                (file, sequence)
            }
        };
        Ok(self.open.insert(open))
    }

    /// Writes the bound into the older slot.
    pub fn write(&mut self, bound: Bound, next_index: u64, log: u64) -> Result<()> {
        let (file, sequence) = self.file()?;
        *sequence += 1;
        let slot = DurableSlot {
            magic: 0,
            sequence: *sequence,
            segment: bound.segment,
            position: bound.position,
            next_index,
            log,
            checksum: 0,
        };
        let at = SLOT_POSITIONS[usize::from(sequence.is_multiple_of(2))];
        file.write_at(&[&slot.sealed().encode()], at)?;
        (self.unsynced, self.written) = (true, bound);
        Ok(())
    }

    /// Writes the bound into both slots and syncs them: after a clean close it is known for sure.
    pub fn settle(&mut self, bound: Bound, next_index: u64, log: u64) -> Result<()> {
        self.write(bound, next_index, log)?;
        self.write(bound, next_index, log)?;
        self.sync()
    }

    fn sync(&mut self) -> Result<()> {
        let (file, _) = self.file()?;
        file.sync_data()?;
        self.unsynced = false;
        Ok(())
    }

    /// The bound that was written last, if one was.
    pub fn written(&self) -> Bound {
        self.written
    }

    /// Lets go of the open file; it is opened again when it is written to. What was written is settled first.
    pub fn rest(&mut self, bound: Bound, next_index: u64, log: u64) -> Result<()> {
        if self.unsynced {
            self.settle(bound, next_index, log)?;
        }
        self.open = None;
        Ok(())
    }
}

/// The durable bound, told by who syncs to who builds frames.
#[derive(Debug, Default)]
pub struct DurablePlace {
    bound: Mutex<Bound>,
    /// The same as every frame needs it: the segment's id (lower 32 bits) and the position divided by 8.
    packed: AtomicU64,
}

impl DurablePlace {
    /// Publishes a bound: everything before it is durable now.
    pub fn set(&self, bound: Bound) {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = bound;
        self.packed.store(((bound.segment & 0xffff_ffff) << 32) | (bound.position / 8), Ordering::Relaxed);
    }

    /// The bound.
    pub fn get(&self) -> Bound {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Distance of a frame at `position` of `segment`.
    #[inline]
    pub(crate) fn distance(&self, segment: u64, position: u64) -> u16 {
        let place = self.packed.load(Ordering::Relaxed);
        if place >> 32 != segment & 0xffff_ffff {
            return DISTANCE_UNKNOWN;
        }
        u16::try_from(position / 8 - (place & 0xffff_ffff)).unwrap_or(DISTANCE_UNKNOWN)
    }
}

fn slots(file: &Arc<dyn File>) -> Result<[Option<DurableSlot>; 2]> {
    let mut found = [None; 2];
    for (slot, at) in found.iter_mut().zip(SLOT_POSITIONS) {
        let mut bytes = [0; DurableSlot::LEN];
        let read = file.read_at(&mut bytes, at)?;
        *slot = DurableSlot::read(&bytes[..read]);
    }
    Ok(found)
}

fn newest(slots: &[Option<DurableSlot>; 2]) -> Option<DurableSlot> {
    slots.iter().flatten().max_by_key(|slot| slot.sequence).copied()
}
