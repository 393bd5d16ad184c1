//! The form of an entry, which it begins with: what it is, and where it comes from. And why one is refused.

use crate::durable::MOST;
use crate::layout::layout;

/// The entry is a group.
pub(crate) const FORM_GROUP: u8 = 1;
/// Producer fields follow the fixed part.
const FORM_PRODUCER: u8 = 2;
/// The leader epoch follows those.
const FORM_LEADER_EPOCH: u8 = 4;
const FORM_KNOWN: u8 = FORM_GROUP | FORM_PRODUCER | FORM_LEADER_EPOCH;

/// Bytes of the leader epoch.
const LEADER_EPOCH_LEN: usize = 8;

/// The most that both take.
pub(crate) const MOST_PROVENANCE: usize = Producer::LEN + LEADER_EPOCH_LEN;

layout! {
    /// Whose batch it is, and which of theirs: only the first entry of a batch says so.
    Producer, 24 bytes {
        0 id: u64 => "id of the producer",
        8 sequence: u64 => "number of the batch: a producer counts them",
        16 epoch: u32 => "epoch of the producer",
        20 count: u32 => "messages in the whole batch",
    }
}

/// Where an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Provenance {
    /// Whose batch it is, if its producer is to be known again.
    pub producer: Option<Producer>,
    /// The leader epoch it was written in.
    pub leader_epoch: Option<u64>,
}

impl Provenance {
    /// Of an entry without either.
    pub const NONE: Self = Self { producer: None, leader_epoch: None };

    /// Its bits of the form.
    #[inline]
    pub(crate) fn form(&self) -> u8 {
        let producer = if self.producer.is_some() { FORM_PRODUCER } else { 0 };
        let leader_epoch = if self.leader_epoch.is_some() { FORM_LEADER_EPOCH } else { 0 };
        producer | leader_epoch
    }

    #[inline]
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        if let Some(producer) = &self.producer {
            out.extend_from_slice(&producer.encode());
        }
        if let Some(epoch) = self.leader_epoch {
            out.extend_from_slice(&epoch.to_le_bytes());
        }
    }

    /// Takes what `form` says there is from the front of `bytes`.
    #[inline]
    pub(crate) fn take(form: u8, bytes: &mut &[u8]) -> Result<Self, BadEntry> {
        if form & !FORM_GROUP == 0 {
            return Ok(Self::NONE);
        }
        if form & !FORM_KNOWN != 0 {
            return Err(BadEntry::Form(form));
        }
        let mut provenance = Self::NONE;
        if form & FORM_PRODUCER != 0 {
            let (fields, rest) = bytes.split_first_chunk().ok_or(BadEntry::Short)?;
            provenance.producer = Some(Producer::decode(fields));
            *bytes = rest;
        }
        if form & FORM_LEADER_EPOCH != 0 {
            let (epoch, rest) = bytes.split_first_chunk::<LEADER_EPOCH_LEN>().ok_or(BadEntry::Short)?;
            provenance.leader_epoch = Some(u64::from_le_bytes(*epoch));
            *bytes = rest;
        }
        Ok(provenance)
    }
}

/// Why bytes are no entry, no body of a group, or no message. The checksum of the frame has held: it is a newer build's, or damage
/// from before it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadEntry {
    /// The form has bits that this build does not know.
    Form(u8),
    /// The content has bits that this build does not know.
    Content(u8),
    /// It ends within its fixed part, or within what the form says that follows.
    Short,
    /// A varint is cut off, not the shortest form, or too great.
    Varint,
    /// A length runs past the end, or bytes are left behind.
    Length,
    /// A reserved byte is not 0.
    Reserved,
    /// More items than a group may have, or than its span has room for.
    Count,
    /// An offset beyond those that a log can have.
    Offset,
    /// An id beyond the span of its group.
    Id,
    /// Headers that are said to be there, and are none.
    Headers,
    /// The name of a header is not UTF-8.
    Name,
}

impl BadEntry {
    /// The reason in words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Form(_) => "entry of an unknown form",
            Self::Content(_) => "message with unknown content",
            Self::Short => "entry ends within its header",
            Self::Varint => "bad varint in an entry",
            Self::Length => "a length in an entry does not fit",
            Self::Reserved => "reserved byte of an entry is not zero",
            Self::Count => "group with more items than it has room for",
            Self::Offset => "offset out of range",
            Self::Id => "item beyond the span of its group",
            Self::Headers => "message with empty headers",
            Self::Name => "name of a header is not UTF-8",
        }
    }

    /// True if a newer build may have written it.
    pub fn is_unsupported(self) -> bool {
        matches!(self, Self::Form(_) | Self::Content(_))
    }
}

/// True if all of `span` offsets from `base` on can be ones of a log.
#[inline]
pub(crate) fn is_possible(base: u64, span: u32) -> bool {
    base < MOST && u64::from(span) <= MOST - base
}
