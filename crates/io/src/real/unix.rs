//! What differs between systems, on Unix.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::DirIdentity;

/// More parts than this the system refuses in one call.
const MAX_PARTS: usize = 1024;

/// Opens for the owner alone, without following a link, and without waiting for the other end of a pipe.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // The standard library adds O_CLOEXEC. O_NONBLOCK means nothing to a regular file.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.mode(0o600).custom_flags(flags.bits().cast_signed()).open(path)
}

/// What lies there that is no file, no directory and no link.
pub(super) fn special(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// Makes a directory for the owner alone.
pub(super) fn make_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)
}

pub(super) fn identity(_dir: &Path, metadata: &fs::Metadata) -> io::Result<DirIdentity> {
    Ok(DirIdentity { device: metadata.dev(), inode: metadata.ino() })
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECTORY.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(dir)?.sync_all()
}

pub(super) fn read_at(file: &File, buf: &mut [u8], position: u64) -> io::Result<usize> {
    file.read_at(buf, position)
}

pub(super) fn write_all_at(file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
    file.write_all_at(bytes, position)
}

pub(super) fn write_parts(file: &File, parts: &[&[u8]], mut position: u64) -> io::Result<()> {
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
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Reserves blocks; false where the file system cannot.
#[cfg(target_os = "linux")]
pub(super) fn reserve(file: &File, len: u64) -> io::Result<bool> {
    use rustix::fs::FallocateFlags;

    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        reserved => Ok(reserved.map(|()| true)?),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn reserve(_file: &File, _len: u64) -> io::Result<bool> {
    Ok(false)
}

#[cfg(target_os = "linux")]
pub(super) fn punch(file: &File, range: Range<u64>) -> io::Result<()> {
    use rustix::fs::FallocateFlags;

    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let len = range.end - range.start;
    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, flags, range.start, len)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        punched => Ok(punched?),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn punch(_file: &File, _range: Range<u64>) -> io::Result<()> {
    Ok(())
}

/// Locks the file, unless another open file of it is locked; true where it is done. By `flock`, never by `fcntl`: locks of that are shared
/// by all of a process, and dropped when any of its descriptors is closed.
pub(super) fn try_lock(file: &File) -> io::Result<bool> {
    match rustix::io::retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockExclusive)) {
        Err(Errno::WOULDBLOCK) => Ok(false),
        locked => Ok(locked.map(|()| true)?),
    }
}

pub(super) fn unlock(file: &File) -> io::Result<()> {
    Ok(flock(file, FlockOperation::Unlock)?)
}

#[cfg(target_os = "linux")]
pub(super) fn random() -> Option<u64> {
    let mut bytes = [0; 8];
    loop {
        match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
            Ok(8) => return Some(u64::from_le_bytes(bytes)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn random() -> Option<u64> {
    let mut bytes = [0; 8];
    io::Read::read_exact(&mut File::open("/dev/urandom").ok()?, &mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes))
}
