//! Locks that belong to one open file, and end with it.

use std::fs;
use std::io;
use std::path::Path;

use super::system;
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
        let _ = system::unlock(&self.file);
    }
}

pub(super) fn lock(path: &Path) -> io::Result<LockAttempt> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = super::open_regular(path, &mut options)?;
    if !system::try_lock(&file)? {
        return Ok(LockAttempt::Busy(holder(&file)));
    }
    // A courtesy to whoever finds the lock taken: a full disk must not keep an engine from opening.
    let text = format!("{}\n", std::process::id());
    let _ = file.set_len(0).and_then(|()| system::write_all_at(&file, text.as_bytes(), 0));
    Ok(LockAttempt::Held(Box::new(RealLock { file })))
}

/// The process id in the file, unless its holder has not come to write it yet.
fn holder(file: &fs::File) -> Option<u32> {
    let mut bytes = [0; 16];
    let read = system::read_at(file, &mut bytes, 0).ok()?;
    std::str::from_utf8(bytes.get(..read)?).ok()?.trim().parse().ok()
}
