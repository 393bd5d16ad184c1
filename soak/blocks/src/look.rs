//! Looks at the log on a disk that lost its power: it holds what was acknowledged, and is what it was after some step; and it goes on.

use std::path::Path;
use std::sync::Arc;

use varve_io::RealMachine;
use varve_wal::{Care, Fill, TABLE_LEN, Wal, WalOptions, check};

use crate::Outcome;
use crate::history::{self, Log, Step, record};
use crate::write::options;
use varve_testkit::Rng;

/// Compares the log in `dir` with the journal: the disk had been told `told` things.
pub fn look(dir: &Path, journal: &Path, told: u64, seed: u64) -> Outcome {
    let mut rng = Rng::new(seed);
    let report = check(Arc::new(RealMachine::new()), dir, &Care::default())?;
    if !report.ok {
        return Err(format!("check finds damage: {:?}", report.damage).into());
    }
    let options = WalOptions { create: Some(false), verify: Some(rng.chance(50)), ..options() };
    let wal = Wal::open(Arc::new(RealMachine::new()), dir, &options)?;
    let torn: u64 = wal.stats().recovery.torn.iter().map(|torn| torn.bytes).sum();
    let held = read(&wal)?;
    if report.entries != held.numbers.len() as u64 {
        return Err(format!("check counts {} records, the log has {}", report.entries, held.numbers.len()).into());
    }
    let after = admitted(&held, &history::read(journal)?, told)?;
    goes_on(wal, dir, &options, &held)?;
    let torn = if torn > 0 { format!(", {torn} bytes torn") } else { String::new() };
    Ok(format!("{} records, {after} steps behind the last acknowledgement{torn}", held.numbers.len()))
}

/// How many steps behind the last acknowledgement the log has gone.
fn admitted(held: &Log, steps: &[Step], told: u64) -> Result<usize, String> {
    let is_acknowledged = |step: &Step| matches!(step, Step::Synced(at) if *at <= told);
    let least = steps.iter().rposition(is_acknowledged).ok_or("nothing was acknowledged")?;
    let mut log = Log::default();
    steps[..least].iter().for_each(|step| log.step(step));
    let acknowledged = log.clone();
    for (behind, step) in steps[least..].iter().enumerate() {
        log.step(step);
        if log == *held {
            return Ok(behind);
        }
    }
    let same = acknowledged.numbers.iter().zip(&held.numbers).take_while(|(one, two)| one == two).count();
    Err(format!(
        "the log is {} to {}, which it never was since it was acknowledged as {} to {}; they agree up to {}",
        held.first,
        held.next(),
        acknowledged.first,
        acknowledged.next(),
        held.first + same as u64
    ))
}

fn read(wal: &Arc<Wal>) -> Result<Log, Box<dyn std::error::Error>> {
    let mut log = Log { first: wal.first_index(), numbers: Vec::new() };
    let mut reader = wal.reader(log.first, None)?;
    let (mut slab, mut table) = (vec![0; 64 << 10], [0; TABLE_LEN]);
    loop {
        match reader.fill(&mut slab, &mut table)? {
            Fill::Records(0) => break,
            Fill::Records(count) => {
                for ends in table.as_chunks::<2>().0.iter().take(count) {
                    let bytes = &slab[ends[0] as usize..ends[1] as usize];
                    let number = u64::from_le_bytes(*bytes.first_chunk().ok_or("a record that was never appended")?);
                    if record(number) != bytes {
                        return Err(format!("record {number} has other bytes than were appended").into());
                    }
                    log.numbers.push(number);
                }
            }
            Fill::Needs(bytes) => slab.resize(bytes, 0),
        }
    }
    if log.next() != wal.next_index() {
        return Err(format!("the reader ends at {}, the log at {}", log.next(), wal.next_index()).into());
    }
    Ok(log)
}

/// What was found stays, and more comes behind it.
fn goes_on(wal: Arc<Wal>, dir: &Path, options: &WalOptions, held: &Log) -> Result<(), Box<dyn std::error::Error>> {
    let more = u64::MAX >> 8;
    let index = wal.append(&record(more), None)?;
    wal.close()?;
    drop(wal);
    let wal = Wal::open(Arc::new(RealMachine::new()), dir, &WalOptions { verify: Some(true), ..options.clone() })?;
    let mut after = read(&wal)?;
    wal.close()?;
    if index != held.next() || after.numbers.pop() != Some(more) || after != *held {
        return Err("what was found is not there after an append, a close and an open".into());
    }
    Ok(())
}
