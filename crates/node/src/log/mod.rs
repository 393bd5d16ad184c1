//! `Log` for JavaScript: an object of plain functions over one handle.

pub mod append;
mod care;
mod cursor;
mod lookup;
pub mod manage;
pub mod options;
mod read;
mod remove;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::AsyncTask;
use varve_log::{Handle, Log, LogReader};
use varve_wal::Wal;

use self::options::NativeLogOptions;
use crate::argument::{absolute, answer, done, index};
use crate::fault::Fault;
use crate::handle::{Binding, Engine, Hold, bind_records, made};
use crate::raw::{Answer, Call, Made, function, object};
use crate::report;
use crate::task::{Job, promise};

/// One handle of one thread.
type LogBinding = Binding<Log>;

impl Engine for Log {
    type Reader = LogReader;
    type Heart = Wal;

    fn heart(self: &Arc<Self>) -> &Arc<Wal> {
        self.wal()
    }

    fn settle_segments(self: &Arc<Self>) {
        self.settle_spans();
    }
}

/// Opens a message log; see `facade/native.ts` for what it gives. Tries the lock once.
#[napi(ts_return_type = "Promise<unknown>")]
pub fn open_log(env: Env, dir: String, options: NativeLogOptions) -> napi::Result<AsyncTask<Job<(Handle, PathBuf)>>> {
    let dir = absolute(&dir).map_err(|fault| fault.to_napi(&env))?;
    Ok(promise(move || Ok((options.open(&dir)?, dir)), |env, (handle, dir)| bind(&env, Hold::Own(handle), &dir)))
}

/// Opens a message log, and waits for it.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn open_log_sync(env: Env, dir: String, options: NativeLogOptions) -> napi::Result<Made> {
    let opened = absolute(&dir).and_then(|dir| Ok((options.open_and_wait(&dir)?, dir)));
    let (handle, dir) = opened.map_err(|fault| fault.to_napi(&env))?;
    bind(&env, Hold::Own(handle), &dir)
}

/// The object of a handle, or of a part of a log of partitions.
pub fn bind(env: &Env, handle: Hold<Log>, dir: &Path) -> napi::Result<Made> {
    let raw = env.raw();
    let (binding, mut properties) = bind_records(env, handle, dir)?;
    properties.extend([
        (c"segments", function(raw, &binding, segments)?),
        (c"append", function(raw, &binding, append::append)?),
        (c"appendBatch", function(raw, &binding, append::append_batch)?),
        (c"sizeOf", function(raw, &binding, append::size_of)?),
        (c"get", function(raw, &binding, lookup::get)?),
        (c"getEdge", function(raw, &binding, lookup::get_edge)?),
        (c"getByTime", function(raw, &binding, lookup::get_by_time)?),
        (c"getByKey", function(raw, &binding, lookup::get_by_key)?),
        (c"offsetByKey", function(raw, &binding, lookup::offset_by_key)?),
        (c"getByKeyAsync", function(raw, &binding, lookup::get_by_key_async)?),
        (c"getAsync", function(raw, &binding, lookup::get_async)?),
        (c"getEdgeAsync", function(raw, &binding, lookup::get_edge_async)?),
        (c"getByTimeAsync", function(raw, &binding, lookup::get_by_time_async)?),
        (c"startOffset", function(raw, &binding, start_offset)?),
        (c"nextIndex", function(raw, &binding, |binding, _| Ok(answer(binding.engine()?.next_offset())))?),
        (c"durableIndex", function(raw, &binding, |binding, _| Ok(answer(binding.engine()?.durable_offset())))?),
        (c"committed", function(raw, &binding, |binding, _| Ok(answer(binding.engine()?.high_water_mark())))?),
        (c"sync", function(raw, &binding, |binding, _| Ok(binding.writable()?.sync().map(answer)?))?),
        (c"wakeAt", function(raw, &binding, wake_at)?),
        (c"reader", function(raw, &binding, read::reader)?),
        (c"memory", function(raw, &binding, read::memory)?),
        (c"advanceHighWaterMark", function(raw, &binding, advance_high_water_mark)?),
        (c"cursor", function(raw, &binding, cursor::cursor)?),
        (c"cursors", function(raw, &binding, cursor::cursors)?),
        (c"saveCursor", function(raw, &binding, cursor::save)?),
        (c"deleteCursor", function(raw, &binding, cursor::delete)?),
        (c"find", function(raw, &binding, remove::find)?),
        (c"remove", function(raw, &binding, remove::remove)?),
        (c"enforceRetention", function(raw, &binding, manage::enforce_retention)?),
        (c"beginRetention", function(raw, &binding, manage::begin_retention)?),
        (c"backup", function(raw, &binding, manage::backup)?),
        (c"gc", function(raw, &binding, manage::gc)?),
        (c"stats", function(raw, &binding, stats)?),
    ]);
    object(raw, &properties).map(Made)
}

fn start_offset(binding: &Rc<LogBinding>, _: &Call) -> Result<Answer, Fault> {
    let log = binding.engine()?;
    // Of a log that is followed: as of now.
    log.catch_up();
    Ok(answer(log.start_offset()))
}

/// `wakeAt(seen, gated)`.
fn wake_at(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = binding.engine()?;
    // Before it is asked for: what moves the log from then on tells it.
    binding.settler.notifier().await_move();
    let waits = log.wake_at(index(call, 0)?, call.boolean(1).unwrap_or(false));
    Ok(answer(u64::from(waits)))
}

fn advance_high_water_mark(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    done(binding.writable()?.advance_high_water_mark(index(call, 0)?))
}

fn segments(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = binding.engine()?;
    log.wal().check_open()?;
    made(report::segments(&Env::from_raw(call.env), &log.segments()))
}

fn stats(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let stats = binding.engine()?.stats();
    made(report::log_stats(&Env::from_raw(call.env), &stats))
}
