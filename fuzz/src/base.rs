//! Small valid logs, whose directories are then changed. Each is made once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_wal::{Wal, WalOptions};

use crate::written::Written;

/// Where the logs lie.
pub const DIR: &str = "/log";

/// The bytes of a directory's files by name, but for the lock.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A directory, and what was written into it.
pub struct Base {
    /// The directory.
    pub files: Files,
    /// The records.
    pub written: Written,
}

/// How all logs here are opened.
pub fn options() -> WalOptions {
    WalOptions { segment_size: Some(64 << 10), codec: "bytes".into(), ..WalOptions::default() }
}

/// What lies in the directory.
pub fn files(machine: &SimMachine) -> Files {
    let names = machine.list(Path::new(DIR)).into_iter().flatten().map(|entry| entry.name);
    let read = |name: String| machine.contents(&path(&name)).ok().map(|bytes| (name, bytes));
    names.filter(|name| name != "LOCK").filter_map(read).collect()
}

/// A machine whose directory holds `files`.
pub fn machine(files: &Files) -> SimMachine {
    let machine = SimMachine::new(1);
    machine.create_dir_all(Path::new(DIR)).expect("an empty machine takes a directory");
    for (name, bytes) in files {
        machine.set_contents(&path(name), bytes).expect("a name of ours is no directory");
    }
    machine
}

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// A log being written, and what was.
struct Writing {
    machine: SimMachine,
    wal: Arc<Wal>,
    written: Written,
    name: u8,
    count: u32,
}

impl Writing {
    fn begin(name: u8, options: &WalOptions) -> Self {
        let machine = SimMachine::new(u64::from(name));
        let wal =
            Wal::open(Arc::new(machine.clone()), Path::new(DIR), options).expect("an empty machine has no damage");
        Self { machine, wal, written: Written::default(), name, count: 0 }
    }

    fn batch(&mut self, records: usize) -> &mut Self {
        let (mut data, mut ends) = (Vec::new(), Vec::new());
        let first = self.wal.next_index();
        for index in first..first + records as u64 {
            self.count += 1;
            let len = 3 + usize::try_from(self.count).unwrap_or(0) * 7 % 40;
            let mut record = vec![self.name | 1; len];
            record[..3].copy_from_slice(&[self.name, self.count.to_le_bytes()[0], self.count.to_le_bytes()[1]]);
            data.extend_from_slice(&record);
            ends.push(u32::try_from(data.len()).unwrap_or(0));
            self.written.add(index, &record);
        }
        self.wal.append_packed(&data, &ends, None).expect("there is room");
        self
    }

    fn singles(&mut self, records: usize) -> &mut Self {
        (0..records).for_each(|_| {
            self.batch(1);
        });
        self
    }

    fn rotate(&mut self) -> &mut Self {
        self.wal.rotate().expect("there is room");
        self
    }

    fn sync(&mut self) -> &mut Self {
        self.wal.sync().expect("the disk is sound");
        while self.machine.run_job() {}
        self
    }

    /// The directory of the log closed; or as a killed process leaves it, or a power loss.
    fn end(&mut self, how: End) -> Base {
        while self.machine.run_job() {}
        let left = match how {
            End::Closed => {
                self.wal.close().expect("the disk is sound");
                self.machine.clone()
            }
            End::Killed => {
                self.wal.flush().expect("the disk is sound");
                self.machine.kill()
            }
            End::Crashed => {
                self.wal.flush().expect("the disk is sound");
                self.machine.crash(5)
            }
        };
        let base = Base { files: files(&left), written: self.written.clone() };
        self.machine.drop_jobs();
        base
    }
}

enum End {
    Closed,
    Killed,
    Crashed,
}

/// Three segments with sidecars, a batch among them.
fn plain(name: u8, how: End) -> Base {
    let mut log = Writing::begin(name, &options());
    log.singles(5).sync().singles(3).rotate().batch(3).singles(4).sync().rotate().singles(2).batch(3).end(how)
}

/// One that was truncated at both ends, has commits, a cut, and a gap.
fn travelled(how: End) -> Base {
    let mut log = Writing::begin(2, &WalOptions { first_index: Some(100), marker: Some(7), ..options() });
    log.singles(6).rotate().singles(6).batch(4).sync();
    log.wal.truncate_after(113).expect("nobody reads");
    log.sync().singles(3).rotate().singles(4).sync();
    log.wal.truncate_before(102).expect("nobody reads");
    log.written.drop_before(102);
    log.wal.commit(110).expect("it is there");
    log.sync();
    let next = log.wal.next_index();
    log.wal.skip_to(next + 10).expect("there is room");
    log.singles(3).rotate().batch(2).end(how)
}

/// All bases.
pub fn bases() -> &'static [Base] {
    static BASES: OnceLock<Vec<Base>> = OnceLock::new();
    BASES.get_or_init(|| {
        vec![
            plain(4, End::Closed),
            travelled(End::Closed),
            plain(6, End::Killed),
            travelled(End::Crashed),
            plain(8, End::Crashed),
            Base { files: Files::new(), written: Written::default() },
        ]
    })
}
