//! varve's own engine, called from Rust: the same pwrites, the same segments made ready meanwhile. What is left between it and
//! the same job from JavaScript is the border.

use std::sync::Arc;

use varve_io::{Machine, RealMachine};
use varve_wal::{Wal, WalOptions};

use crate::Task;
use crate::measure::{Outcome, steps};
use crate::payload::{BATCH, Payloads};

type State = (Arc<Wal>, Payloads);

/// Runs one job, and gives its result as JSON.
pub fn run(task: &Task) -> Outcome<String> {
    let machine: Arc<dyn Machine> = Arc::new(RealMachine::new());
    let options = WalOptions { codec: "bytes".into(), ..WalOptions::default() };
    let wal = Wal::open(machine, &task.dir.join("engine"), &options)?;
    let mut state = (wal, Payloads::new(task.size));
    let flush = |(wal, _): &mut State| Ok(wal.flush()?);
    match task.run.as_str() {
        "engineAppend" => {
            let step = |(wal, payloads): &mut State, i| {
                wal.append(payloads.stamp(i), None)?;
                Ok(())
            };
            steps(task, &mut state, (1, 256), step, flush)
        }
        "engineBatch" => {
            let ends: Vec<u32> = (1..=BATCH as u32).map(|i| i * task.size as u32).collect();
            let step = |(wal, payloads): &mut State, i| {
                wal.append_packed(payloads.stamp_batch(i), &ends, None)?;
                Ok(())
            };
            steps(task, &mut state, (BATCH, 4), step, flush)
        }
        other => Err(format!("no job is called {other}").into()),
    }
}
