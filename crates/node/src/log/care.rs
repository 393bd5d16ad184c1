//! Work on directories of message logs that need not be open, or must not be.

use std::path::PathBuf;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::AsyncTask;
use varve_log::{Care, Codec, Compression, Log, LogStats, Migrate, Migration, backup, check, recover, salvage, stat};

use crate::argument::{absolute, whole};
use crate::fault::Fault;
use crate::handle::MACHINE;
use crate::raw::Made;
use crate::report;
use crate::steps::{Step, Steps};
use crate::task::{Job, promise, watched};

fn given(env: &Env, dir: &str) -> napi::Result<PathBuf> {
    absolute(dir).map_err(|fault| fault.to_napi(env))
}

/// Checks a message log that need not be open.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn check_log(env: Env, dir: String) -> napi::Result<Made> {
    let dir = given(&env, &dir)?;
    watched(env, move |care| Ok(check(Arc::clone(&MACHINE), &dir, care)?), report::check)
}

/// Keeps all of a message log before its first damage, and sets the rest aside.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn recover_log(env: Env, dir: String) -> napi::Result<Made> {
    let dir = given(&env, &dir)?;
    watched(env, move |care| Ok(recover(Arc::clone(&MACHINE), &dir, care)?), report::recovered)
}

/// Copies every intact entry of a message log into a new one.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn salvage_log(env: Env, from: String, to: String) -> napi::Result<Made> {
    let (from, to) = (given(&env, &from)?, given(&env, &to)?);
    watched(env, move |care| Ok(salvage(Arc::clone(&MACHINE), &from, &to, care)?), report::recovered)
}

/// Copies a message log that is not open.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn backup_log(env: Env, from: String, to: String) -> napi::Result<Made> {
    let (from, to) = (given(&env, &from)?, given(&env, &to)?);
    watched(env, move |care| Ok(backup(Arc::clone(&MACHINE), &from, &to, care)?), report::backed_up)
}

/// Outline of a message log that need not be open.
#[napi(ts_return_type = "Promise<unknown>")]
pub fn stat_log(env: Env, dir: String) -> napi::Result<AsyncTask<Job<LogStats>>> {
    let dir = given(&env, &dir)?;
    Ok(promise(move || Ok(stat(Arc::clone(&MACHINE), &dir)?), |env, stats| report::log_stats(&env, &stats)))
}

/// What is to be different.
#[napi(object)]
#[derive(Debug, Default)]
pub struct NativeMigration {
    /// Index keys.
    pub key_index: Option<bool>,
    /// Index times.
    pub time_index: Option<bool>,
    /// Number of the codec.
    pub codec: Option<f64>,
    /// Its level.
    pub level: Option<i32>,
}

impl NativeMigration {
    fn resolve(&self) -> Result<Migrate, Fault> {
        let codec = |number: f64| {
            let codec = whole(number).and_then(|number| u8::try_from(number).ok()).and_then(Codec::from_byte);
            codec.ok_or_else(|| Fault::invalid("an unknown codec".into()))
        };
        let codec = self.codec.map(codec).transpose()?;
        Ok(Migrate {
            key_index: self.key_index,
            time_index: self.time_index,
            compression: codec.map(|codec| Compression { codec, level: self.level }),
        })
    }
}

enum Work {
    Wished(PathBuf, Migrate),
    Begun(Box<Migration>),
    Ended,
}

impl Step for Work {
    fn step(&mut self, care: &Care) -> Result<bool, Fault> {
        // What fails or is called off is let go of, and with it the lock.
        let mut migration = match std::mem::replace(self, Self::Ended) {
            Self::Wished(dir, to) => Box::new(Log::migrate(Arc::clone(&MACHINE), &dir, &to, care)?),
            Self::Begun(migration) => migration,
            Self::Ended => return Ok(false),
        };
        let more = migration.step(care)?;
        if more {
            *self = Self::Begun(migration);
        }
        Ok(more)
    }
}

/// Changes what a message log is made with, which nobody has open: `{ step(), progress(table), abort(), end() }`.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn migrate_log(env: Env, dir: String, to: NativeMigration) -> napi::Result<Made> {
    let dir = given(&env, &dir)?;
    let to = to.resolve().map_err(|fault| fault.to_napi(&env))?;
    let steps = Steps::new(Work::Wished(dir, to));
    let end = crate::raw::function(env.raw(), &steps, |steps, _| {
        // Nobody asked for the rest: the lock is let go of.
        *steps.work() = Work::Ended;
        Ok(crate::raw::Answer::Undefined)
    })?;
    steps.bind(env.raw(), vec![(c"end", end)])
}
