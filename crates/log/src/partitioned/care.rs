//! What is done to all partitions: retention, compaction, figures.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use varve_segment::Care;

use super::PartitionedLog;
use crate::error::Result;
use crate::remove::{Removal, Removed};
use crate::stats::LogStats;
use crate::writer::Log;

/// What retention has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Enforced {
    /// What was removed, in all partitions.
    pub removed: Removed,
    /// How many partitions were looked at.
    pub partitions: usize,
}

/// What retention has done since the log was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetentionStats {
    /// What was removed: when it was asked for, and after rotations.
    pub removed: Removed,
    /// How often it was asked for.
    pub runs: u64,
}

/// A compaction that is under way, a segment of a partition a step; see [`Removal`].
#[derive(Debug)]
pub struct PartitionedRemoval {
    /// The partitions that are left, the next one last.
    logs: Vec<Arc<Log>>,
    before: i64,
    current: Option<Removal>,
    removed: Removed,
}

impl PartitionedLog {
    /// Those that were ever written to.
    fn begun(&self) -> impl Iterator<Item = &Arc<Log>> {
        self.there().map(|(_, log)| log).filter(|log| !log.wal().is_to_come())
    }

    /// Applies the rules of retention to each partition, and returns when what they remove is removed, and that is durable: see
    /// [`Log::enforce_retention`]. All partitions are seen to, also where one fails: then with the first error.
    pub fn enforce_retention(&self) -> Result<Enforced> {
        self.check_writable()?;
        let (mut removed, mut outcome) = (Removed::default(), Ok(()));
        for log in self.begun() {
            match log.enforce_retention() {
                Ok(more) => removed.add(more),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        self.retentions.fetch_add(1, Ordering::Relaxed);
        outcome.map(|()| Enforced { removed, partitions: self.logs.len() })
    }

    /// Applies the rules to each partition, without a wait: see [`Log::apply_retention`].
    pub fn apply_retention(&self) -> Result<()> {
        self.check_writable()?;
        let mut outcome = Ok(());
        for log in self.begun() {
            let applied = log.apply_retention();
            outcome = outcome.and(applied);
        }
        self.retentions.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    /// What retention has done since the log was opened.
    pub fn retention_stats(&self) -> RetentionStats {
        let mut removed = Removed::default();
        self.there().for_each(|(_, log)| removed.add(log.retainer.removed()));
        RetentionStats { removed, runs: self.retentions.load(Ordering::Relaxed) }
    }

    /// Compacts `partitions`, or all: see [`Log::compact`].
    pub fn compact(&self, partitions: Option<&[usize]>, before: i64) -> Result<PartitionedRemoval> {
        self.check_writable()?;
        let mut logs: Vec<Arc<Log>> = match partitions {
            Some(partitions) => {
                partitions.iter().map(|partition| self.log(*partition).map(Arc::clone)).collect::<Result<_>>()?
            }
            None => self.there().map(|(_, log)| Arc::clone(log)).collect(),
        };
        logs.retain(|log| !log.wal().is_to_come());
        logs.reverse();
        Ok(PartitionedRemoval { logs, before, current: None, removed: Removed::default() })
    }

    /// [`Log::settle_spans`] of all partitions.
    pub fn settle_spans(&self) {
        self.there().for_each(|(_, log)| log.settle_spans());
    }

    /// Figures of each partition; those of one that another process has not made yet are empty.
    pub fn stats(&self) -> Vec<LogStats> {
        self.logs.iter().map(|log| log.get().map(|log| log.stats()).unwrap_or_default()).collect()
    }
}

impl PartitionedRemoval {
    /// What has been removed so far.
    pub fn removed(&self) -> Removed {
        let mut removed = self.removed;
        if let Some(current) = &self.current {
            removed.add(current.removed());
        }
        removed
    }

    /// Does the next segment. False: there was none, and all is done.
    pub fn step(&mut self, care: &Care) -> Result<bool> {
        loop {
            if let Some(current) = &mut self.current {
                if current.step(care)? {
                    return Ok(true);
                }
                self.removed = self.removed();
                self.current = None;
            }
            let Some(log) = self.logs.pop() else { return Ok(false) };
            self.current = Some(log.compact(self.before)?);
        }
    }
}
