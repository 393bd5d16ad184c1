//! The digest of a sealed segment of a Log: which entry holds which offset, and when its messages were. Derived, so never trusted before it is checked.

use crate::checksum::checksum;
use crate::header::{FORMAT_VERSION, SegmentHeader};
use crate::layout::layout;

const MAGIC: u64 = u64::from_le_bytes(*b"VARVEDIG");
const CHECKED: usize = DigestHeader::LEN - 4;
const POINT_LEN: usize = 20;
const STEP_LEN: usize = 8;

layout! {
    /// Opens a digest.
    DigestHeader, 104 bytes {
        0 magic: u64 => "`VARVEDIG`",
        8 version: u16 => "format version, 1",
        16 salt: u64 => "salt of the segment it belongs to",
        24 first_index: u64 => "index of its first entry",
        32 entries: u64 => "its entries",
        40 base: u64 => "offset of its first message, or of the first after it, where it has none",
        48 end: u64 => "offset after its last message",
        56 messages: u64 => "its messages",
        64 max_time: i64 => "greatest time of a message, in microseconds since the Unix epoch",
        72 points: u64 => "points that follow",
        80 steps: u64 => "steps that follow the points",
        88 body_checksum: u32 => "CRC-32C of points and steps",
        92 saved: u64 => "bytes that it is smaller for the compression of its groups",
        100 checksum: u32 => "CRC-32C of bytes 0 to 100",
    }
}

/// An entry that is not a single message which follows on the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Number of the entry in its segment.
    pub entry: u32,
    /// Its first offset, less that of the segment.
    pub offset: u32,
    /// Offsets that it stands for.
    pub span: u32,
    /// Greatest time up to it, its own messages too.
    pub max_time: i64,
}

impl Point {
    fn decode(bytes: &[u8; POINT_LEN]) -> Self {
        let (numbers, time) = bytes.split_at(POINT_LEN - 8);
        let number = |at: usize| numbers.as_chunks().0.get(at).map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let max_time = time.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes));
        Self { entry: number(0), offset: number(1), span: number(2), max_time }
    }
}

/// What is known of a segment without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// Its entries.
    pub entries: u64,
    /// Offset of its first message.
    pub base: u64,
    /// Offset after its last message.
    pub end: u64,
    /// Its messages.
    pub messages: u64,
    /// Greatest time of a message.
    pub max_time: i64,
    /// Bytes that it is smaller for the compression of its groups.
    pub saved: u64,
    /// From offsets to entries; rising.
    pub points: Vec<Point>,
    /// Greatest time up to each 16th entry, and up to the last.
    pub steps: Vec<i64>,
}

impl Digest {
    /// The whole file, for the segment with `header`: the header, each point as three 32-bit numbers and one of 64, each step as one of 64 bits.
    pub fn encode(&self, header: &SegmentHeader) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.points.len() * POINT_LEN + self.steps.len() * STEP_LEN);
        for Point { entry, offset, span, max_time } in &self.points {
            [entry, offset, span].into_iter().for_each(|number| body.extend_from_slice(&number.to_le_bytes()));
            body.extend_from_slice(&max_time.to_le_bytes());
        }
        self.steps.iter().for_each(|step| body.extend_from_slice(&step.to_le_bytes()));
        let mut head = DigestHeader {
            magic: MAGIC,
            version: FORMAT_VERSION,
            salt: header.salt,
            first_index: header.first_index,
            entries: self.entries,
            base: self.base,
            end: self.end,
            messages: self.messages,
            max_time: self.max_time,
            points: self.points.len() as u64,
            steps: self.steps.len() as u64,
            body_checksum: checksum(&body),
            saved: self.saved,
            checksum: 0,
        };
        head.checksum = checksum(&head.encode()[..CHECKED]);
        [head.encode().as_slice(), &body].concat()
    }

    /// Reads a file; `None` unless it is intact and belongs to the segment with `header`. Without `whole` the points and steps are left out, and
    /// only the first [`DigestHeader::LEN`] bytes are needed.
    pub fn decode(bytes: &[u8], header: &SegmentHeader, whole: bool) -> Option<Self> {
        let (head, body) = bytes.split_first_chunk::<{ DigestHeader::LEN }>()?;
        let fields = DigestHeader::decode(head);
        let fits = fields.magic == MAGIC
            && fields.version == FORMAT_VERSION
            && fields.checksum == checksum(&head[..CHECKED])
            && fields.salt == header.salt
            && fields.first_index == header.first_index
            && fields.base <= fields.end;
        let mut digest = Self {
            entries: fields.entries,
            base: fields.base,
            end: fields.end,
            messages: fields.messages,
            max_time: fields.max_time,
            saved: fields.saved,
            points: Vec::new(),
            steps: Vec::new(),
        };
        if !fits || !whole {
            return fits.then_some(digest);
        }
        let points = usize::try_from(fields.points).ok()?.checked_mul(POINT_LEN)?;
        let (points, steps) = body.split_at_checked(points)?;
        if fields.body_checksum != checksum(body)
            || usize::try_from(fields.steps).ok()?.checked_mul(STEP_LEN)? != steps.len()
        {
            return None;
        }
        digest.points = points.as_chunks().0.iter().map(Point::decode).collect();
        digest.steps = steps.as_chunks().0.iter().map(|step| i64::from_le_bytes(*step)).collect();
        Some(digest)
    }
}
