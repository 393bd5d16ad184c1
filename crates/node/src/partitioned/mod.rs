//! `PartitionedLog` for JavaScript: an object of plain functions over one handle, and one of each partition that is asked for.

mod append;
mod care;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::AsyncTask;
use varve_log::{LogReader, News, PartitionedHandle, PartitionedLog, PartitionedOptions, open_partitioned};

use crate::argument::{absolute, answer, done, index};
use crate::fault::Fault;
use crate::handle::{Binding, Engine, Heart, Hold, MACHINE, bind as bind_any, made};
use crate::log::options::NativeLogOptions;
use crate::notify::Notifier;
use crate::raw::{Answer, Call, Made, function, object};
use crate::task::{Job, promise};

/// One handle of one thread.
type PartitionedBinding = Binding<PartitionedLog>;

impl Engine for PartitionedLog {
    /// Its partitions are read.
    type Reader = LogReader;
    type Heart = Self;

    fn settle_segments(self: &Arc<Self>) {
        Self::settle_spans(self);
    }

    fn heart(self: &Arc<Self>) -> &Arc<Self> {
        self
    }
}

impl Heart for PartitionedLog {
    fn listen(self: &Arc<Self>, notifier: Arc<Notifier>) -> u64 {
        Self::listen(
            self,
            Arc::new(move |partition, news| {
                // Partitions count their own syncs.
                if partition.is_none() || !matches!(news, News::Durable { .. }) {
                    notifier.tell(partition, news);
                }
            }),
        )
    }

    fn unlisten(self: &Arc<Self>, listener: u64) {
        Self::unlisten(self, listener);
    }

    fn flush(self: &Arc<Self>) -> Result<(), Fault> {
        Ok(Self::flush(self)?)
    }

    fn request_sync(self: &Arc<Self>) -> Result<u64, Fault> {
        Ok(Self::request_sync(self)?)
    }

    fn durable_ticket(self: &Arc<Self>) -> u64 {
        Self::durable_ticket(self)
    }

    fn object(self: &Arc<Self>, listener: u64) {
        Self::object(self, listener);
    }

    fn answer(self: &Arc<Self>, listener: u64, number: u64, allowed: usize, partition: usize) {
        Self::answer(self, listener, partition, number, allowed);
    }
}

/// Opens a log of partitions; see `facade/native.ts` for what it gives. Tries the lock once.
#[napi(ts_return_type = "Promise<unknown>")]
pub fn open_partitioned_log(
    env: Env,
    dir: String,
    partitions: Option<u32>,
    options: NativeLogOptions,
) -> napi::Result<AsyncTask<Job<(PartitionedHandle, PathBuf)>>> {
    let dir = absolute(&dir).map_err(|fault| fault.to_napi(&env))?;
    let open = move || {
        let options = PartitionedOptions { partitions, log: options.resolve()? };
        Ok((open_partitioned(&MACHINE, &dir, &options)?, dir))
    };
    Ok(promise(open, |env, (handle, dir)| bind(&env, handle, dir)))
}

fn bind(env: &Env, handle: PartitionedHandle, dir: PathBuf) -> napi::Result<Made> {
    let raw = env.raw();
    let count = handle.partitions();
    let (binding, mut properties) = bind_any(env, Hold::Own(handle), &dir)?;
    properties.extend([
        (c"partitions", crate::raw::value(raw, count as f64)?),
        (c"part", function(raw, &binding, part)?),
        (c"append", function(raw, &binding, append::append)?),
        (c"appendBatch", function(raw, &binding, append::append_batch)?),
        // Of all partitions there is no one offset; a handle that is closed is told so.
        (c"nextIndex", function(raw, &binding, |binding, _| binding.engine().map(|_| answer(0)))?),
        (c"durableIndex", function(raw, &binding, |binding, _| binding.engine().map(|_| answer(0)))?),
        (c"sync", function(raw, &binding, |binding, _| done(binding.writable()?.sync()))?),
        (c"wakeAt", function(raw, &binding, wake_at)?),
        (c"compact", function(raw, &binding, care::compact)?),
        (c"enforceRetention", function(raw, &binding, care::enforce_retention)?),
        (c"beginRetention", function(raw, &binding, care::begin_retention)?),
        (c"retentionStats", function(raw, &binding, care::retention_stats)?),
        (c"stats", function(raw, &binding, care::stats)?),
        (c"backup", function(raw, &binding, care::backup)?),
    ]);
    object(raw, &properties).map(Made)
}

/// A partition, by its number.
fn number(call: &Call, at: usize) -> Result<usize, Fault> {
    Ok(usize::try_from(index(call, at)?).unwrap_or(usize::MAX))
}

/// `part(partition)`: its log; `undefined` if another process writes, and has not made it yet.
fn part(binding: &Rc<PartitionedBinding>, call: &Call) -> Result<Answer, Fault> {
    let whole = binding.engine()?;
    let Some(engine) = whole.find(number(call, 0)?)?.map(Arc::clone) else { return Ok(Answer::Undefined) };
    let dir = engine.dir().to_path_buf();
    made(crate::log::bind(&Env::from_raw(call.env), Hold::Part { engine, read_only: binding.is_read_only()? }, &dir))
}

/// `wakeAt(partition, seen, gated)`.
fn wake_at(binding: &Rc<PartitionedBinding>, call: &Call) -> Result<Answer, Fault> {
    let whole = binding.engine()?;
    // Before it is asked for: what moves the log from then on tells it.
    binding.settler.notifier().await_move();
    let waits = whole.wake_at(number(call, 0)?, index(call, 1)?, call.boolean(2).unwrap_or(false));
    Ok(answer(u64::from(waits)))
}
