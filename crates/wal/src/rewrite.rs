//! Rewriting sealed segments without some of their records, for engines that remove records from the middle of a log.

use std::sync::{Arc, PoisonError};

use varve_segment::{Error as SegmentError, Hold, OldRecord, Result as SegmentResult, Rewriter, Segment, rewrite};

use crate::error::Result;
use crate::role::Role;
use crate::writer::Wal;

/// Is handed the records of the segment in order, and pushes those that stay.
pub type KeepRecords<'a> = dyn FnMut(&OldRecord<'_>, &mut Rewriter) -> SegmentResult<()> + 'a;

/// What a rewrite has done.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// The segment as it is now.
    pub segment: Arc<Segment>,
    /// Records before.
    pub records_before: u64,
    /// Records after.
    pub records_after: u64,
    /// Bytes that were used before.
    pub bytes_before: u64,
    /// Bytes that are used after.
    pub bytes_after: u64,
}

impl Wal {
    /// Writes segment `id` anew with the records that `keep` pushes. Atomic and durable: a crash leaves the old or the new one. `None`, and nothing has
    /// changed: it is not in the log (any more), takes records, was cut meanwhile, or the log begins or is committed up to a record within it.
    ///
    /// The records that stay get indexes one behind the other, from the segment's first on; behind them is a gap. Readers and pins go on in the old
    /// segment, and then in the one behind it: they are not interrupted. **Who keeps an index or a position within the segment has to look it up anew**,
    /// and so has a reader that is told to go back to its place. `ready` is told of the new segment before readers can see it, under the lock that
    /// every append takes: it is to be short; where an error is returned all the same, it is not seen.
    ///
    /// Takes that lock for one rename; appends, syncs and rotations go on beside. Cost: the log is synced, the segment read, what is kept written and synced.
    pub fn rewrite(
        self: &Arc<Self>,
        id: u64,
        keep: &mut KeepRecords<'_>,
        ready: impl FnOnce(&Arc<Segment>),
    ) -> Result<Option<Rewritten>> {
        let writer = self.writing()?;
        let _one_at_a_time = writer.rewrites.lock().unwrap_or_else(PoisonError::into_inner);
        let appender = self.writer()?;
        let Some(old) = self.set.by_id(id).filter(|old| self.may_rewrite(old)).map(Hold::new) else { return Ok(None) };
        // What made the segment what it is, a cut of its end too.
        let target = appender.bound();
        drop(appender);
        self.reach(target)?;
        let mut rewriting = rewrite(&self.directory, &old, writer.commit.durable(), keep)?;
        rewriting.drop_derived();

        let mut appender = self.writer()?;
        if !self.may_rewrite(&old) || !self.set.by_id(id).is_some_and(|live| Arc::ptr_eq(&live, &old)) {
            return Ok(None);
        }
        ready(rewriting.segment());
        if !rewriting.commit(&self.set)? {
            return Ok(None);
        }
        let payload = |segment: &Segment| segment.end().map_or(0, |end| end.payload_bytes);
        appender.exchange_payload(payload(&old), payload(rewriting.segment()));
        drop(appender);
        // A name that was not synced may or may not stand: as with every sync, asking again would not tell.
        let segment = self.announce(rewriting.settle().map_err(|error| self.failure.set(unsynced(error))))?;
        let records = |segment: &Segment| segment.end().map_or(0, |end| end.records);
        let rewritten = Rewritten {
            records_before: records(&old),
            records_after: records(&segment),
            bytes_before: old.written(),
            bytes_after: segment.written(),
            segment,
        };
        drop(old);
        self.sweep();
        Ok(Some(rewritten))
    }

    fn may_rewrite(&self, segment: &Segment) -> bool {
        let first = segment.header.first_index;
        segment.end().is_some_and(|end| {
            let committed = self.committed();
            self.first_index() <= first && (committed <= first || committed >= end.next_index)
        })
    }

    /// Records of `first..next` that were removed from segments that were rewritten.
    pub(crate) fn removed(&self, first: u64, next: u64) -> u64 {
        let rewritten = self.set.all().into_iter().filter(|segment| segment.header.is_rewritten());
        let gaps = rewritten.filter_map(|segment| Some((segment.header.first_index, segment.end()?)));
        gaps.map(|(begins, end)| end.next_index.min(next).saturating_sub(first.max(begins + end.records))).sum()
    }

    /// Of a log that is followed: takes over segments that were found rewritten. True if there were any.
    pub(crate) fn take_rewritten(&self) -> bool {
        match &self.role {
            Role::Following(following) => {
                let (mut follower, mut exchange) = (following.follower(), None);
                let mut begin = || {
                    exchange.get_or_insert_with(|| self.exchange());
                };
                follower.take_rewritten(false, &mut begin).unwrap_or(false)
            }
            Role::Writer(_) => false,
        }
    }
}

fn unsynced(error: SegmentError) -> SegmentError {
    match error {
        SegmentError::Io(error) | SegmentError::NoSpace(error) => SegmentError::SyncFailed(error),
        error => error,
    }
}
