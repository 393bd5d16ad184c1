//! What a log says of itself.

use varve_segment::{Error as SegmentError, Gap, Torn};

use crate::latency::Quantiles;
use crate::role::Role;
use crate::writer::Wal;

/// What the last open found and did.
#[derive(Debug, Clone, Default)]
pub struct RecoveryReport {
    /// Torn tails that were cut.
    pub torn: Vec<Torn>,
    /// Records that are lost.
    pub gaps: Vec<Gap>,
    /// How long it took.
    pub micros: u64,
}

/// Segments that are no more part of the log, and whose files are still there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pinned {
    /// How many.
    pub segments: usize,
    /// Bytes of theirs that are used.
    pub bytes: u64,
    /// How many readers, views and pins hold them. 0: only the next sync is waited for.
    pub references: usize,
}

/// Figures of an open log.
#[derive(Debug, Clone, Default)]
pub struct WalStats {
    /// Records held.
    pub entries: u64,
    /// Sum of their lengths.
    pub bytes: u64,
    /// Segments.
    pub segments: usize,
    /// Index of the first record.
    pub first_index: u64,
    /// Index of the next record.
    pub next_index: u64,
    /// Index after the last committed record.
    pub committed: u64,
    /// Every record below it is durable.
    pub durable_index: u64,
    /// Bytes accepted and not yet handed to the system.
    pub pending_bytes: usize,
    /// Segments begun since the log was opened.
    pub rotations: u64,
    /// Syncs since then.
    pub syncs: u64,
    /// How long they took, in microseconds.
    pub sync_micros: Quantiles,
    /// Name of the codec.
    pub codec: String,
    /// What could not be removed yet.
    pub pinned: Pinned,
    /// The error that the log has failed with.
    pub failed: Option<SegmentError>,
    /// What the open found.
    pub recovery: RecoveryReport,
}

impl Wal {
    /// Its figures now.
    pub fn stats(&self) -> WalStats {
        let (bytes, pending_bytes, rotations, (syncs, sync_micros)) = match &self.role {
            Role::Writer(writer) => {
                let appender = writer.appender.lock();
                let figures = (appender.payload_bytes(), appender.pending(), appender.rotations());
                drop(appender);
                (figures.0, figures.1, figures.2, writer.commit.quantiles())
            }
            Role::Following(following) => {
                let follower = following.follower();
                (follower.payload_bytes(), 0, follower.rotations(), (0, Quantiles::default()))
            }
        };
        let (first_index, next_index) = (self.first_index(), self.next_index());
        let is_rewritten = |index| self.set.find(index).is_some_and(|segment| segment.header.is_rewritten());
        let lost = self.recovery.gaps.iter().filter(|gap| !gap.removed && !is_rewritten(gap.from));
        let lost: u64 = lost.map(|gap| gap.within(first_index, next_index)).sum();
        let lost = lost + self.removed(first_index, next_index);
        let waiting = self.set.waiting();
        WalStats {
            entries: next_index.saturating_sub(first_index).saturating_sub(lost),
            bytes,
            segments: if self.is_to_come() { 0 } else { self.set.len() },
            first_index,
            next_index,
            committed: self.committed(),
            durable_index: self.durable_index(),
            pending_bytes,
            rotations,
            syncs,
            sync_micros,
            pinned: Pinned {
                segments: waiting.len(),
                bytes: waiting.iter().map(|segment| segment.written()).sum(),
                references: waiting.iter().map(|segment| segment.holds()).sum(),
            },
            codec: self.options.codec.clone(),
            failed: self.failed(),
            recovery: self.recovery.clone(),
        }
    }
}
