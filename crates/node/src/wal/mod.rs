//! `Wal` for JavaScript: an object of plain functions over one handle.

mod care;
mod manage;
mod options;
mod read;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::AsyncTask;
use varve_wal::{Handle, Wal, WalReader};

use self::options::NativeWalOptions;
use crate::argument::{absolute, answer, done, index, optional_index};
use crate::fault::Fault;
use crate::handle::{Binding, Engine, Hold, bind_records, made};
use crate::raw::{Answer, Call, Made, function, object};
use crate::report;
use crate::task::{Job, promise};

/// One handle of one thread.
pub type WalBinding = Binding<Wal>;

impl Engine for Wal {
    type Reader = WalReader;
    type Heart = Self;
    const HAS_INDEXES: bool = true;

    fn settle_segments(self: &Arc<Self>) {}

    fn heart(self: &Arc<Self>) -> &Arc<Self> {
        self
    }
}

/// Opens a log; see `facade/native.ts` for what it gives. Tries the lock once: a thread of libuv's pool that slept for it would keep others, and the end of the process, waiting.
#[napi(ts_return_type = "Promise<unknown>")]
pub fn open_wal(env: Env, dir: String, options: NativeWalOptions) -> napi::Result<AsyncTask<Job<(Handle, PathBuf)>>> {
    let dir = absolute(&dir).map_err(|fault| fault.to_napi(&env))?;
    Ok(promise(move || Ok((options.open(&dir)?, dir)), |env, (handle, dir)| bind(&env, handle, &dir)))
}

/// Opens a log, and waits for it.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn open_wal_sync(env: Env, dir: String, options: NativeWalOptions) -> napi::Result<Made> {
    let opened = absolute(&dir).and_then(|dir| Ok((options.open_and_wait(&dir)?, dir)));
    let (handle, dir) = opened.map_err(|fault| fault.to_napi(&env))?;
    bind(&env, handle, &dir)
}

fn bind(env: &Env, handle: Handle, dir: &Path) -> napi::Result<Made> {
    let raw = env.raw();
    let (binding, mut properties) = bind_records(env, Hold::Own(handle), dir)?;
    properties.extend([
        (c"segments", function(raw, &binding, segments)?),
        (c"append", function(raw, &binding, append)?),
        (c"appendPacked", function(raw, &binding, append_packed)?),
        (c"get", function(raw, &binding, read::get)?),
        (c"getAsync", function(raw, &binding, read::get_async)?),
        (c"firstIndex", function(raw, &binding, |binding, _| Ok(answer(binding.engine()?.first_index())))?),
        (c"nextIndex", function(raw, &binding, |binding, _| Ok(answer(binding.engine()?.next_index())))?),
        (c"durableIndex", function(raw, &binding, |binding, _| Ok(answer(binding.engine()?.durable_index())))?),
        (c"committed", function(raw, &binding, |binding, _| Ok(answer(binding.engine()?.committed())))?),
        (c"sync", function(raw, &binding, |binding, _| Ok(binding.writable()?.sync().map(answer)?))?),
        (c"wakeAt", function(raw, &binding, wake_at)?),
        (c"reader", function(raw, &binding, read::reader)?),
        (c"viewOf", function(raw, &binding, read::view_of)?),
        (c"memory", function(raw, &binding, read::memory)?),
        (c"rotate", function(raw, &binding, |binding, _| done(binding.writable()?.rotate()))?),
        (c"commit", function(raw, &binding, |binding, call| done(binding.writable()?.commit(index(call, 0)?)))?),
        (c"truncateAfter", function(raw, &binding, manage::truncate_after)?),
        (c"truncateBefore", function(raw, &binding, manage::truncate_before)?),
        (c"reset", function(raw, &binding, manage::reset)?),
        (c"enforceRetention", function(raw, &binding, manage::enforce_retention)?),
        (c"beginRetention", function(raw, &binding, manage::begin_retention)?),
        (c"positionOf", function(raw, &binding, manage::position_of)?),
        (c"indexAt", function(raw, &binding, manage::index_at)?),
        (c"backup", function(raw, &binding, manage::backup)?),
        (c"stats", function(raw, &binding, stats)?),
    ]);
    object(raw, &properties).map(Made)
}

#[inline]
fn append(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = binding.writable()?;
    let expected = optional_index(call, 1)?;
    if let Some(lent) = call.bytes(0)? {
        return Ok(answer(wal.append(&lent, expected)?));
    }
    let appended = call.utf8(0, &mut binding.scratch.borrow_mut()[0], |text| wal.append(text, expected));
    match appended {
        Some(appended) => Ok(answer(appended?)),
        None => Err(Fault::invalid("a record is a Uint8Array or a string".into())),
    }
}

fn append_packed(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = binding.writable()?;
    let data = call.bytes(0)?.ok_or_else(|| Fault::invalid("data is a Uint8Array".into()))?;
    let ends = call.words(1)?.ok_or_else(|| Fault::invalid("ends is a Uint32Array".into()))?;
    let count = usize::try_from(index(call, 2)?).unwrap_or(usize::MAX);
    let Some(ends) = ends.get(..count) else {
        return Err(Fault::out_of_bounds(format!("there are {} ends, and not {count}", ends.len())));
    };
    let expected = optional_index(call, 3)?;
    Ok(answer(wal.append_packed(&data, ends, expected)?))
}

/// `wakeAt(seen, gated)`.
fn wake_at(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = binding.engine()?;
    // Before it is asked for: what moves the log from then on tells it.
    binding.settler.notifier().await_move();
    let waits = wal.wake_at(index(call, 0)?, call.boolean(1).unwrap_or(false));
    Ok(answer(u64::from(waits)))
}

fn segments(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = binding.engine()?;
    wal.check_open()?;
    made(report::segments(&Env::from_raw(call.env), &wal.segments()))
}

fn stats(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let stats = binding.engine()?.stats();
    made(report::stats(&Env::from_raw(call.env), &stats))
}
