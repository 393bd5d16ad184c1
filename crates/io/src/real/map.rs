//! The first room with `unsafe`: memory that the system fills from a file.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::ops::Range;

use memmap2::{MmapOptions, MmapRaw};

#[cfg(unix)]
use super::guard::Guard;
use crate::Map;

/// Systems without SIGBUS: a page that cannot be read ends the process.
#[cfg(not(unix))]
#[derive(Debug)]
struct Guard;

#[cfg(not(unix))]
impl Guard {
    fn new(_base: *const u8, _len: usize, _writable: bool) -> Self {
        Self
    }

    fn is_faulted(&self) -> bool {
        false
    }
}

/// A shared, read-only map of the first bytes of a file. It keeps the file alive.
#[derive(Debug)]
pub(super) struct RealMap {
    // Dropped before the map, as a guard must be.
    guard: Guard,
    map: MmapRaw,
    len: usize,
}

impl RealMap {
    pub(super) fn new(file: &fs::File, len: u64) -> io::Result<Self> {
        let len = mappable(file, len)?;
        let map = MmapOptions::new().len(len).map_raw_read_only(file)?;
        Ok(Self { guard: Guard::new(map.as_ptr(), len, false), map, len })
    }
}

/// Refuses to map more than there is: a byte beyond the end of the file would be a signal, not an error.
fn mappable(file: &fs::File, len: u64) -> io::Result<usize> {
    if len > file.metadata()?.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the map would be longer than the file"));
    }
    usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))
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

    fn is_faulted(&self) -> bool {
        self.guard.is_faulted()
    }
}

/// The first bytes of a file, mapped so that they may be written to: what is written stays in this map, and never reaches
/// the file. Pages that were not written to show what the file holds, later changes too. It keeps the file alive.
///
/// The memory is handed out as a pointer, because JavaScript is to read and write it at any time.
#[derive(Debug)]
pub struct PrivateMap {
    // Dropped before the map, as a guard must be.
    guard: Guard,
    map: MmapRaw,
    len: usize,
}

impl PrivateMap {
    pub(super) fn new(file: &fs::File, len: u64) -> io::Result<Self> {
        let len = mappable(file, len)?;
        let mut options = MmapOptions::new();
        // Few pages will ever be written to, so no memory is set aside for them.
        options.len(len).no_reserve_swap();
        // SAFETY: no reference to the bytes is ever made here, only a pointer; who uses it answers for that.
        let map = unsafe { options.map_copy(file)? };
        Ok(Self::of(map.into(), len))
    }

    /// A copy of `bytes`, for machines without files.
    pub(crate) fn copy_of(bytes: &[u8]) -> io::Result<Self> {
        let mut map = MmapOptions::new().len(bytes.len()).map_anon()?;
        map.copy_from_slice(bytes);
        Ok(Self::of(map.into(), bytes.len()))
    }

    fn of(map: MmapRaw, len: usize) -> Self {
        Self { guard: Guard::new(map.as_ptr(), len, true), map, len }
    }

    /// Length of the map in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True where nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first byte. [`PrivateMap::len`] bytes from there on may be read and written as long as the map lives.
    pub fn as_ptr(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }

    /// True once a page could not be read; it holds zeros since then.
    pub fn is_faulted(&self) -> bool {
        self.guard.is_faulted()
    }
}
