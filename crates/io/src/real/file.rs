use std::fs;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::map::RealMap;
use crate::{Error, File, Map, Operation, Result};

/// More parts than this the system refuses in one call.
const MAX_PARTS: usize = 1024;

/// Zeros are written in pieces of this size where blocks cannot be reserved.
const ZEROS: usize = 64 * 1024;

/// An open regular file and the path it was opened by.
#[derive(Debug)]
pub(super) struct RealFile {
    file: fs::File,
    path: PathBuf,
}

impl RealFile {
    pub(super) fn new(file: fs::File, path: &Path) -> Self {
        Self { file, path: path.to_path_buf() }
    }

    fn named<T>(&self, operation: Operation, outcome: io::Result<T>) -> Result<T> {
        outcome.map_err(|error| Error::new(operation, &self.path, error))
    }
}

impl File for RealFile {
    fn len(&self) -> Result<u64> {
        self.named(Operation::Stat, self.file.metadata().map(|metadata| metadata.len()))
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> Result<usize> {
        self.named(Operation::Read, read_full(&self.file, buf, position))
    }

    fn write_at(&self, parts: &[&[u8]], position: u64) -> Result<()> {
        let written = match parts {
            [part] => self.file.write_all_at(part, position),
            parts => write_parts(&self.file, parts, position),
        };
        self.named(Operation::Write, written)
    }

    fn allocate(&self, len: u64) -> Result<()> {
        self.named(Operation::Allocate, allocate(&self.file, len))
    }

    fn punch(&self, range: Range<u64>) -> Result<()> {
        // The system refuses an empty hole.
        if range.is_empty() {
            return Ok(());
        }
        self.named(Operation::Punch, punch(&self.file, range))
    }

    fn sync_data(&self) -> Result<()> {
        self.named(Operation::Sync, self.file.sync_data())
    }

    fn map(&self, len: u64) -> Result<Arc<dyn Map>> {
        let map = RealMap::new(&self.file, len);
        self.named(Operation::Map, map.map(|map| Arc::new(map) as Arc<dyn Map>))
    }
}

fn read_full(file: &fs::File, buf: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match file.read_at(&mut buf[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn write_parts(file: &fs::File, parts: &[&[u8]], mut position: u64) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0); // drops leading empty parts
    while !rest.is_empty() {
        match rustix::io::pwritev(file, &rest[..rest.len().min(MAX_PARTS)], position) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                position += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn allocate(file: &fs::File, len: u64) -> io::Result<()> {
    use rustix::fs::FallocateFlags;
    use rustix::io::Errno;

    if len == 0 {
        return Ok(());
    }
    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => append_zeros(file, len),
        reserved => Ok(reserved?),
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(file: &fs::File, len: u64) -> io::Result<()> {
    append_zeros(file, len)
}

/// Reserves blocks the slow way, where the file system has no other.
fn append_zeros(file: &fs::File, len: u64) -> io::Result<()> {
    let zeros = [0; ZEROS];
    let mut position = file.metadata()?.len();
    while position < len {
        let piece = usize::try_from(len - position).map_or(ZEROS, |rest| rest.min(ZEROS));
        file.write_all_at(&zeros[..piece], position)?;
        position += piece as u64;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn punch(file: &fs::File, range: Range<u64>) -> io::Result<()> {
    use rustix::fs::FallocateFlags;
    use rustix::io::Errno;

    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let len = range.end - range.start;
    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, flags, range.start, len)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        punched => Ok(punched?),
    }
}

#[cfg(not(target_os = "linux"))]
fn punch(_file: &fs::File, _range: Range<u64>) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_reserve_up_to_the_length_and_keep_what_is_there() {
        let dir = super::super::tests::TempDir::new();
        let path = dir.path().join("a");
        let file = fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.write_all_at(b"abc", 0).unwrap();
        append_zeros(&file, 200_000).unwrap();
        append_zeros(&file, 100).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 200_000);
        assert_eq!(&bytes[..3], b"abc");
        assert!(bytes[3..].iter().all(|byte| *byte == 0));
    }
}
