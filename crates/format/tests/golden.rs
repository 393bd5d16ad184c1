//! Bytes that must never change: made of fixed inputs, written down once, and read and written the same by every build.
//! `UPDATE_GOLDEN=1` writes them again, which is right only together with a new format version.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "golden/held.rs"]
mod held;

use held::{held, named};
use varve_format::{
    BatchFlags, Bound, DATA_START, DISTANCE_UNKNOWN, DurableSlot, Footer, Frame, FrameHeader, FrameKind, FramePlace,
    SegmentHeader, Sidecar, SidecarHeader, State, StateFields, frame_len, place_frame, read_header_block,
};

const SALT: u64 = 0x5a17_ba5e_0dd5_eed5;
const LOG: u64 = 0x1061_1061_1061_1061;

fn header() -> SegmentHeader {
    SegmentHeader {
        magic: 0,
        version: 0,
        kind: 1,
        origin: 0,
        marker: 0xfeed_beef,
        id: 7,
        first_index: 1_000_000,
        generation: 3,
        generation_start: 5,
        salt: SALT,
        log: LOG,
        link: 0x1111_2222_3333_4444,
        previous_link: 0x5555_6666_7777_8888,
        created_micros: 1_767_225_600_000_000,
        capacity: 256 << 10,
        checksum: 0,
    }
    .sealed()
}

fn state() -> State {
    State {
        first_index: 999_000,
        commit: 999_500,
        durable: Bound { segment: 6, position: 65_536 },
        codec: "json".into(),
        engine: Vec::new(),
    }
}

fn footer() -> Footer {
    Footer {
        next_index: 1_000_005,
        records: 5,
        payload_bytes: 61,
        data_end: 1352,
        durable_segment: 7,
        durable_position: 1104,
        sealed_micros: 1_767_225_661_000_000,
        min_time: 0,
        max_time: 0,
    }
}

fn slot() -> DurableSlot {
    let slot = DurableSlot {
        magic: 0,
        sequence: 42,
        segment: 7,
        position: 1104,
        next_index: 1_000_001,
        log: LOG,
        checksum: 0,
    };
    slot.sealed()
}

/// The frames of one segment, in order: state, a record, a batch of three, an empty record, the footer.
fn frames() -> Vec<(&'static str, FramePlace, Vec<u8>)> {
    let place = |kind, index, more, continued, distance| FramePlace {
        salt: SALT,
        position: 0,
        kind,
        batch: BatchFlags { more, continued },
        index,
        distance,
    };
    let record = FrameKind::Record;
    let mut frames = vec![
        ("frame-state", place(FrameKind::Control, 0, false, false, DISTANCE_UNKNOWN), state().encode()),
        ("frame-record", place(record, 0, false, false, 0), b"the first record".to_vec()),
        ("frame-batch-first", place(record, 1, true, false, 4), b"first".to_vec()),
        ("frame-batch-middle", place(record, 2, true, true, 7), b"in the middle, with padding".to_vec()),
        ("frame-batch-last", place(record, 3, false, true, 13), b"and the last".to_vec()),
        ("frame-empty", place(record, 4, false, false, 17), Vec::new()),
        ("frame-footer", place(FrameKind::Footer, 5, false, false, 32_000), footer().encode().to_vec()),
    ];
    let mut position = DATA_START;
    for (name, place, payload) in &mut frames {
        place.position = if *name == "frame-footer" { header().capacity - 128 } else { position };
        position += frame_len(payload.len()) as u64;
    }
    frames
}

#[test]
fn header_block() {
    let fields = [named(SegmentHeader::FIELDS, 0), named(SegmentHeader::FIELDS, 512)].concat();
    let bytes = held("header", &header().block(), &fields);
    let found = read_header_block(&bytes).unwrap();
    assert_eq!((found.header, found.damaged_copy), (header(), None));
}

#[test]
fn every_kind_of_frame() {
    for (name, place, payload) in frames() {
        let mut bytes = [place_frame(&place, &payload).as_slice(), &payload].concat();
        bytes.resize(frame_len(payload.len()), 0);
        let mut fields = named(FrameHeader::FIELDS, 0);
        fields.extend(match place.kind {
            FrameKind::Control => named(StateFields::FIELDS, FrameHeader::LEN),
            FrameKind::Footer => named(Footer::FIELDS, FrameHeader::LEN),
            FrameKind::Record => Vec::new(),
        });
        let bytes = held(name, &bytes, &fields);
        let frame = Frame::read(&bytes, SALT, place.position).unwrap();
        assert_eq!((frame.kind, frame.batch, frame.index), (place.kind, place.batch, place.index), "{name}");
        assert_eq!(frame.payload, payload, "{name}");
        match place.kind {
            FrameKind::Control => assert_eq!(State::decode(frame.payload), Some(state())),
            FrameKind::Footer => assert_eq!(Footer::decode(frame.payload.first_chunk().unwrap()), footer()),
            FrameKind::Record => {
                assert_eq!(frame.durable_position, Some(place.position - 8 * u64::from(place.distance)), "{name}");
            }
        }
    }
}

#[test]
fn durable_slot() {
    let bytes = held("slot", &slot().encode(), &named(DurableSlot::FIELDS, 0));
    assert_eq!(DurableSlot::read(&bytes), Some(slot()));
}

#[test]
fn sidecar() {
    let positions = [136, 140, 143, 149, 153];
    let file = Sidecar::encode(&positions, 1240, &header());
    let bytes = held("sidecar", &file, &named(SidecarHeader::FIELDS, 0));
    assert_eq!(Sidecar::decode(&bytes, &header()), Some(Sidecar { positions: positions.to_vec(), data_end: 1240 }));
}
