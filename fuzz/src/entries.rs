//! Any bytes as an entry of a log: a message alone or a group, its body compressed by each codec.

use varve_codec::{Codec, MAX_RAW_LEN, is_kept};
use varve_format::{
    Body, Entry, Field, Group, GroupBuilder, GroupFields, Headers, MAX_GROUP, MOST, Message, Producer, Provenance,
    Single, SingleFields, put_header,
};

use crate::forge::change;
use crate::input::Input;
use crate::known::Known;
use crate::memory::bounded;

/// What decoding takes at all: what codecs keep to work with.
const DECODER: usize = 256 << 10;

/// The first byte says whether the rest is an entry as it is, or messages that are made into one, and what is changed then.
pub fn entries(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    if input.pick(2) == 0 {
        decode(input.take(usize::MAX));
    } else {
        edited(&mut input);
    }
}

/// Reads an entry in every way. What is read is written as the same bytes.
fn decode(bytes: &[u8]) {
    match Entry::decode(bytes) {
        Ok(entry) => {
            assert!(entry.base() < MOST && u64::from(entry.span()) <= MOST - entry.base(), "offsets of no log");
            match entry {
                Entry::Single(single) => {
                    let mut again = Vec::new();
                    single.put(&mut again);
                    assert_eq!(again, bytes, "a message that was read is written otherwise");
                    headers(single.message.headers);
                }
                Entry::Group(group) => {
                    let mut again = Vec::new();
                    group.head.put(&group.provenance, &mut again);
                    again.extend_from_slice(group.stored);
                    assert_eq!(again, bytes, "a group that was read is written otherwise");
                    body(&group);
                }
            }
        }
        Err(bad) => assert!(!bad.reason().is_empty()),
    }
}

/// The most that so many bytes are uncompressed to, by the densest form that the codec has.
fn most_raw(codec: Codec, stored: usize) -> usize {
    let ratio = match codec {
        Codec::None => 1,
        Codec::Snappy => 22,
        Codec::Lz4 => 255,
        Codec::Gzip => 1032,
        Codec::Zstd => 32 << 10,
    };
    stored.saturating_mul(ratio).min(MAX_RAW_LEN)
}

fn body(group: &Group<'_>) {
    // A codec that is not known, or a dictionary, is refused by who reads the entry.
    let Some(codec) = Codec::from_byte(group.head.codec) else { return };
    let len = usize::try_from(group.head.raw_length).unwrap_or(usize::MAX);
    let most = DECODER + most_raw(codec, group.stored.len());
    let raw = bounded(most, "uncompressing", || {
        let mut raw = Vec::new();
        codec.decompress(group.stored, len, &mut raw).ok().map(|()| raw)
    });
    let Some(raw) = raw else { return };
    assert_eq!(raw.len(), len, "a body is of another length than its group says");
    messages(group, &raw);
}

fn messages(group: &Group<'_>, raw: &[u8]) {
    let head = &group.head;
    let Ok(body) = Body::open(head, raw) else { return };
    let items: Vec<_> = body.iter().collect();
    assert_eq!(items.len(), usize::from(head.count), "a group has other items than it says");
    assert!(items.is_sorted_by(|(one, _), (other, _)| one < other), "offsets do not rise");
    let mut builder = GroupBuilder::new();
    builder.begin(head.base, head.base_time);
    for (at, (offset, item)) in items.iter().enumerate() {
        assert!(*offset >= head.base && offset - head.base < u64::from(head.span), "an item beyond the span");
        assert_eq!(body.item(*offset), Some(*item));
        assert_eq!(body.iter_from(*offset).collect::<Vec<_>>(), items[at..]);
        builder.push_item(*offset, item).expect("what one group has, another can have");
        let message = Message::from_item(item, *offset, head.base_time);
        assert_eq!(body.message(*offset), Some(message));
        if let Ok(message) = message {
            let mut again = Vec::new();
            message.put_item(head.base_time, &mut again);
            assert_eq!(again, *item, "an item that was read is written otherwise");
            headers(message.headers);
        }
    }
    let held = |offset: u64| items.iter().any(|(held, _)| *held == offset);
    for offset in [head.base.wrapping_sub(1), head.base, head.base + u64::from(head.span), u64::MAX] {
        assert_eq!(body.item(offset).is_some(), held(offset), "item {offset}");
    }
    let mut again = Vec::new();
    builder.put_body(&mut again);
    assert_eq!(again, raw, "a body that was read is written otherwise");
    assert_eq!(body.messages().count(), items.len());
}

fn headers(headers: Headers<'_>) {
    let mut again = Vec::new();
    for header in headers {
        let Ok((name, value)) = header else { return };
        put_header(&mut again, name, value);
    }
    assert_eq!(again, headers.as_bytes(), "headers that were read are written otherwise");
}

fn provenance(input: &mut Input<'_>) -> Provenance {
    let flags = input.pick(4);
    let producer =
        (flags & 1 != 0).then(|| Producer { id: input.number(7), sequence: input.number(3), epoch: 1, count: 9 });
    Provenance { producer, leader_epoch: (flags & 2 != 0).then(|| input.number(4)) }
}

/// A message, or a group of them, as a log makes it; and then with something else in it than the log writes.
fn edited(input: &mut Input<'_>) {
    let (shape, base) = (input.byte(), input.number(1000) % (MOST / 2));
    let time = input.number(1_700_000_000_000_000).cast_signed();
    let provenance = provenance(input);
    let mut bytes = Vec::new();
    let mut raw = None;
    if shape & 1 == 0 {
        let known = Known::take(input, base, time);
        Single { message: known.message(), provenance }.put(&mut bytes);
        assert_eq!(Entry::decode(&bytes), Ok(Entry::Single(Single { message: known.message(), provenance })));
    } else {
        raw = group(shape, base, time, provenance, input, &mut bytes);
    }
    while !input.is_empty() {
        edit(&mut bytes, &raw, shape, input);
        decode(&bytes);
    }
    decode(&bytes);
}

/// Appends a group; gives its body, uncompressed.
fn group(
    shape: u8,
    base: u64,
    time: i64,
    provenance: Provenance,
    input: &mut Input<'_>,
    out: &mut Vec<u8>,
) -> Option<Vec<u8>> {
    let mut offset = base;
    let count = [1, 3, 20, MAX_GROUP][usize::from(shape >> 1 & 3)];
    let known: Vec<_> = (0..count)
        .map(|_| {
            // Holes, where messages were removed.
            offset += if shape & 0x80 == 0 { 1 } else { 1 + input.pick(9) as u64 };
            Known::take(input, offset - 1, time)
        })
        .collect();
    let mut builder = GroupBuilder::new();
    builder.begin(base, time);
    for one in &known {
        builder.push(&one.message()).expect("there is room for 128");
    }
    let mut raw = Vec::new();
    builder.put_body(&mut raw);
    let codec = Codec::ALL[usize::from(shape >> 3 & 7) % Codec::ALL.len()];
    let (mut head, mut stored) = (builder.head(), Vec::new());
    codec.compress(None, &raw, &mut stored).expect("a body is not too long");
    // Also where it does not pay: it is to be read all the same.
    head.codec = codec.byte();
    let _either_way = is_kept(raw.len(), stored.len());
    head.put(&provenance, out);
    out.extend_from_slice(&stored);
    let Ok(Entry::Group(group)) = Entry::decode(out) else { panic!("a group that was made is none") };
    let mut unpacked = Vec::new();
    codec.decompress(group.stored, raw.len(), &mut unpacked).expect("what was compressed is uncompressed");
    let body = Body::open(&group.head, &unpacked).expect("a body that was made is one");
    let read: Vec<_> = body.messages().map(|message| message.expect("a message that was put")).collect();
    assert_eq!(read, known.iter().map(Known::message).collect::<Vec<_>>());
    Some(raw)
}

/// Changes an entry by accident; or its fields; or the body before it is compressed.
fn edit(bytes: &mut Vec<u8>, raw: &Option<Vec<u8>>, shape: u8, input: &mut Input<'_>) {
    let fields: &[Field] = if shape & 1 == 0 { SingleFields::FIELDS } else { GroupFields::FIELDS };
    match input.pick(8) {
        0 => {
            let at = usize::from(input.short()).checked_rem(bytes.len()).unwrap_or(0);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << input.pick(8);
            }
        }
        1 => bytes.truncate(bytes.len().saturating_sub(1 + input.pick(40))),
        2 => {
            let len = input.pick(40);
            bytes.extend_from_slice(input.take(len));
        }
        3 | 4 => change(bytes, fields, input),
        5 => {
            let at = usize::from(input.short()).checked_rem(bytes.len()).unwrap_or(0);
            let len = input.pick(16);
            let new = input.take(len);
            bytes.iter_mut().skip(at).zip(new).for_each(|(old, new)| *old = *new);
        }
        _ => {
            let Some(raw) = raw else { return };
            let mut raw = raw.clone();
            let at = usize::from(input.short()).checked_rem(raw.len()).unwrap_or(0);
            match input.pick(3) {
                0 => raw.truncate(at),
                1 => raw.extend_from_slice(input.take(9)),
                _ => raw.iter_mut().skip(at).take(2).for_each(|byte| *byte = input.byte()),
            }
            repack(bytes, &raw);
        }
    }
}

/// Puts another body into a group.
fn repack(bytes: &mut Vec<u8>, raw: &[u8]) {
    let Ok(Entry::Group(group)) = Entry::decode(bytes) else { return };
    let (mut head, provenance) = (group.head, group.provenance);
    let Some(codec) = Codec::from_byte(head.codec) else { return };
    let mut stored = Vec::new();
    codec.compress(None, raw, &mut stored).expect("a body is not too long");
    head.raw_length = u32::try_from(raw.len()).unwrap_or(0);
    bytes.clear();
    head.put(&provenance, bytes);
    bytes.extend_from_slice(&stored);
}
