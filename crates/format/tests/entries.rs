//! Entries, messages and groups as bytes: what was written is read, all else is refused with its reason, and nothing panics.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use varve_format::{
    BadEntry, BadItem, Body, Entry, Group, GroupBuilder, GroupFields, GroupHead, Headers, MAX_GROUP, MOST, Message,
    Producer, Provenance, Single, SingleFields, put_header,
};

/// A message that owns its parts.
#[derive(Debug, Clone)]
struct Owned {
    time: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
    encoded: Vec<u8>,
}

impl Owned {
    fn message(&self, offset: u64) -> Message<'_> {
        Message {
            offset,
            time: self.time,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: Headers::from_bytes(&self.encoded),
        }
    }
}

fn parts(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

fn times() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 1_767_225_600_000_000..1_767_225_700_000_000i64, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

prop_compose! {
    fn messages()(
        time in times(),
        key in prop::option::of(parts(40)),
        value in prop::option::of(prop_oneof![9 => parts(300), 1 => prop::collection::vec(any::<u8>(), 16_000..17_000)]),
        headers in prop::collection::vec(("\\PC{0,12}", parts(200)), 0..4),
    ) -> Owned {
        let mut encoded = Vec::new();
        headers.iter().for_each(|(name, value)| put_header(&mut encoded, name, value));
        Owned { time, key, value, headers, encoded }
    }
}

prop_compose! {
    fn provenances()(producer in prop::option::of((any::<u64>(), any::<u64>(), any::<u32>(), any::<u32>())), leader_epoch: Option<u64>) -> Provenance {
        let producer = producer.map(|(id, sequence, epoch, count)| Producer { id, sequence, epoch, count });
        Provenance { producer, leader_epoch }
    }
}

/// Messages of a group with the distances between their offsets.
fn groups() -> impl Strategy<Value = Vec<(u32, Owned)>> {
    let gaps = prop_oneof![8 => Just(0u32), 1 => 0..300u32, 1 => 0..10_000_000u32];
    prop::collection::vec((gaps, messages()), 0..20)
}

fn single(message: &Message<'_>, provenance: Provenance) -> Vec<u8> {
    let mut bytes = Vec::new();
    Single { message: *message, provenance }.put(&mut bytes);
    bytes
}

/// The entry, and the offsets of its messages.
fn group(base: u64, messages: &[(u32, Owned)], provenance: &Provenance) -> (Vec<u8>, Vec<u64>) {
    let mut builder = GroupBuilder::new();
    builder.begin(base, messages.first().map_or(0, |(_, first)| first.time));
    let mut next = base;
    let mut offsets = Vec::new();
    for (gap, message) in messages {
        let offset = next + u64::from(*gap);
        builder.push(&message.message(offset)).unwrap();
        offsets.push(offset);
        next = offset + 1;
    }
    let mut bytes = Vec::new();
    builder.head().put(provenance, &mut bytes);
    builder.put_body(&mut bytes);
    (bytes, offsets)
}

fn as_group(bytes: &[u8]) -> Group<'_> {
    match Entry::decode(bytes) {
        Ok(Entry::Group(group)) => group,
        other => panic!("no group: {other:?}"),
    }
}

/// Looks at all there is to be looked at. True if all of it is sound.
fn walk(bytes: &[u8]) -> bool {
    let sound = |message: Message<'_>| message.headers.iter().all(|header| header.is_ok());
    match Entry::decode(bytes) {
        Err(bad) => {
            assert!(!bad.reason().is_empty());
            false
        }
        Ok(Entry::Single(single)) => sound(single.message),
        Ok(Entry::Group(group)) => {
            let Ok(body) = Body::open(&group.head, group.stored) else { return false };
            let end = group.head.base + u64::from(group.head.span);
            let mut last = None;
            for (offset, item) in body.iter() {
                assert!(
                    (group.head.base..end).contains(&offset) && last < Some(offset),
                    "offset {offset} is out of order"
                );
                assert_eq!(body.item(offset), Some(item));
                last = Some(offset);
            }
            assert_eq!(body.iter().count(), usize::from(group.head.count));
            body.messages().all(|message| message.is_ok_and(sound))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn a_message_is_read_as_it_was_written(owned in messages(), offset in 0..MOST, provenance in provenances()) {
        let message = owned.message(offset);
        let bytes = single(&message, provenance);
        let entry = Entry::decode(&bytes).unwrap();
        prop_assert_eq!(entry, Entry::Single(Single { message, provenance }));
        prop_assert_eq!((entry.base(), entry.span(), *entry.provenance()), (offset, 1, provenance));
        let headers: Vec<_> = message.headers.iter().map(|header| header.unwrap()).collect();
        let given: Vec<_> = owned.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        prop_assert_eq!(headers, given);
    }

    #[test]
    fn a_group_is_read_as_it_was_written(messages in groups(), base in 0..MOST / 2, provenance in provenances()) {
        let (bytes, offsets) = group(base, &messages, &provenance);
        let group = as_group(&bytes);
        prop_assert_eq!(group.provenance, provenance);
        prop_assert_eq!(usize::from(group.head.count), messages.len());
        prop_assert_eq!(u64::from(group.head.span), offsets.last().map_or(0, |last| last - base + 1));
        let body = Body::open(&group.head, group.stored).unwrap();
        let read: Vec<_> = body.messages().map(|message| message.unwrap()).collect();
        let given: Vec<_> = messages.iter().zip(&offsets).map(|((_, owned), offset)| owned.message(*offset)).collect();
        prop_assert_eq!(&read, &given);
        for (i, offset) in offsets.iter().enumerate() {
            prop_assert_eq!(body.message(*offset), Some(Ok(given[i])));
            let rest: Vec<_> = body.iter_from(*offset).map(|(offset, _)| offset).collect();
            prop_assert_eq!(rest.as_slice(), &offsets[i..]);
            if i == 0 || offsets[i - 1] + 1 < *offset {
                prop_assert!(*offset == 0 || body.message(*offset - 1).is_none());
            }
        }
        prop_assert!(body.iter_from(offsets.last().map_or(base, |last| last + 1)).next().is_none());
    }

    #[test]
    fn every_prefix_is_survived(messages in groups(), owned in messages(), provenance in provenances()) {
        let (entry, _) = group(7, &messages, &provenance);
        for len in 0..entry.len() {
            prop_assert!(!walk(&entry[..len]), "a group cut to {} of {}", len, entry.len());
        }
        let entry = single(&owned.message(7), provenance);
        let fixed = entry.len() - owned.value.as_ref().map_or(0, Vec::len);
        for len in 0..entry.len() {
            // The value goes to the end, whatever that is: the frame has the length.
            prop_assert_eq!(Entry::decode(&entry[..len]).is_ok(), len >= fixed, "a message cut to {} of {}", len, entry.len());
        }
    }

    #[test]
    fn damage_is_survived(messages in groups(), owned in messages(), provenance in provenances(), flips in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..4)) {
        for mut entry in [group(MOST - (1 << 30), &messages, &provenance).0, single(&owned.message(MOST - 1), provenance)] {
            for (at, with) in &flips {
                let at = at.index(entry.len());
                entry[at] ^= with;
            }
            walk(&entry);
        }
    }

    #[test]
    fn any_bytes_are_survived(mut noise in prop::collection::vec(any::<u8>(), 0..200)) {
        walk(&noise);
        // Most noise fails at once; this goes further.
        if let Some(form) = noise.first_mut() {
            *form &= 1;
        }
        walk(&noise);
        for header in Headers::from_bytes(&noise) {
            let _ = header;
        }
        let head = GroupHead { codec: 0, count: 9, raw_length: u32::try_from(noise.len()).unwrap(), base: 0, span: 99, dictionary: 0, base_time: 0 };
        if let Ok(body) = Body::open(&head, &noise) {
            prop_assert_eq!(body.iter().count(), 9);
        }
    }
}

fn message(offset: u64) -> Message<'static> {
    Message { offset, time: 5, key: Some(b"key"), value: Some(b"value"), headers: Headers::from_bytes(b"\x01h\x01v") }
}

fn set<const N: usize>(bytes: &[u8], at: usize, with: [u8; N]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + N].copy_from_slice(&with);
    bytes
}

#[test]
fn every_flipped_bit_is_survived() {
    let producer = Producer { id: 1, sequence: 2, epoch: 3, count: 4 };
    let provenance = Provenance { producer: Some(producer), leader_epoch: Some(9) };
    let mut builder = GroupBuilder::new();
    builder.begin(100, 5);
    for offset in [100, 101, 140, 500] {
        builder.push(&message(offset)).unwrap();
    }
    let mut entry = Vec::new();
    builder.head().put(&provenance, &mut entry);
    builder.put_body(&mut entry);
    for mut entry in [entry, single(&message(100), provenance)] {
        assert!(walk(&entry));
        for bit in 0..entry.len() * 8 {
            entry[bit / 8] ^= 1 << (bit % 8);
            walk(&entry);
            entry[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn what_is_wrong_is_told() {
    let alone = single(&message(7), Provenance::NONE);
    let refused = |bytes: &[u8]| Entry::decode(bytes).unwrap_err();
    assert_eq!(refused(&[]), BadEntry::Short);
    assert_eq!(refused(&set(&alone, 0, [8])), BadEntry::Form(8));
    assert_eq!(refused(&set(&alone, 0, [0x80])), BadEntry::Form(0x80));
    assert_eq!(refused(&set(&alone, 1, [15])), BadEntry::Content(15));
    assert_eq!(refused(&alone[..SingleFields::LEN - 1]), BadEntry::Short);
    assert_eq!(refused(&set(&alone[..SingleFields::LEN + 5], 0, [2])), BadEntry::Short);
    assert_eq!(refused(&set(&alone, 2, MOST.to_le_bytes())), BadEntry::Offset);
    assert_eq!(refused(&set(&alone, SingleFields::LEN, [0x80])), BadEntry::Length, "a key of 512 bytes");
    assert_eq!(refused(&set(&alone, SingleFields::LEN, [0x83, 0])), BadEntry::Varint);
    assert_eq!(refused(&set(&alone, SingleFields::LEN + 1, [0])), BadEntry::Headers);
    assert_eq!(refused(&set(&alone, 1, [5])), BadEntry::Length, "a value where there is none");
    assert!(BadEntry::Form(8).is_unsupported() && !BadEntry::Varint.is_unsupported());
}

#[test]
fn what_is_wrong_with_a_group_is_told() {
    let mut builder = GroupBuilder::new();
    builder.begin(100, 5);
    builder.push_item(100, b"one").unwrap();
    builder.push_item(102, b"two").unwrap();
    let mut entry = Vec::new();
    builder.head().put(&Provenance::NONE, &mut entry);
    builder.put_body(&mut entry);
    let refused = |bytes: &[u8]| Group::decode(bytes).unwrap_err();
    let body = |bytes: &[u8]| {
        let group = Group::decode(bytes).unwrap();
        Body::open(&group.head, group.stored).unwrap_err()
    };
    assert_eq!(refused(&set(&entry, 0, [9])), BadEntry::Form(9));
    assert_eq!(refused(&set(&entry, 3, [1])), BadEntry::Reserved);
    assert_eq!(refused(&set(&entry, 2, [4])), BadEntry::Count, "4 items in a span of 3");
    let many = set(&set(&entry, 16, 1000u32.to_le_bytes()), 2, [129]);
    assert_eq!(refused(&many), BadEntry::Count);
    assert_eq!(refused(&set(&entry, 8, (MOST - 2).to_le_bytes())), BadEntry::Offset);
    assert!(Group::decode(&set(&entry, 8, (MOST - 3).to_le_bytes())).is_ok());
    assert_eq!(refused(&entry[..entry.len() - 1]), BadEntry::Length);
    assert_eq!(refused(&entry[..GroupFields::LEN - 1]), BadEntry::Short);
    assert_eq!(body(&set(&entry, 16, 2u32.to_le_bytes())), BadEntry::Id);
    assert_eq!(body(&set(&entry, 2, [1])), BadEntry::Length, "an item that no pair tells of");
    assert_eq!(body(&set(&entry, GroupFields::LEN + 1, [2])), BadEntry::Length);
    assert_eq!(body(&set(&entry, GroupFields::LEN, [0x80, 0])), BadEntry::Varint);
    // A codec makes the length stored another than the raw one; which there are, this crate does not know.
    let compressed = set(&entry[..entry.len() - 3], 1, [200]);
    assert_eq!(Group::decode(&compressed).unwrap().head.codec, 200);
    assert_eq!(body(&compressed), BadEntry::Length);
}

#[test]
fn headers_end_with_the_first_that_is_damaged() {
    let read = |bytes: &'static [u8]| Headers::from_bytes(bytes).iter().collect::<Vec<_>>();
    assert_eq!(read(b"\x01a\x00\x01\xff\x00\x01b\x00"), [Ok(("a", &b""[..])), Err(BadEntry::Name)]);
    assert_eq!(read(b"\x01a\x02v"), [Err(BadEntry::Length)]);
    assert_eq!(read(b"\x01a"), [Err(BadEntry::Varint)]);
    assert_eq!(read(b""), []);
}

#[test]
fn a_group_takes_no_more_than_it_may_and_only_upwards() {
    let mut builder = GroupBuilder::new();
    for round in 0..2u64 {
        builder.begin(10, 0);
        assert!(builder.is_empty() && builder.raw_len() == 0);
        assert_eq!(builder.push_item(9, b""), Err(BadItem::Offset));
        assert_eq!(builder.push_item(10 + u64::from(u32::MAX), b""), Err(BadItem::Offset));
        for i in 0..MAX_GROUP as u64 {
            assert!(!builder.is_full());
            builder.push_item(10 + i + round, b"item").unwrap();
            assert!(builder.push_item(10 + i + round, b"again").is_err());
        }
        assert!(builder.is_full());
        assert_eq!(builder.push_item(1000, b""), Err(BadItem::Full));
        assert_eq!((builder.count(), builder.raw_len()), (MAX_GROUP, MAX_GROUP * 6));
        let mut body = Vec::new();
        builder.put_body(&mut body);
        let opened = Body::open(&builder.head(), &body).unwrap();
        assert_eq!(
            opened.iter().map(|(offset, _)| offset).collect::<Vec<_>>(),
            (10 + round..138 + round).collect::<Vec<_>>()
        );
    }
}

/// What deletion leaves of an entry that others need: the offsets that it stands for.
#[test]
fn a_group_may_be_empty_and_stand_for_offsets() {
    let mut builder = GroupBuilder::new();
    builder.begin(40, 0);
    let head = GroupHead { span: 9, ..builder.head() };
    let mut bytes = Vec::new();
    head.put(&Provenance::NONE, &mut bytes);
    let entry = Entry::decode(&bytes).unwrap();
    assert_eq!((bytes.len(), entry.base(), entry.span()), (GroupFields::LEN, 40, 9));
    assert_eq!(Body::open(&head, &[]).unwrap().iter().count(), 0);
}

#[test]
fn null_is_not_empty() {
    let empty = Message { offset: 1, time: 0, key: Some(b""), value: Some(b""), headers: Headers::NONE };
    let null = Message { key: None, value: None, ..empty };
    for message in [empty, null, Message { key: None, ..empty }, Message { value: None, ..empty }] {
        assert_eq!(Single::decode(&single(&message, Provenance::NONE)).unwrap().message, message);
        let mut item = Vec::new();
        message.put_item(3, &mut item);
        assert_eq!(Message::from_item(&item, 1, 3), Ok(message));
    }
    assert_eq!(single(&null, Provenance::NONE).len(), SingleFields::LEN);
}
