//! The seam to the machine. Everything an engine does to files, maps, locks, clocks and threads goes through
//! [`Machine`], so that the same engine runs on a real disk ([`RealMachine`]) and on a simulated one
//! ([`sim::SimMachine`]) that loses, at a crash, whatever a real one may lose.
//!
//! Nothing here knows what the bytes mean.

mod errno;
mod error;
mod real;
pub mod sim;

use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use error::{Error, Operation, Result};
pub use real::{PrivateMap, RealMachine, is_main_thread};

/// Work handed to a background thread.
pub type Job = Box<dyn FnOnce() + Send>;

/// Told what happened in a watched directory, on a background thread. It is to be short: all watches of the process wait for it.
pub type Wake = Arc<dyn Fn(Change) + Send + Sync>;

/// A machine: its file system, its clock, its randomness, its threads.
///
/// Paths are those of the caller; an error names the operation and the path. No call follows a symbolic link that stands for a
/// file, none opens anything but a regular file, and none leaves a descriptor that a child process inherits.
pub trait Machine: Send + Sync + Debug + 'static {
    /// Creates `dir` and its missing parents (mode 0700), and makes each new name durable by syncing the directory above it.
    /// The deepest directory that is there already is synced into the one above it too, where that is permitted: whoever
    /// made it may have been stopped before.
    fn create_dir_all(&self, dir: &Path) -> Result<()>;

    /// What lies in `dir`, in no order. Fails if `dir` is missing or not a directory.
    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>>;

    /// Identity of a directory, equal for all paths (links, mounts) that lead to it.
    fn identity(&self, dir: &Path) -> Result<DirIdentity>;

    /// Opens an existing regular file. [`Access::Read`] works on a read-only file system.
    fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn File>>;

    /// Creates a file (mode 0600) for reading and writing; fails if the name exists. The name is durable only after [`Machine::sync_dir`].
    fn create(&self, path: &Path) -> Result<Arc<dyn File>>;

    /// Renames a file within its directory, replacing `to` if it exists. Durable only after [`Machine::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a name. Open files and maps of it stay usable. Durable only after [`Machine::sync_dir`].
    fn unlink(&self, path: &Path) -> Result<()>;

    /// Makes all names created, renamed and removed in `dir` so far durable.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// Takes the exclusive advisory lock of `path` (created if missing, mode 0600) and writes the process id into it.
    /// Held until the returned guard is dropped, or the process ends in whatever way.
    fn lock(&self, path: &Path) -> Result<LockAttempt>;

    /// Microseconds since the Unix epoch.
    fn now_micros(&self) -> i64;

    /// 64 random bits, from the operating system.
    fn random(&self) -> u64;

    /// Runs `job` soon on a background thread that is shared by the whole process. Jobs run one after another.
    fn spawn(&self, job: Job);

    /// Calls `wake` soon after anybody, another process too, has written to a file in `dir`, or made, renamed or removed a name in it; one
    /// call may stand for many changes, and one may come for none. Ends when the returned watch is dropped: no call begins after that, but
    /// one that has begun may still be running. Keeps no process alive. Several watches of one directory do not disturb each other.
    ///
    /// The watch follows the directory, not its path, and says [`Change::Names`] when that is removed, for the last time.
    fn watch(&self, dir: &Path, wake: Wake) -> Result<Box<dyn Watch>>;
}

/// An open regular file. Positions and lengths are bytes. The one owner of a file is the one place that sees its sync errors:
/// the system reports a lost write once per open file.
pub trait File: Send + Sync + Debug {
    /// The file's length now.
    fn len(&self) -> Result<u64>;

    /// True where the file holds no byte.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buf` from `position` on, as far as the file goes, and returns how many bytes were read.
    fn read_at(&self, buf: &mut [u8], position: u64) -> Result<usize>;

    /// Writes all of `parts`, one behind the other, from `position` on. Short writes and interruptions are continued.
    /// After an error any subset of the bytes may have been written.
    fn write_at(&self, parts: &[&[u8]], position: u64) -> Result<()>;

    /// Makes the file `len` bytes long with every block allocated, so that no later write into it can run out of space
    /// (file systems that copy on write excepted). The new bytes read as zeros. Never shortens.
    fn allocate(&self, len: u64) -> Result<()>;

    /// Gives the blocks of `range` back to the file system; the range reads as zeros, and the length stays.
    /// Does nothing where the file system cannot.
    fn punch(&self, range: Range<u64>) -> Result<()>;

    /// Makes all bytes written so far, and the length needed to read them, durable. An error is final: never call it again.
    fn sync_data(&self) -> Result<()>;

    /// Maps the first `len` bytes for reading. `len` is at most the file's length. The map stays valid after the file is closed, renamed or unlinked.
    fn map(&self, len: u64) -> Result<Arc<dyn Map>>;

    /// Maps the first `len` bytes privately: they may be written to, and the file does not change. `len` is at most the
    /// file's length. The map stays valid after the file is closed, renamed or unlinked.
    fn map_private(&self, len: u64) -> Result<PrivateMap>;
}

/// A file mapped for reading.
pub trait Map: Send + Sync + Debug {
    /// Length of the map in bytes.
    fn len(&self) -> usize;

    /// True where nothing is mapped.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of `range`, cut to the map's length. Only for bytes that will not change as long as the slice lives:
    /// that is the caller's promise, and the simulated disk fails a test that breaks it. Borrowed on a real machine, copied on a simulated one.
    fn slice(&self, range: Range<usize>) -> Cow<'_, [u8]>;

    /// True once a page of the map could not be read: the disk failed, or someone has cut the file. The page reads as zeros since then.
    fn is_faulted(&self) -> bool {
        false
    }
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// For reading.
    Read,
    /// For reading and writing.
    Write,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name; names that are not valid Unicode are listed lossily, and match no name of ours.
    pub name: String,
    /// What it names.
    pub kind: EntryKind,
}

/// What a name in a directory stands for. A symbolic link is [`EntryKind::Other`], wherever it leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// Anything else: links, pipes, sockets, devices.
    Other,
}

/// Device and inode of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DirIdentity {
    /// The device it lies on.
    pub device: u64,
    /// Its inode there.
    pub inode: u64,
}

/// Outcome of [`Machine::lock`].
#[derive(Debug)]
pub enum LockAttempt {
    /// Taken; dropping it gives the lock up.
    Held(Box<dyn Lock>),
    /// Another process, or another open file of this one, holds it; its process id where it could be read.
    Busy(Option<u32>),
}

/// A lock held on a directory.
pub trait Lock: Send + Sync + Debug {}

/// A directory being watched.
pub trait Watch: Send + Sync + Debug {}

/// What a [`Wake`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// A file was written to.
    Contents,
    /// A name appeared, vanished or was moved; or the directory was removed, or it is not known what has happened. Look at everything.
    Names,
}
