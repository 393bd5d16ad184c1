//! Entries of a log whose bytes must never change. `UPDATE_GOLDEN=1` writes them again, as in `golden.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "golden/held.rs"]
mod held;

use held::{held, named};
use varve_format::{
    Body, Entry, GroupBuilder, GroupFields, GroupHead, Headers, Message, Producer, Provenance, Single, SingleFields,
    put_header,
};

const TIME: i64 = 1_767_225_600_000_000;

fn provenance() -> Provenance {
    let producer = Producer { id: 0x0102_0304_0506_0708, sequence: 1000, epoch: 3, count: 4 };
    Provenance { producer: Some(producer), leader_epoch: Some(17) }
}

fn headers() -> Vec<u8> {
    let mut headers = Vec::new();
    put_header(&mut headers, "source", b"orders");
    put_header(&mut headers, "größe", &[0, 255]);
    put_header(&mut headers, "", b"");
    headers
}

/// Messages with every content, and with long and short parts.
fn messages<'a>(headers: &'a [u8], long: &'a [u8]) -> Vec<Message<'a>> {
    let headers = Headers::from_bytes(headers);
    vec![
        Message { offset: 70_000, time: TIME, key: Some(b"key"), value: Some(b"value"), headers },
        Message { offset: 70_001, time: TIME - 1, key: None, value: Some(b""), headers: Headers::NONE },
        Message { offset: 70_130, time: TIME + 250_000, key: Some(b"key"), value: None, headers: Headers::NONE },
        Message { offset: 70_131, time: 0, key: None, value: Some(long), headers },
    ]
}

#[test]
fn messages_alone() {
    let headers = headers();
    let messages = messages(&headers, &[0xaa; 150]);
    let names = ["single", "single-empty", "single-deletes", "single-long"];
    for (name, message) in names.into_iter().zip(messages) {
        let single = Single { message, provenance: Provenance::NONE };
        let mut bytes = Vec::new();
        single.put(&mut bytes);
        let bytes = held(name, &bytes, &named(SingleFields::FIELDS, 0));
        assert_eq!(Entry::decode(&bytes), Ok(Entry::Single(single)), "{name}");
    }
}

#[test]
fn a_message_of_a_producer() {
    let headers = headers();
    let single = Single { message: messages(&headers, b"")[0], provenance: provenance() };
    let mut bytes = Vec::new();
    single.put(&mut bytes);
    let fields = [
        named(SingleFields::FIELDS, 0),
        named(Producer::FIELDS, SingleFields::LEN),
        vec![("leader_epoch", SingleFields::LEN + Producer::LEN, 8)],
    ];
    let bytes = held("single-producer", &bytes, &fields.concat());
    assert_eq!(Entry::decode(&bytes), Ok(Entry::Single(single)));
}

#[test]
fn a_group_of_messages() {
    let headers = headers();
    let messages = messages(&headers, &[0xaa; 150]);
    let mut builder = GroupBuilder::new();
    builder.begin(70_000, TIME);
    messages.iter().for_each(|message| builder.push(message).unwrap());
    let head = GroupHead { span: 140, ..builder.head() };
    let mut bytes = Vec::new();
    head.put(&provenance(), &mut bytes);
    builder.put_body(&mut bytes);
    let fields = [
        named(GroupFields::FIELDS, 0),
        named(Producer::FIELDS, GroupFields::LEN),
        vec![("leader_epoch", GroupFields::LEN + Producer::LEN, 8)],
    ];
    let bytes = held("group", &bytes, &fields.concat());
    let Ok(Entry::Group(group)) = Entry::decode(&bytes) else { panic!("no group") };
    assert_eq!((group.head, group.provenance), (head, provenance()));
    let body = Body::open(&group.head, group.stored).unwrap();
    assert_eq!(body.messages().map(|message| message.unwrap()).collect::<Vec<_>>(), messages);
}

#[test]
fn a_group_that_was_emptied() {
    let mut builder = GroupBuilder::new();
    builder.begin(70_000, TIME);
    let head = GroupHead { span: 128, ..builder.head() };
    let mut bytes = Vec::new();
    head.put(&Provenance::NONE, &mut bytes);
    let bytes = held("group-empty", &bytes, &named(GroupFields::FIELDS, 0));
    let Ok(Entry::Group(group)) = Entry::decode(&bytes) else { panic!("no group") };
    assert_eq!((group.head, group.provenance, group.stored), (head, Provenance::NONE, &[][..]));
}
