//! What a Log keeps in the state of its directory: where it begins and ends, what is indexed, and its consumers' cursors.

use crate::durable::MOST;
use crate::layout::layout;

const VERSION: u32 = 1;
const KEY_INDEX: u32 = 1;
const TIME_INDEX: u32 = 2;
const HOLDS: u8 = 1;

/// Longest name of a cursor in bytes.
pub const MAX_CURSOR_NAME: usize = 255;

layout! {
    /// Fixed part of a Log's state, behind the name of the codec in a state frame.
    LogStateFields, 56 bytes {
        0 version: u32 => "version of this state, 1",
        4 settings: u32 => "bit 0: keys are indexed, bit 1: times are; others are 0",
        8 start_offset: u64 => "messages with lower offsets are dropped",
        16 next_offset: u64 => "no message that comes gets a lower offset",
        24 high_water: u64 => "messages below it are committed, as far as there are any",
        32 leader_epoch: u64 => "greatest leader epoch seen, plus 1; 0 if none was",
        40 producers: u64 => "0: no producer has written; 1: what they wrote is in the entries; else id, plus 1, of a segment whose snapshot of producers, or a later one, must be there",
        48 key_seed: u64 => "seed of the hash of keys",
    }
}

/// A consumer's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCursor {
    /// Its name.
    pub name: String,
    /// Where the consumer goes on.
    pub offset: u64,
    /// Retention keeps what it has not passed.
    pub holds: bool,
}

/// The state of a Log. Whole each time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogState {
    /// Keys are indexed.
    pub key_index: bool,
    /// Times are indexed.
    pub time_index: bool,
    /// Messages with lower offsets are dropped.
    pub start_offset: u64,
    /// No message that comes gets a lower offset.
    pub next_offset: u64,
    /// Messages below it are committed, as far as there are any.
    pub high_water: u64,
    /// Greatest leader epoch seen.
    pub leader_epoch: Option<u64>,
    /// A producer has written: segment whose snapshot of producers, or a later one, must be there; 0 if none need be, since nothing was removed.
    pub producers: Option<u64>,
    /// Seed of the hash of keys.
    pub key_seed: u64,
    /// Its consumers, by name.
    pub cursors: Vec<LogCursor>,
}

impl LogState {
    /// The bytes: the fixed part, then for each cursor one byte of flags (bit 0: it holds retention), one of the name's length, 8 of the offset, the name.
    pub fn encode(&self) -> Vec<u8> {
        let fields = LogStateFields {
            version: VERSION,
            settings: u32::from(self.key_index) * KEY_INDEX + u32::from(self.time_index) * TIME_INDEX,
            start_offset: self.start_offset,
            next_offset: self.next_offset,
            high_water: self.high_water,
            leader_epoch: self.leader_epoch.map_or(0, |epoch| epoch.saturating_add(1)),
            producers: self.producers.map_or(0, |needed| needed.saturating_add(1)),
            key_seed: self.key_seed,
        };
        let mut bytes = fields.encode().to_vec();
        for cursor in &self.cursors {
            bytes.push(if cursor.holds { HOLDS } else { 0 });
            bytes.push(u8::try_from(cursor.name.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(&cursor.offset.to_le_bytes());
            bytes.extend_from_slice(cursor.name.as_bytes());
        }
        bytes
    }

    /// Reads a state whose checksum has held. `None`: it is none that this build knows.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (fields, mut rest) = bytes.split_first_chunk::<{ LogStateFields::LEN }>()?;
        let fields = LogStateFields::decode(fields);
        let offsets = [fields.start_offset, fields.next_offset, fields.high_water];
        let known = fields.version == VERSION && fields.settings & !(KEY_INDEX | TIME_INDEX) == 0;
        if !known || fields.producers > MOST || offsets.into_iter().any(|offset| offset >= MOST) {
            return None;
        }
        let mut cursors = Vec::new();
        while let Some(([flags, len], behind)) = rest.split_first_chunk::<2>() {
            let (offset, behind) = behind.split_first_chunk::<8>()?;
            let (name, behind) = behind.split_at_checked(usize::from(*len))?;
            let (offset, name) = (u64::from_le_bytes(*offset), str::from_utf8(name).ok()?);
            if *flags > HOLDS || offset >= MOST {
                return None;
            }
            cursors.push(LogCursor { name: name.to_owned(), offset, holds: *flags == HOLDS });
            rest = behind;
        }
        rest.is_empty().then_some(Self {
            key_index: fields.settings & KEY_INDEX != 0,
            time_index: fields.settings & TIME_INDEX != 0,
            start_offset: fields.start_offset,
            next_offset: fields.next_offset,
            high_water: fields.high_water,
            leader_epoch: fields.leader_epoch.checked_sub(1),
            producers: fields.producers.checked_sub(1),
            key_seed: fields.key_seed,
            cursors,
        })
    }
}
