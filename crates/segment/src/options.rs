//! What an engine tells the substrate at open.

use varve_format::EngineKind;

/// Least size of a segment.
pub const MIN_SEGMENT_SIZE: u64 = 64 << 10;

/// Greatest size of a segment: positions divided by 8 and relative indexes fit their bits in a frame.
pub const MAX_SEGMENT_SIZE: u64 = 1 << 30;

/// A record takes at most the segment's size less this: header, state, footer and the frame's own header.
pub const RECORD_OVERHEAD: u64 = 4 << 10;

/// Longest name of a codec in bytes: the state frame stays far below [`RECORD_OVERHEAD`].
pub const MAX_CODEC_NAME: usize = 255;

/// Size of a directory's first segment; each next one is [`GROWTH`] times larger, up to the segment size. A small log stays small.
const FIRST_SEGMENT: u64 = 256 << 10;
pub(crate) const GROWTH: u64 = 4;

/// Options of the substrate. The engine has checked their ranges.
#[derive(Debug, Clone)]
pub struct SegmentOptions {
    /// The engine.
    pub kind: EngineKind,
    /// Create the directory, if it is missing.
    pub create: bool,
    /// Bytes of one segment file.
    pub segment_size: u64,
    /// Index of the first record of a new directory.
    pub first_index: u64,
    /// The user's mark in new segments.
    pub marker: u32,
    /// Name of the codec.
    pub codec: String,
    /// What the engine keeps in the state of a new directory.
    pub engine: Vec<u8>,
    /// Check every frame before opening.
    pub verify: bool,
    /// Go on behind damage; checks every frame too.
    pub skip_damage: bool,
    /// It is one of many: it allocates nothing before it is written to, prepares ahead only when three quarters are full, and lets go of its open
    /// files when it is asked to.
    pub thrifty: bool,
}

impl SegmentOptions {
    /// True if the next segment is made ready where frames of the active one end at `end` of `limit`.
    pub(crate) fn prepares_at(&self, end: u64, limit: u64) -> bool {
        end > if self.thrifty { limit / 4 * 3 } else { limit / 2 }
    }

    /// Length of the segment that follows one of `previous` bytes (0: the first), with room for a frame of `frame` bytes and a state of `state`.
    pub(crate) fn capacity_after(&self, previous: u64, frame: u64, state: u64) -> u64 {
        let most = self.segment_size & !7;
        let mut capacity = if previous == 0 { FIRST_SEGMENT } else { previous.saturating_mul(GROWTH) };
        while capacity < most && room(capacity, state) < frame {
            capacity *= GROWTH;
        }
        capacity.min(most)
    }
}

/// Bytes for frames in a fresh segment of `capacity` bytes whose state frame takes `state`.
pub(crate) fn room(capacity: u64, state: u64) -> u64 {
    capacity.saturating_sub(varve_format::DATA_START + varve_format::FOOTER_LEN + state)
}
