//! Messages on their way into partitions.

use std::rc::Rc;

use napi::bindgen_prelude::Float64Array;
use varve_log::{Conditions, Input, Written};

use super::PartitionedBinding;
use crate::fault::Fault;
use crate::handle::MACHINE;
use crate::log::append::{ROW, conditions, inputs, time};
use crate::raw::{Answer, Call, SCRATCH};

/// Bits of the last word of a message's row that do not belong to its partition, which is one more than its number; 0 stands for none.
const PARTITION_SHIFT: u32 = 2;

/// `append(value, key, time, place)`: writes partition and offset in `place`.
pub(super) fn append(binding: &Rc<PartitionedBinding>, call: &Call) -> Result<Answer, Fault> {
    let whole = binding.writable()?;
    let mut scratch = binding.scratch.borrow_mut();
    let [values, keys] = &mut *scratch;
    let (value, key) = (call.part(0, values, "a value")?, call.part(1, keys, "a key")?);
    let input = Input {
        value: value.as_deref(),
        key: key.as_deref(),
        headers: &[],
        time: call.number(2).map_or_else(|| Ok(MACHINE.now_micros()), time)?,
    };
    let (partition, offset) = whole.append(None, &input, &Conditions::default())?;
    if values.capacity() > SCRATCH || keys.capacity() > SCRATCH {
        scratch.iter_mut().for_each(|scratch| *scratch = Vec::with_capacity(SCRATCH));
    }
    if let Some(place) = call.doubles(3).and_then(|place| place.first_chunk_mut()) {
        *place = [partition as f64, offset as f64];
    }
    Ok(Answer::Undefined)
}

/// `appendBatch(data, rows, times, conditions?)`: as that of a log; the last word of a row has the partition, too. Gives partition, offset and count of
/// each partition written.
pub(super) fn append_batch(binding: &Rc<PartitionedBinding>, call: &Call) -> Result<Answer, Fault> {
    let whole = binding.writable()?;
    let bad = || Fault::invalid("a batch is a Uint8Array, a Uint32Array and a Float64Array".into());
    let data = call.bytes(0)?.ok_or_else(bad)?;
    let rows = call.words(1)?.ok_or_else(bad)?;
    let times = call.numbers(2)?.ok_or_else(bad)?;
    let conditions = call.numbers(3)?.map_or_else(|| Ok(Conditions::default()), |given| conditions(&given))?;
    let inputs = inputs(&data, &rows, &times)?;
    let of_rows = rows.get(1..).unwrap_or_default().as_chunks::<ROW>().0.iter();
    let partition =
        |[.., last]: &[u32; ROW]| (last >> PARTITION_SHIFT).checked_sub(1).map(|partition| partition as usize);
    let messages: Vec<_> = of_rows.map(partition).zip(inputs).collect();
    let written = whole.append_batch(&messages, &conditions)?;
    let numbers = |Written { partition, offset, count }: &Written| [*partition as f64, *offset as f64, *count as f64];
    call.value(Float64Array::new(written.iter().flat_map(numbers).collect()))
}
