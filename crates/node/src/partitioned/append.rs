//! Messages on their way into partitions.

use std::rc::Rc;

use napi::bindgen_prelude::Float64Array;
use varve_log::{Conditions, Written};

use super::PartitionedBinding;
use crate::fault::Fault;
use crate::log::append::{ROW, batch, message};
use crate::raw::{Answer, Call};

/// Bits of the last word of a message's row that do not belong to its partition, which is one more than its number; 0 stands for none.
const PARTITION_SHIFT: u32 = 2;

/// `append(value, key, time, place)`: writes partition and offset in `place`.
pub(super) fn append(binding: &Rc<PartitionedBinding>, call: &Call) -> Result<Answer, Fault> {
    let whole = binding.writable()?;
    let (partition, offset) = message(binding, call, |input| whole.append(None, input, &Conditions::default()))?;
    if let Some(place) = call.doubles(3).and_then(|place| place.first_chunk_mut()) {
        *place = [partition as f64, offset as f64];
    }
    Ok(Answer::Undefined)
}

/// `appendBatch(data, rows, times, conditions?)`: as that of a log; the last word of a row has the partition, too. Gives partition, offset and count of
/// each partition written.
pub(super) fn append_batch(binding: &Rc<PartitionedBinding>, call: &Call) -> Result<Answer, Fault> {
    let whole = binding.writable()?;
    let written = batch(call, |inputs, rows, conditions| {
        let of_rows = rows.get(1..).unwrap_or_default().as_chunks::<ROW>().0.iter();
        let partition =
            |[.., last]: &[u32; ROW]| (last >> PARTITION_SHIFT).checked_sub(1).map(|partition| partition as usize);
        let messages: Vec<_> = of_rows.map(partition).zip(inputs).collect();
        Ok(whole.append_batch(&messages, conditions)?)
    })?;
    let numbers = |Written { partition, offset, count }: &Written| [*partition as f64, *offset as f64, *count as f64];
    call.value(Float64Array::new(written.iter().flat_map(numbers).collect()))
}
