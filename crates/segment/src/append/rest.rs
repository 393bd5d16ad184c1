//! A log that is one of many has its files open only while it is written to: they are made by what is written first, let go of when all is synced,
//! and opened again by what is written next.

use std::sync::Arc;

use varve_format::FOOTER_LEN;
use varve_io::{Access, File};

use super::{Appender, BUFFER_LEN};
use crate::begin::state_frame;
use crate::error::{Error, Result};
use crate::name::FileName;
use crate::to_come::make_first;

impl Appender {
    /// True if it has no file yet: nothing was ever written.
    pub fn is_to_come(&self) -> bool {
        self.active.is_to_come()
    }

    /// True if its file is not open: nothing is to be written.
    pub fn is_resting(&self) -> bool {
        self.file.is_none()
    }

    /// True if its file has been opened since the last call.
    pub fn take_woken(&mut self) -> bool {
        std::mem::take(&mut self.woken)
    }

    /// The same, without taking note.
    #[inline]
    pub fn was_woken(&self) -> bool {
        self.woken
    }

    /// True if what is accepted has been handed to the system, the state too.
    pub fn is_settled(&self) -> bool {
        self.filled == 0 && !self.state_unwritten
    }

    /// True if all of it is durable.
    pub fn is_durable(&self) -> bool {
        self.is_settled() && self.unsynced.is_empty() && !self.names_unsynced && self.durable.get() >= self.bound()
    }

    /// Makes room for a frame of `needed` bytes: opens the file, if it is not open, and begins the next segment, if that is full.
    #[cold]
    pub(super) fn make_room(&mut self, needed: u64) -> Result<()> {
        self.failure.check()?;
        self.wake()?;
        if self.has_room(needed) { Ok(()) } else { self.rotate(needed) }
    }

    /// The file of the active segment, opened if it is not. Where that cannot be, nothing has happened.
    pub(super) fn wake(&mut self) -> Result<Arc<dyn File>> {
        match &self.file {
            Some(file) => Ok(Arc::clone(file)),
            None => self.wake_now(),
        }
    }

    #[cold]
    fn wake_now(&mut self) -> Result<Arc<dyn File>> {
        let file = if self.is_to_come() {
            self.begin_log()?
        } else {
            self.directory.open(FileName::Segment(self.active.header.id), Access::Write)?
        };
        self.active.put_file(Arc::clone(&file));
        self.buffer = vec![0; BUFFER_LEN].into_boxed_slice();
        self.limit = self.active.header.capacity - FOOTER_LEN;
        self.woken = true;
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Makes the first segment, durable with all names on the way to it.
    fn begin_log(&mut self) -> Result<Arc<dyn File>> {
        self.failure.check()?;
        let header = self.active.header;
        let frames = state_frame(&self.state, &header);
        let made = make_first(&self.directory, &header, &frames).map_err(|error| match error {
            // It is not known what of it stands: as with every sync, asking again would not tell.
            error @ Error::SyncFailed(_) => self.failure.set(error),
            error => error,
        });
        let (file, durable) = made?;
        self.start = durable.position;
        self.captured = durable;
        self.durable.set(durable);
        self.active.set_written(self.start);
        self.state_unwritten = false;
        Ok(file)
    }

    /// Lets go of the open file, if all that is accepted is durable. False: it is not, or the log has failed.
    pub fn rest(&mut self) -> bool {
        if self.file.is_none() {
            return true;
        }
        if !self.is_durable() || self.captured != self.bound() || !self.ready.is_empty() || self.failure.get().is_some()
        {
            return false;
        }
        if !self.preparer.rest() {
            return false;
        }
        // All of it is synced: nobody has to be told of a lost write any more.
        self.file = None;
        let _closed = self.active.take_file();
        self.limit = 0;
        self.buffer = Box::default();
        self.woken = false;
        true
    }
}
