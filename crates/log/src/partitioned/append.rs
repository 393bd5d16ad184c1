//! Messages into partitions.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use varve_codec::Codec;

use super::{PartitionedLog, lock, partitioner};
use crate::entry::Input;
use crate::error::{Error, Result};
use crate::producers::{MOST_PRODUCERS, Producer};
use crate::writer::{Conditions, Log, MAX_BATCH_BYTES};

/// What was written to a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The partition.
    pub partition: usize,
    /// Offset of the first message there.
    pub offset: u64,
    /// How many.
    pub count: usize,
}

impl PartitionedLog {
    /// Adds a message to `partition`, and tells it and the offset there. Without one, by Kafka's rule: by the hash of the key; messages without a key go
    /// to the partitions in turn. bench: partitioned-append
    #[inline]
    pub fn append(&self, partition: Option<usize>, input: &Input<'_>, conditions: &Conditions) -> Result<(usize, u64)> {
        let partition = match (partition, input.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partitioner::of_key(key, self.logs.len()),
            (None, None) => self.turns(conditions, 1) % self.logs.len(),
        };
        let log = self.log(partition)?;
        if conditions.producer.is_none()
            && conditions.leader_epoch.is_none()
            && conditions.expected.is_none()
            && conditions.compression.codec == Codec::None
        {
            return Ok((partition, log.append(input)?));
        }
        let batch = self.begin(conditions)?;
        let offset = log.append_on(input, &batch)?;
        self.done(conditions.producer);
        Ok((partition, offset))
    }

    /// Adds messages, each to the partition given with it, or as [`PartitionedLog::append`] finds one. Those of one partition are a batch, whole or not at
    /// all. Gives, by partition, what was written; where one fails, [`Error::Partial`] with what was written before. With a producer the same batch sent
    /// again completes the rest: nothing is written twice.
    pub fn append_batch(
        &self,
        messages: &[(Option<usize>, Input<'_>)],
        conditions: &Conditions,
    ) -> Result<Vec<Written>> {
        self.check_writable()?;
        let count = self.logs.len();
        let keyless = messages.iter().filter(|(partition, input)| partition.is_none() && input.key.is_none()).count();
        let mut turn = self.turns(conditions, keyless);
        let mut placed = Vec::with_capacity(messages.len());
        for (at, (partition, input)) in messages.iter().enumerate() {
            let partition = match (partition, input.key) {
                (Some(partition), _) if *partition < count => *partition,
                (Some(partition), _) => {
                    let last = count.saturating_sub(1);
                    return Err(Error::invalid(format!("partition is {partition}; there are 0 to {last}")));
                }
                (None, Some(key)) => partitioner::of_key(key, count),
                (None, None) => {
                    turn = turn.wrapping_add(1);
                    turn.wrapping_sub(1) % count
                }
            };
            placed.push((partition, at));
        }
        placed.sort_unstable();
        let inputs: Vec<Input<'_>> =
            placed.iter().filter_map(|(_, at)| messages.get(*at)).map(|(_, input)| *input).collect();
        let batches: Vec<&[(usize, usize)]> = placed.chunk_by(|(one, _), (other, _)| one == other).collect();
        self.check_batches(&batches, &inputs, conditions)?;
        let conditions = self.begin(conditions)?;
        let (mut written, mut inputs) = (Vec::with_capacity(batches.len()), inputs.as_slice());
        for batch in &batches {
            let (of_it, rest) = inputs.split_at_checked(batch.len()).unwrap_or((inputs, &[]));
            inputs = rest;
            let Some(partition) = batch.first().map(|(partition, _)| *partition) else { continue };
            match self.log(partition).and_then(|log| log.append_batch(of_it, &conditions)) {
                Ok(offset) => written.push(Written { partition, offset, count: batch.len() }),
                Err(cause) if batches.len() > 1 => return Err(Error::Partial { written, cause: Box::new(cause) }),
                Err(cause) => return Err(cause),
            }
        }
        self.done(conditions.producer);
        Ok(written)
    }

    /// What can be known to fail fails before anything is written.
    fn check_batches(
        &self,
        batches: &[&[(usize, usize)]],
        inputs: &[Input<'_>],
        conditions: &Conditions,
    ) -> Result<()> {
        if conditions.expected.is_some() && batches.len() > 1 {
            let message = format!("expectedOffset is of one partition, and the batch goes to {}", batches.len());
            return Err(Error::invalid(message));
        }
        let mut from = 0;
        for batch in batches {
            let to = from + batch.len();
            let bytes: u64 = inputs.get(from..to).unwrap_or_default().iter().map(|input| input.len() as u64).sum();
            if bytes > MAX_BATCH_BYTES {
                return Err(Error::too_large("a batch", bytes, MAX_BATCH_BYTES));
            }
            from = to;
        }
        Ok(())
    }

    /// Takes the next `count` turns; gives the first. A producer that sends a batch again has to find the same partitions: its turns follow from the
    /// batch's number.
    fn turns(&self, conditions: &Conditions, count: usize) -> usize {
        match &conditions.producer {
            Some(producer) => usize::try_from(producer.sequence % self.logs.len() as u64).unwrap_or(0),
            None => self.turn.fetch_add(count, Ordering::Relaxed) % self.logs.len(),
        }
    }

    /// What the conditions mean for a partition. A partition sees only some of a producer's batches: that none is left out is looked at here.
    fn begin(&self, conditions: &Conditions) -> Result<Conditions> {
        self.check_writable()?;
        if let Some(batch) = conditions.producer
            && let Some((epoch, last)) = self.last_batch(batch.id)
        {
            let Producer { id, epoch: asked, sequence } = batch;
            if asked < epoch {
                return Err(Error::Fenced { producer: Some(id), epoch: asked.into(), seen: epoch.into() });
            }
            let next = last.saturating_add(1);
            if asked == epoch && sequence > next {
                return Err(Error::OutOfRange {
                    what: "the producer's sequence",
                    offset: sequence,
                    first: 0,
                    last: next,
                });
            }
        }
        Ok(Conditions { gaps: conditions.producer.is_some(), ..*conditions })
    }

    /// Epoch and sequence of the last batch of a producer, in whichever partition it is.
    fn last_batch(&self, id: u64) -> Option<(u32, u64)> {
        if let Some(known) = lock(&self.producers).get(&id) {
            return Some(*known);
        }
        let known = self.there().filter_map(|(_, log): (usize, &Arc<Log>)| log.last_batch_of(id)).max()?;
        self.remember(id, known);
        Some(known)
    }

    fn remember(&self, id: u64, last: (u32, u64)) {
        let mut producers = lock(&self.producers);
        if producers.len() >= MOST_PRODUCERS && !producers.contains_key(&id) {
            // They are found again in their partitions.
            producers.clear();
        }
        let known = producers.entry(id).or_insert(last);
        *known = last.max(*known);
    }

    fn done(&self, producer: Option<Producer>) {
        if let Some(Producer { id, epoch, sequence }) = producer {
            self.remember(id, (epoch, sequence));
        }
    }
}
