//! The one room with `unsafe`: memory that the system fills from a file.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::ops::Range;

use memmap2::{MmapOptions, MmapRaw};

use crate::Map;

/// A shared, read-only map of the first bytes of a file. It keeps the file alive.
#[derive(Debug)]
pub(super) struct RealMap {
    map: MmapRaw,
    len: usize,
}

impl RealMap {
    pub(super) fn new(file: &fs::File, len: u64) -> io::Result<Self> {
        // A byte beyond the end of the file would be a signal, not an error.
        if len > file.metadata()?.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the map would be longer than the file"));
        }
        let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Ok(Self { map: MmapOptions::new().len(len).map_raw_read_only(file)?, len })
    }
}

impl Map for RealMap {
    fn len(&self) -> usize {
        self.len
    }

    fn slice(&self, range: Range<usize>) -> Cow<'_, [u8]> {
        let end = range.end.min(self.len);
        let start = range.start.min(end);
        // SAFETY: `start..end` lies in the mapped bytes, which are readable, and stay mapped as long as `self`, which the
        // slice borrows. They lay in the file when it was mapped, and no file that may be mapped is ever shortened: this
        // process never does, and the lock of the directory keeps other writers of ours out. The caller promises that
        // the bytes of `range` do not change while the slice lives. Only that range is turned into a reference,
        // so that bytes behind it may still be written to the file.
        Cow::Borrowed(unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(start), end - start) })
    }
}
