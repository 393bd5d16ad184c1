//! What is done to all partitions, and to directories of partitions, from JavaScript.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::AsyncTask;
use varve_log::{Care, LogStats, PartitionedLog, PartitionedRemoval, Removed};

use super::PartitionedBinding;
use crate::argument::{absolute, micros};
use crate::fault::Fault;
use crate::handle::{MACHINE, made};
use crate::log::manage::directory;
use crate::raw::{Answer, Call, Made, function};
use crate::report;
use crate::steps::{Step, Steps};
use crate::task::{Job, promise, watched};

/// A compaction that is under way.
enum Work {
    Wished(Arc<PartitionedLog>, Option<Vec<usize>>, i64),
    Begun(Box<PartitionedRemoval>),
    Failed,
}

impl Step for Work {
    fn step(&mut self, care: &Care) -> Result<bool, Fault> {
        let mut removal = match std::mem::replace(self, Self::Failed) {
            Self::Wished(whole, partitions, before) => Box::new(whole.compact(partitions.as_deref(), before)?),
            Self::Begun(removal) => removal,
            Self::Failed => return Err(Fault::panicked()),
        };
        let more = removal.step(care);
        *self = Self::Begun(removal);
        Ok(more?)
    }
}

/// `compact(before, partitions?)`: gives `{ step(), progress(table), abort(), result() }`.
pub(super) fn compact(binding: &Rc<PartitionedBinding>, call: &Call) -> Result<Answer, Fault> {
    let whole = Arc::clone(&*binding.writable()?);
    let millis = call.number(0).unwrap_or(f64::NAN);
    let bad = || Fault::out_of_bounds(format!("a time is one that a Date can hold, and not {millis}"));
    let before = micros(millis).ok_or_else(bad)?;
    let partitions = call.words(1)?.map(|words| words.iter().map(|word| *word as usize).collect());
    let steps = Steps::new(Work::Wished(whole, partitions, before));
    let bound = || steps.bind(call.env, vec![(c"result", function(call.env, &steps, result)?)]);
    made(bound())
}

fn result(steps: &Rc<Steps<Work>>, call: &Call) -> Result<Answer, Fault> {
    let work = steps.work();
    let removed = if let Work::Begun(removal) = &*work { removal.removed() } else { Removed::default() };
    made(report::removed_messages(Env::from_raw(call.env), removed))
}

pub(super) fn enforce_retention(binding: &Rc<PartitionedBinding>, call: &Call) -> Result<Answer, Fault> {
    let whole = Arc::clone(&*binding.writable()?);
    call.value(promise(move || Ok(whole.enforce_retention()?), report::enforced))
}

pub(super) fn begin_retention(binding: &Rc<PartitionedBinding>, call: &Call) -> Result<Answer, Fault> {
    let whole = Arc::clone(&*binding.writable()?);
    let nothing = |env: Env, ()| crate::raw::value(env.raw(), ()).map(Made);
    call.value(promise(move || Ok(whole.apply_retention()?), nothing))
}

pub(super) fn retention_stats(binding: &Rc<PartitionedBinding>, call: &Call) -> Result<Answer, Fault> {
    made(report::retention_stats(&Env::from_raw(call.env), &binding.engine()?.retention_stats()))
}

pub(super) fn stats(binding: &Rc<PartitionedBinding>, call: &Call) -> Result<Answer, Fault> {
    made(report::partitions(&Env::from_raw(call.env), &binding.engine()?.stats()))
}

/// `backup(dir)`
pub(super) fn backup(binding: &Rc<PartitionedBinding>, call: &Call) -> Result<Answer, Fault> {
    let whole = Arc::clone(&*binding.engine()?);
    let to = directory(call)?;
    let work = move |care: &Care| Ok(whole.backup(&to, care)?);
    made(watched(Env::from_raw(call.env), work, report::backed_up_partitions))
}

fn given(env: &Env, dir: &str) -> napi::Result<PathBuf> {
    absolute(dir).map_err(|fault| fault.to_napi(env))
}

/// Checks a log of partitions that need not be open.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn check_partitioned(env: Env, dir: String) -> napi::Result<Made> {
    let dir = given(&env, &dir)?;
    watched(env, move |care| Ok(PartitionedLog::check(Arc::clone(&MACHINE), &dir, care)?), report::check)
}

/// Repairs a log of partitions in place.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn recover_partitioned(env: Env, dir: String) -> napi::Result<Made> {
    let dir = given(&env, &dir)?;
    watched(env, move |care| Ok(PartitionedLog::recover(Arc::clone(&MACHINE), &dir, care)?), report::recovered)
}

/// Copies all that is intact of a log of partitions into a new one.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn salvage_partitioned(env: Env, from: String, to: String) -> napi::Result<Made> {
    let (from, to) = (given(&env, &from)?, given(&env, &to)?);
    watched(env, move |care| Ok(PartitionedLog::salvage(Arc::clone(&MACHINE), &from, &to, care)?), report::recovered)
}

/// Copies a log of partitions that is not open.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn backup_partitioned(env: Env, from: String, to: String) -> napi::Result<Made> {
    let (from, to) = (given(&env, &from)?, given(&env, &to)?);
    let work = move |care: &Care| Ok(PartitionedLog::backup_of(Arc::clone(&MACHINE), &from, &to, care)?);
    watched(env, work, report::backed_up_partitions)
}

/// Outlines of the partitions of a log that need not be open.
#[napi(ts_return_type = "Promise<unknown>")]
pub fn stat_partitioned(env: Env, dir: String) -> napi::Result<AsyncTask<Job<Vec<LogStats>>>> {
    let dir = given(&env, &dir)?;
    let work = move || Ok(PartitionedLog::stat(Arc::clone(&MACHINE), &dir)?);
    Ok(promise(work, |env, stats| report::partitions(&env, &stats)))
}
