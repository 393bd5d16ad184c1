//! Faults under an open.

use std::sync::Arc;

use varve_io::sim::SimMachine;
use varve_testkit::{DIR, Model, open, verify};
use varve_wal::{Wal, WalOptions};

use super::case::{Case, SMALL, end, holds, options, survives};

/// What is opened while the fault waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    Fresh,
    Clean,
    Killed,
    TornTail,
    TornSegments,
    Sealed,
}

/// All of them.
pub const OPENINGS: &[Opening] =
    &[Opening::Fresh, Opening::Clean, Opening::Killed, Opening::TornTail, Opening::TornSegments, Opening::Sealed];

impl Opening {
    pub fn name(self) -> &'static str {
        match self {
            Self::Fresh => "open fresh",
            Self::Clean => "open what was closed",
            Self::Killed => "open what a killed process left",
            Self::TornTail => "open with a torn tail",
            Self::TornSegments => "open with a torn tail over several segments",
            Self::Sealed => "open a log that ends with a footer",
        }
    }
}

fn append(wal: &Arc<Wal>, model: &mut Model, len: usize) {
    let bytes: Arc<[u8]> = model.next().wrapping_mul(0x9e37_79b9).to_le_bytes().into_iter().cycle().take(len).collect();
    model.attempt([Arc::clone(&bytes)]);
    wal.append(&bytes, None).unwrap();
}

/// A machine as the next process finds it, and what its log must hold.
fn left(opening: Opening) -> (SimMachine, Model) {
    let (machine, mut model) = (SimMachine::new(5), Model::new(0));
    if opening == Opening::Fresh {
        return (machine, model);
    }
    let wal = open(&machine, &options(SMALL)).unwrap();
    for len in [10, 3_000, 0] {
        append(&wal, &mut model, len);
    }
    wal.rotate().unwrap();
    append(&wal, &mut model, 4_000);
    wal.sync().unwrap();
    model.synced();
    while machine.run_job() {}
    match opening {
        Opening::Clean => {
            wal.close().unwrap();
        }
        Opening::Fresh | Opening::Killed | Opening::TornTail => {
            append(&wal, &mut model, 9_000);
            append(&wal, &mut model, 60);
            wal.flush().unwrap();
            model.flushed();
        }
        Opening::TornSegments | Opening::Sealed => {
            append(&wal, &mut model, 9_000);
            wal.rotate().unwrap();
            append(&wal, &mut model, 500);
            wal.rotate().unwrap();
            append(&wal, &mut model, 70);
            wal.flush().unwrap();
            model.flushed();
        }
    }
    let next = machine.kill();
    end(&machine, Some(wal));
    match opening {
        Opening::TornTail => damage(&next, &mut model, 2),
        Opening::TornSegments => {
            damage(&next, &mut model, 2);
            model.lost_power();
        }
        Opening::Sealed => {
            let dir = std::path::Path::new(DIR);
            let last = varve_segment::FileName::Segment(4).to_string();
            varve_io::Machine::unlink(&next, &dir.join(last)).unwrap();
            varve_io::Machine::sync_dir(&next, dir).unwrap();
            model.lost_power();
        }
        Opening::Fresh | Opening::Clean | Opening::Killed => {}
    }
    (next, model)
}

/// Changes a byte of the first record of segment `id` that is not durable.
fn damage(machine: &SimMachine, model: &mut Model, id: u64) {
    let path = std::path::Path::new(DIR).join(varve_segment::FileName::Segment(id).to_string());
    let mut bytes = machine.contents(&path).unwrap();
    // Behind the state (72 bytes, with the codec's name) and one durable record of 4,000 bytes.
    bytes[1024 + 72 + 4_016 + 200] ^= 1;
    machine.set_contents(&path, &bytes).unwrap();
    model.lost_power();
}

/// One case. True if the fault struck.
pub fn opening(opening: Opening, case: &Case) -> bool {
    let (machine, model) = left(opening);
    // What an open finds that meets no fault: any other must find the same.
    let expected = holds(&machine.kill(), &model, model.os());
    case.inject(&machine);
    let verifying = WalOptions { verify: Some(case.passing % 2 == 1), ..options(SMALL) };
    let opened = open(&machine, &verifying);
    let struck = machine.faults_hit() > 0;
    if let Err(error) = &opened {
        assert!(struck, "an error without a fault: {error}");
        case.is_told(error);
    }
    machine.clear_faults();
    match opened {
        Ok(wal) => {
            assert_eq!(wal.next_index(), expected, "an open that met a fault ends elsewhere");
            let mut found = model.clone();
            found.reopened(expected);
            verify(&wal, &found, true).unwrap();
            // What it returns does not vanish.
            survives(&machine, &found, case.passing);
            wal.close().unwrap();
            end(&machine, Some(wal));
        }
        Err(_) => {
            machine.drop_jobs();
            for seed in [case.passing, case.passing ^ 0x3333] {
                holds(&machine.crash(seed), &model, model.disk());
            }
            assert_eq!(holds(&machine.kill(), &model, model.os()), expected, "the next process finds another end");
            assert_eq!(holds(&machine, &model, model.os()), expected, "the next open finds another end");
        }
    }
    struck
}
