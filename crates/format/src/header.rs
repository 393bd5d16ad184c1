//! The segment header: written twice, once, never changed.

use crate::checksum::checksum;
use crate::layout::layout;

/// Version of the format that this build writes, and the only one it reads.
pub const FORMAT_VERSION: u16 = 1;

/// Positions of the two copies of the header: in different sectors, so that losing one sector loses one copy.
pub const HEADER_COPIES: [usize; 2] = [0, 512];

/// Position of the first frame.
pub const DATA_START: u64 = HEADER_BLOCK_LEN as u64;

/// Bytes before the first frame: both copies of the header, and zeros.
pub const HEADER_BLOCK_LEN: usize = 1024;

const MAGIC: u64 = u64::from_le_bytes(*b"VARVESEG");
const CHECKED: usize = SegmentHeader::LEN - 4;

layout! {
    /// Opens every segment file.
    SegmentHeader, 128 bytes {
        0 magic: u64 => "`VARVESEG`",
        8 version: u16 => "format version of the file, 1",
        10 kind: u8 => "engine: 1 Wal, 2 Log",
        11 origin: u8 => "why it was begun: 0 continues the one before, 1 first of a log, 2 torn tail, 3 truncation; 4 more where it was rewritten in place of another",
        12 marker: u32 => "the user's mark",
        16 id: u64 => "number of the segment, rising; also its name",
        24 first_index: u64 => "index of the first record",
        32 generation: u64 => "rises with every truncation and every cut of a torn tail",
        40 generation_start: u64 => "id of the segment that began the generation",
        48 salt: u64 => "random; part of every frame's check",
        56 log: u64 => "random; the same in all segments of a log",
        64 link: u64 => "random; names the segment to the one that continues it",
        72 previous_link: u64 => "link of the segment that this one continues; 0 for a cut",
        80 created_micros: i64 => "microseconds since the Unix epoch",
        88 capacity: u64 => "length of the file, footer included; a multiple of 8",
        124 checksum: u32 => "CRC-32C of bytes 0 to 124",
    }
}

/// Which engine a segment belongs to. Numbers are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum EngineKind {
    /// Records by index.
    #[default]
    Wal = 1,
    /// Messages by offset.
    Log = 2,
}

/// Why a segment was begun. Numbers are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Origin {
    /// The one before was full.
    Continues = 0,
    /// The log was created.
    First = 1,
    /// A torn tail, or damage that is gone past, was cut.
    Recovery = 2,
    /// Records were dropped from the end.
    Truncation = 3,
    /// Added to the others: records were removed from the segment that had this id before.
    Rewritten = 4,
}

/// Why a header block yields no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadHeader {
    /// Intact, but of a format version that this build does not know.
    Version(u16),
    /// Neither copy is intact.
    Damaged,
}

/// The header found in the first kilobyte of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderBlock {
    /// The header.
    pub header: SegmentHeader,
    /// Position of a copy that is damaged, where one is.
    pub damaged_copy: Option<u64>,
}

impl SegmentHeader {
    /// The header with `magic`, `version` and `checksum` filled in.
    pub fn sealed(mut self) -> Self {
        self.magic = MAGIC;
        self.version = FORMAT_VERSION;
        self.checksum = checksum(&self.encode()[..CHECKED]);
        self
    }

    /// True if the segment drops from the log all that lower generations hold from its first index on.
    pub fn is_cut(&self) -> bool {
        self.id == self.generation_start
    }

    /// True if it was written in place of another, which was begun for the same reason.
    pub fn is_rewritten(&self) -> bool {
        self.origin & Origin::Rewritten as u8 != 0
    }

    /// True if it was begun to drop records from the end, rewritten since or not.
    pub fn is_truncation(&self) -> bool {
        self.origin & !(Origin::Rewritten as u8) == Origin::Truncation as u8
    }

    /// True if both are the same segment of the same log, of which one is, or both are, rewritten.
    pub fn is_same_rewritten(&self, other: &Self) -> bool {
        (self.id, self.log, self.link) == (other.id, other.log, other.link) && self.salt != other.salt
    }

    /// True if the segment follows the one with `previous`, wherever that ends.
    pub fn continues(&self, previous: &Self) -> bool {
        self.id == previous.id + 1
            && self.generation == previous.generation
            && self.generation_start == previous.generation_start
            && self.previous_link == previous.link
    }

    /// The first kilobyte of a segment: both copies, and zeros.
    pub fn block(&self) -> [u8; HEADER_BLOCK_LEN] {
        let mut block = [0; HEADER_BLOCK_LEN];
        for at in HEADER_COPIES {
            block[at..at + Self::LEN].copy_from_slice(&self.encode());
        }
        block
    }
}

/// Finds the header in `block`, the first kilobyte of a file or what there is of it.
pub fn read_header_block(block: &[u8]) -> Result<HeaderBlock, BadHeader> {
    let mut found = None;
    let mut damaged_copy = None;
    let mut other_version = None;
    for at in HEADER_COPIES {
        let copy = block.get(at..).and_then(|rest| rest.first_chunk::<{ SegmentHeader::LEN }>());
        let header = copy.map(SegmentHeader::decode).filter(|header| header.magic == MAGIC);
        let intact =
            copy.is_some_and(|copy| header.is_some_and(|header| checksum(&copy[..CHECKED]) == header.checksum));
        match header {
            Some(header) if intact && header.version == FORMAT_VERSION => found = found.or(Some(header)),
            Some(header) if intact => other_version = Some(header.version),
            _ => damaged_copy = Some(at as u64),
        }
    }
    match (found, other_version) {
        (_, Some(version)) => Err(BadHeader::Version(version)),
        (Some(header), None) => Ok(HeaderBlock { header, damaged_copy }),
        (None, None) => Err(BadHeader::Damaged),
    }
}
