//! The file of a segment whose name may lead to another one by now: to the segment that was written in its place.

use std::io::ErrorKind::NotFound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use varve_format::{HEADER_BLOCK_LEN, SegmentHeader, read_header_block};
use varve_io::{Access, File, Operation};

use crate::directory::Directory;
use crate::error::Result;
use crate::name::FileName;

/// What a segment knows of it.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The file itself, once another is about to get its name: who stands in the segment reads it to its end.
    file: Mutex<Option<Arc<dyn File>>>,
    /// Its name was seen to lead to another.
    outdated: AtomicBool,
}

impl Kept {
    fn file(&self) -> MutexGuard<'_, Option<Arc<dyn File>>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another file is about to get the name: from here on `file` is the one that is read.
    pub(crate) fn keep(&self, file: Arc<dyn File>) {
        *self.file() = Some(file);
    }

    /// The name still leads to it.
    pub(crate) fn release(&self) {
        self.file().take();
    }

    /// Another has got it.
    pub(crate) fn replaced(&self) {
        self.outdated.store(true, Ordering::Release);
    }

    /// Another has its name.
    pub(crate) fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Acquire)
    }

    /// Opens the file of the segment with `header`, and never the one that was written in its place. Where that has its name, and this one is not
    /// kept, it is missing.
    pub(crate) fn open(&self, directory: &Directory, header: &SegmentHeader, access: Access) -> Result<Arc<dyn File>> {
        if let Some(file) = self.file().as_ref().filter(|_| access == Access::Read) {
            return Ok(Arc::clone(file));
        }
        let name = FileName::Segment(header.id);
        let file = directory.open(name, access)?;
        let mut block = [0; HEADER_BLOCK_LEN];
        let read = file.read_at(&mut block, 0)?;
        if !read_header_block(&block[..read]).is_ok_and(|found| header.is_same_rewritten(&found.header)) {
            return Ok(file);
        }
        self.outdated.store(true, Ordering::Release);
        // It was kept before the other got its name, if we gave it that.
        if let Some(file) = self.file().as_ref().filter(|_| access == Access::Read) {
            return Ok(Arc::clone(file));
        }
        let gone = std::io::Error::new(NotFound, "the segment has been rewritten since");
        Err(varve_io::Error::new(Operation::Open, &directory.file(name), gone).into())
    }
}
