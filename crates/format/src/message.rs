//! Messages: an entry of their own, or items of a group.

use crate::form::{BadEntry, FORM_GROUP, MOST_PROVENANCE, Provenance, is_possible};
use crate::layout::layout;
use crate::varint::{MOST_VARINT, Varints, take, take_len, unzigzag, zigzag};

const KEY: u8 = 1;
const VALUE: u8 = 2;
const HEADERS: u8 = 4;
const CONTENT_KNOWN: u8 = KEY | VALUE | HEADERS;

layout! {
    /// Fixed part of an entry that is a message alone.
    SingleFields, 18 bytes {
        0 form: u8 => "bit 0 is 0; bit 1 producer fields follow; bit 2 the leader epoch follows",
        1 content: u8 => "bit 0 key, bit 1 value, bit 2 headers; what is absent is null, or none",
        2 offset: u64 => "offset of the message",
        10 time: i64 => "microseconds since the Unix epoch",
    }
}

/// A message, its parts in the slice it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Offset in the log.
    pub offset: u64,
    /// Microseconds since the Unix epoch.
    pub time: i64,
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null: the message deletes its key.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Headers<'a>,
}

/// A message alone, with what its entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Single<'a> {
    /// The message.
    pub message: Message<'a>,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// Headers of a message as they are on disk. They are looked at only when they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers<'a>(&'a [u8]);

impl<'a> Headers<'a> {
    /// No headers.
    pub const NONE: Self = Self(&[]);

    /// Headers from bytes that [`put_header`] made.
    #[inline]
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// True if there are none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The headers one by one, in the order they were given.
    #[inline]
    pub fn iter(self) -> HeaderIter<'a> {
        HeaderIter(self.0)
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = Result<(&'a str, &'a [u8]), BadEntry>;
    type IntoIter = HeaderIter<'a>;

    fn into_iter(self) -> HeaderIter<'a> {
        self.iter()
    }
}

/// Name and value of each header. Ends behind the first one that is damaged.
#[derive(Debug, Clone)]
pub struct HeaderIter<'a>(&'a [u8]);

impl<'a> HeaderIter<'a> {
    fn take_one(&mut self) -> Result<(&'a str, &'a [u8]), BadEntry> {
        let name = self.take_part()?;
        let value = self.take_part()?;
        Ok((str::from_utf8(name).map_err(|_| BadEntry::Name)?, value))
    }

    fn take_part(&mut self) -> Result<&'a [u8], BadEntry> {
        let len = take_len(&mut self.0).ok_or(BadEntry::Varint)?;
        let (part, rest) = self.0.split_at_checked(len).ok_or(BadEntry::Length)?;
        self.0 = rest;
        Ok(part)
    }
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = Result<(&'a str, &'a [u8]), BadEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let one = self.take_one();
        if one.is_err() {
            self.0 = &[];
        }
        Some(one)
    }
}

/// Appends a header to those in `out`.
pub fn put_header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), value] {
        let mut length = Varints::<MOST_VARINT>::new();
        length.put(part.len() as u64);
        out.extend_from_slice(length.as_slice());
        out.extend_from_slice(part);
    }
}

impl<'a> Message<'a> {
    #[inline]
    fn content(&self) -> u8 {
        let key = if self.key.is_some() { KEY } else { 0 };
        let value = if self.value.is_some() { VALUE } else { 0 };
        let headers = if self.headers.is_empty() { 0 } else { HEADERS };
        key | value | headers
    }

    /// Bytes of its key, headers and value.
    #[inline]
    fn parts_len(&self) -> usize {
        let key = self.key.map_or(0, <[u8]>::len);
        key.saturating_add(self.headers.0.len()).saturating_add(self.value.map_or(0, <[u8]>::len))
    }

    #[inline]
    fn put_lengths<const N: usize>(&self, head: &mut Varints<N>) {
        if let Some(key) = self.key {
            head.put(key.len() as u64);
        }
        if !self.headers.is_empty() {
            head.put(self.headers.0.len() as u64);
        }
    }

    #[inline]
    fn put_parts(&self, out: &mut Vec<u8>) {
        for part in [self.key.unwrap_or_default(), self.headers.0, self.value.unwrap_or_default()] {
            out.extend_from_slice(part);
        }
    }

    /// Takes what `content` says there is from `bytes`, which end with the message.
    #[inline]
    fn parts(content: u8, offset: u64, time: i64, mut bytes: &'a [u8]) -> Result<Self, BadEntry> {
        if content & !CONTENT_KNOWN != 0 {
            return Err(BadEntry::Content(content));
        }
        let key_len = if content & KEY == 0 { 0 } else { take_len(&mut bytes).ok_or(BadEntry::Varint)? };
        let headers_len = if content & HEADERS == 0 { 0 } else { take_len(&mut bytes).ok_or(BadEntry::Varint)? };
        if content & HEADERS != 0 && headers_len == 0 {
            return Err(BadEntry::Headers);
        }
        let (key, rest) = bytes.split_at_checked(key_len).ok_or(BadEntry::Length)?;
        let (headers, value) = rest.split_at_checked(headers_len).ok_or(BadEntry::Length)?;
        if content & VALUE == 0 && !value.is_empty() {
            return Err(BadEntry::Length);
        }
        Ok(Self {
            offset,
            time,
            key: (content & KEY != 0).then_some(key),
            value: (content & VALUE != 0).then_some(value),
            headers: Headers(headers),
        })
    }

    /// Appends the message as an item of a group whose `base_time` this is.
    #[inline]
    pub fn put_item(&self, base_time: i64, out: &mut Vec<u8>) {
        let mut head = Varints::<{ 4 * MOST_VARINT }>::new();
        head.byte(self.content());
        head.put(zigzag(self.time.wrapping_sub(base_time)));
        self.put_lengths(&mut head);
        out.reserve(head.as_slice().len().saturating_add(self.parts_len()));
        out.extend_from_slice(head.as_slice());
        self.put_parts(out);
    }

    /// Reads the item of a group that stands for `offset`.
    #[inline]
    pub fn from_item(item: &'a [u8], offset: u64, base_time: i64) -> Result<Self, BadEntry> {
        let (content, mut rest) = item.split_first().ok_or(BadEntry::Short)?;
        let time = take(&mut rest).ok_or(BadEntry::Varint)?;
        Self::parts(*content, offset, base_time.wrapping_add(unzigzag(time)), rest)
    }
}

impl<'a> Single<'a> {
    /// Appends the entry.
    #[inline]
    pub fn put(&self, out: &mut Vec<u8>) {
        let message = &self.message;
        let mut lengths = Varints::<{ 2 * MOST_VARINT }>::new();
        message.put_lengths(&mut lengths);
        out.reserve((SingleFields::LEN + MOST_PROVENANCE + 2 * MOST_VARINT).saturating_add(message.parts_len()));
        let fields = SingleFields {
            form: self.provenance.form(),
            content: message.content(),
            offset: message.offset,
            time: message.time,
        };
        out.extend_from_slice(&fields.encode());
        self.provenance.put(out);
        out.extend_from_slice(lengths.as_slice());
        message.put_parts(out);
    }

    /// Reads an entry that is a message alone.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, BadEntry> {
        let (fields, mut rest) = bytes.split_first_chunk::<{ SingleFields::LEN }>().ok_or(BadEntry::Short)?;
        let fields = SingleFields::decode(fields);
        if fields.form & FORM_GROUP != 0 {
            return Err(BadEntry::Form(fields.form));
        }
        let provenance = Provenance::take(fields.form, &mut rest)?;
        if !is_possible(fields.offset, 1) {
            return Err(BadEntry::Offset);
        }
        Ok(Self { message: Message::parts(fields.content, fields.offset, fields.time, rest)?, provenance })
    }
}
