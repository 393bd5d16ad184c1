//! What differs between systems, on Windows. Compiled, and not yet run: what it promises less than Unix is said at each function.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File, FileType, OpenOptions, TryLockError};
use std::hash::{BuildHasher, BuildHasherDefault};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::DirIdentity;

/// FILE_FLAG_OPEN_REPARSE_POINT.
const NOT_FOLLOWING: u32 = 0x0020_0000;

/// Opens without following a link. Who may use the file is inherited from the directory. The standard library lets others
/// rename and remove the file while it is open.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.custom_flags(NOT_FOLLOWING).open(path)
}

/// What lies there that is no file, no directory and no link.
pub(super) fn special(_kind: FileType) -> &'static str {
    "a device"
}

/// Makes a directory. Who may use it is inherited from the one above.
pub(super) fn make_dir(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// From the one path that the system gives for all that lead there. The standard library does not tell the system's own identity.
pub(super) fn identity(dir: &Path, _metadata: &fs::Metadata) -> io::Result<DirIdentity> {
    let path = fs::canonicalize(dir)?;
    // Without random keys: the same in all of the process. Two numbers, so that no two directories meet in both.
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    Ok(DirIdentity { device: hasher.hash_one((0, &path)), inode: hasher.hash_one((1, &path)) })
}

/// Does nothing: this system has no such call. NTFS keeps a journal of its names, so that after a loss of power they are whole, but the
/// last changes may be missing until the next sync of a file has written the journal.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    if fs::metadata(dir)?.is_dir() { Ok(()) } else { Err(ErrorKind::NotADirectory.into()) }
}

pub(super) fn read_at(file: &File, buf: &mut [u8], position: u64) -> io::Result<usize> {
    file.seek_read(buf, position)
}

pub(super) fn write_all_at(file: &File, mut bytes: &[u8], mut position: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, position) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                position += written as u64;
                bytes = &bytes[written..];
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// In one call of the system, as far as it goes: the parts are put together first.
pub(super) fn write_parts(file: &File, parts: &[&[u8]], position: u64) -> io::Result<()> {
    write_all_at(file, &parts.concat(), position)
}

/// Never: the length alone says nothing about blocks that may be compressed. Zeros are written.
pub(super) fn reserve(_file: &File, _len: u64) -> io::Result<bool> {
    Ok(false)
}

/// Does nothing: the standard library has no call for it.
pub(super) fn punch(_file: &File, _range: Range<u64>) -> io::Result<()> {
    Ok(())
}

/// Locks the file, unless another open file of it is locked; true where it is done. As long as it is locked, others cannot read it
/// either: who finds it taken does not learn by whom.
pub(super) fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

pub(super) fn unlock(file: &File) -> io::Result<()> {
    file.unlock()
}

/// Not by a call of its own.
pub(super) fn random() -> Option<u64> {
    None
}
