//! Reading, from JavaScript.

use std::rc::Rc;
use std::sync::{Arc, MutexGuard, PoisonError};

use napi::bindgen_prelude::Buffer;
use varve_wal::{Fill, ReaderOptions, TABLE_LEN, WalReader};

use super::WalBinding;
use crate::argument::index;
use crate::fault::Fault;
use crate::handle::SharedReader;
use crate::lent::{LentPlace, LentSlab, PlaceOf, References};
use crate::raw::{Answer, Call, Made, function, object};
use crate::task::{promise, promise_holding};
use crate::view;

/// Flags of `reader`.
const GATED: u64 = 1;
const WAITS: u64 = 2;

pub(super) fn get(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = binding.engine()?;
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

pub(super) fn get_async(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = Arc::clone(&*binding.engine()?);
    let wanted = index(call, 0)?;
    let work = move || Ok(wal.get(wanted, <[u8]>::to_vec)?);
    let task =
        promise(work, |env, found: Option<Vec<u8>>| crate::raw::value(env.raw(), found.map(Buffer::from)).map(Made));
    call.value(task)
}

/// `memory(segment)`: an `ArrayBuffer` over the whole pages of a segment that are written; `undefined` where there is none to be had.
pub(super) fn memory(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = Arc::clone(&*binding.engine()?);
    if !view::are_allowed() {
        return Ok(Answer::Undefined);
    }
    let pin = wal.pin(index(call, 0)?)?;
    let map = pin.private_map()?;
    let Some(map) = map else { return Ok(Answer::Undefined) };
    let made = view::of(call.env, map, pin).map_err(|error| Fault::invalid(error.reason))?;
    Ok(made.map_or(Answer::Undefined, Answer::Value))
}

/// `viewOf(index, place)`: 1, and segment, start and end in `place`, if the record can be seen where it lies.
pub(super) fn view_of(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let Some((segment, start, end)) = binding.engine()?.place_of(index(call, 0)?)? else {
        return Ok(Answer::Number(0.0));
    };
    if let Some(place) = call.doubles(1).and_then(|place| place.first_chunk_mut()) {
        *place = [segment as f64, start as f64, end as f64];
    }
    Ok(Answer::Number(1.0))
}

/// A reader of one thread.
struct ReaderBinding {
    reader: Arc<SharedReader<WalReader>>,
    place: Arc<LentPlace>,
    /// Of the place.
    _held: References,
}

impl Drop for ReaderBinding {
    fn drop(&mut self) {
        // Before the memory may go.
        self.place.give_up();
    }
}

impl ReaderBinding {
    fn reader(&self) -> MutexGuard<'_, Option<WalReader>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<R>(&self, use_it: impl FnOnce(&mut WalReader) -> varve_wal::Result<R>) -> Result<R, Fault> {
        Ok(use_it(self.reader().as_mut().ok_or_else(Fault::closed)?)?)
    }
}

/// `reader(from, to, flags, place)`.
pub(super) fn reader(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = binding.engine()?;
    let to = call.number(1).filter(|to| *to >= 0.0).map(|_| index(call, 1)).transpose()?;
    let flags = index(call, 2)?;
    let place = LentPlace::new(call, 3)?;
    let options = ReaderOptions {
        from: index(call, 0)?,
        to,
        gated: flags & GATED != 0,
        waits: flags & WAITS != 0,
        mirror: Some(Box::new(PlaceOf(Arc::clone(&place)))),
    };
    let reader = binding.share(wal.reader_with(options)?);
    let reader = Rc::new(ReaderBinding { reader, place, _held: References::to(call, &[3]) });
    let made = || {
        object(
            call.env,
            &[
                (c"fill", function(call.env, &reader, fill)?),
                (c"fillViews", function(call.env, &reader, fill_views)?),
                (c"segment", function(call.env, &reader, segment)?),
                (c"fillAhead", function(call.env, &reader, fill_ahead)?),
                (c"seek", function(call.env, &reader, seek)?),
                (
                    c"rewind",
                    function(call.env, &reader, |reader, _| {
                        reader.with(WalReader::rewind).map(|()| Answer::Undefined)
                    })?,
                ),
                (c"close", function(call.env, &reader, close)?),
            ],
        )
    };
    made().map(Answer::Value).map_err(|error: napi::Error| Fault::invalid(error.reason))
}

fn number(fill: Fill) -> f64 {
    match fill {
        Fill::Records(count) => count as f64,
        Fill::Needs(bytes) => -(bytes as f64),
    }
}

fn fill(reader: &Rc<ReaderBinding>, call: &Call) -> Result<Answer, Fault> {
    let table = call.table(1).and_then(|words| words.first_chunk_mut());
    let table = table.ok_or_else(|| Fault::invalid("the table is a Uint32Array of 514".into()))?;
    let filled = reader.with(|reader| reader.fill(call.slab(0), table))?;
    Ok(Answer::Number(number(filled)))
}

fn fill_views(reader: &Rc<ReaderBinding>, call: &Call) -> Result<Answer, Fault> {
    let table = call.table(0).and_then(|words| words.first_chunk_mut());
    let table = table.ok_or_else(|| Fault::invalid("the table is a Uint32Array of 514".into()))?;
    let filled = reader.with(|reader| reader.fill_views(table))?;
    Ok(Answer::Number(number(filled)))
}

fn segment(reader: &Rc<ReaderBinding>, _: &Call) -> Result<Answer, Fault> {
    reader.with(|reader| Ok(reader.segment_id())).map(|id| Answer::Number(id as f64))
}

/// `fillAhead(slab, words)`: on another thread. `words` holds so many tables, and behind them as many counts.
fn fill_ahead(reader: &Rc<ReaderBinding>, call: &Call) -> Result<Answer, Fault> {
    let mut lent = LentSlab::new(call)?;
    let shared = Arc::clone(&reader.reader);
    let held = References::to(call, &[0, 1]);
    let work = move || {
        let (slab, words) = lent.parts();
        let tables = words.len() / (TABLE_LEN + 1);
        let (tables, counts) = words.split_at_mut(tables * TABLE_LEN);
        let (tables, _) = tables.as_chunks_mut::<TABLE_LEN>();
        let mut reader = shared.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(number(reader.as_mut().ok_or_else(Fault::closed)?.fill_many(slab, tables, counts)?))
    };
    call.value(promise_holding(held, work, |env, filled: f64| crate::raw::value(env.raw(), filled).map(Made)))
}

fn seek(reader: &Rc<ReaderBinding>, call: &Call) -> Result<Answer, Fault> {
    let to = index(call, 0)?;
    reader.with(|reader| reader.seek(to)).map(|()| Answer::Undefined)
}

fn close(reader: &Rc<ReaderBinding>, _: &Call) -> Result<Answer, Fault> {
    let closed = reader.reader().take();
    drop(closed);
    reader.place.give_up();
    Ok(Answer::Undefined)
}
