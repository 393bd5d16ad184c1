//! The next segment, made ready before it is needed: a rotation on the caller's thread then costs a few microseconds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use varve_format::SegmentHeader;
use varve_io::File;

use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::name::FileName;

/// Zeros are written in pieces of this size: larger ones make the page cache use larger units, which later small writes pay for.
const ZERO_PIECE: usize = 256 << 10;
static ZEROS: [u8; ZERO_PIECE] = [0; ZERO_PIECE];

/// A file of zeros under a temporary name, every block of it allocated.
#[derive(Debug)]
pub(crate) struct Prepared {
    file: Arc<dyn File>,
    name: FileName,
    pub(crate) capacity: u64,
}

impl Prepared {
    /// Makes one. Zeros are written so that later writes and syncs find their pages and blocks; with `durable` they are synced too, so that the
    /// first sync of a frame does not wait for all of them. Once `hurry` is set, what is allocated has to do: that is all that a log needs.
    pub(crate) fn make(directory: &Directory, capacity: u64, durable: bool, hurry: &AtomicBool) -> Result<Self> {
        let name = FileName::Prepared(directory.machine().random());
        let file = directory.create(name)?;
        let prepared = Self { file, name, capacity };
        let filled = prepared.fill(durable, hurry);
        if let Err(error) = filled {
            prepared.discard(directory);
            return Err(error);
        }
        Ok(prepared)
    }

    fn fill(&self, durable: bool, hurry: &AtomicBool) -> Result<()> {
        self.file.allocate(self.capacity)?;
        let mut at = 0;
        while at < self.capacity && !hurry.load(Ordering::Relaxed) {
            let piece = usize::try_from(self.capacity - at).unwrap_or(ZERO_PIECE).min(ZERO_PIECE);
            self.file.write_at(&[&ZEROS[..piece]], at)?;
            at += piece as u64;
        }
        if durable && !hurry.load(Ordering::Relaxed) {
            self.file.sync_data()?;
        }
        Ok(())
    }

    /// Writes header and first frames, and gives the file its name: from here on it is part of the log, if it is a log that `header` continues.
    /// With `durable` it is so after a power loss too.
    pub(crate) fn activate(
        self,
        directory: &Directory,
        header: &SegmentHeader,
        frames: &[u8],
        durable: bool,
    ) -> Result<Arc<dyn File>> {
        self.file.write_at(&[&header.block(), frames], 0)?;
        if durable {
            self.file.sync_data()?;
        }
        directory.rename(self.name, FileName::Segment(header.id))?;
        if durable {
            directory.sync()?;
        }
        Ok(self.file)
    }

    /// Removes the file. One that stays behind is removed by the next open.
    pub(crate) fn discard(self, directory: &Directory) {
        let _stays = directory.unlink(self.name);
    }
}

#[derive(Debug)]
enum Slot {
    Empty,
    Asked { capacity: u64, durable: bool },
    Running,
    Ready(Prepared),
    Closed,
}

/// Keeps one segment ready ahead.
#[derive(Debug)]
pub struct Preparer {
    directory: Directory,
    slot: Mutex<Slot>,
    done: Condvar,
    /// Somebody waits for the segment that is being made.
    hurry: AtomicBool,
}

impl Preparer {
    /// Nothing is prepared until it is asked for.
    pub fn new(directory: &Directory) -> Arc<Self> {
        let (slot, done, hurry) = (Mutex::new(Slot::Empty), Condvar::new(), AtomicBool::new(false));
        Arc::new(Self { directory: directory.clone(), slot, done, hurry })
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a segment made in the background, unless one is there or under way.
    pub(crate) fn ask(self: &Arc<Self>, capacity: u64, durable: bool) {
        let mut slot = self.slot();
        if matches!(*slot, Slot::Empty) {
            *slot = Slot::Asked { capacity, durable };
            drop(slot);
            let preparer = Arc::clone(self);
            self.directory.spawn(Box::new(move || preparer.run()));
        }
    }

    fn run(&self) {
        let mut slot = self.slot();
        let Slot::Asked { capacity, durable } = *slot else { return };
        *slot = Slot::Running;
        drop(slot);
        let made = catch_unwind(AssertUnwindSafe(|| Prepared::make(&self.directory, capacity, durable, &self.hurry)))
            .unwrap_or(Err(Error::Panicked));
        let mut slot = self.slot();
        // A failure here is no event: whoever needs the segment tries again, and gets the error of that moment.
        match (made, &*slot) {
            (Ok(prepared), Slot::Running) => *slot = Slot::Ready(prepared),
            (Ok(prepared), _) => prepared.discard(&self.directory),
            (Err(_), Slot::Running) => *slot = Slot::Empty,
            (Err(_), _) => {}
        }
        self.done.notify_all();
    }

    /// A segment of at least `least` bytes: the one prepared, or one of `capacity` bytes made here and now. One that is just being made is
    /// taken as far as it is: who waits for it waits for microseconds. bench: tail
    pub(crate) fn take(&self, least: u64, capacity: u64) -> Result<Prepared> {
        let mut slot = self.slot_at_rest();
        if !matches!(*slot, Slot::Closed)
            && let Slot::Ready(prepared) = std::mem::replace(&mut *slot, Slot::Empty)
        {
            if prepared.capacity >= least {
                return Ok(prepared);
            }
            prepared.discard(&self.directory);
        }
        drop(slot);
        Prepared::make(&self.directory, capacity, false, &AtomicBool::new(true))
    }

    /// The slot, when nothing is being made.
    fn slot_at_rest(&self) -> MutexGuard<'_, Slot> {
        let mut slot = self.slot();
        self.hurry.store(true, Ordering::Relaxed);
        while matches!(*slot, Slot::Running) {
            slot = self.done.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
        self.hurry.store(false, Ordering::Relaxed);
        slot
    }

    /// Removes what is prepared. False, and nothing is done: a segment is just being made.
    pub(crate) fn rest(&self) -> bool {
        let mut slot = self.slot();
        match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Ready(prepared) => prepared.discard(&self.directory),
            empty @ (Slot::Empty | Slot::Closed) => *slot = empty,
            busy => {
                *slot = busy;
                return false;
            }
        }
        true
    }

    /// Removes what is prepared, and prepares no more.
    pub fn close(&self) {
        let mut slot = self.slot_at_rest();
        if let Slot::Ready(prepared) = std::mem::replace(&mut *slot, Slot::Closed) {
            prepared.discard(&self.directory);
        }
    }
}
