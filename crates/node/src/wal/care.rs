//! Work on directories that need not be open.

use std::path::PathBuf;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::AsyncTask;
use varve_wal::{StatReport, check, markers, recover, salvage, stat};

use crate::argument::absolute;
use crate::fault::Fault;
use crate::handle::MACHINE;
use crate::raw::Made;
use crate::report;
use crate::task::{Job, promise, watched};

fn given(env: &Env, dir: &str) -> napi::Result<PathBuf> {
    absolute(dir).map_err(|fault| fault.to_napi(env))
}

/// Checks a log that need not be open.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn check_wal(env: Env, dir: String) -> napi::Result<Made> {
    let dir = given(&env, &dir)?;
    watched(env, move |care| Ok(check(Arc::clone(&MACHINE), &dir, care)?), report::check)
}

/// Keeps all of a log before its first damage, and sets the rest aside.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn recover_wal(env: Env, dir: String) -> napi::Result<Made> {
    let dir = given(&env, &dir)?;
    watched(env, move |care| Ok(recover(Arc::clone(&MACHINE), &dir, care)?), report::recovered)
}

/// Copies every intact record of a log into a new one.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn salvage_wal(env: Env, from: String, to: String) -> napi::Result<Made> {
    let (from, to) = (given(&env, &from)?, given(&env, &to)?);
    watched(env, move |care| Ok(salvage(Arc::clone(&MACHINE), &from, &to, care)?), report::recovered)
}

/// Outline of a log that need not be open.
#[napi(ts_return_type = "Promise<unknown>")]
pub fn stat_wal(env: Env, dir: String) -> napi::Result<AsyncTask<Job<StatReport>>> {
    let dir = given(&env, &dir)?;
    Ok(promise(move || Ok(stat(Arc::clone(&MACHINE), &dir)?), report::outline))
}

/// The marks in the headers of the segments of a log, each once; none where there is no log.
#[napi(catch_unwind)]
pub fn markers_of_wal(env: Env, dir: String) -> napi::Result<Vec<u32>> {
    let dir = given(&env, &dir)?;
    match markers(Arc::clone(&MACHINE), &dir) {
        Err(varve_wal::Error::Segment(error)) if error.is_missing() => Ok(Vec::new()),
        found => found.map_err(|error| Fault::from(error).to_napi(&env)),
    }
}
