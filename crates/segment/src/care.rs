//! Long work that is watched, and may be called off.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How far long work has come, and whether it is still wanted. Shared with who watches.
#[derive(Debug, Default)]
pub struct Care {
    bytes: AtomicU64,
    total_bytes: AtomicU64,
    segments: AtomicU64,
    total_segments: AtomicU64,
    aborted: AtomicBool,
}

/// A moment of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes done.
    pub bytes: u64,
    /// Of so many.
    pub total_bytes: u64,
    /// Segments done.
    pub segments: u64,
    /// Of so many.
    pub total_segments: u64,
}

impl Care {
    /// How far it is.
    pub fn progress(&self) -> Progress {
        let [bytes, total_bytes, segments, total_segments] =
            [&self.bytes, &self.total_bytes, &self.segments, &self.total_segments].map(|at| at.load(Ordering::Relaxed));
        Progress { bytes: bytes.min(total_bytes), total_bytes, segments: segments.min(total_segments), total_segments }
    }

    /// Calls it off: it ends at the next segment.
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::Relaxed);
    }

    /// True if it is called off.
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Relaxed)
    }

    /// There will be so much to do.
    pub fn expect(&self, segments: u64, bytes: u64) {
        self.total_segments.store(segments, Ordering::Relaxed);
        self.total_bytes.store(bytes, Ordering::Relaxed);
    }

    /// A segment is done.
    pub fn done_segment(&self, bytes: u64) {
        self.segments.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
