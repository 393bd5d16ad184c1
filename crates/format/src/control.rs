//! Control frames: what is no record. The state of a directory, and ranges of indexes that a salvage could not fill.

use crate::durable::{Bound, MOST};
use crate::layout::layout;

const STATE: u32 = 1;
const GAP: u32 = 2;

layout! {
    /// Fixed part of a control frame's payload.
    StateFields, 40 bytes {
        0 tag: u32 => "1: state",
        4 codec_length: u32 => "length of the codec's name",
        8 first_index: u64 => "records below it are dropped",
        16 commit: u64 => "number of committed records, counted from index 0",
        24 durable_segment: u64 => "durable bound when the frame was built: segment",
        32 durable_position: u64 => "and position in it",
    }
}

/// The state of a directory. Whole each time: the last one wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Records below this index are dropped.
    pub first_index: u64,
    /// Number of committed records, counted from index 0: the committed index plus one.
    pub commit: u64,
    /// Everything before it was durable when the frame was built.
    pub durable: Bound,
    /// Name of the codec the directory was created with.
    pub codec: String,
    /// What the engine itself keeps; of a Wal nothing.
    pub engine: Vec<u8>,
}

impl State {
    /// The state of a log that begins at `first_index`, of which nothing else is known.
    pub fn new(first_index: u64, codec: &str) -> Self {
        Self { first_index, commit: 0, durable: Bound::default(), codec: codec.to_owned(), engine: Vec::new() }
    }

    /// Length of the payload of the control frame.
    pub fn encoded_len(&self) -> usize {
        StateFields::LEN + self.codec.len() + self.engine.len()
    }

    /// The payload of the control frame.
    pub fn encode(&self) -> Vec<u8> {
        let fields = StateFields {
            tag: STATE,
            codec_length: u32::try_from(self.codec.len()).unwrap_or(u32::MAX),
            first_index: self.first_index,
            commit: self.commit,
            durable_segment: self.durable.segment,
            durable_position: self.durable.position,
        };
        [fields.encode().as_slice(), self.codec.as_bytes(), &self.engine].concat()
    }

    /// Reads a payload whose checksum has held. `None`: a control frame that this build does not know.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (fields, rest) = payload.split_first_chunk::<{ StateFields::LEN }>()?;
        let fields = StateFields::decode(fields);
        let (codec, engine) = rest.split_at_checked(usize::try_from(fields.codec_length).ok()?)?;
        let durable = Bound { segment: fields.durable_segment, position: fields.durable_position };
        if fields.tag != STATE || !durable.is_possible() || fields.first_index >= MOST {
            return None;
        }
        Some(Self {
            first_index: fields.first_index,
            commit: fields.commit,
            durable,
            codec: String::from_utf8(codec.to_vec()).ok()?,
            engine: engine.to_vec(),
        })
    }
}

layout! {
    /// Payload of the control frame that stands for records that are lost.
    GapFields, 24 bytes {
        0 tag: u32 => "2: a gap",
        8 from: u64 => "index of the first record that is lost",
        16 to: u64 => "index of the record that follows, the first of the next segment",
    }
}

impl GapFields {
    /// A gap over the records `from` to `to`, excluded.
    pub fn new(from: u64, to: u64) -> Self {
        Self { tag: GAP, from, to }
    }

    /// Reads a payload whose checksum has held. `None`: another control frame.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let gap = Self::decode(payload.first_chunk()?);
        (gap.tag == GAP && payload.len() == Self::LEN && gap.from < gap.to && gap.to < MOST).then_some(gap)
    }
}
