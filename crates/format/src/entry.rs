//! Entries: what a record of a log holds, a message alone or a group of them.

use crate::form::{BadEntry, FORM_GROUP, Provenance};
use crate::group::Group;
use crate::message::Single;

/// A record of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A message alone.
    Single(Single<'a>),
    /// Up to 128 messages, perhaps compressed.
    Group(Group<'a>),
}

impl<'a> Entry<'a> {
    /// Reads a record's payload. Of a group the header alone is looked at.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, BadEntry> {
        let form = bytes.first().ok_or(BadEntry::Short)?;
        if form & FORM_GROUP == 0 {
            Single::decode(bytes).map(Self::Single)
        } else {
            Group::decode(bytes).map(Self::Group)
        }
    }

    /// Offset of the first message it stands for.
    #[inline]
    pub fn base(&self) -> u64 {
        match self {
            Self::Single(single) => single.message.offset,
            Self::Group(group) => group.head.base,
        }
    }

    /// Offsets it stands for, from its base on.
    #[inline]
    pub fn span(&self) -> u32 {
        match self {
            Self::Single(_) => 1,
            Self::Group(group) => group.head.span,
        }
    }

    /// Where it comes from.
    #[inline]
    pub fn provenance(&self) -> &Provenance {
        match self {
            Self::Single(single) => &single.provenance,
            Self::Group(group) => &group.provenance,
        }
    }
}
