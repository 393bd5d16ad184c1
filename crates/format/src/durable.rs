//! The durable bound, and the two slots that carry it beside the segments.

use crate::checksum::checksum;
use crate::layout::layout;

const MAGIC: u64 = u64::from_le_bytes(*b"VARVEDUR");
const CHECKED: usize = DurableSlot::LEN - 4;

/// Positions of the two slots: in different sectors, written in turns.
pub const SLOT_POSITIONS: [u64; 2] = [0, 512];

/// A place in the log's order: everything before it is known to be durable. Ordered by segment, then position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Bound {
    /// Id of the segment.
    pub segment: u64,
    /// Position in it.
    pub position: u64,
}

/// Ids, positions, indexes and generations stay below, so that there is room to count on from any that is read.
pub const MOST: u64 = 1 << 53;

impl Bound {
    /// False of a bound that no log can have.
    pub fn is_possible(self) -> bool {
        // New ids are greater than that of any bound, and have to be names.
        self.segment < MOST / 4 && self.position < MOST
    }
}

layout! {
    /// One slot of the file `durable`.
    DurableSlot, 64 bytes {
        0 magic: u64 => "`VARVEDUR`",
        8 sequence: u64 => "rises by one a slot written; the greater one is the newer",
        16 segment: u64 => "durable bound: segment",
        24 position: u64 => "and position in it",
        32 next_index: u64 => "every record below it is durable",
        40 log: u64 => "the log it speaks of",
        60 checksum: u32 => "CRC-32C of bytes 0 to 60",
    }
}

impl DurableSlot {
    /// The slot with `magic` and `checksum` filled in.
    pub fn sealed(mut self) -> Self {
        self.magic = MAGIC;
        self.checksum = checksum(&self.encode()[..CHECKED]);
        self
    }

    /// Reads a slot; `None` if it is not intact.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<{ Self::LEN }>()?;
        let slot = Self::decode(bytes);
        let intact = slot.magic == MAGIC && checksum(&bytes[..CHECKED]) == slot.checksum;
        let possible = slot.bound().is_possible() && slot.next_index < MOST && slot.sequence < MOST;
        (intact && possible).then_some(slot)
    }

    /// The bound it carries.
    pub fn bound(&self) -> Bound {
        Bound { segment: self.segment, position: self.position }
    }
}
