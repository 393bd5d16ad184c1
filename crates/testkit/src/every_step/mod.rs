//! What is done beside a log, or to a damaged one, with a crash at each of its steps: backups, repairs, salvages, opens past damage.
//! Each gives how many images were looked at, or the first promise that was broken. `setup` puts mutants in place.

mod copies;
mod damaged;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_io::sim::SimMachine;
use varve_wal::{Wal, WalOptions};

pub use copies::{backup, salvage};
pub use damaged::{open_past_damage, repair};

use crate::failure::Failure;
use crate::open::{DIR, open};
use crate::snapshot::{restore, snapshot};
use crate::verify::read_all;

/// One of these: given `setup`, the number of images, or what is wrong.
pub type EveryStep = fn(&dyn Fn(&SimMachine)) -> Result<u64, Failure>;

/// Where copies go.
const TO: &str = "/var/copy";

/// What a log holds.
type Records = BTreeMap<u64, Vec<u8>>;

/// Power losses looked at, at each step.
const LOSSES: u64 = 3;

/// True for a path in the directory of copies.
pub fn is_copy(path: &Path) -> bool {
    path.starts_with(TO)
}

fn options() -> WalOptions {
    WalOptions { segment_size: Some(64 << 10), codec: "bytes".into(), verify: Some(true), ..WalOptions::default() }
}

fn record(index: u64, life: u64) -> Vec<u8> {
    let bytes = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(life).to_le_bytes();
    bytes.into_iter().cycle().take(100).collect()
}

/// Adds records of a `life`: what takes the place of what was cut is different from it.
fn add(wal: &Arc<Wal>, count: u64, life: u64) -> Result<(), Failure> {
    for _ in 0..count {
        wal.append(&record(wal.next_index(), life), None)?;
    }
    Ok(())
}

/// Five segments of ten records each, closed, and durable whatever `setup` does.
fn in_tens(setup: &dyn Fn(&SimMachine)) -> Result<SimMachine, Failure> {
    let machine = SimMachine::new(1);
    let wal = open(&machine, &options())?;
    for _ in 0..4 {
        add(&wal, 10, 0)?;
        wal.rotate()?;
    }
    add(&wal, 10, 0)?;
    wal.close()?;
    drop(wal);
    while machine.run_job() {}
    let durable = restore(&snapshot(&machine))?;
    setup(&durable);
    Ok(durable)
}

fn held(wal: &Arc<Wal>) -> Result<Records, Failure> {
    let mut records = Records::new();
    read_all(wal, wal.first_index(), 4096, |index, bytes| {
        records.insert(index, bytes.to_vec());
        Ok(())
    })?;
    Ok(records)
}

fn segment(dir: &str, id: u64) -> PathBuf {
    Path::new(dir).join(format!("{id:016}.seg"))
}

fn flip(machine: &SimMachine, path: &Path, position: usize, len: usize) -> Result<(), Failure> {
    let mut bytes = machine.contents(path)?;
    bytes.iter_mut().skip(position).take(len).for_each(|byte| *byte ^= 0x55);
    Ok(machine.set_contents(path, &bytes)?)
}

/// Where record `index` lies in the log of `dir`: its segment, and the position of its frame.
fn place(machine: &SimMachine, dir: &str, index: u64) -> Result<(u64, usize), Failure> {
    let wal = Wal::follow(Arc::new(machine.clone()), Path::new(dir), &options())?;
    let place = wal.position_of(index)?.ok_or_else(|| Failure::new(format!("record {index} has no position")))?;
    Ok((place.segment, usize::try_from(place.offset).unwrap_or(0)))
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::new(what())) }
}

/// Nothing here changes anything so often.
const MOST_STEPS: u64 = 5_000;

/// Does `act` on `machine` with a crash after each number of changes, until one gets through. `act` is handed the machine, and how many changes it
/// is to be let make, and gives what came of it by [`through`]; `holds` is handed every image that is left, and what `act` gave if it was done.
fn each_step<R>(
    name: &str,
    machine: &SimMachine,
    act: impl Fn(&SimMachine, u64) -> Result<Option<R>, Failure>,
    holds: impl Fn(&SimMachine, Option<&R>) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let mut images = 0;
    for step in 0..MOST_STEPS {
        let machine = machine.kill();
        let done = act(&machine, step).map_err(|failure| Failure::new(format!("{name}: {}", failure.what)))?;
        let lost = (0..LOSSES).map(|loss| machine.crash(step * LOSSES + loss));
        for (number, image) in std::iter::once(machine.kill()).chain(lost).enumerate() {
            let end = if number == 0 { "killed" } else { "without power" };
            holds(&image, done.as_ref())
                .map_err(|failure| Failure::new(format!("{name}, {end} after {step} changes: {}", failure.what)))?;
            images += 1;
        }
        if done.is_some() {
            return Ok(images);
        }
    }
    Err(Failure::new(format!("{name}: never done")))
}

/// What was done, unless the machine has crashed in it. Whatever follows on this machine is not done any more.
fn through<R>(machine: &SimMachine, acted: varve_wal::Result<R>) -> Result<Option<R>, Failure> {
    let crashed = machine.crashed();
    limit(machine, 0);
    if crashed { Ok(None) } else { Ok(Some(acted?)) }
}

/// Lets `machine` make so many changes more.
fn limit(machine: &SimMachine, changes: u64) {
    machine.crash_after(machine.changes() + changes);
}

/// Opens the log in `dir`, verifying all of it, with the options of [`in_tens`].
fn open_at(machine: &SimMachine, dir: &str) -> varve_wal::Result<Arc<Wal>> {
    if dir == DIR {
        open(machine, &options())
    } else {
        Wal::open(Arc::new(machine.clone()), Path::new(dir), &options())
    }
}
