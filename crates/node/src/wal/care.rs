//! Work on directories that need not be open.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::AsyncTask;
use varve_wal::{Care, Progress, StatReport, check, markers, recover, salvage, stat};

use super::MACHINE;
use super::options::absolute;
use crate::fault::Fault;
use crate::raw::{Answer, Call, Made, function, object};
use crate::report;
use crate::task::{Finish, Job, promise};

/// Long work on a thread of libuv's pool. Gives the promise, and the means to watch and to end it: `{ done, progress(table), abort() }`.
pub(super) fn watched<T: Send + 'static>(
    env: Env,
    work: impl FnOnce(&Care) -> Result<T, Fault> + Send + 'static,
    finish: Finish<T>,
) -> napi::Result<Made> {
    let (raw, care) = (env.raw(), Rc::new(Arc::new(Care::default())));
    let watched = Arc::clone(&care);
    let done = promise(move || work(&watched), finish);
    let progress = |care: &Rc<Arc<Care>>, call: &Call| {
        let Progress { bytes, total_bytes, segments, total_segments } = care.progress();
        if let Some(table) = call.doubles(0).and_then(|table| table.first_chunk_mut()) {
            *table = [bytes as f64, total_bytes as f64, segments as f64, total_segments as f64];
        }
        Ok(Answer::Undefined)
    };
    let abort = |care: &Rc<Arc<Care>>, _: &Call| {
        care.abort();
        Ok(Answer::Undefined)
    };
    object(
        raw,
        &[
            (c"done", crate::raw::value(raw, done)?),
            (c"progress", function(raw, &care, progress)?),
            (c"abort", function(raw, &care, abort)?),
        ],
    )
    .map(Made)
}

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
