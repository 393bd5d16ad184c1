//! Locks of `flock`, never of `fcntl`: those are shared by all of a process, and dropped when any of its descriptors is closed.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::{Lock, LockAttempt};

/// A lock held; its file says who holds it.
#[derive(Debug)]
struct RealLock {
    file: fs::File,
}

impl Lock for RealLock {}

impl Drop for RealLock {
    fn drop(&mut self) {
        // Closing would do, but for a child process just being started, which holds the descriptor for a moment. A failure leaves it to closing.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

pub(super) fn lock(path: &Path) -> io::Result<LockAttempt> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = super::open_regular(path, &mut options)?;
    match rustix::io::retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(LockAttempt::Busy(holder(&file))),
        Err(errno) => return Err(errno.into()),
    }
    // A courtesy to whoever finds the lock taken: a full disk must not keep an engine from opening.
    let _ = file.set_len(0).and_then(|()| file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0));
    Ok(LockAttempt::Held(Box::new(RealLock { file })))
}

/// The process id in the file, unless its holder has not come to write it yet.
fn holder(file: &fs::File) -> Option<u32> {
    let mut bytes = [0; 16];
    let read = file.read_at(&mut bytes, 0).ok()?;
    std::str::from_utf8(bytes.get(..read)?).ok()?.trim().parse().ok()
}
