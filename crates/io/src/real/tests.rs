use std::borrow::Cow;
use std::fs;
use std::io::ErrorKind;
#[cfg(unix)]
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::RealMachine;
use crate::{Access, Machine, Operation};
#[cfg(unix)]
use crate::{DirEntry, EntryKind, LockAttempt};

pub(super) struct TempDir(PathBuf);

impl TempDir {
    pub(super) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("varve-io-{:016x}", RealMachine::new().random()));
        RealMachine::new().create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MACHINE: RealMachine = RealMachine;

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[cfg(unix)]
fn make_fifo(path: &Path) {
    let status = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(status.success());
}

#[cfg(unix)]
#[test]
fn directories_and_files_are_for_their_owner_alone() {
    let temp = TempDir::new();
    let dir = temp.path().join("a/b/c");
    MACHINE.create_dir_all(&dir).unwrap();
    MACHINE.create_dir_all(&dir).unwrap();
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&temp.path().join("a")), 0o700);
    let path = dir.join("file");
    MACHINE.create(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    let error = MACHINE.create(&path).unwrap_err();
    assert_eq!((error.operation(), error.kind()), (Operation::Create, ErrorKind::AlreadyExists));
    MACHINE.sync_dir(&dir).unwrap();
}

#[cfg(unix)]
#[test]
fn a_directory_is_not_made_where_a_file_is() {
    let temp = TempDir::new();
    let path = temp.path().join("file");
    MACHINE.create(&path).unwrap();
    for dir in [path.clone(), path.join("below")] {
        let error = MACHINE.create_dir_all(&dir).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory, "{error}");
    }
    assert_eq!(MACHINE.list(&path).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(MACHINE.identity(&path).unwrap_err().kind(), ErrorKind::NotADirectory);
    symlink("nowhere", temp.path().join("dangling")).unwrap();
    assert!(MACHINE.create_dir_all(&temp.path().join("dangling")).is_err());
}

#[cfg(unix)]
#[test]
fn all_paths_to_a_directory_have_one_identity() {
    let temp = TempDir::new();
    let link = temp.path().join("link");
    symlink(temp.path(), &link).unwrap();
    assert_eq!(MACHINE.identity(&link).unwrap(), MACHINE.identity(temp.path()).unwrap());
    MACHINE.create_dir_all(&link).unwrap();
    let other = temp.path().join("other");
    MACHINE.create_dir_all(&other).unwrap();
    assert_ne!(MACHINE.identity(&other).unwrap(), MACHINE.identity(temp.path()).unwrap());
}

#[cfg(unix)]
#[test]
fn only_regular_files_are_opened_and_none_blocks() {
    let temp = TempDir::new();
    let file = temp.path().join("file");
    MACHINE.create(&file).unwrap();
    let [dir, fifo, link, dangling] = ["dir", "fifo", "link", "dangling"].map(|name| temp.path().join(name));
    MACHINE.create_dir_all(&dir).unwrap();
    make_fifo(&fifo);
    symlink(&file, &link).unwrap();
    symlink("nowhere", &dangling).unwrap();
    for access in [Access::Read, Access::Write] {
        MACHINE.open(&file, access).unwrap();
        for (path, what) in
            [(&dir, "a directory"), (&fifo, "a pipe"), (&link, "a symbolic link"), (&dangling, "a symbolic link")]
        {
            let error = MACHINE.open(path, access).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().ends_with(&format!("it is {what}, not a regular file")), "{error}");
            let error = MACHINE.lock(path).unwrap_err();
            assert_eq!((error.operation(), error.kind()), (Operation::Lock, ErrorKind::InvalidInput));
        }
    }
    assert!(!temp.path().join("nowhere").exists());
    assert_eq!(MACHINE.open(&temp.path().join("gone"), Access::Read).unwrap_err().os_code(), Some("ENOENT"));
}

#[cfg(unix)]
#[test]
fn a_list_tells_what_each_name_stands_for() {
    let temp = TempDir::new();
    MACHINE.create(&temp.path().join("file")).unwrap();
    MACHINE.create_dir_all(&temp.path().join("dir")).unwrap();
    make_fifo(&temp.path().join("fifo"));
    symlink("file", temp.path().join("link")).unwrap();
    let mut entries = MACHINE.list(temp.path()).unwrap();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let expected =
        [("dir", EntryKind::Dir), ("fifo", EntryKind::Other), ("file", EntryKind::File), ("link", EntryKind::Other)];
    assert_eq!(entries, expected.map(|(name, kind)| DirEntry { name: name.into(), kind }));
    assert_eq!(MACHINE.list(&temp.path().join("gone")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn parts_are_written_one_behind_the_other() {
    let temp = TempDir::new();
    let file = MACHINE.create(&temp.path().join("file")).unwrap();
    assert!(file.is_empty().unwrap());
    file.write_at(&[], 7).unwrap();
    file.write_at(&[b"", b""], 7).unwrap();
    file.write_at(&[b"ab"], 3).unwrap();
    file.write_at(&[b"", b"cd", b"", b"e"], 5).unwrap();
    let many: Vec<[u8; 3]> = (0..3000u16).map(|n| [n.to_le_bytes()[0], n.to_le_bytes()[1], 7]).collect();
    let parts: Vec<&[u8]> = many.iter().map(|part| part.as_slice()).collect();
    file.write_at(&parts, 8).unwrap();
    assert_eq!(file.len().unwrap(), 8 + 9000);
    let mut bytes = vec![1; 10_000];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 9008);
    assert_eq!(&bytes[..8], b"\0\0\0abcde");
    assert_eq!(bytes[8..9008], many.concat());
    assert_eq!(file.read_at(&mut bytes, 9008).unwrap(), 0);
    file.sync_data().unwrap();
}

#[cfg(unix)]
#[test]
fn a_file_opened_for_reading_refuses_writes() {
    let temp = TempDir::new();
    let path = temp.path().join("file");
    MACHINE.create(&path).unwrap();
    let file = MACHINE.open(&path, Access::Read).unwrap();
    assert_eq!(file.write_at(&[b"a"], 0).unwrap_err().os_code(), Some("EBADF"));
}

#[cfg(unix)]
#[test]
fn allocation_reserves_blocks_and_never_shortens() {
    let temp = TempDir::new();
    let path = temp.path().join("file");
    let file = MACHINE.create(&path).unwrap();
    file.write_at(&[b"abc"], 0).unwrap();
    file.allocate(256 * 1024).unwrap();
    file.allocate(0).unwrap();
    file.allocate(10).unwrap();
    assert_eq!(file.len().unwrap(), 256 * 1024);
    assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 256 * 1024);
    let mut bytes = [9; 5];
    file.read_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"abc\0\0");
}

#[cfg(target_os = "linux")]
#[test]
fn a_punched_range_reads_as_zeros_through_a_map_too() {
    let temp = TempDir::new();
    let file = MACHINE.create(&temp.path().join("file")).unwrap();
    file.write_at(&[&[7; 64 * 1024]], 0).unwrap();
    let map = file.map(64 * 1024).unwrap();
    file.punch(5..5).unwrap();
    file.punch(8192..1 << 20).unwrap();
    assert_eq!(file.len().unwrap(), 64 * 1024);
    assert_eq!(map.slice(8191..8193).as_ref(), [7, 0]);
    assert!(map.slice(8192..64 * 1024).iter().all(|byte| *byte == 0));
}

#[test]
fn a_map_borrows_is_cut_to_its_length_and_outlives_the_name() {
    let temp = TempDir::new();
    let path = temp.path().join("file");
    let file = MACHINE.create(&path).unwrap();
    file.write_at(&[b"hello"], 0).unwrap();
    assert_eq!(file.map(6).unwrap_err().kind(), ErrorKind::InvalidInput);
    let empty = file.map(0).unwrap();
    assert!(empty.is_empty() && empty.slice(0..9).is_empty());
    let map = file.map(5).unwrap();
    file.write_at(&[b"J"], 0).unwrap();
    MACHINE.rename(&path, &temp.path().join("other")).unwrap();
    MACHINE.unlink(&temp.path().join("other")).unwrap();
    drop(file);
    assert!(matches!(map.slice(0..5), Cow::Borrowed(b"Jello")));
    assert_eq!(map.slice(3..usize::MAX).as_ref(), b"lo");
    assert!(map.slice(9..12).is_empty());
    assert!(MACHINE.list(temp.path()).unwrap().is_empty());
}

#[test]
fn what_is_written_to_a_private_map_stays_in_it() {
    let temp = TempDir::new();
    let path = temp.path().join("file");
    MACHINE.create(&path).unwrap().write_at(&[b"hello"], 0).unwrap();
    let file = MACHINE.open(&path, Access::Read).unwrap();
    assert_eq!(file.map_private(6).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(file.map_private(0).unwrap().is_empty());
    let [map, other] = [5, 5].map(|len| file.map_private(len).unwrap());
    drop(file);
    let at = |position: usize| map.as_ptr().wrapping_add(position);
    // SAFETY: the positions lie in the maps, and no reference to their bytes exists.
    unsafe {
        at(0).write(b'J');
        assert_eq!((at(0).read(), at(4).read(), other.as_ptr().read()), (b'J', b'o', b'h'));
    }
    assert_eq!(fs::read(&path).unwrap(), b"hello");
    assert_eq!((map.len(), map.is_faulted()), (5, false));
}

#[test]
fn a_rename_replaces() {
    let temp = TempDir::new();
    let [from, to] = ["from", "to"].map(|name| temp.path().join(name));
    MACHINE.create(&from).unwrap().write_at(&[b"new"], 0).unwrap();
    MACHINE.create(&to).unwrap().write_at(&[b"older"], 0).unwrap();
    MACHINE.rename(&from, &to).unwrap();
    assert_eq!(fs::read(&to).unwrap(), b"new");
    let error = MACHINE.rename(&from, &to).unwrap_err();
    assert_eq!((error.operation(), error.path()), (Operation::Rename, from.as_path()));
    assert_eq!(MACHINE.unlink(&from).unwrap_err().kind(), ErrorKind::NotFound);
}

#[cfg(unix)]
#[test]
fn a_lock_excludes_other_open_files_of_the_same_process() {
    let temp = TempDir::new();
    let path = temp.path().join("LOCK");
    fs::write(&path, "a pid that is much longer than any pid is").unwrap();
    let LockAttempt::Held(held) = MACHINE.lock(&path).unwrap() else { panic!("taken on the first attempt") };
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    for _ in 0..2 {
        let LockAttempt::Busy(holder) = MACHINE.lock(&path).unwrap() else { panic!("taken twice") };
        assert_eq!(holder, Some(std::process::id()));
    }
    // Closing another descriptor of the file must not give the lock up.
    drop(MACHINE.open(&path, Access::Read).unwrap());
    assert!(matches!(MACHINE.lock(&path).unwrap(), LockAttempt::Busy(_)));
    drop(held);
    assert!(matches!(MACHINE.lock(&path).unwrap(), LockAttempt::Held(_)));
}

#[cfg(unix)]
#[test]
fn a_child_being_started_does_not_keep_the_lock() {
    let temp = TempDir::new();
    let path = temp.path().join("LOCK");
    // Files are closed only when the child begins its own program; until then it shares the lock.
    let starter = std::thread::spawn(|| {
        for _ in 0..50 {
            std::process::Command::new("true").status().unwrap();
        }
    });
    while !starter.is_finished() {
        assert!(matches!(MACHINE.lock(&path).unwrap(), LockAttempt::Held(_)));
    }
    starter.join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn descriptors_are_not_inherited() {
    let temp = TempDir::new();
    let path = temp.path().join("file");
    let _file = MACHINE.create(&path).unwrap();
    let _lock = MACHINE.lock(&temp.path().join("LOCK")).unwrap();
    let listed = std::process::Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(!listed.contains(temp.path().to_str().unwrap()), "{listed}");
}

#[test]
fn the_clock_and_the_random_source_work() {
    assert!(MACHINE.now_micros() > 1_700_000_000_000_000);
    assert_ne!(MACHINE.random(), MACHINE.random());
}

#[test]
fn jobs_run_one_after_another_and_survive_a_panic() {
    let (sender, receiver) = mpsc::channel();
    for number in 0..10 {
        let sender = sender.clone();
        MACHINE.spawn(Box::new(move || {
            let name = std::thread::current().name().map(str::to_owned);
            sender.send((number, name)).unwrap();
            assert_ne!(number, 3, "a job that panics");
        }));
    }
    for number in 0..10 {
        let (ran, name) = receiver.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!((ran, name.as_deref()), (number, Some("varve-housekeeping")));
    }
}
