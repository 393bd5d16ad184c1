//! Header blocks, slots, sidecars and states as bytes: what was written is read, damage is noticed, and nothing panics.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use varve_format::{
    BadHeader, Bound, DurableSlot, Footer, HEADER_BLOCK_LEN, HEADER_COPIES, MOST, SegmentHeader, Sidecar,
    SidecarHeader, State, StateFields, checksum, read_header_block,
};

fn bytes(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), len)
}

fn headers() -> impl Strategy<Value = SegmentHeader> {
    bytes(SegmentHeader::LEN).prop_map(|bytes| SegmentHeader::decode(bytes.first_chunk().unwrap()).sealed())
}

/// Ids, positions and indexes that a log can have.
fn counts<const N: usize>() -> impl Strategy<Value = [u64; N]> {
    any::<[u64; N]>().prop_map(|counts| counts.map(|count| count % MOST))
}

fn slots() -> impl Strategy<Value = DurableSlot> {
    (counts(), 0..MOST, any::<u64>()).prop_map(|([segment, position, next_index], sequence, log)| {
        let segment = segment % (MOST / 4);
        DurableSlot { magic: 0, sequence, segment, position, next_index, log, checksum: 0 }.sealed()
    })
}

fn states() -> impl Strategy<Value = State> {
    (counts(), "\\PC{0,40}", any::<Vec<u8>>()).prop_map(|([first_index, commit, segment, position], codec, engine)| {
        State { first_index, commit, durable: Bound { segment: segment % (MOST / 4), position }, codec, engine }
    })
}

/// A header whose bytes are all meaningful ones, for the exhaustive tests.
fn header() -> SegmentHeader {
    let mut bytes = [0; SegmentHeader::LEN];
    (1u8..).zip(&mut bytes).for_each(|(value, byte)| *byte = value.wrapping_mul(59));
    SegmentHeader::decode(&bytes).sealed()
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn a_header_block_is_read_as_it_was_written(header in headers()) {
        let found = read_header_block(&header.block()).unwrap();
        prop_assert_eq!((found.header, found.damaged_copy), (header, None));
    }

    #[test]
    fn one_damaged_copy_is_told_and_does_no_harm(header in headers(), copy in 0..2usize, at in 0..SegmentHeader::LEN, with in 1..=u8::MAX) {
        let mut block = header.block();
        let position = HEADER_COPIES[copy];
        block[position + at] ^= with;
        let found = read_header_block(&block).unwrap();
        prop_assert_eq!((found.header, found.damaged_copy), (header, Some(position as u64)));
        block[HEADER_COPIES[1 - copy] + at] ^= with;
        prop_assert_eq!(read_header_block(&block), Err(BadHeader::Damaged));
    }

    #[test]
    fn any_bytes_are_no_header_and_no_panic(block in prop::collection::vec(any::<u8>(), 0..=HEADER_BLOCK_LEN)) {
        prop_assert_eq!(read_header_block(&block), Err(BadHeader::Damaged));
    }

    #[test]
    fn a_slot_is_read_as_it_was_written(slot in slots()) {
        prop_assert_eq!(DurableSlot::read(&slot.encode()), Some(slot));
        prop_assert_eq!(slot.bound(), Bound { segment: slot.segment, position: slot.position });
    }

    #[test]
    fn what_no_log_can_have_is_not_believed(slot in slots(), state in states(), beyond in MOST..) {
        for slot in [
            DurableSlot { segment: beyond, ..slot },
            DurableSlot { position: beyond, ..slot },
            DurableSlot { next_index: beyond, ..slot },
        ] {
            prop_assert_eq!(DurableSlot::read(&slot.sealed().encode()), None);
        }
        let durable = Bound { segment: beyond, ..state.durable };
        prop_assert_eq!(State::decode(&State { durable, ..state.clone() }.encode()), None);
        prop_assert_eq!(State::decode(&State { first_index: beyond, ..state }.encode()), None);
    }

    #[test]
    fn any_bytes_are_no_slot(noise in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(DurableSlot::read(&noise), None);
    }

    #[test]
    fn a_sidecar_is_read_as_it_was_written(header in headers(), positions in prop::collection::vec(any::<u32>(), 0..200), data_end: u64) {
        let file = Sidecar::encode(&positions, data_end, &header);
        prop_assert_eq!(file.len(), SidecarHeader::LEN + 4 * positions.len());
        prop_assert_eq!(Sidecar::decode(&file, &header), Some(Sidecar { positions, data_end }));
    }

    #[test]
    fn a_sidecar_of_another_segment_is_none(header in headers(), other in headers(), positions in prop::collection::vec(any::<u32>(), 0..20)) {
        let file = Sidecar::encode(&positions, 4096, &header);
        prop_assert_eq!(Sidecar::decode(&file, &other), None);
        prop_assert_eq!(Sidecar::decode(&file, &SegmentHeader { salt: other.salt, ..header }), None);
        prop_assert_eq!(Sidecar::decode(&file, &SegmentHeader { first_index: other.first_index, ..header }), None);
    }

    #[test]
    fn any_bytes_are_no_sidecar(header in headers(), noise in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(Sidecar::decode(&noise, &header), None);
    }

    #[test]
    fn a_state_is_read_as_it_was_written(state in states()) {
        prop_assert_eq!(State::decode(&state.encode()), Some(state));
    }

    #[test]
    fn any_payload_is_a_state_or_none(payload in prop::collection::vec(any::<u8>(), 0..80)) {
        // The checksum of the frame stands before it; here it is enough that nothing panics, and nothing is made up.
        if let Some(state) = State::decode(&payload) {
            prop_assert_eq!(state.encode().len(), payload.len());
        }
    }

    #[test]
    fn layouts_give_back_their_bytes(noise in bytes(112)) {
        let footer = Footer::decode(noise.first_chunk().unwrap());
        prop_assert_eq!(Footer::decode(&footer.encode()), footer);
        prop_assert_eq!(footer.durable(), Bound { segment: footer.durable_segment, position: footer.durable_position });
        let fields = StateFields::decode(noise.first_chunk().unwrap());
        prop_assert_eq!(StateFields::decode(&fields.encode()), fields);
    }
}

#[test]
fn every_flipped_bit_of_a_header_copy_is_noticed() {
    let header = header();
    for (copy, at) in HEADER_COPIES.into_iter().enumerate() {
        for bit in 0..SegmentHeader::LEN * 8 {
            let mut block = header.block();
            block[at + bit / 8] ^= 1 << (bit % 8);
            let found = read_header_block(&block).unwrap();
            assert_eq!((found.header, found.damaged_copy), (header, Some(at as u64)), "bit {bit} of copy {copy}");
        }
    }
}

#[test]
fn every_flipped_bit_of_slots_and_sidecars_is_noticed() {
    let header = header();
    let slot =
        DurableSlot { magic: 0, sequence: 3, segment: 2, position: 4096, next_index: 77, log: header.log, checksum: 0 };
    let slot = slot.sealed().encode();
    for bit in 0..slot.len() * 8 {
        let mut bytes = slot;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(DurableSlot::read(&bytes), None, "bit {bit}");
    }
    let file = Sidecar::encode(&[128, 131, 0, 140], 1160, &header);
    for bit in 0..file.len() * 8 {
        let mut bytes = file.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Sidecar::decode(&bytes, &header), None, "bit {bit}");
    }
    for len in 0..file.len() {
        assert_eq!(Sidecar::decode(&file[..len], &header), None, "cut to {len}");
    }
}

#[test]
fn a_header_cut_short_is_damaged_or_its_second_copy_is() {
    let block = header().block();
    for len in 0..HEADER_BLOCK_LEN {
        match read_header_block(&block[..len]) {
            Ok(found) => {
                assert!(len >= SegmentHeader::LEN, "{len}");
                assert_eq!(found.header, header());
                assert_eq!(found.damaged_copy.is_none(), len >= HEADER_COPIES[1] + SegmentHeader::LEN, "{len}");
            }
            Err(bad) => assert!(len < SegmentHeader::LEN && bad == BadHeader::Damaged, "{len}: {bad:?}"),
        }
    }
}

/// A file of a newer version is told apart from damage, whichever copy is left of it.
#[test]
fn a_newer_version_is_no_damage() {
    let mut newer = header().encode();
    newer[8..10].copy_from_slice(&2u16.to_le_bytes());
    let seal = checksum(&newer[..SegmentHeader::LEN - 4]).to_le_bytes();
    newer[SegmentHeader::LEN - 4..].copy_from_slice(&seal);
    for copies in [&[0][..], &[512], &[0, 512]] {
        let mut block = [0; HEADER_BLOCK_LEN];
        for at in copies {
            block[*at..at + SegmentHeader::LEN].copy_from_slice(&newer);
        }
        assert_eq!(read_header_block(&block), Err(BadHeader::Version(2)), "{copies:?}");
    }
}
