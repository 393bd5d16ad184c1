//! Reading message after message, from JavaScript.

use std::rc::Rc;
use std::sync::{Arc, MutexGuard, PoisonError};

use varve_log::{Fill, LogReader, Message, ROW_WORDS, ReaderOptions};

use super::LogBinding;
use crate::argument::{answer, index, optional_index};
use crate::fault::Fault;
use crate::handle::SharedReader;
use crate::lent::{LentPlace, LentSlab, PlaceOf, References};
use crate::raw::{Answer, Call, Made, function, object};
use crate::task::promise_holding;
use crate::view;

/// Flags of `reader`.
const GATED: u64 = 1;
const KEYED: u64 = 2;

const HAS_KEY: u32 = 1;
const HAS_VALUE: u32 = 2;

/// Words of a row that are places in the slab.
const PLACES: std::ops::Range<usize> = 4..8;

/// The row of a message that lies at `at`, and its length; as [`LogReader::fill`] makes them.
#[expect(clippy::cast_possible_truncation, reason = "halves; and a slab is smaller than 4 GiB")]
pub(super) fn row_of(message: &Message<'_>, at: usize) -> ([u32; ROW_WORDS], usize) {
    let time = message.time.cast_unsigned();
    let headers = at.saturating_add(message.key.map_or(0, <[u8]>::len));
    let start = headers.saturating_add(message.headers.as_bytes().len());
    let end = start.saturating_add(message.value.map_or(0, <[u8]>::len));
    let flags = u32::from(message.key.is_some()) * HAS_KEY + u32::from(message.value.is_some()) * HAS_VALUE;
    let row = [
        message.offset as u32,
        (message.offset >> 32) as u32,
        time as u32,
        (time >> 32) as u32,
        at as u32,
        headers as u32,
        start as u32,
        end as u32,
        flags,
        0,
    ];
    (row, end - at)
}

/// `memory(mark)`: an `ArrayBuffer` over the whole pages of a segment that are written; `undefined` where there is none to be had.
pub(super) fn memory(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let Some(pin) = binding.engine()?.pin_marked(index(call, 0)?)? else { return Ok(Answer::Undefined) };
    let Some(map) = pin.private_map()? else { return Ok(Answer::Undefined) };
    let made = view::of(call.env, map, pin).map_err(|error| Fault::invalid(error.reason))?;
    Ok(made.map_or(Answer::Undefined, Answer::Value))
}

/// A reader of one thread.
struct ReaderBinding {
    reader: Arc<SharedReader<LogReader>>,
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
    fn reader(&self) -> MutexGuard<'_, Option<LogReader>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<R>(&self, use_it: impl FnOnce(&mut LogReader) -> varve_log::Result<R>) -> Result<R, Fault> {
        Ok(use_it(self.reader().as_mut().ok_or_else(Fault::closed)?)?)
    }
}

/// `reader(from, to?, flags, key, place)`: of the messages with that key only, if flag 2 is set. `place` is told when the log begins later.
pub(super) fn reader(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = binding.engine()?;
    let flags = index(call, 2)?;
    let mut scratch = Vec::new();
    let key = call.part(3, &mut scratch, "a key")?;
    let place = LentPlace::new(call, 4)?;
    let options = ReaderOptions {
        from: index(call, 0)?,
        to: optional_index(call, 1)?,
        gated: flags & GATED != 0,
        key: (flags & KEYED != 0).then(|| key.map(std::borrow::Cow::into_owned)),
    };
    let mirror = Arc::new(PlaceOf(Arc::clone(&place)));
    let reader = binding.share(log.reader_told(options, Some(mirror))?);
    let reader = Rc::new(ReaderBinding { reader, place, _held: References::to(call, &[4]) });
    let made = || {
        object(
            call.env,
            &[
                (c"fill", function(call.env, &reader, fill)?),
                (c"fillAhead", function(call.env, &reader, fill_ahead)?),
                (
                    c"offset",
                    function(call.env, &reader, |reader, _| reader.with(|reader| Ok(answer(reader.offset()))))?,
                ),
                (c"seek", function(call.env, &reader, seek)?),
                (c"close", function(call.env, &reader, close)?),
            ],
        )
    };
    made().map(Answer::Value).map_err(|error: napi::Error| Fault::invalid(error.reason))
}

fn number(fill: Fill) -> f64 {
    match fill {
        Fill::Messages(count) => count as f64,
        Fill::Needs(bytes) => -(bytes as f64),
    }
}

/// `fill(slab, rows, views?)`.
fn fill(reader: &Rc<ReaderBinding>, call: &Call) -> Result<Answer, Fault> {
    let rows = call.table(1).ok_or_else(|| Fault::invalid("rows are a Uint32Array".into()))?;
    let views = call.boolean(2).unwrap_or(false) && view::are_allowed();
    let filled = reader.with(|reader| {
        let slab = call.slab(0);
        if views { reader.fill_views(slab, rows) } else { reader.fill(slab, rows) }
    })?;
    Ok(Answer::Number(number(filled)))
}

/// `fillAhead(slab, rows)`: on another thread, as many as there is room for.
fn fill_ahead(reader: &Rc<ReaderBinding>, call: &Call) -> Result<Answer, Fault> {
    let mut lent = LentSlab::new(call)?;
    let shared = Arc::clone(&reader.reader);
    let held = References::to(call, &[0, 1]);
    let work = move || {
        let (slab, rows) = lent.parts();
        let mut reader = shared.lock().unwrap_or_else(PoisonError::into_inner);
        fill_many(reader.as_mut().ok_or_else(Fault::closed)?, slab, rows)
    };
    call.value(promise_holding(held, work, |env, filled: f64| crate::raw::value(env.raw(), filled).map(Made)))
}

fn fill_many(reader: &mut LogReader, slab: &mut [u8], rows: &mut [u32]) -> Result<f64, Fault> {
    let (mut used, mut count) = (0, 0);
    while let (Some(room), Some(rows)) = (slab.get_mut(used..), rows.get_mut(count * ROW_WORDS..)) {
        let found = match reader.fill(room, rows) {
            // What has been read is handed out first; the next call meets it again.
            Err(error) if count == 0 => return Err(error.into()),
            Ok(Fill::Needs(bytes)) if count == 0 => return Ok(-(bytes as f64)),
            Err(_) | Ok(Fill::Needs(_) | Fill::Messages(0)) => break,
            Ok(Fill::Messages(found)) => found,
        };
        let from = u32::try_from(used).map_err(|_| Fault::invalid("a slab is smaller than 4 GiB".into()))?;
        for row in rows.as_chunks_mut::<ROW_WORDS>().0.iter_mut().take(found) {
            row[PLACES].iter_mut().for_each(|place| *place += from);
            used = row[PLACES.end - 1] as usize;
        }
        count += found;
    }
    Ok(count as f64)
}

fn seek(reader: &Rc<ReaderBinding>, call: &Call) -> Result<Answer, Fault> {
    let to = index(call, 0)?;
    reader.with(|reader| reader.seek(to)).map(|()| Answer::Undefined)
}

/// Waits for a job that reads ahead on another thread: what it reads into may not be used before it ends.
fn close(reader: &Rc<ReaderBinding>, _: &Call) -> Result<Answer, Fault> {
    let closed = reader.reader().take();
    drop(closed);
    reader.place.give_up();
    Ok(Answer::Undefined)
}
