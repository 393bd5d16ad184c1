//! What a log says of itself.

use varve_format::FORMAT_VERSION;
use varve_wal::{RecoveryReport, WalStats};

use crate::retention::Held;
use crate::writer::Log;

/// Figures of an open log.
#[derive(Debug, Clone, Default)]
pub struct LogStats {
    /// Messages held, those included that lie before the start offset in its segment.
    pub messages: u64,
    /// Bytes of the tables of the key index.
    pub index_bytes: u64,
    /// Bytes that indexes take in memory.
    pub index_memory_bytes: u64,
    /// Bytes that the files are smaller for the compression of their groups.
    pub saved_bytes: u64,
    /// Lowest offset held.
    pub start_offset: u64,
    /// Offset of the next message.
    pub next_offset: u64,
    /// Offset below which everything is durable.
    pub durable_offset: u64,
    /// Offset after the last committed message.
    pub high_water_mark: u64,
    /// What the rules of retention would remove, and a cursor keeps.
    pub held: Held,
    /// Bytes of uncompressed groups that are kept for reading.
    pub cached_bytes: usize,
    /// Figures of the record log below; what is missing is told by offsets.
    pub entries: WalStats,
}

impl LogStats {
    /// Version of the format of its files.
    pub const VERSION: u16 = FORMAT_VERSION;

    /// Bytes stored over those it would take without compression; 1 of an empty log.
    pub fn compression_ratio(&self) -> f64 {
        let stored = self.entries.bytes as f64;
        if stored > 0.0 { stored / (stored + self.saved_bytes as f64) } else { 1.0 }
    }
}

impl Log {
    /// Its figures now.
    pub fn stats(&self) -> LogStats {
        let (next_offset, high_water_mark) = (self.next_offset(), self.high_water_mark());
        let tail = self.tail.lock();
        let (active, saved) = (tail.outline.messages(), tail.outline.saved());
        let keys = tail.keys.as_ref().map_or((0, 0), |keys| (keys.file_bytes(), keys.memory()));
        let memory = keys.1 + tail.outline.bytes() + self.sealed.outline_bytes();
        drop(tail);
        let mut entries = self.wal.stats();
        let gaps = self.gaps.get().cloned().unwrap_or_default();
        let recovery = RecoveryReport { gaps, ..std::mem::take(&mut entries.recovery) };
        LogStats {
            messages: self.sealed.messages() + active,
            index_bytes: keys.0,
            index_memory_bytes: memory as u64,
            saved_bytes: self.sealed.saved() + saved,
            start_offset: self.start_offset(),
            next_offset,
            durable_offset: self.durable_offset(),
            high_water_mark,
            held: self.retainer.held(),
            cached_bytes: self.bodies.bytes(),
            entries: WalStats { recovery, ..entries },
        }
    }
}
