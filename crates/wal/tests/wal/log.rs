//! Opening logs to test, and reading them whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_io::sim::SimMachine;
use varve_io::{Machine, RealMachine};
use varve_wal::{Fill, Result, TABLE_LEN, Wal, WalOptions, WalReader, first_of};

/// Where logs of simulated machines lie.
pub const DIR: &str = "/data/log";

/// Segments of the least size.
pub fn small() -> WalOptions {
    WalOptions { segment_size: Some(64 << 10), codec: "bytes".into(), ..WalOptions::default() }
}

pub fn open(machine: &SimMachine, options: &WalOptions) -> Result<Arc<Wal>> {
    Wal::open(Arc::new(machine.clone()), Path::new(DIR), options)
}

/// A new log on a new machine.
pub fn fresh(options: &WalOptions) -> (SimMachine, Arc<Wal>) {
    let machine = SimMachine::new(1);
    let wal = open(&machine, options).unwrap();
    (machine, wal)
}

/// The bytes of record `index`: different for each, and of any length.
pub fn record(index: u64, len: usize) -> Vec<u8> {
    (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes().into_iter().cycle().take(len).collect()
}

/// Adds a batch.
pub fn batch(wal: &Arc<Wal>, records: &[Vec<u8>]) -> Result<u64> {
    let ends = records.iter().scan(0, |end, record| {
        *end += u32::try_from(record.len()).unwrap();
        Some(*end)
    });
    wal.append_packed(&records.concat(), &ends.collect::<Vec<_>>(), None)
}

/// What a reader gives from where it stands, with the indexes, through a slab that grows as it must.
pub fn rest(reader: &mut WalReader, slab: usize) -> Result<Vec<(u64, Vec<u8>)>> {
    let (mut slab, mut table, mut found) = (vec![0; slab], [0; TABLE_LEN], Vec::new());
    loop {
        match reader.fill(&mut slab, &mut table)? {
            Fill::Records(0) => return Ok(found),
            Fill::Records(count) => {
                let first = first_of(&table);
                let ends = table.as_chunks::<2>().0.iter().take(count);
                found.extend((first..).zip(ends.map(|ends| slab[ends[0] as usize..ends[1] as usize].to_vec())));
            }
            Fill::Needs(bytes) => {
                assert!(bytes > slab.len(), "a slab of {} bytes does for {bytes}", slab.len());
                slab.resize(bytes, 0);
            }
        }
    }
}

/// All of it.
pub fn all(wal: &Arc<Wal>) -> Vec<(u64, Vec<u8>)> {
    rest(&mut wal.reader(wal.first_index(), None).unwrap(), 4096).unwrap()
}

/// A directory of the real machine, gone at the end of the test.
pub struct Place {
    pub machine: Arc<dyn Machine>,
    pub path: PathBuf,
}

impl Place {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("varve-wal-{name}-{}", std::process::id()));
        let _none = std::fs::remove_dir_all(&path);
        Self { machine: Arc::new(RealMachine::new()), path }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.path);
    }
}
