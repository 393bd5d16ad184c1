//! The recorder: a file system with one file, the disk, for a loop device to stand on; and one that says how much the disk was told so far.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request,
    TimeOrNow, WriteFlags,
};

use crate::Outcome;
use crate::record::Told;

const ROOT: u64 = 1;
const DISK: u64 = 2;
const SEQ: u64 = 3;
const FOREVER: Duration = Duration::from_secs(3600);

struct Recorder {
    size: u64,
    state: Mutex<State>,
}

struct State {
    disk: File,
    record: BufWriter<File>,
    told: u64,
}

impl Recorder {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attributes(&self, inode: u64) -> FileAttr {
        let (kind, size) = match inode {
            ROOT => (FileType::Directory, 0),
            DISK => (FileType::RegularFile, self.size),
            _ => (FileType::RegularFile, 20),
        };
        FileAttr {
            ino: INodeNo(inode),
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm: 0o700,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl State {
    fn write(&mut self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.write_all_at(bytes, position)?;
        Told::put(position, Some(bytes), &mut self.record)?;
        self.told += 1;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Told::put(0, None, &mut self.record)?;
        self.record.flush()?;
        self.told += 1;
        Ok(())
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

impl Filesystem for Recorder {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match name.to_str() {
            Some("disk") => reply.entry(&FOREVER, &self.attributes(DISK), Generation(0)),
            Some("seq") => reply.entry(&FOREVER, &self.attributes(SEQ), Generation(0)),
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOREVER, &self.attributes(inode.0));
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.attr(&FOREVER, &self.attributes(inode.0));
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let flags = if inode.0 == SEQ { FopenFlags::FOPEN_DIRECT_IO } else { FopenFlags::FOPEN_KEEP_CACHE };
        reply.opened(FileHandle(0), flags);
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        position: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let state = self.state();
        if inode.0 == SEQ {
            return reply.data(if position == 0 { state.told.to_string() } else { String::new() }.as_bytes());
        }
        let mut bytes = vec![0; size as usize];
        match state.disk.read_at(&mut bytes, position) {
            Ok(read) => reply.data(&bytes[..read]),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        position: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match (inode.0 == DISK).then(|| self.state().write(position, bytes)) {
            Some(Ok(())) => reply.written(length(bytes)),
            _ => reply.error(Errno::EIO),
        }
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        match (inode.0 == DISK).then(|| self.state().flush()) {
            Some(Ok(())) => reply.ok(),
            _ => reply.error(Errno::EIO),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }
}

/// Serves a copy of `base` until it is unmounted, and records what it is told.
pub fn serve(mount: &Path, base: &Path, record: &Path) -> Outcome {
    let disk = record.with_extension("disk");
    crate::image::copy_sparse(base, &disk)?;
    let state = State {
        disk: File::options().read(true).write(true).open(&disk)?,
        record: BufWriter::with_capacity(1 << 20, File::create(record)?),
        told: 0,
    };
    let recorder = Recorder { size: state.disk.metadata()?.len(), state: Mutex::new(state) };
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("varve-blocks".into())];
    fuser::mount(recorder, mount, &config)?;
    Ok("unmounted".into())
}
