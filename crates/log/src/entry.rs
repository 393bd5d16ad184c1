//! Entries as the log makes and reads them: one message, or a group of them, perhaps compressed.

use std::sync::Arc;

use varve_codec::{Codec, is_kept};
use varve_format::{BadEntry, Body, Entry as Stored, Group, GroupBuilder, Headers, MAX_GROUP, Provenance, Single};
use varve_wal::{Fill, TABLE_LEN, Wal, places};

use crate::error::{Error, Result};
use crate::options::Compression;
use crate::outline::Entry;
use crate::sealed::corrupt;

pub use varve_format::Message;

/// Bytes read at once where all of a segment is gone through.
const SLAB: usize = 256 << 10;

/// A message to be added.
#[derive(Debug, Clone, Copy, Default)]
pub struct Input<'a> {
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null: the message deletes its key.
    pub value: Option<&'a [u8]>,
    /// Headers, as [`varve_format::put_header`] makes them.
    pub headers: &'a [u8],
    /// Microseconds since the Unix epoch.
    pub time: i64,
}

impl Input<'_> {
    /// Bytes of its parts.
    #[inline]
    pub fn len(&self) -> usize {
        self.key.map_or(0, <[u8]>::len) + self.headers.len() + self.value.map_or(0, <[u8]>::len)
    }

    /// True if all of its parts are empty or null.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn at(&self, offset: u64) -> Message<'_> {
        Message {
            offset,
            time: self.time,
            key: self.key,
            value: self.value,
            headers: Headers::from_bytes(self.headers),
        }
    }
}

/// Appends an entry that is one message.
#[inline]
pub(crate) fn write_single(out: &mut Vec<u8>, offset: u64, input: &Input<'_>, provenance: Provenance) {
    Single { message: input.at(offset), provenance }.put(out);
}

/// Bytes at which a group is full, whatever it has: it is read, and uncompressed, as a whole.
const GROUP_BYTES: usize = 64 << 10;

/// Cuts a batch into groups: of at most [`MAX_GROUP`] messages, and of [`GROUP_BYTES`] but for a message that is larger alone.
pub(crate) fn groups<'a, 'b>(mut inputs: &'a [Input<'b>]) -> impl Iterator<Item = &'a [Input<'b>]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |input: &&Input<'_>| {
            let first = bytes == 0;
            // Empty messages take some room, too.
            bytes += input.len() + 1;
            first || bytes <= GROUP_BYTES
        };
        let count = inputs.iter().take(MAX_GROUP).take_while(fits).count();
        let (group, rest) = inputs.split_at_checked(count)?;
        inputs = rest;
        (!group.is_empty()).then_some(group)
    })
}

/// The outline of the entry that a group of `inputs` makes.
pub(crate) fn of_group(base: u64, inputs: &[Input<'_>]) -> Entry {
    let max_time = inputs.iter().map(|input| input.time).max().unwrap_or(i64::MIN);
    Entry { base, span: inputs.len() as u64, messages: inputs.len() as u64, max_time, saved: 0 }
}

/// Makes groups; keeps the memory it has.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    builder: GroupBuilder,
    raw: Vec<u8>,
    packed: Vec<u8>,
    /// Bytes that compression has saved.
    saved: u64,
}

impl Packer {
    /// Appends an entry that is a group of `inputs`, at most [`varve_format::MAX_GROUP`]; compressed if that pays.
    pub(crate) fn write_group(
        &mut self,
        out: &mut Vec<u8>,
        base: u64,
        inputs: &[Input<'_>],
        provenance: Provenance,
        compression: &Compression,
    ) -> Result<()> {
        // The greatest time: so that it is known without looking into the group.
        let time = inputs.iter().map(|input| input.time).max().unwrap_or(0);
        self.builder.begin(base, time);
        for (offset, input) in (base..).zip(inputs) {
            self.push(&input.at(offset))?;
        }
        self.finish(out, None, provenance, compression)
    }

    /// Begins a group.
    pub(crate) fn begin(&mut self, base: u64, time: i64) {
        self.builder.begin(base, time);
    }

    /// Adds a message to it.
    pub(crate) fn push(&mut self, message: &Message<'_>) -> Result<()> {
        self.builder
            .push(message)
            .map_err(|_| Error::too_large("a batch", self.builder.raw_len() as u64, crate::writer::MAX_BATCH_BYTES))
    }

    /// Appends the group as an entry, which stands for `span` offsets, or up to its last message.
    pub(crate) fn finish(
        &mut self,
        out: &mut Vec<u8>,
        span: Option<u32>,
        provenance: Provenance,
        compression: &Compression,
    ) -> Result<()> {
        let mut head = self.builder.head();
        head.span = span.unwrap_or(head.span);
        if compression.codec == Codec::None {
            head.put(&provenance, out);
            self.builder.put_body(out);
            return Ok(());
        }
        self.raw.clear();
        self.packed.clear();
        self.builder.put_body(&mut self.raw);
        let packed = compression.codec.compress(compression.level, &self.raw, &mut self.packed);
        packed.map_err(|error| Error::invalid(format!("a batch could not be compressed: {error}")))?;
        if is_kept(self.raw.len(), self.packed.len()) {
            head.codec = compression.codec.byte();
            head.put(&provenance, out);
            out.extend_from_slice(&self.packed);
            self.saved += (self.raw.len() - self.packed.len()) as u64;
        } else {
            head.put(&provenance, out);
            out.extend_from_slice(&self.raw);
        }
        Ok(())
    }
}

impl Packer {
    /// Bytes that compression has saved since this was asked last.
    pub(crate) fn take_saved(&mut self) -> u64 {
        std::mem::take(&mut self.saved)
    }
}

/// What an entry says of itself, and who wrote it. Does not look into groups.
#[inline]
pub(crate) fn outline(payload: &[u8]) -> Result<(Entry, Provenance), BadEntry> {
    Ok(match Stored::decode(payload)? {
        Stored::Single(Single { message, provenance }) => {
            (Entry { base: message.offset, span: 1, messages: 1, max_time: message.time, saved: 0 }, provenance)
        }
        Stored::Group(Group { head, provenance, stored }) => {
            let max_time = if head.count == 0 { i64::MIN } else { head.base_time };
            let saved = u64::from(head.raw_length).saturating_sub(stored.len() as u64);
            let entry = Entry { base: head.base, span: head.span.into(), messages: head.count.into(), max_time, saved };
            (entry, provenance)
        }
    })
}

/// Uncompresses the body of `group` into `body`.
pub(crate) fn unpack(group: &Group<'_>, body: &mut Vec<u8>) -> Result<(), &'static str> {
    let codec = Codec::from_byte(group.head.codec).ok_or("a group compressed by an unknown codec")?;
    if group.head.dictionary != 0 {
        return Err("a group compressed with a dictionary that is not there");
    }
    let len = usize::try_from(group.head.raw_length).map_err(|_| "a group that is too long")?;
    codec.decompress(group.stored, len, body).map_err(|_| "a group that cannot be uncompressed")
}

/// True if the body of `group` is stored as it is.
#[inline]
pub(crate) fn is_raw(group: &Group<'_>) -> bool {
    group.head.codec == Codec::None.byte()
}

/// Hands the entries from `from` up to `next` to `read`, with their indexes; those that are lost are passed over.
pub(crate) fn each(wal: &Arc<Wal>, from: u64, next: u64, mut read: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
    let mut reader = wal.reader(from, Some(next))?;
    let (mut slab, mut table) = (vec![0; SLAB], Box::new([0; TABLE_LEN]));
    loop {
        let count = match reader.fill(&mut slab, &mut table)? {
            Fill::Needs(bytes) => {
                slab.resize(bytes, 0);
                continue;
            }
            Fill::Records(0) => return Ok(()),
            Fill::Records(count) => count,
        };
        for (index, place) in places(&table, count) {
            read(index, slab.get(place).unwrap_or_default())?;
        }
    }
}

/// Hands all messages from the entry at `from` on to `look`.
pub(crate) fn all_messages(wal: &Arc<Wal>, from: u64, look: &mut dyn FnMut(&Message<'_>)) -> Result<()> {
    let mut body = Vec::new();
    each(wal, from, wal.next_index(), |index, payload| {
        let looked = each_message(payload, &mut body, &mut |message| {
            look(message);
            true
        });
        looked.map(drop).map_err(|reason| corrupt(wal, index, reason))
    })
}

/// Hands the messages of an entry to `look`, until it gives false; tells whether it did. A compressed body is put into `body`.
pub(crate) fn each_message(
    payload: &[u8],
    body: &mut Vec<u8>,
    look: &mut dyn FnMut(&Message<'_>) -> bool,
) -> Result<bool, &'static str> {
    let group = match Stored::decode(payload).map_err(BadEntry::reason)? {
        Stored::Single(single) => return Ok(look(&single.message)),
        Stored::Group(group) => group,
    };
    let raw = if is_raw(&group) {
        group.stored
    } else {
        unpack(&group, body)?;
        body
    };
    for message in Body::open(&group.head, raw).map_err(BadEntry::reason)?.messages() {
        if !look(&message.map_err(BadEntry::reason)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Hands the messages from the entry at `from` on to `look`, until it gives false.
pub(crate) fn messages(wal: &Arc<Wal>, from: u64, look: &mut dyn FnMut(&Message<'_>) -> bool) -> Result<()> {
    let (mut index, mut payload, mut body) = (from, Vec::new(), Vec::new());
    let mut goes_on = true;
    while goes_on && index < wal.next_index() {
        // Not looked at where it is: that may be under the lock of all that write, and `look` may read other messages.
        let read = wal.get(index, |bytes| {
            payload.clear();
            payload.extend_from_slice(bytes);
        })?;
        match read {
            Some(()) => {
                let looked = each_message(&payload, &mut body, look);
                goes_on = looked.map_err(|reason| corrupt(wal, index, reason))?;
            }
            None => {
                index = behind_missing(wal, index);
                continue;
            }
        }
        index += 1;
    }
    Ok(())
}

/// Where to go on behind an entry that was removed, or is lost: a gap is passed over as a whole.
pub(crate) fn behind_missing(wal: &Wal, index: u64) -> u64 {
    let Some(segment) = wal.segment_set().find(index) else { return index + 1 };
    let gap = segment.end().filter(|end| index >= segment.header.first_index + end.records);
    gap.map_or(index + 1, |end| end.next_index.max(index + 1))
}
