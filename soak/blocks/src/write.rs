//! The writer: appends, rotates, truncates and syncs, and notes each step before it is taken, and each acknowledgement with what the disk
//! had been told when it was given. The journal lies on another disk.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use varve_io::RealMachine;
use varve_wal::{Wal, WalOptions};

use crate::Outcome;
use crate::history::{Log, Step, record};
use varve_testkit::Rng;

/// How the log under test is opened.
pub fn options() -> WalOptions {
    WalOptions { segment_size: Some(128 << 10), codec: "bytes".into(), ..WalOptions::default() }
}

/// Takes `steps` steps. Now and then the system is made to write out what it holds, beside the writer, as it does when memory is short.
/// With `VARVE_BLOCKS_LIE` it tells of syncs that it has not made: then images must be found that break the promise.
pub fn write(dir: &Path, seq: &Path, journal: &Path, seed: u64, steps: u64) -> Outcome {
    let mut rng = Rng::new(seed);
    let mut journal = File::create(journal)?;
    let told = || -> std::io::Result<u64> { fs::read_to_string(seq)?.trim().parse().map_err(std::io::Error::other) };
    let wal = Wal::open(Arc::new(RealMachine::new()), dir, &options())?;
    // The open has made the empty log durable.
    journal.write_all(Step::Synced(told()?).line().as_bytes())?;
    let lies = std::env::var_os("VARVE_BLOCKS_LIE").is_some();
    let (mut log, mut number, mut syncs) = (Log::default(), 0, 0);
    let mut writing_out = Vec::new();
    for _ in 0..steps {
        let step = match rng.below(100) {
            0..72 => Step::Append { number, count: if rng.chance(60) { 1 } else { 1 + rng.below(120) } },
            72..76 => Step::Rotate,
            76..79 if log.numbers.len() > 20 => Step::TruncateAfter(log.next() - rng.below(20)),
            79..82 if log.numbers.len() > 400 => {
                Step::TruncateBefore(log.first + rng.below(log.numbers.len() as u64 - 200))
            }
            82..88 => {
                wal.flush()?;
                continue;
            }
            88..92 => {
                writing_out.push(Command::new("sync").arg("-f").arg(dir).spawn()?);
                continue;
            }
            _ => {
                if !lies {
                    wal.sync()?;
                }
                journal.write_all(Step::Synced(told()?).line().as_bytes())?;
                syncs += 1;
                continue;
            }
        };
        journal.write_all(step.line().as_bytes())?;
        match step {
            Step::Append { number: first, count } => {
                let (mut data, mut ends) = (Vec::new(), Vec::new());
                for one in first..first + count {
                    data.extend(record(one));
                    ends.push(u32::try_from(data.len())?);
                }
                wal.append_packed(&data, &ends, None)?;
                number += count;
            }
            Step::Rotate => wal.rotate()?,
            Step::TruncateAfter(index) => wal.truncate_after(index)?,
            Step::TruncateBefore(index) => wal.truncate_before(index)?,
            Step::Synced(_) => {}
        }
        log.step(&step);
    }
    for mut child in writing_out {
        child.wait()?;
    }
    // Not closed: the disk loses its power while the writer is at it.
    std::mem::forget(wal);
    Ok(format!("{steps} steps, {syncs} syncs, {number} records"))
}
