//! Frames as bytes: what was written is read, nothing else is, and nothing panics.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use varve_format::{
    BadFrame, BatchFlags, DATA_START, DISTANCE_UNKNOWN, FRAME_HEADER_LEN, Frame, FrameHeader, FrameKind, FramePlace,
    MAX_RELATIVE_INDEX, frame_len, place_frame,
};

fn frame(place: &FramePlace, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [place_frame(place, payload).as_slice(), payload].concat();
    bytes.resize(frame_len(payload.len()), 0);
    bytes
}

prop_compose! {
    fn places()(
        salt: u64,
        position in (DATA_START / 8..1 << 27).prop_map(|at| at * 8),
        kind in prop_oneof![Just(FrameKind::Record), Just(FrameKind::Control), Just(FrameKind::Footer)],
        more: bool,
        continued: bool,
        index in 0..=MAX_RELATIVE_INDEX,
        distance: u16,
    ) -> FramePlace {
        FramePlace { salt, position, kind, batch: BatchFlags { more, continued }, index, distance }
    }
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn a_frame_is_read_as_it_was_written(place in places(), payload in payloads(), behind in payloads()) {
        let bytes = [frame(&place, &payload), behind].concat();
        let read = Frame::read(&bytes, place.salt, place.position).unwrap();
        let back = u64::from(place.distance) * 8;
        let durable = (place.distance != DISTANCE_UNKNOWN && place.position >= back + DATA_START).then(|| place.position - back);
        prop_assert_eq!(
            read,
            Frame { kind: place.kind, batch: place.batch, index: place.index, durable_position: durable, payload: &payload }
        );
        prop_assert_eq!(read.len(), frame_len(payload.len()));
        prop_assert!(read.len().is_multiple_of(8));
    }

    #[test]
    fn a_frame_of_another_place_or_segment_never_passes(place in places(), payload in payloads(), other in places()) {
        let bytes = frame(&place, &payload);
        prop_assume!(other.salt != place.salt && other.position != place.position);
        prop_assert!(Frame::read(&bytes, other.salt, place.position).is_err());
        prop_assert!(Frame::read(&bytes, place.salt, other.position).is_err());
        prop_assert!(Frame::read(&bytes, place.salt, place.position + 8).is_err());
    }

    #[test]
    fn a_frame_cut_short_says_what_it_needs(place in places(), payload in payloads(), cut: prop::sample::Index) {
        let bytes = frame(&place, &payload);
        let len = cut.index(bytes.len());
        let needs = if len < FRAME_HEADER_LEN { FRAME_HEADER_LEN } else { bytes.len() };
        prop_assert_eq!(Frame::read(&bytes[..len], place.salt, place.position), Err(BadFrame::Short(needs)));
    }

    #[test]
    fn any_bytes_are_no_frame_and_no_panic(bytes in payloads(), salt: u64, position: u64) {
        if let Ok(frame) = Frame::read(&bytes, salt, position) {
            return Err(TestCaseError::fail(format!("noise passes as {frame:?}")));
        }
        if let Some(head) = bytes.first_chunk() {
            prop_assert!(FrameHeader::read(head, salt, position).is_err());
        }
    }

    #[test]
    fn bytes_that_differ_are_another_frame_or_none(place in places(), payload in payloads(), at: prop::sample::Index, with in 1..=u8::MAX) {
        let mut bytes = frame(&place, &payload);
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        prop_assert!(Frame::read(&bytes, place.salt, place.position).is_err(), "byte {} changed by {:#x}", at, with);
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    for (i, len) in [0usize, 1, 7, 8, 9, 40, 138, 1000].into_iter().enumerate() {
        let place = FramePlace {
            salt: 0x0123_4567_89ab_cdef_u64.rotate_left(u32::try_from(i).unwrap() * 7),
            position: DATA_START + 8 * i as u64,
            kind: FrameKind::Record,
            batch: BatchFlags { more: i % 2 == 0, continued: i % 3 == 0 },
            index: u32::try_from(i).unwrap() * 1000,
            distance: u16::try_from(i).unwrap() * 9000,
        };
        let payload: Vec<u8> = (0..len).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect();
        let mut bytes = frame(&place, &payload);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = Frame::read(&bytes, place.salt, place.position);
            assert!(read.is_err(), "bit {bit} of a frame of {len} bytes flipped: {read:?}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(Frame::read(&bytes, place.salt, place.position).is_ok());
    }
}

#[test]
fn zeros_are_no_frame_and_told_apart_from_noise() {
    for len in [FRAME_HEADER_LEN, 64, 4096] {
        assert_eq!(Frame::read(&vec![0; len], 7, DATA_START), Err(BadFrame::Zeros));
    }
    assert_eq!(Frame::read(&[0; 15], 7, DATA_START), Err(BadFrame::Short(FRAME_HEADER_LEN)));
    assert_eq!(Frame::read(&[1; 64], 7, DATA_START), Err(BadFrame::Header));
}
