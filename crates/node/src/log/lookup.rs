//! Messages found by what they have, from JavaScript.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use napi::bindgen_prelude::Buffer;
use varve_log::{Log, Message, ROW_WORDS};

use super::LogBinding;
use super::read::row_of;
use crate::argument::{index, micros};
use crate::fault::Fault;
use crate::raw::{Answer, Call, Made};
use crate::task::promise;

/// Copies the message to `slab[at ..]`, and says in `row` what is where: `(…, slab, at, row)` from argument 1 on. The length; -1: there is none; -2 - n: it
/// needs n bytes, and does not fit.
fn lend(
    call: &Call,
    find: impl FnOnce(&mut dyn FnMut(&Message<'_>) -> f64) -> varve_log::Result<Option<f64>>,
) -> Result<Answer, Fault> {
    let at = usize::try_from(index(call, 2)?).unwrap_or(usize::MAX);
    let slab = call.slab(1);
    let row = call.table(3).and_then(|row| row.first_chunk_mut::<ROW_WORDS>());
    let row = row.ok_or_else(|| Fault::invalid("a row is a Uint32Array".into()))?;
    let found = find(&mut |message| {
        let (made, len) = row_of(message, at);
        let Some(room) = slab.get_mut(at..).and_then(|rest| rest.get_mut(..len)) else { return -2.0 - len as f64 };
        *row = made;
        copy(message, room);
        len as f64
    })?;
    Ok(Answer::Number(found.unwrap_or(-1.0)))
}

/// Key, headers and value, one behind the other. `room` is of their length.
fn copy(message: &Message<'_>, room: &mut [u8]) {
    let mut rest = room;
    for part in [message.key.unwrap_or_default(), message.headers.as_bytes(), message.value.unwrap_or_default()] {
        let Some((room, behind)) = rest.split_at_mut_checked(part.len()) else { return };
        room.copy_from_slice(part);
        rest = behind;
    }
}

/// The same on another thread: the row, and behind it the bytes; `null` where there is none.
fn fetch(
    call: &Call,
    find: impl FnOnce(&mut dyn FnMut(&Message<'_>) -> Vec<u8>) -> varve_log::Result<Option<Vec<u8>>> + Send + 'static,
) -> Result<Answer, Fault> {
    let work = move || {
        Ok(find(&mut |message| {
            let (row, len) = row_of(message, 0);
            let mut packed: Vec<u8> = row.iter().flat_map(|word| word.to_le_bytes()).collect();
            let head = packed.len();
            packed.resize(head + len, 0);
            copy(message, packed.get_mut(head..).unwrap_or_default());
            packed
        })?)
    };
    let finish =
        |env: napi::Env, found: Option<Vec<u8>>| crate::raw::value(env.raw(), found.map(Buffer::from)).map(Made);
    call.value(promise(work, finish))
}

fn time(call: &Call) -> Result<i64, Fault> {
    let millis = call.number(0).unwrap_or(f64::NAN);
    micros(millis)
        .ok_or_else(|| Fault::out_of_bounds(format!("a time is a number that a Date can hold, and not {millis}")))
}

fn edge<R>(log: &Log, first: bool, read: &mut dyn FnMut(&Message<'_>) -> R) -> varve_log::Result<Option<R>> {
    if first { log.first(read) } else { log.last(read) }
}

/// `get(offset, slab, at, row)`.
pub(super) fn get(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = binding.engine()?;
    let offset = index(call, 0)?;
    lend(call, |read| log.get(offset, read))
}

/// `getEdge(first, slab, at, row)`.
pub(super) fn get_edge(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = binding.engine()?;
    let first = call.boolean(0).unwrap_or(false);
    lend(call, |read| edge(&log, first, read))
}

/// `getByTime(time, slab, at, row)`.
pub(super) fn get_by_time(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = binding.engine()?;
    let time = time(call)?;
    lend(call, |read| log.get_by_time(time, read))
}

/// `getByKey(key, slab, at, row)`.
pub(super) fn get_by_key(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = binding.engine()?;
    let mut scratch = binding.scratch.borrow_mut();
    // A copy: bytes that were handed out lie in the slab that is written to.
    let key = call.part(0, &mut scratch[1], "a key")?.map(Cow::into_owned);
    lend(call, |read| log.get_by_key(key.as_deref(), read))
}

/// `offsetByKey(key)`: -1 where there is none.
pub(super) fn offset_by_key(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = binding.engine()?;
    let mut scratch = binding.scratch.borrow_mut();
    let key = call.part(0, &mut scratch[1], "a key")?;
    Ok(Answer::Number(log.offset_by_key(key.as_deref())?.map_or(-1.0, |offset| offset as f64)))
}

/// `getByKeyAsync(key)`.
pub(super) fn get_by_key_async(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = Arc::clone(&*binding.engine()?);
    let mut scratch = Vec::new();
    let key = call.part(0, &mut scratch, "a key")?.map(Cow::into_owned);
    fetch(call, move |read| log.get_by_key(key.as_deref(), read))
}

/// `getAsync(offset)`.
pub(super) fn get_async(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let (log, offset) = (Arc::clone(&*binding.engine()?), index(call, 0)?);
    fetch(call, move |read| log.get(offset, read))
}

/// `getEdgeAsync(first)`.
pub(super) fn get_edge_async(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let (log, first) = (Arc::clone(&*binding.engine()?), call.boolean(0).unwrap_or(false));
    fetch(call, move |read| edge(&log, first, read))
}

/// `getByTimeAsync(time)`.
pub(super) fn get_by_time_async(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let (log, time) = (Arc::clone(&*binding.engine()?), time(call)?);
    fetch(call, move |read| log.get_by_time(time, read))
}
