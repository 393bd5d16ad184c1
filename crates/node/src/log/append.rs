//! Messages on their way in.

use std::rc::Rc;

use varve_log::{Codec, Compression, Conditions, Input, Producer};

use super::LogBinding;
use crate::argument::{answer, micros, whole};
use crate::fault::Fault;
use crate::handle::{Binding, Engine, MACHINE};
use crate::raw::{Answer, Call, SCRATCH};

/// Words of a message of a batch: where its key ends in the data, its headers, its value, and what it has.
pub const ROW: usize = 4;
const HAS_KEY: u32 = 1;
const HAS_VALUE: u32 = 2;

/// Microseconds of a time of JavaScript.
fn time(millis: f64) -> Result<i64, Fault> {
    micros(millis)
        .ok_or_else(|| Fault::out_of_bounds(format!("a time is a number that a Date can hold, and not {millis}")))
}

/// Hands the message of `append(value, key?, time?)` to `add`.
#[inline]
pub fn message<E: Engine, R>(
    binding: &Binding<E>,
    call: &Call,
    add: impl FnOnce(&Input<'_>) -> varve_log::Result<R>,
) -> Result<R, Fault> {
    let mut scratch = binding.scratch.borrow_mut();
    let [values, keys] = &mut *scratch;
    let (value, key) = (call.part(0, values, "a value")?, call.part(1, keys, "a key")?);
    let input = Input {
        value: value.as_deref(),
        key: key.as_deref(),
        headers: &[],
        time: call.number(2).map_or_else(|| Ok(MACHINE.now_micros()), time)?,
    };
    let added = add(&input)?;
    if values.capacity() > SCRATCH || keys.capacity() > SCRATCH {
        scratch.iter_mut().for_each(|scratch| *scratch = Vec::with_capacity(SCRATCH));
    }
    Ok(added)
}

/// `append(value, key?, time?)`.
#[inline]
pub(super) fn append(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = binding.writable()?;
    Ok(answer(message(binding, call, |input| log.append(input))?))
}

/// Hands the messages of `appendBatch(data, rows, times, conditions?)`, their rows and the conditions to `add`.
pub fn batch<R>(
    call: &Call,
    add: impl FnOnce(Vec<Input<'_>>, &[u32], &Conditions) -> Result<R, Fault>,
) -> Result<R, Fault> {
    let bad = || Fault::invalid("a batch is a Uint8Array, a Uint32Array and a Float64Array".into());
    let data = call.bytes(0)?.ok_or_else(bad)?;
    let rows = call.words(1)?.ok_or_else(bad)?;
    let times = call.numbers(2)?.ok_or_else(bad)?;
    let conditions = call.numbers(3)?.map_or_else(|| Ok(Conditions::default()), |given| conditions(&given))?;
    add(inputs(&data, &rows, &times)?, &rows, &conditions)
}

/// `appendBatch(data, rows, times, conditions?)`: `rows[0]` messages, each of four words behind that: where its key ends in the data, its headers, its
/// value, one behind the other; and bit 0: it has a key, bit 1: it has a value. A time that is NaN is now.
pub(super) fn append_batch(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = binding.writable()?;
    batch(call, |inputs, _, conditions| Ok(answer(log.append_batch(&inputs, conditions)?)))
}

/// `sizeOf(data, rows)`: of the one message in it.
pub(super) fn size_of(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = binding.engine()?;
    let bad = || Fault::invalid("a message is a Uint8Array and a Uint32Array".into());
    let data = call.bytes(0)?.ok_or_else(bad)?;
    let rows = call.words(1)?.ok_or_else(bad)?;
    let inputs = inputs(&data, &rows, &[0.0])?;
    Ok(answer(inputs.first().map_or(0, |input| log.size_of(input))))
}

/// The messages of a batch: see [`append_batch`].
fn inputs<'d>(data: &'d [u8], rows: &[u32], times: &[f64]) -> Result<Vec<Input<'d>>, Fault> {
    let outside = || Fault::out_of_bounds("a row of a batch lies outside of its data".into());
    let (count, rows) = rows.split_first().ok_or_else(outside)?;
    let count = *count as usize;
    let rows = rows.as_chunks::<ROW>().0.get(..count).ok_or_else(outside)?;
    let times = times.get(..count).ok_or_else(outside)?;
    let mut inputs = Vec::with_capacity(count);
    let (mut at, mut now) = (0, None);
    for ([key, headers, value, has], millis) in rows.iter().zip(times) {
        let mut part = |end: u32| {
            let part = data.get(at..end as usize);
            at = end as usize;
            part.ok_or_else(outside)
        };
        let (key, headers, value) = (part(*key)?, part(*headers)?, part(*value)?);
        inputs.push(Input {
            key: (has & HAS_KEY != 0).then_some(key),
            value: (has & HAS_VALUE != 0).then_some(value),
            headers,
            time: if millis.is_nan() { *now.get_or_insert_with(|| MACHINE.now_micros()) } else { time(*millis)? },
        });
    }
    Ok(inputs)
}

/// Expected offset; producer's id, epoch and sequence; leader's epoch; codec and level. What is NaN is not given.
fn conditions(given: &[f64]) -> Result<Conditions, Fault> {
    let [expected, id, epoch, sequence, leader, codec, level] = given else {
        return Err(Fault::invalid("conditions are a Float64Array of 7".into()));
    };
    let number = |name: &str, value: f64| {
        let bad = || Fault::out_of_bounds(format!("{name} is a whole number from 0 to 2^53 - 1, and not {value}"));
        if value.is_nan() { Ok(None) } else { whole(value).ok_or_else(bad).map(Some) }
    };
    let producer = match number("producer.id", *id)? {
        None => None,
        Some(id) => Some(Producer {
            id,
            epoch: u32::try_from(number("producer.epoch", *epoch)?.unwrap_or_default())
                .map_err(|_| Fault::out_of_bounds("producer.epoch has 32 bits".into()))?,
            sequence: number("producer.sequence", *sequence)?.unwrap_or_default(),
        }),
    };
    let codec = number("the codec", *codec)?.unwrap_or_default();
    let known = u8::try_from(codec).ok().and_then(Codec::from_byte);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a level is a small integer; what is not fails the check of its codec"
    )]
    let level = (!level.is_nan()).then_some(*level as i32);
    Ok(Conditions {
        expected: number("expectedOffset", *expected)?,
        producer,
        gaps: false,
        leader_epoch: number("leaderEpoch", *leader)?,
        compression: Compression { codec: known.ok_or_else(|| Fault::invalid("an unknown codec".into()))?, level },
    })
}
