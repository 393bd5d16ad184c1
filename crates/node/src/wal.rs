//! `Wal` for JavaScript: an object of plain functions over one handle.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use napi::Env;
use napi::bindgen_prelude::{AsyncTask, Buffer};
use varve_io::{Machine, RealMachine};
use varve_wal::{
    Care, ErrorCode, Fill, Handle, Progress, StatReport, Wal, WalOptions, WalReader, check, open_shared, stat,
};

use crate::fault::Fault;
use crate::notify::Settler;
use crate::raw::{Answer, Call, Made, SCRATCH, function, object};
use crate::task::{Job, promise};
use crate::{exit, report};

static MACHINE: LazyLock<Arc<dyn Machine>> = LazyLock::new(|| Arc::new(RealMachine::new()));

/// How often a lock that is held is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// One handle of one thread.
pub struct WalBinding {
    handle: RefCell<Option<Handle>>,
    settler: Settler,
    listener: u64,
    /// Strings on their way.
    scratch: RefCell<Vec<u8>>,
}

/// Options, as JavaScript gives them. The facade has checked types and ranges; the engine checks again what it depends on.
#[napi(object)]
#[derive(Debug, Default)]
pub struct NativeWalOptions {
    /// Create the directory if it is missing.
    pub create: Option<bool>,
    /// Milliseconds to wait for another process's lock.
    pub lock_timeout: Option<f64>,
    /// Check every frame before opening.
    pub verify: Option<bool>,
    /// 'fail' or 'skip'.
    pub on_damage: Option<String>,
    /// Bytes of one segment file.
    pub segment_size: Option<f64>,
    /// Index of the first record of a new log.
    pub first_index: Option<f64>,
    /// Mark of new segments.
    pub marker: Option<f64>,
    /// Name of the codec.
    pub codec_name: String,
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

impl NativeWalOptions {
    fn resolve(&self) -> Result<WalOptions, Fault> {
        let number = |name: &str, value: Option<f64>| {
            let bad =
                |value| Fault::out_of_bounds(format!("{name} is a whole number that is not negative, and not {value}"));
            value.map(|value| whole(value).ok_or_else(|| bad(value))).transpose()
        };
        let marker = number("marker", self.marker)?.map(u32::try_from).transpose();
        Ok(WalOptions {
            create: self.create,
            segment_size: number("segmentSize", self.segment_size)?,
            first_index: number("firstIndex", self.first_index)?,
            marker: marker.map_err(|_| Fault::out_of_bounds("marker has 32 bits".into()))?,
            codec: self.codec_name.clone(),
            verify: self.verify,
            skip_damage: self.on_damage.as_deref().map(|mode| mode == "skip"),
        })
    }

    fn open(&self, dir: &Path) -> Result<Handle, Fault> {
        Ok(open_shared(&MACHINE, dir, &self.resolve()?)?)
    }

    /// Waits for the lock on this thread, which has nothing else to do.
    fn open_and_wait(&self, dir: &Path) -> Result<Handle, Fault> {
        let options = self.resolve()?;
        let until = Instant::now() + Duration::from_millis(self.lock_timeout.and_then(whole).unwrap_or(0));
        loop {
            match open_shared(&MACHINE, dir, &options) {
                Err(error) if error.code() == ErrorCode::Locked && Instant::now() < until => {
                    std::thread::sleep(LOCK_RETRY);
                }
                opened => return Ok(opened?),
            }
        }
    }
}

fn absolute(dir: &str) -> Result<PathBuf, Fault> {
    if dir.is_empty() || dir.contains('\0') {
        return Err(Fault::invalid("dir is the path of a directory, without zero characters".into()));
    }
    std::path::absolute(dir).map_err(|error| Fault::invalid(format!("dir cannot be made absolute: {error}")))
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

/// Checks a log that need not be open. Gives the promise, and the means to watch and to end it: `{ done, progress(table), abort() }`.
#[napi(catch_unwind, ts_return_type = "unknown")]
pub fn check_wal(env: Env, dir: String) -> napi::Result<Made> {
    let dir = absolute(&dir).map_err(|fault| fault.to_napi(&env))?;
    let (raw, care) = (env.raw(), Rc::new(Arc::new(Care::default())));
    let watched = Arc::clone(&care);
    let done = promise(move || Ok(check(Arc::clone(&MACHINE), &dir, &watched)?), report::check);
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

/// Outline of a log that need not be open.
#[napi(ts_return_type = "Promise<unknown>")]
pub fn stat_wal(env: Env, dir: String) -> napi::Result<AsyncTask<Job<StatReport>>> {
    let dir = absolute(&dir).map_err(|fault| fault.to_napi(&env))?;
    Ok(promise(move || Ok(stat(Arc::clone(&MACHINE), &dir)?), report::outline))
}

fn bind(env: &Env, handle: Handle, dir: &Path) -> napi::Result<Made> {
    let raw = env.raw();
    let settler = Settler::new(raw)?;
    let notifier = Arc::clone(settler.notifier());
    let listener = handle.listen(Arc::new(move |round| notifier.tell(round)));
    let scratch = RefCell::new(Vec::with_capacity(SCRATCH));
    let binding = Rc::new(WalBinding { handle: RefCell::new(Some(handle)), settler, listener, scratch });
    exit::watch(raw, &binding);
    let dir = crate::raw::value(raw, dir.display().to_string())?;
    object(
        raw,
        &[
            (c"dir", dir),
            (c"append", function(raw, &binding, append)?),
            (c"appendPacked", function(raw, &binding, append_packed)?),
            (c"get", function(raw, &binding, get)?),
            (c"getAsync", function(raw, &binding, get_async)?),
            (c"firstIndex", function(raw, &binding, |binding, _| Ok(answer(binding.wal()?.first_index())))?),
            (c"nextIndex", function(raw, &binding, |binding, _| Ok(answer(binding.wal()?.next_index())))?),
            (c"durableIndex", function(raw, &binding, |binding, _| Ok(answer(binding.wal()?.durable_index())))?),
            (c"flush", function(raw, &binding, |binding, _| Ok(binding.wal()?.flush().map(|()| Answer::Undefined)?))?),
            (c"sync", function(raw, &binding, |binding, _| Ok(binding.wal()?.sync().map(answer)?))?),
            (c"requestSync", function(raw, &binding, request_sync)?),
            (
                c"onSettled",
                function(raw, &binding, |binding, call| {
                    binding.settler.set_callback(call.env, call.argument(0)).map(|()| Answer::Undefined)
                })?,
            ),
            (c"keepAlive", function(raw, &binding, keep_alive)?),
            (c"reader", function(raw, &binding, reader)?),
            (
                c"rotate",
                function(raw, &binding, |binding, _| Ok(binding.wal()?.rotate().map(|()| Answer::Undefined)?))?,
            ),
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

    /// The handle, on its way to be closed.
    fn take(&self) -> Option<Handle> {
        let handle = self.handle.take()?;
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
        let _nobody_to_tell = handle.flush();
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
    let wal = binding.wal()?;
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
    let wal = binding.wal()?;
    let data = call.bytes(0)?.ok_or_else(|| Fault::invalid("data is a Uint8Array".into()))?;
    let ends = call.words(1)?.ok_or_else(|| Fault::invalid("ends is a Uint32Array".into()))?;
    let count = usize::try_from(index(call, 2)?).unwrap_or(usize::MAX);
    let Some(ends) = ends.get(..count) else {
        return Err(Fault::out_of_bounds(format!("there are {} ends, and not {count}", ends.len())));
    };
    let expected = optional_index(call, 3)?;
    Ok(answer(wal.append_packed(&data, ends, expected)?))
}

fn get(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = binding.wal()?;
    let wanted = index(call, 0)?;
    let at = usize::try_from(index(call, 2)?).unwrap_or(usize::MAX);
    let slab = call.slab(1);
    let found = wal.get(wanted, |record| {
        let target = slab.get_mut(at..).and_then(|rest| rest.get_mut(..record.len()));
        match target {
            Some(target) => {
                target.copy_from_slice(record);
                record.len() as f64
            }
            None => -2.0 - record.len() as f64,
        }
    })?;
    Ok(Answer::Number(found.unwrap_or(-1.0)))
}

fn get_async(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = Arc::clone(&*binding.wal()?);
    let wanted = index(call, 0)?;
    let work = move || Ok(wal.get(wanted, <[u8]>::to_vec)?);
    let task =
        promise(work, |env, found: Option<Vec<u8>>| crate::raw::value(env.raw(), found.map(Buffer::from)).map(Made));
    call.value(task)
}

fn request_sync(binding: &Rc<WalBinding>, _: &Call) -> Result<Answer, Fault> {
    let wal = binding.wal()?;
    binding.settler.notifier().wait();
    Ok(answer(wal.request_sync()?))
}

fn keep_alive(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    binding.settler.keep_alive(call.env, call.boolean(0).unwrap_or(false));
    Ok(Answer::Undefined)
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

/// A reader of one thread.
struct ReaderBinding(RefCell<Option<WalReader>>);

fn reader(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = binding.wal()?;
    let to = call.number(1).filter(|to| *to >= 0.0).map(|_| index(call, 1)).transpose()?;
    let reader = wal.reader(index(call, 0)?, to)?;
    let reader = Rc::new(ReaderBinding(RefCell::new(Some(reader))));
    let made = || {
        object(
            call.env,
            &[
                (c"fill", function(call.env, &reader, fill)?),
                (c"seek", function(call.env, &reader, seek)?),
                (c"close", function(call.env, &reader, |reader, _| Ok(reader.0.take()).map(|_| Answer::Undefined))?),
            ],
        )
    };
    made().map(Answer::Value).map_err(|error: napi::Error| Fault::invalid(error.reason))
}

fn fill(reader: &Rc<ReaderBinding>, call: &Call) -> Result<Answer, Fault> {
    let mut reader = reader.0.borrow_mut();
    let reader = reader.as_mut().ok_or_else(Fault::closed)?;
    let table = call.table(1).and_then(|words| words.first_chunk_mut());
    let table = table.ok_or_else(|| Fault::invalid("the table is a Uint32Array of 514".into()))?;
    Ok(Answer::Number(match reader.fill(call.slab(0), table)? {
        Fill::Records(count) => count as f64,
        Fill::Needs(bytes) => -(bytes as f64),
    }))
}

fn seek(reader: &Rc<ReaderBinding>, call: &Call) -> Result<Answer, Fault> {
    let to = index(call, 0)?;
    reader.0.borrow_mut().as_mut().ok_or_else(Fault::closed)?.seek(to)?;
    Ok(Answer::Undefined)
}
