//! Repairs, and opens past damage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_wal::{Care, ErrorCode, RecoverReport, WalOptions};

use super::{
    Records, each_step, ensure, flip, held, in_tens, limit, open_at, options, place, record, segment, through,
};
use crate::failure::Failure;
use crate::open::{DIR, open};

/// Damage to the log in tens: segment, position (`None`: within its fourth record), bytes; and the indexes that are left before it.
const DAMAGES: [(u64, Option<usize>, usize, u64, u64); 7] = [
    (3, None, 1, 0, 23),
    (1, None, 1, 0, 3),
    (5, None, 1, 0, 43),
    (2, Some(0), 1024, 0, 10),
    (1, Some(0), 1024, 0, 0),
    (1, Some(1024), 16, 0, 0),
    (4, Some(0), 65_000, 0, 30),
];

fn damaged(
    setup: &dyn Fn(&SimMachine),
    (id, position, len, _, _): (u64, Option<usize>, usize, u64, u64),
) -> Result<SimMachine, Failure> {
    let machine = in_tens(setup)?;
    let position = match position {
        Some(position) => position,
        None => place(&machine, DIR, (id - 1) * 10 + 3)?.1 + 20,
    };
    flip(&machine, &segment(DIR, id), position, len)?;
    Ok(machine)
}

fn records(from: u64, to: u64) -> Records {
    (from..to).map(|index| (index, record(index, 0))).collect()
}

fn names(machine: &SimMachine) -> Result<Vec<String>, Failure> {
    Ok(machine.list(Path::new(DIR))?.into_iter().map(|entry| entry.name).collect())
}

/// At every step there is the damage, or the repaired log; another repair goes on; nothing is deleted; and what was set aside is kept.
pub fn repair(setup: &dyn Fn(&SimMachine)) -> Result<u64, Failure> {
    let run = |machine: &SimMachine| varve_wal::recover(Arc::new(machine.clone()), Path::new(DIR), &Care::default());
    let mut images = 0;
    for damage in DAMAGES {
        let (first, next) = (damage.3, damage.4);
        let machine = damaged(setup, damage)?;
        let act = |machine: &SimMachine, step| {
            limit(machine, step);
            let Some(report) = through(machine, run(machine))? else { return Ok(None) };
            let kept = |path: &PathBuf| Ok((path.clone(), machine.contents(path)?));
            let aside = report.set_aside.iter().map(kept).collect::<Result<_, Failure>>()?;
            Ok(Some((report, aside)))
        };
        let holds = |image: &SimMachine, done: Option<&(RecoverReport, BTreeMap<PathBuf, Vec<u8>>)>| {
            if let Some((report, aside)) = done {
                ensure(report.kept_entries == next - first, || format!("{report:?}"))?;
                let lost = aside.iter().find(|(path, bytes)| image.contents(path).ok().as_ref() != Some(*bytes));
                ensure(lost.is_none(), || format!("{:?} was set aside, and is gone", lost.map(|(path, _)| path)))?;
            }
            match open_at(&image.kill(), DIR) {
                Ok(wal) => ensure(held(&wal)? == records(first, next), || "other records are left".into())?,
                Err(error) if done.is_none() && error.code() == ErrorCode::Corrupt => {}
                Err(error) => return Err(error.into()),
            }
            run(image)?;
            let wal = open(image, &options())?;
            ensure(held(&wal)? == records(first, next), || "other records are left by another repair".into())?;
            wal.append(b"goes on", Some(next))?;
            wal.close()?;
            let kept = |name: &&String| [".seg", ".lost", ".torn"].iter().any(|ending| name.ends_with(ending));
            let count = names(image)?.iter().filter(kept).count();
            ensure(count >= 6, || format!("only {count} files are left"))
        };
        images += each_step(&format!("repair of {damage:?}"), &machine, act, holds)?;
    }
    Ok(images)
}

/// Whatever is intact is there after every crash, at its own index; no index is given twice; what was synced stands.
pub fn open_past_damage(setup: &dyn Fn(&SimMachine)) -> Result<u64, Failure> {
    let past = WalOptions { skip_damage: Some(true), ..options() };
    let mut images = 0;
    for damage in DAMAGES {
        let (id, position) = (damage.0, damage.1);
        let gone = match position {
            None => (id - 1) * 10 + 3..(id - 1) * 10 + 4,
            Some(1024) => 0..0,
            Some(_) => (id - 1) * 10..id * 10,
        };
        let machine = damaged(setup, damage)?;
        let intact: Records = records(0, 50).into_iter().filter(|(index, _)| !gone.contains(index)).collect();
        let act = |machine: &SimMachine, step| {
            limit(machine, step);
            let opened = open(machine, &past);
            let added = opened.as_ref().map_err(Clone::clone).and_then(|wal| {
                let index = wal.append(b"behind", None)?;
                wal.sync().map(|_| index)
            });
            through(machine, added)
        };
        let holds = |image: &SimMachine, done: Option<&u64>| {
            let wal = open(image, &past)?;
            let mut found = held(&wal)?;
            let behind = found.remove(&50);
            let is_ours = behind.as_deref().is_none_or(|bytes| bytes == b"behind");
            ensure(is_ours && (behind.is_some() || done.is_none()), || "what was synced behind it is gone".into())?;
            ensure(found == intact, || {
                let missing: Vec<_> = intact.keys().filter(|index| !found.contains_key(index)).collect();
                format!("of what is intact {missing:?} are missing")
            })?;
            ensure(done.is_none_or(|index| *index == 50), || format!("{done:?} is given again"))?;
            wal.append(b"goes on", Some(50 + u64::from(behind.is_some())))?;
            Ok(wal.close()?)
        };
        images += each_step(&format!("open past {damage:?}"), &machine, act, holds)?;
    }
    Ok(images)
}
