//! The footer of a sealed segment.

use crate::durable::Bound;
use crate::layout::layout;

/// Bytes at the end of a segment that only its footer frame may take.
pub const FOOTER_LEN: u64 = 128;

layout! {
    /// Payload of the footer frame, which takes the last 128 bytes of a sealed segment.
    Footer, 112 bytes {
        0 next_index: u64 => "index after the last record",
        8 records: u64 => "records in the segment",
        16 payload_bytes: u64 => "sum of their lengths",
        24 data_end: u64 => "position behind the last frame",
        32 durable_segment: u64 => "durable bound when the segment was sealed: segment",
        40 durable_position: u64 => "and position in it",
        48 sealed_micros: i64 => "microseconds since the Unix epoch",
        56 min_time: i64 => "least time of a message, where messages have one",
        64 max_time: i64 => "greatest time of a message",
    }
}

impl Footer {
    /// The durable bound it carries.
    pub fn durable(&self) -> Bound {
        Bound { segment: self.durable_segment, position: self.durable_position }
    }
}
