//! What a log says of itself.

use varve_segment::{Error as SegmentError, Gap, Torn};

use crate::latency::Quantiles;
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
    /// The error that the log has failed with.
    pub failed: Option<SegmentError>,
    /// What the open found.
    pub recovery: RecoveryReport,
}

impl Wal {
    /// Its figures now.
    pub fn stats(&self) -> WalStats {
        let appender = self.appender();
        let (bytes, pending_bytes, rotations) = (appender.payload_bytes(), appender.pending(), appender.rotations());
        drop(appender);
        let (syncs, sync_micros) = self.commit.quantiles();
        let (first_index, next_index) = (self.first_index(), self.next_index());
        let lost: u64 = self.recovery.gaps.iter().map(|gap| gap.to - gap.from).sum();
        WalStats {
            entries: (next_index - first_index).saturating_sub(lost),
            bytes,
            segments: self.set.len(),
            first_index,
            next_index,
            durable_index: self.durable_index(),
            pending_bytes,
            rotations,
            syncs,
            sync_micros,
            failed: self.failed(),
            recovery: self.recovery.clone(),
        }
    }
}
