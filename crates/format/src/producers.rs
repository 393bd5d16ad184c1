//! The snapshot of what producers have written last: so that it is known whatever was removed since, and not all of a log has to be read for it.

use crate::checksum::checksum;
use crate::durable::MOST;
use crate::header::{FORMAT_VERSION, SegmentHeader};
use crate::layout::layout;

const MAGIC: u64 = u64::from_le_bytes(*b"VARVEPRO");
const CHECKED: usize = ProducersHeader::LEN - 4;

layout! {
    /// Opens a snapshot.
    ProducersHeader, 64 bytes {
        0 magic: u64 => "`VARVEPRO`",
        8 version: u16 => "format version, 1",
        16 log: u64 => "random number of the log",
        24 segment: u64 => "id of a segment: no segment before it holds `offset`, or an offset behind",
        32 link: u64 => "link of that segment",
        40 offset: u64 => "batches with lower offsets are in it, and no others; all of them were durable when it was written",
        48 producers: u64 => "producers that follow",
        56 body_checksum: u32 => "CRC-32C of the producers",
        60 checksum: u32 => "CRC-32C of bytes 0 to 60",
    }
}

layout! {
    /// A producer in a snapshot.
    ProducerFields, 16 bytes {
        0 id: u64 => "id of the producer",
        8 epoch: u32 => "its epoch",
        12 batches: u32 => "batches of it that follow",
    }
}

layout! {
    /// A batch in a snapshot.
    ProducerBatch, 16 bytes {
        0 sequence: u64 => "number of the batch",
        8 offset: u64 => "offset of its first message",
    }
}

/// What is remembered of a producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerRecord {
    /// The producer.
    pub id: u64,
    /// Its epoch.
    pub epoch: u32,
    /// Sequence and first offset of its last batches, the newest last.
    pub batches: Vec<(u64, u64)>,
}

/// What all producers have written below an offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerSnapshot {
    /// Random number of the log.
    pub log: u64,
    /// A segment, and its link: batches from `offset` on are in it, or in later ones.
    pub segment: (u64, u64),
    /// Batches with lower offsets are in it, and no others.
    pub offset: u64,
    /// The producers.
    pub producers: Vec<ProducerRecord>,
}

impl ProducerSnapshot {
    /// One of no producers, taken in the segment with `header`.
    pub fn new(header: &SegmentHeader, offset: u64) -> Self {
        Self { log: header.log, segment: (header.id, header.link), offset, producers: Vec::new() }
    }

    /// The whole file.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.producers.len() * (ProducerFields::LEN + 5 * ProducerBatch::LEN));
        for ProducerRecord { id, epoch, batches } in &self.producers {
            let count = u32::try_from(batches.len()).unwrap_or(u32::MAX);
            body.extend_from_slice(&ProducerFields { id: *id, epoch: *epoch, batches: count }.encode());
            for (sequence, offset) in batches {
                body.extend_from_slice(&ProducerBatch { sequence: *sequence, offset: *offset }.encode());
            }
        }
        let mut head = ProducersHeader {
            magic: MAGIC,
            version: FORMAT_VERSION,
            log: self.log,
            segment: self.segment.0,
            link: self.segment.1,
            offset: self.offset,
            producers: self.producers.len() as u64,
            body_checksum: checksum(&body),
            checksum: 0,
        };
        head.checksum = checksum(&head.encode()[..CHECKED]);
        [head.encode().as_slice(), &body].concat()
    }

    /// Reads a file; `None` unless all of it is intact, and of this version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_first_chunk::<{ ProducersHeader::LEN }>()?;
        let fields = ProducersHeader::decode(head);
        let fits = fields.magic == MAGIC
            && fields.version == FORMAT_VERSION
            && fields.checksum == checksum(&head[..CHECKED])
            && fields.body_checksum == checksum(rest)
            && fields.offset < MOST;
        if !fits {
            return None;
        }
        let mut producers = Vec::new();
        while let Some((one, behind)) = rest.split_first_chunk::<{ ProducerFields::LEN }>() {
            let ProducerFields { id, epoch, batches } = ProducerFields::decode(one);
            let len = usize::try_from(batches).ok()?.checked_mul(ProducerBatch::LEN)?;
            let (batches, behind) = behind.split_at_checked(len)?;
            let batches = batches.as_chunks().0.iter().map(|batch| {
                let ProducerBatch { sequence, offset } = ProducerBatch::decode(batch);
                (sequence, offset)
            });
            producers.push(ProducerRecord { id, epoch, batches: batches.collect() });
            rest = behind;
        }
        let whole = rest.is_empty() && producers.len() as u64 == fields.producers;
        let (log, segment) = (fields.log, (fields.segment, fields.link));
        whole.then_some(Self { log, segment, offset: fields.offset, producers })
    }
}
