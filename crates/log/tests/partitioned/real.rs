//! On the machine at hand: what 1,024 partitions take of it.

use std::path::PathBuf;
use std::sync::Arc;

use varve_io::RealMachine;
use varve_log::PartitionedLog;

use crate::model::{any, held, options, put};

/// Removed when the test ends, however it does.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _stays = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(target_os = "linux")]
fn open_files(below: &std::path::Path) -> usize {
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    all.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).filter(|path| path.starts_with(below)).count()
}

#[cfg(target_os = "linux")]
fn threads() -> usize {
    let names = std::fs::read_dir("/proc/self/task").unwrap();
    let name =
        |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(entry.ok()?.path().join("comm")).ok();
    names.filter_map(name).filter(|name| name.starts_with("varve")).count()
}

/// Bytes that everything below takes, as `du` counts them.
#[cfg(target_os = "linux")]
fn on_disk(below: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(below).unwrap().map(|entry| entry.unwrap());
    let of = |entry: std::fs::DirEntry| {
        let metadata = entry.metadata().unwrap();
        metadata.blocks() * 512 + if metadata.is_dir() { on_disk(&entry.path()) } else { 0 }
    };
    entries.map(of).sum()
}

#[test]
#[cfg(target_os = "linux")]
fn many_partitions_take_few_files_and_few_threads() {
    const PARTITIONS: usize = 1024;
    let scratch = Scratch(std::env::temp_dir().join(format!("varve-partitioned-{}", std::process::id())));
    let machine = Arc::new(RealMachine::new());
    let began = std::time::Instant::now();
    let mut asked = options(1024);
    asked.log.segment_size = None;
    let whole = PartitionedLog::open(machine.clone(), &scratch.0, &asked).unwrap();
    println!("on the disk: {} KiB", on_disk(&scratch.0) >> 10);
    println!("open of nothing: {:?}", began.elapsed());
    let began = std::time::Instant::now();
    for partition in 0..PARTITIONS {
        put(&whole, partition, b"message").unwrap();
    }
    println!("a message each: {:?}, {} files, {} threads", began.elapsed(), open_files(&scratch.0), threads());
    assert!(open_files(&scratch.0) <= 2 * 192 + 8, "{} files", open_files(&scratch.0));
    // One for the housekeeping of all logs of the process, one for the syncs of this one; other tests may have theirs.
    let before = threads();
    let began = std::time::Instant::now();
    whole.sync().unwrap();
    println!("sync of all: {:?}, {} KiB on the disk", began.elapsed(), on_disk(&scratch.0) >> 10);
    for partition in 0..PARTITIONS {
        put(&whole, partition, b"again").unwrap();
    }
    whole.request_sync().unwrap();
    assert!(threads() <= before + 8, "{} threads, {before} before", threads());
    assert!(open_files(&scratch.0) <= 2 * 192 + 8, "{} files", open_files(&scratch.0));
    let began = std::time::Instant::now();
    whole.close().unwrap();
    println!("close: {:?}, {} KiB on the disk", began.elapsed(), on_disk(&scratch.0) >> 10);
    assert_eq!(open_files(&scratch.0), 0);
    let began = std::time::Instant::now();
    let whole = PartitionedLog::open(machine, &scratch.0, &any()).unwrap();
    println!("open of all: {:?}, {} files", began.elapsed(), open_files(&scratch.0));
    for partition in [0, 1, 511, 1023] {
        assert_eq!(held(&whole, partition), [&b"message"[..], b"again"]);
    }
}
