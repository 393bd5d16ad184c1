//! Frames: what every byte between header and footer of a segment belongs to.

use crate::checksum::checksum;
use crate::durable::Bound;
use crate::header::DATA_START;
use crate::layout::layout;

/// Length of a frame's header.
pub const FRAME_HEADER_LEN: usize = 16;

/// Distance of a frame that knows no durable bound in its segment.
pub const DISTANCE_UNKNOWN: u16 = u16::MAX;

/// Greatest index, less the segment's first, that a frame can carry. A segment of 1 GiB holds fewer frames.
pub const MAX_RELATIVE_INDEX: u32 = (1 << INDEX_BITS) - 1;

const INDEX_BITS: u32 = 26;
const MORE: u32 = 1 << 30;
const CONTINUED: u32 = 1 << 31;
const LENGTH_BITS: u32 = 30;

// Odd 64-bit constants without structure: the fractional parts of the golden ratio and of the square root of 3.
const K1: u64 = 0x9e37_79b9_7f4a_7c15;
const K2: u64 = 0xbb67_ae85_84ca_a73b;

layout! {
    /// Opens every frame.
    FrameHeader, 16 bytes {
        0 checksum: u32 => "CRC-32C of the payload, xor the lower half of the header's mix",
        4 length: u32 => "length of the payload in bytes; below 2^30",
        8 index_and_kind: u32 => "26 bits of index, 4 of type, 2 of flags",
        12 distance: u16 => "how far back the durable bound lay, in units of 8 bytes",
        14 check: u16 => "upper 16 bits of the header's mix",
    }
}

/// What a frame carries. Numbers are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// A record.
    Record = 1,
    /// The state of the directory.
    Control = 2,
    /// The end of a sealed segment.
    Footer = 3,
}

/// What ties records to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchFlags {
    /// The batch goes on in the next record.
    pub more: bool,
    /// The batch began in an earlier record.
    pub continued: bool,
}

impl BatchFlags {
    /// Of a record that is a batch of its own.
    pub const ALONE: Self = Self { more: false, continued: false };
}

/// Where a frame lies, and what its header says beside its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramePlace {
    /// Salt of its segment.
    pub salt: u64,
    /// Position in the segment.
    pub position: u64,
    /// What it carries.
    pub kind: FrameKind,
    /// What ties it to a batch.
    pub batch: BatchFlags,
    /// Index of the record, or of the next one, less the segment's first.
    pub index: u32,
    /// Durable distance.
    pub distance: u16,
}

/// An intact frame, its payload in the slice it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it carries.
    pub kind: FrameKind,
    /// What ties it to a batch.
    pub batch: BatchFlags,
    /// Index of the record, or of the next one, less the segment's first.
    pub index: u32,
    /// Position before which all was durable when the frame was built, where that is known.
    pub durable_position: Option<u64>,
    /// The payload.
    pub payload: &'a [u8],
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadFrame {
    /// The header is zero: nothing has been written here.
    Zeros,
    /// The header's check does not hold, or says what cannot be.
    Header,
    /// The header holds; the frame takes this many bytes, and the slice has fewer.
    Short(usize),
    /// The payload's checksum does not hold, or its padding is not zero.
    Payload,
}

impl BadFrame {
    /// The reason in words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Zeros => "no frame",
            Self::Header => "frame header does not match its check",
            Self::Short(_) => "frame runs past the end",
            Self::Payload => "payload does not match its checksum",
        }
    }
}

/// Bytes that a payload of `len` takes with header and padding.
#[inline]
pub const fn frame_len(len: usize) -> usize {
    FRAME_HEADER_LEN + ((len + 7) & !7)
}

/// The mix of all that binds a frame to its place: a 64-bit folded multiplication (as in wyhash). It is not secret and not
/// cryptographic; it makes a frame of another place or life fail but once in 2^48 times, for a nanosecond.
#[inline]
fn mix(salt: u64, position: u64, length: u32, index_and_kind: u32, distance: u16) -> u64 {
    #[cfg(feature = "mutants")]
    let salt = if crate::Mutant::NoSalt.is_on() { 0 } else { salt };
    #[cfg(feature = "mutants")]
    let position = if crate::Mutant::NoPosition.is_on() { 0 } else { position };
    let a = u64::from(length) | u64::from(index_and_kind) << 32;
    let b = salt ^ (position | u64::from(distance) << 48);
    let product = u128::from(a ^ K1) * u128::from(b ^ K2);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are folded")]
    let folded = product as u64 ^ (product >> 64) as u64;
    folded
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half of the mix seals the payload")]
#[inline]
const fn seal(mix: u64) -> u32 {
    mix as u32
}

#[inline]
const fn check(mix: u64) -> u16 {
    (mix >> 48) as u16
}

/// The header of the frame at `place` with this payload, which is hashed where it lies. `payload` is shorter than 2^30 bytes
/// and `place.index` at most [`MAX_RELATIVE_INDEX`]: the caller has checked both.
#[inline]
pub fn place_frame(place: &FramePlace, payload: &[u8]) -> [u8; FRAME_HEADER_LEN] {
    debug_assert!(
        payload.len() < 1 << LENGTH_BITS && place.index <= MAX_RELATIVE_INDEX && place.position.is_multiple_of(8)
    );
    #[expect(clippy::cast_possible_truncation, reason = "below 2^30, see above")]
    let length = payload.len() as u32;
    let flags = u32::from(place.batch.more) << MORE.trailing_zeros()
        | u32::from(place.batch.continued) << CONTINUED.trailing_zeros();
    let index_and_kind = place.index | (place.kind as u32) << INDEX_BITS | flags;
    let mix = mix(place.salt, place.position, length, index_and_kind, place.distance);
    let checksum = checksum(payload) ^ seal(mix);
    FrameHeader { checksum, length, index_and_kind, distance: place.distance, check: check(mix) }.encode()
}

impl FrameHeader {
    /// Reads the header of the frame that may lie at `position`, and checks it. Does not look at the payload.
    #[inline]
    pub fn read(bytes: &[u8; FRAME_HEADER_LEN], salt: u64, position: u64) -> Result<Self, BadFrame> {
        let header = Self::decode(bytes);
        let mix = mix(salt, position, header.length, header.index_and_kind, header.distance);
        if check(mix) == header.check && header.length >> LENGTH_BITS == 0 && header.kind().is_some() {
            return Ok(header);
        }
        Err(if u128::from_le_bytes(*bytes) == 0 { BadFrame::Zeros } else { BadFrame::Header })
    }

    /// What the frame carries; `None` for a number that this build does not know.
    #[inline]
    pub fn kind(&self) -> Option<FrameKind> {
        match self.index_and_kind >> INDEX_BITS & 0xf {
            1 => Some(FrameKind::Record),
            2 => Some(FrameKind::Control),
            3 => Some(FrameKind::Footer),
            _ => None,
        }
    }

    /// Bytes the frame takes.
    #[inline]
    pub fn frame_len(&self) -> usize {
        frame_len(self.length as usize)
    }

    /// True if `payload` and the padding behind it are what was written.
    #[inline]
    fn holds(&self, payload: &[u8], padding: &[u8], salt: u64, position: u64) -> bool {
        let mix = mix(salt, position, self.length, self.index_and_kind, self.distance);
        checksum(payload) ^ seal(mix) == self.checksum && padding.iter().all(|byte| *byte == 0)
    }
}

impl<'a> Frame<'a> {
    /// Reads and verifies the frame at the start of `bytes`, which lie at `position` of the segment with `salt`.
    #[inline]
    pub fn read(bytes: &'a [u8], salt: u64, position: u64) -> Result<Self, BadFrame> {
        let Some((head, rest)) = bytes.split_first_chunk::<FRAME_HEADER_LEN>() else {
            return Err(BadFrame::Short(FRAME_HEADER_LEN));
        };
        let header = FrameHeader::read(head, salt, position)?;
        let frame_len = header.frame_len();
        let Some(body) = rest.get(..frame_len - FRAME_HEADER_LEN) else {
            return Err(BadFrame::Short(frame_len));
        };
        let (payload, padding) = body.split_at(header.length as usize);
        let Some(kind) = header.kind() else { return Err(BadFrame::Header) };
        if !header.holds(payload, padding, salt, position) {
            return Err(BadFrame::Payload);
        }
        let behind = u64::from(header.distance) * 8;
        let durable_position =
            (header.distance != DISTANCE_UNKNOWN && position >= behind + DATA_START).then(|| position - behind);
        Ok(Self {
            kind,
            batch: BatchFlags {
                more: header.index_and_kind & MORE != 0,
                continued: header.index_and_kind & CONTINUED != 0,
            },
            index: header.index_and_kind & MAX_RELATIVE_INDEX,
            durable_position,
            payload,
        })
    }

    /// Bytes the frame takes.
    #[inline]
    pub fn len(&self) -> usize {
        frame_len(self.payload.len())
    }

    /// True if the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    /// The durable bound it carries, being in `segment`.
    pub fn durable(&self, segment: u64) -> Option<Bound> {
        self.durable_position.map(|position| Bound { segment, position })
    }
}
