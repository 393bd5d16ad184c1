//! `Wal` for JavaScript: an object of plain functions over one handle.

mod care;
mod manage;
mod options;
mod read;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, LazyLock, PoisonError, Weak};

use napi::Env;
use napi::bindgen_prelude::AsyncTask;
use varve_io::{Machine, RealMachine};
use varve_wal::{Handle, Wal};

use self::options::{NativeWalOptions, absolute};
use self::read::SharedReader;
use crate::fault::Fault;
use crate::notify::Settler;
use crate::raw::{Answer, Call, Made, SCRATCH, function, object};
use crate::task::{Job, promise};
use crate::{exit, report};

static MACHINE: LazyLock<Arc<dyn Machine>> = LazyLock::new(|| Arc::new(RealMachine::new()));

/// One handle of one thread.
pub struct WalBinding {
    handle: RefCell<Option<Handle>>,
    settler: Settler,
    listener: u64,
    /// Strings on their way.
    scratch: RefCell<Vec<u8>>,
    /// Its readers: they end with it.
    readers: RefCell<Vec<Weak<SharedReader>>>,
}

/// A safe integer that is not negative, from a number of JavaScript.
fn whole(number: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked: whole, not negative, at most 2^53 - 1")]
    let value = number as u64;
    ((0.0..=9_007_199_254_740_991.0).contains(&number) && value as f64 == number).then_some(value)
}

#[inline]
fn answer(index: u64) -> Answer {
    Answer::Number(index as f64)
}

fn index(call: &Call, at: usize) -> Result<u64, Fault> {
    let number = call.number(at).ok_or_else(|| Fault::invalid("an index is a number".into()))?;
    whole(number)
        .ok_or_else(|| Fault::out_of_bounds(format!("an index is a whole number from 0 to 2^53 - 1, and not {number}")))
}

#[inline]
fn optional_index(call: &Call, at: usize) -> Result<Option<u64>, Fault> {
    if call.is_undefined(at) { Ok(None) } else { index(call, at).map(Some) }
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
    let settler = Settler::new(raw)?;
    let notifier = Arc::clone(settler.notifier());
    let listener = handle.listen(Arc::new(move |round| notifier.tell(round)));
    let read_only = handle.is_read_only();
    let scratch = RefCell::new(Vec::with_capacity(SCRATCH));
    let binding = Rc::new(WalBinding {
        handle: RefCell::new(Some(handle)),
        settler,
        listener,
        scratch,
        readers: RefCell::default(),
    });
    exit::watch(raw, &binding);
    let dir = crate::raw::value(raw, dir.display().to_string())?;
    object(
        raw,
        &[
            (c"dir", dir),
            (c"readOnly", crate::raw::value(raw, read_only)?),
            (c"append", function(raw, &binding, append)?),
            (c"appendPacked", function(raw, &binding, append_packed)?),
            (c"get", function(raw, &binding, read::get)?),
            (c"getAsync", function(raw, &binding, read::get_async)?),
            (c"firstIndex", function(raw, &binding, |binding, _| Ok(answer(binding.wal()?.first_index())))?),
            (c"nextIndex", function(raw, &binding, |binding, _| Ok(answer(binding.wal()?.next_index())))?),
            (c"durableIndex", function(raw, &binding, |binding, _| Ok(answer(binding.wal()?.durable_index())))?),
            (c"committed", function(raw, &binding, |binding, _| Ok(answer(binding.wal()?.committed())))?),
            (c"flush", function(raw, &binding, |binding, _| done(binding.writable()?.flush()))?),
            (c"sync", function(raw, &binding, |binding, _| Ok(binding.writable()?.sync().map(answer)?))?),
            (c"requestSync", function(raw, &binding, request_sync)?),
            (
                c"onNews",
                function(raw, &binding, |binding, call| {
                    binding.settler.set_callback(call.env, call.argument(0)).map(|()| Answer::Undefined)
                })?,
            ),
            (c"wantEvents", function(raw, &binding, want_events)?),
            (c"keepAlive", function(raw, &binding, keep_alive)?),
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
            (c"object", function(raw, &binding, manage::object)?),
            (c"answer", function(raw, &binding, manage::answer)?),
            (c"positionOf", function(raw, &binding, manage::position_of)?),
            (c"indexAt", function(raw, &binding, manage::index_at)?),
            (c"segments", function(raw, &binding, manage::segments)?),
            (c"pin", function(raw, &binding, manage::pin)?),
            (c"backup", function(raw, &binding, manage::backup)?),
            (c"stats", function(raw, &binding, stats)?),
            (c"close", function(raw, &binding, close)?),
            (c"closeSync", function(raw, &binding, |binding, _| binding.close().map(|()| Answer::Undefined))?),
        ],
    )
    .map(Made)
}

impl WalBinding {
    #[inline]
    fn wal(&self) -> Result<std::cell::Ref<'_, Arc<Wal>>, Fault> {
        std::cell::Ref::filter_map(self.handle.borrow(), |handle| handle.as_deref()).map_err(|_| Fault::closed())
    }

    /// The log, if this handle may write to it.
    #[inline]
    fn writable(&self) -> Result<std::cell::Ref<'_, Arc<Wal>>, Fault> {
        let handle = std::cell::Ref::filter_map(self.handle.borrow(), Option::as_ref).map_err(|_| Fault::closed())?;
        if handle.is_read_only() {
            return Err(varve_wal::Error::ReadOnly.into());
        }
        Ok(std::cell::Ref::map(handle, |handle| &**handle))
    }

    /// The handle, on its way to be closed.
    fn take(&self) -> Option<Handle> {
        let handle = self.handle.take()?;
        for reader in self.readers.take().iter().filter_map(Weak::upgrade) {
            // What it stands in is held no longer.
            let ended = reader.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(ended);
        }
        handle.unlisten(self.listener);
        self.settler.release();
        Some(handle)
    }

    fn close(&self) -> Result<(), Fault> {
        Ok(self.take().map_or(Ok(()), |mut handle| handle.close())?)
    }

    /// The environment ends. The log is closed by its last handle; at the end of the process that would only make it wait for the disk.
    pub fn end(&self) {
        let Some(handle) = self.take() else { return };
        if !handle.is_read_only() {
            let _nobody_to_tell = handle.flush();
        }
        if varve_io::is_main_thread() {
            std::mem::forget(handle);
        }
    }
}

impl Drop for WalBinding {
    fn drop(&mut self) {
        drop(self.take());
    }
}

#[inline]
fn append(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = binding.writable()?;
    let expected = optional_index(call, 1)?;
    if let Some(lent) = call.bytes(0)? {
        return Ok(answer(wal.append(&lent, expected)?));
    }
    let appended = call.utf8(0, &mut binding.scratch.borrow_mut(), |text| wal.append(text, expected));
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

fn request_sync(binding: &Rc<WalBinding>, _: &Call) -> Result<Answer, Fault> {
    let wal = binding.writable()?;
    let ticket = wal.request_sync()?;
    let notifier = binding.settler.notifier();
    notifier.await_ticket(ticket);
    // What was reached before it was awaited is not told.
    Ok(answer(if wal.durable_ticket() >= ticket { 0 } else { ticket }))
}

fn keep_alive(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    binding.settler.keep_alive(call.env, call.boolean(0).unwrap_or(false));
    Ok(Answer::Undefined)
}

/// `wakeAt(seen, gated)`.
fn wake_at(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = binding.wal()?;
    // Before it is asked for: what moves the log from then on tells it.
    binding.settler.notifier().await_move();
    let waits = wal.wake_at(index(call, 0)?, call.boolean(1).unwrap_or(false));
    Ok(answer(u64::from(waits)))
}

fn want_events(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    binding.settler.notifier().want_events(call.boolean(0).unwrap_or(false));
    Ok(Answer::Undefined)
}

/// Nothing, or the error.
fn done(outcome: varve_wal::Result<()>) -> Result<Answer, Fault> {
    Ok(outcome.map(|()| Answer::Undefined)?)
}

fn stats(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let stats = binding.wal()?.stats();
    let made = report::stats(&Env::from_raw(call.env), &stats);
    made.map(|made| Answer::Value(made.0)).map_err(|error| Fault::invalid(error.reason))
}

fn close(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let handle = binding.take();
    let work = move || Ok(handle.map_or(Ok(()), |mut handle| handle.close())?);
    call.value(promise(work, |env, ()| crate::raw::value(env.raw(), ()).map(Made)))
}
