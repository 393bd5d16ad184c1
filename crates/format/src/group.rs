//! Groups: up to 128 items under one header and one checksum, perhaps compressed. Of a log the items are messages.

use crate::form::{BadEntry, FORM_GROUP, MOST_PROVENANCE, Provenance, is_possible};
use crate::layout::layout;
use crate::message::Message;
use crate::varint::{MOST_VARINT, Varints, take, take_len};

/// Most items of a group.
pub const MAX_GROUP: usize = 128;

layout! {
    /// Fixed part of an entry that is a group.
    GroupFields, 32 bytes {
        0 form: u8 => "bit 0 is 1; bit 1 producer fields follow; bit 2 the leader epoch follows",
        1 codec: u8 => "of the body: 0 none, 1 snappy, 2 lz4, 3 gzip, 4 zstd",
        2 count: u8 => "items, 0 to 128",
        3 reserved: u8 => "0",
        4 raw_length: u32 => "length of the body uncompressed",
        8 base: u64 => "offset of the first that the group stands for",
        16 span: u32 => "offsets it stands for, from the base on",
        20 dictionary: u32 => "dictionary that the body is compressed with; 0 none",
        24 base_time: i64 => "times of the items are told from it: the greatest of them; microseconds since the Unix epoch",
    }
}

/// What the header of a group says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupHead {
    /// How the body is compressed: the byte of a codec, which may be one that this build does not know.
    pub codec: u8,
    /// Items, 0 to [`MAX_GROUP`].
    pub count: u8,
    /// Length of the body uncompressed.
    pub raw_length: u32,
    /// Offset of the first that the group stands for.
    pub base: u64,
    /// Offsets it stands for, from `base` on. Greater than the id of every item.
    pub span: u32,
    /// Dictionary that the body is compressed with; 0 for none.
    pub dictionary: u32,
    /// Times of the items are told from it.
    pub base_time: i64,
}

/// An entry that is a group: its header, and its body as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group<'a> {
    /// The header.
    pub head: GroupHead,
    /// Where it comes from.
    pub provenance: Provenance,
    /// The body, compressed by `head.codec`.
    pub stored: &'a [u8],
}

impl GroupHead {
    /// Appends the header; the body as it is stored comes behind it.
    #[inline]
    pub fn put(&self, provenance: &Provenance, out: &mut Vec<u8>) {
        let fields = GroupFields {
            form: FORM_GROUP | provenance.form(),
            codec: self.codec,
            count: self.count,
            reserved: 0,
            raw_length: self.raw_length,
            base: self.base,
            span: self.span,
            dictionary: self.dictionary,
            base_time: self.base_time,
        };
        out.reserve(GroupFields::LEN + MOST_PROVENANCE);
        out.extend_from_slice(&fields.encode());
        provenance.put(out);
    }
}

impl<'a> Group<'a> {
    /// Reads the header of an entry that is a group. Does not look at the body.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, BadEntry> {
        let (fields, mut stored) = bytes.split_first_chunk::<{ GroupFields::LEN }>().ok_or(BadEntry::Short)?;
        let fields = GroupFields::decode(fields);
        if fields.form & FORM_GROUP == 0 {
            return Err(BadEntry::Form(fields.form));
        }
        let provenance = Provenance::take(fields.form, &mut stored)?;
        if fields.reserved != 0 {
            return Err(BadEntry::Reserved);
        }
        if usize::from(fields.count) > MAX_GROUP || u32::from(fields.count) > fields.span {
            return Err(BadEntry::Count);
        }
        if !is_possible(fields.base, fields.span) {
            return Err(BadEntry::Offset);
        }
        if fields.codec == 0 && stored.len() as u64 != u64::from(fields.raw_length) {
            return Err(BadEntry::Length);
        }
        let head = GroupHead {
            codec: fields.codec,
            count: fields.count,
            raw_length: fields.raw_length,
            base: fields.base,
            span: fields.span,
            dictionary: fields.dictionary,
            base_time: fields.base_time,
        };
        Ok(Self { head, provenance, stored })
    }
}

/// The body of a group, uncompressed: a directory, and the items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body<'a> {
    head: GroupHead,
    directory: &'a [u8],
    items: &'a [u8],
}

impl<'a> Body<'a> {
    /// Reads the directory of `raw`, which is the body of the group with `head`, uncompressed. Walks all of it.
    pub fn open(head: &GroupHead, raw: &'a [u8]) -> Result<Self, BadEntry> {
        if raw.len() as u64 != u64::from(head.raw_length) {
            return Err(BadEntry::Length);
        }
        let mut rest = raw;
        let mut next_id = 0;
        let mut total = 0usize;
        for _ in 0..head.count {
            let id = take_id(&mut rest, &mut next_id).ok_or(BadEntry::Varint)?;
            if id >= u64::from(head.span) {
                return Err(BadEntry::Id);
            }
            let len = take_len(&mut rest).ok_or(BadEntry::Varint)?;
            total = total.checked_add(len).ok_or(BadEntry::Length)?;
        }
        if total != rest.len() {
            return Err(BadEntry::Length);
        }
        let directory = raw.get(..raw.len() - rest.len()).unwrap_or_default();
        Ok(Self { head: *head, directory, items: rest })
    }

    /// The items in their order.
    #[inline]
    pub fn iter(&self) -> Items<'a> {
        Items { base: self.head.base, next_id: 0, directory: self.directory, items: self.items }
    }

    /// The items from the offset `from` on. Walks the directory up to there.
    pub fn iter_from(&self, from: u64) -> Items<'a> {
        let mut items = self.iter();
        let mut ahead = items.clone();
        while let Some((offset, _)) = ahead.next() {
            if offset >= from {
                break;
            }
            items = ahead.clone();
        }
        items
    }

    /// The item that stands for `offset`; `None` if the group has none. Walks the directory up to there.
    pub fn item(&self, offset: u64) -> Option<&'a [u8]> {
        self.iter_from(offset).next().filter(|(found, _)| *found == offset).map(|(_, item)| item)
    }

    /// The message with `offset`, of a group of messages; `None` if the group has none.
    pub fn message(&self, offset: u64) -> Option<Result<Message<'a>, BadEntry>> {
        self.item(offset).map(|item| Message::from_item(item, offset, self.head.base_time))
    }

    /// The messages, of a group of messages, in their order.
    pub fn messages(&self) -> impl Iterator<Item = Result<Message<'a>, BadEntry>> + use<'a> {
        let base_time = self.head.base_time;
        self.iter().map(move |(offset, item)| Message::from_item(item, offset, base_time))
    }
}

/// Takes an id, less the base, from a directory. `None`: no varint, or beyond all ids.
#[inline]
fn take_id(directory: &mut &[u8], next_id: &mut u64) -> Option<u64> {
    let id = take(directory)?.checked_add(*next_id)?;
    *next_id = id.checked_add(1)?;
    Some(id)
}

/// Offset and bytes of each item.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    base: u64,
    next_id: u64,
    directory: &'a [u8],
    items: &'a [u8],
}

impl<'a> Iterator for Items<'a> {
    type Item = (u64, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let id = take_id(&mut self.directory, &mut self.next_id)?;
        let len = take_len(&mut self.directory)?;
        let (item, rest) = self.items.split_at_checked(len)?;
        self.items = rest;
        Some((self.base.checked_add(id)?, item))
    }
}

/// Why an item was not added to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadItem {
    /// The group is full, or would be longer than a group can be: a new one is to be begun.
    Full,
    /// Its offset is not above the one before, or too far from the base of the group.
    Offset,
}

/// Collects the items of a group. It is used again for the next one, with the memory it has.
#[derive(Debug, Default)]
pub struct GroupBuilder {
    base: u64,
    base_time: i64,
    next_id: u64,
    count: u8,
    directory: Vec<u8>,
    items: Vec<u8>,
}

impl GroupBuilder {
    /// One that stands at offset 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a group: the first offset it stands for, and the time that others are told from, of a log the greatest of its messages.
    pub fn begin(&mut self, base: u64, base_time: i64) {
        (self.base, self.base_time, self.next_id, self.count) = (base, base_time, 0, 0);
        self.directory.clear();
        self.items.clear();
    }

    /// Adds a message; its offset is above the one before. With an error nothing is added.
    #[inline]
    pub fn push(&mut self, message: &Message<'_>) -> Result<(), BadItem> {
        let base_time = self.base_time;
        self.push_with(message.offset, |items| message.put_item(base_time, items))
    }

    /// Adds an item as it is: of another group with the same base time, or one that is no message.
    #[inline]
    pub fn push_item(&mut self, offset: u64, item: &[u8]) -> Result<(), BadItem> {
        self.push_with(offset, |items| items.extend_from_slice(item))
    }

    #[inline]
    fn push_with(&mut self, offset: u64, put: impl FnOnce(&mut Vec<u8>)) -> Result<(), BadItem> {
        if self.is_full() {
            return Err(BadItem::Full);
        }
        let id = offset.checked_sub(self.base).filter(|id| *id < u64::from(u32::MAX)).ok_or(BadItem::Offset)?;
        let delta = id.checked_sub(self.next_id).ok_or(BadItem::Offset)?;
        let before = self.items.len();
        put(&mut self.items);
        let mut pair = Varints::<{ 2 * MOST_VARINT }>::new();
        pair.put(delta);
        pair.put((self.items.len() - before) as u64);
        if u32::try_from(self.raw_len() + pair.as_slice().len()).is_err() {
            self.items.truncate(before);
            return Err(BadItem::Full);
        }
        self.directory.extend_from_slice(pair.as_slice());
        self.next_id = id + 1;
        self.count += 1;
        Ok(())
    }

    /// Items so far.
    #[inline]
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// True if no item is in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// True if no more items have room.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.count() >= MAX_GROUP
    }

    /// Length of the body so far, uncompressed.
    #[inline]
    pub fn raw_len(&self) -> usize {
        self.directory.len() + self.items.len()
    }

    /// The header of what has been added, uncompressed, standing for no offset behind its last item. Who compresses the body sets
    /// `codec`, who takes items out of a group sets `span`.
    pub fn head(&self) -> GroupHead {
        GroupHead {
            codec: 0,
            count: self.count,
            raw_length: u32::try_from(self.raw_len()).unwrap_or(u32::MAX),
            base: self.base,
            span: u32::try_from(self.next_id).unwrap_or(u32::MAX),
            dictionary: 0,
            base_time: self.base_time,
        }
    }

    /// Appends the body, uncompressed.
    pub fn put_body(&self, out: &mut Vec<u8>) {
        out.reserve(self.raw_len());
        out.extend_from_slice(&self.directory);
        out.extend_from_slice(&self.items);
    }
}
