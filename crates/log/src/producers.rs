//! What producers have written last, so that a batch that is sent again is not written again.

use std::collections::HashMap;

use varve_format::{Producer as Stamped, ProducerRecord, ProducerSnapshot, SegmentHeader};

use crate::error::{Error, Result};

/// Producers that are remembered; of more, the one that wrote longest ago is forgotten.
pub(crate) const MOST_PRODUCERS: usize = 10_000;

/// Batches of each that are remembered.
pub(crate) const REMEMBERED: usize = 5;

/// Names a batch: a producer counts its batches, in an epoch of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// The producer.
    pub id: u64,
    /// Its epoch: one that begins anew takes a greater one, and fences those before.
    pub epoch: u32,
    /// Number of the batch.
    pub sequence: u64,
}

impl From<Stamped> for Producer {
    fn from(Stamped { id, sequence, epoch, .. }: Stamped) -> Self {
        Self { id, epoch, sequence }
    }
}

/// What is remembered of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) epoch: u32,
    /// Sequence and first offset of its last batches, the newest last.
    pub(crate) batches: Vec<(u64, u64)>,
}

impl Remembered {
    fn last(&self) -> Option<(u64, u64)> {
        self.batches.last().copied()
    }
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Producers(HashMap<u64, Remembered>);

impl Producers {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&u64, &Remembered)> {
        self.0.iter()
    }

    /// All of them, as of `offset` in the segment with `header`.
    pub(crate) fn snapshot(&self, header: &SegmentHeader, offset: u64) -> ProducerSnapshot {
        let record = |(id, known): (&u64, &Remembered)| ProducerRecord {
            id: *id,
            epoch: known.epoch,
            batches: known.batches.clone(),
        };
        let mut producers: Vec<_> = self.0.iter().map(record).collect();
        // The same files for the same history.
        producers.sort_unstable_by_key(|one| one.id);
        ProducerSnapshot { producers, ..ProducerSnapshot::new(header, offset) }
    }

    /// Those of a snapshot.
    pub(crate) fn of(snapshot: &ProducerSnapshot) -> Self {
        let known = |one: &ProducerRecord| {
            let batches = one.batches.iter().copied().skip(one.batches.len().saturating_sub(REMEMBERED)).collect();
            (one.id, Remembered { epoch: one.epoch, batches })
        };
        Self(snapshot.producers.iter().map(known).collect())
    }

    /// Forgets the batches from `offset` on: they are lost.
    pub(crate) fn cut(&mut self, offset: u64) {
        self.0.retain(|_, known| {
            known.batches.retain(|(_, at)| *at < offset);
            !known.batches.is_empty()
        });
    }

    /// Epoch and sequence of the last batch of a producer.
    pub(crate) fn last_of(&self, id: u64) -> Option<(u32, u64)> {
        let known = self.0.get(&id)?;
        known.last().map(|(sequence, _)| (known.epoch, sequence))
    }

    /// The offset that the batch got when it was written before; `None` if it is new and may be written. With `gaps` it need not be the next one.
    pub(crate) fn find(&self, batch: &Producer, gaps: bool) -> Result<Option<u64>> {
        let Some(known) = self.0.get(&batch.id) else { return Ok(None) };
        if batch.epoch < known.epoch {
            return Err(Error::Fenced {
                producer: Some(batch.id),
                epoch: batch.epoch.into(),
                seen: known.epoch.into(),
            });
        }
        if batch.epoch > known.epoch {
            return Ok(None);
        }
        if let Some((_, offset)) = known.batches.iter().find(|(sequence, _)| *sequence == batch.sequence) {
            return Ok(Some(*offset));
        }
        let (last, _) = known.last().unwrap_or_default();
        let next = last.saturating_add(1);
        if batch.sequence == next || (gaps && batch.sequence > next) {
            return Ok(None);
        }
        let first = known.batches.first().map_or(next, |(sequence, _)| *sequence);
        Err(Error::OutOfRange { what: "the producer's sequence", offset: batch.sequence, first, last: next })
    }

    /// The batch was written at `offset`.
    pub(crate) fn note(&mut self, batch: &Producer, offset: u64) {
        if !self.0.contains_key(&batch.id) && self.0.len() >= MOST_PRODUCERS {
            let oldest = self.0.iter().min_by_key(|(_, known)| known.last().map(|(_, offset)| offset));
            if let Some(id) = oldest.map(|(id, _)| *id) {
                self.0.remove(&id);
            }
        }
        let fresh = || Remembered { epoch: batch.epoch, batches: Vec::with_capacity(REMEMBERED) };
        let known = self.0.entry(batch.id).or_insert_with(fresh);
        if known.epoch != batch.epoch {
            *known = fresh();
        }
        if known.batches.len() == REMEMBERED {
            known.batches.remove(0);
        }
        known.batches.push((batch.sequence, offset));
    }
}

#[cfg(test)]
mod tests {
    use varve_segment::ErrorCode;

    use super::{MOST_PRODUCERS, Producer, Producers};

    fn batch(id: u64, epoch: u32, sequence: u64) -> Producer {
        Producer { id, epoch, sequence }
    }

    fn code(found: crate::Result<Option<u64>>) -> Option<ErrorCode> {
        found.err().map(|error| error.code())
    }

    #[test]
    fn the_last_five_batches_are_known_again_and_what_leaves_a_gap_is_refused() {
        let mut producers = Producers::default();
        for sequence in 1..=7 {
            assert_eq!(producers.find(&batch(7, 2, sequence), false).ok(), Some(None));
            producers.note(&batch(7, 2, sequence), sequence * 10);
        }
        for sequence in 3..=7 {
            assert_eq!(producers.find(&batch(7, 2, sequence), false).ok(), Some(Some(sequence * 10)));
        }
        for sequence in [0, 2, 9] {
            assert_eq!(code(producers.find(&batch(7, 2, sequence), false)), Some(ErrorCode::OutOfRange), "{sequence}");
        }
        assert_eq!(code(producers.find(&batch(7, 1, 8), false)), Some(ErrorCode::Fenced));
        assert_eq!(producers.find(&batch(7, 2, 9), true).ok(), Some(None), "where the others went elsewhere");
        assert_eq!(code(producers.find(&batch(7, 2, 2), true)), Some(ErrorCode::OutOfRange), "also then");
        assert_eq!(producers.find(&batch(7, 3, 1), false).ok(), Some(None), "a new epoch counts anew");
    }

    #[test]
    fn of_too_many_the_one_that_wrote_longest_ago_is_forgotten() {
        let mut producers = Producers::default();
        for id in 0..=MOST_PRODUCERS as u64 {
            producers.note(&batch(id, 0, 5), id);
        }
        assert_eq!(producers.iter().count(), MOST_PRODUCERS);
        assert_eq!(producers.find(&batch(0, 0, 5), false).ok(), Some(None));
        assert_eq!(producers.find(&batch(1, 0, 5), false).ok(), Some(Some(1)));
    }
}
