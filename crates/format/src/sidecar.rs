//! The sidecar index of a sealed segment: positions of its records. Derived, so never trusted before it is checked.

use crate::checksum::checksum;
use crate::header::{FORMAT_VERSION, SegmentHeader};
use crate::layout::layout;

const MAGIC: u64 = u64::from_le_bytes(*b"VARVEIDX");
const CHECKED: usize = SidecarHeader::LEN - 4;

layout! {
    /// Opens a sidecar.
    SidecarHeader, 64 bytes {
        0 magic: u64 => "`VARVEIDX`",
        8 version: u16 => "format version, 1",
        16 salt: u64 => "salt of the segment it belongs to",
        24 first_index: u64 => "first index of the segment",
        32 count: u64 => "entries that follow",
        40 data_end: u64 => "position behind the last frame it knows",
        48 body_checksum: u32 => "CRC-32C of the entries",
        60 checksum: u32 => "CRC-32C of bytes 0 to 60",
    }
}

/// The positions of a segment's records, divided by 8; 0 for a record that is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    /// One entry a record.
    pub positions: Vec<u32>,
    /// Position behind the last frame.
    pub data_end: u64,
}

impl Sidecar {
    /// The whole file, for the segment with `header`.
    pub fn encode(positions: &[u32], data_end: u64, header: &SegmentHeader) -> Vec<u8> {
        let mut body = Vec::with_capacity(positions.len() * 4);
        positions.iter().for_each(|entry| body.extend_from_slice(&entry.to_le_bytes()));
        let mut head = SidecarHeader {
            magic: MAGIC,
            version: FORMAT_VERSION,
            salt: header.salt,
            first_index: header.first_index,
            count: positions.len() as u64,
            data_end,
            body_checksum: checksum(&body),
            checksum: 0,
        };
        head.checksum = checksum(&head.encode()[..CHECKED]);
        [head.encode().as_slice(), &body].concat()
    }

    /// Reads a file; `None` unless it is intact and belongs to the segment with `header`.
    pub fn decode(bytes: &[u8], header: &SegmentHeader) -> Option<Self> {
        let (head, body) = bytes.split_first_chunk::<{ SidecarHeader::LEN }>()?;
        let fields = SidecarHeader::decode(head);
        let fits = fields.magic == MAGIC
            && fields.version == FORMAT_VERSION
            && fields.checksum == checksum(&head[..CHECKED])
            && fields.salt == header.salt
            && fields.first_index == header.first_index
            && body.len().is_multiple_of(4)
            && fields.count == (body.len() / 4) as u64
            && fields.body_checksum == checksum(body);
        fits.then(|| Self {
            positions: body.as_chunks::<4>().0.iter().map(|entry| u32::from_le_bytes(*entry)).collect(),
            data_end: fields.data_end,
        })
    }
}
