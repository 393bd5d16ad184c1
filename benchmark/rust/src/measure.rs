//! The loops that measure, as in `measure.mjs`.

use std::error::Error;
use std::time::Instant;

use crate::Task;

/// A job that fails ends the process with a message.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

fn nanos(since: Instant) -> u64 {
    since.elapsed().as_nanos() as u64
}

fn result(ops: u64, ns: u64) -> String {
    format!("{{\"ops\":{ops},\"ns\":{ns}}}")
}

/// Calls `step(i)`, each worth `each` records, until it is warm, then until the time or the records are spent, then
/// `finish`, whose time counts. `state` is what both work on.
pub fn steps<S>(
    task: &Task,
    state: &mut S,
    (each, stride): (u64, u64),
    mut step: impl FnMut(&mut S, u64) -> Outcome<()>,
    mut finish: impl FnMut(&mut S) -> Outcome<()>,
) -> Outcome<String> {
    let warm = task.warmup.min(task.records >> 2);
    let mut i = 0;
    let warming = Instant::now();
    while i < warm && nanos(warming) < task.limit / 4 {
        for _ in 0..stride {
            step(state, i)?;
            i += each;
        }
    }
    finish(state)?;
    let first = i;
    let begin = Instant::now();
    loop {
        for _ in 0..stride {
            step(state, i)?;
            i += each;
        }
        if i >= task.records || nanos(begin) >= task.limit {
            break;
        }
    }
    finish(state)?;
    Ok(result(i - first, nanos(begin)))
}

/// Whole passes over what was written before: one to get warm, then as many as the time allows.
pub fn passes(task: &Task, mut pass: impl FnMut() -> Outcome<u64>) -> Outcome<String> {
    let mut all = || match pass()? {
        seen if seen == task.records => Ok::<u64, Box<dyn Error>>(seen),
        seen => Err(format!("read {seen} records of {}", task.records).into()),
    };
    all()?;
    let mut ops = 0;
    let begin = Instant::now();
    while ops == 0 || nanos(begin) < task.limit {
        ops += all()?;
    }
    Ok(result(ops, nanos(begin)))
}

/// The time of each single call, less what the clock itself takes: percentiles in nanoseconds.
pub fn each(task: &Task, mut step: impl FnMut(u64) -> Outcome<()>) -> Outcome<String> {
    let warm = task.warmup.min(task.records >> 2);
    for i in 0..warm {
        step(i)?;
    }
    let mut laps: Vec<u64> = Vec::with_capacity(usize::try_from(task.records)?);
    let mut before = Instant::now();
    let mut lap = |laps: &mut Vec<u64>| {
        let after = Instant::now();
        laps.push((after - before).as_nanos() as u64);
        before = after;
    };
    for _ in 0..task.records {
        lap(&mut laps);
    }
    laps.sort_unstable();
    let clock = laps[laps.len() / 2];
    laps.clear();
    lap(&mut laps);
    laps.clear();
    for i in 0..task.records {
        step(warm + i)?;
        lap(&mut laps);
    }
    laps.sort_unstable();
    let at = |share: f64| laps[((share * laps.len() as f64) as usize).min(laps.len() - 1)].saturating_sub(clock);
    Ok(format!(
        "{{\"ops\":{},\"p50\":{},\"p99\":{},\"p99.9\":{},\"p99.99\":{},\"max\":{}}}",
        laps.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        at(1.0)
    ))
}
