use std::fs;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::map::{PrivateMap, RealMap};
use super::system;
use crate::{Error, File, Map, Operation, Result};

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
            [part] => system::write_all_at(&self.file, part, position),
            parts => system::write_parts(&self.file, parts, position),
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
        self.named(Operation::Punch, system::punch(&self.file, range))
    }

    fn sync_data(&self) -> Result<()> {
        self.named(Operation::Sync, self.file.sync_data())
    }

    fn map(&self, len: u64) -> Result<Arc<dyn Map>> {
        let map = RealMap::new(&self.file, len);
        self.named(Operation::Map, map.map(|map| Arc::new(map) as Arc<dyn Map>))
    }

    fn map_private(&self, len: u64) -> Result<PrivateMap> {
        self.named(Operation::Map, PrivateMap::new(&self.file, len))
    }
}

fn read_full(file: &fs::File, buf: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match system::read_at(file, &mut buf[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn allocate(file: &fs::File, len: u64) -> io::Result<()> {
    if len == 0 || system::reserve(file, len)? { Ok(()) } else { append_zeros(file, len) }
}

/// Reserves blocks the slow way, where the file system has no other.
fn append_zeros(file: &fs::File, len: u64) -> io::Result<()> {
    let zeros = [0; ZEROS];
    let mut position = file.metadata()?.len();
    while position < len {
        let piece = usize::try_from(len - position).map_or(ZEROS, |rest| rest.min(ZEROS));
        system::write_all_at(file, &zeros[..piece], position)?;
        position += piece as u64;
    }
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
        system::write_all_at(&file, b"abc", 0).unwrap();
        append_zeros(&file, 200_000).unwrap();
        append_zeros(&file, 100).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 200_000);
        assert_eq!(&bytes[..3], b"abc");
        assert!(bytes[3..].iter().all(|byte| *byte == 0));
    }
}
