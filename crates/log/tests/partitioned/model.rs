//! Logs of partitions to test, and what there is in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_log::{
    Conditions, Fill, Input, Log, LogOptions, PartitionedLog, PartitionedOptions, ROW_WORDS, ReaderOptions, Result,
};

pub const DIR: &str = "/data/partitioned";

/// What decides everything that is random.
pub fn seed() -> u64 {
    let seed = std::env::var("VARVE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("VARVE_SEED={seed}");
    seed
}

pub fn options(partitions: u32) -> PartitionedOptions {
    PartitionedOptions {
        partitions: Some(partitions),
        log: LogOptions {
            segment_size: Some(64 << 10),
            codec: "bytes,bytes".into(),
            time_index: Some(true),
            ..LogOptions::default()
        },
    }
}

/// As it is, whatever it is.
pub fn any() -> PartitionedOptions {
    PartitionedOptions { partitions: None, ..options(1) }
}

pub fn open(machine: &SimMachine, options: &PartitionedOptions) -> Result<Arc<PartitionedLog>> {
    PartitionedLog::open(Arc::new(machine.clone()), Path::new(DIR), options)
}

pub fn value(bytes: &[u8]) -> Input<'_> {
    Input { value: Some(bytes), ..Input::default() }
}

pub fn keyed<'a>(key: &'a [u8], bytes: &'a [u8]) -> Input<'a> {
    Input { key: Some(key), value: Some(bytes), ..Input::default() }
}

/// Puts a message into `partition`; gives its offset.
pub fn put(whole: &PartitionedLog, partition: usize, bytes: &[u8]) -> Result<u64> {
    whole.append(Some(partition), &value(bytes), &Conditions::default()).map(|(_, offset)| offset)
}

/// Values of all messages of a log, with their offsets.
pub fn all(log: &Arc<Log>) -> Vec<(u64, Vec<u8>)> {
    let mut reader = log.reader(ReaderOptions { from: log.start_offset(), ..ReaderOptions::default() }).unwrap();
    let (mut slab, mut words, mut found) = (vec![0; 1 << 20], vec![0; 256 * ROW_WORDS], Vec::new());
    loop {
        let Fill::Messages(count) = reader.fill(&mut slab, &mut words).unwrap() else {
            panic!("the slab is too small")
        };
        if count == 0 {
            return found;
        }
        for row in words.as_chunks::<ROW_WORDS>().0.iter().take(count) {
            let offset = u64::from(row[0]) | u64::from(row[1]) << 32;
            found.push((offset, slab[row[6] as usize..row[7] as usize].to_vec()));
        }
    }
}

/// The same of a partition.
pub fn held(whole: &PartitionedLog, partition: usize) -> Vec<Vec<u8>> {
    all(whole.log(partition).unwrap()).into_iter().map(|(_, value)| value).collect()
}

pub fn subdirectory(partition: usize) -> PathBuf {
    Path::new(DIR).join(format!("{partition:04}"))
}

/// Names in a directory, sorted; none, where it is missing.
pub fn names(machine: &SimMachine, dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        machine.list(dir).map_or(Vec::new(), |entries| entries.into_iter().map(|entry| entry.name).collect());
    names.sort();
    names
}
