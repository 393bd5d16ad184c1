//! Any bytes as a segment.

use varve_format::{
    BatchFlags, DATA_START, FOOTER_LEN, Footer, Frame, FrameHeader, FrameKind, FramePlace, GapFields, HEADER_BLOCK_LEN,
    SegmentHeader, State, place_frame, read_header_block,
};

use crate::base::Files;
use crate::forge::{change_footer, put_any_frame, put_frame};
use crate::input::Input;
use crate::look::look;
use crate::written::Written;

const SALT: u64 = 0x5a17_5a17_5a17_5a17;

/// The first byte says whether the rest is a file as it is, or a list of frames that are put into one.
pub fn frames(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.pick(3) {
        0 => raw(input.take(usize::MAX)),
        1 => behind_a_header(&mut input, false),
        _ => behind_a_header(&mut input, true),
    }
}

/// The decoders of single pieces, at every place.
fn raw(bytes: &[u8]) {
    if let Ok(block) = read_header_block(bytes) {
        let again = read_header_block(&block.header.block()).map(|block| block.header);
        assert_eq!(again, Ok(block.header), "a header that was read is written otherwise");
    }
    if let Some(state) = State::decode(bytes) {
        assert_eq!(State::decode(&state.encode()), Some(state));
    }
    if let Some(gap) = GapFields::read(bytes) {
        assert_eq!(gap.encode().as_slice(), bytes);
    }
    if let Some(footer) = bytes.first_chunk() {
        let _bound = Footer::decode(footer).durable();
    }
    for at in (0..bytes.len()).step_by(8) {
        let position = DATA_START + at as u64;
        let Ok(frame) = Frame::read(&bytes[at..], SALT, position) else { continue };
        assert!(at + frame.len() <= bytes.len(), "a frame ends behind its slice");
        let header = bytes[at..].first_chunk().and_then(|head| FrameHeader::read(head, SALT, position).ok());
        let distance = header.expect("the header of an intact frame is intact").distance;
        let place =
            FramePlace { salt: SALT, position, kind: frame.kind, batch: frame.batch, index: frame.index, distance };
        assert_eq!(
            bytes[at..at + 16],
            place_frame(&place, frame.payload),
            "a frame that was read is written otherwise"
        );
    }
}

/// A log of one segment: the rest of the input behind its header as it is, or a state and the frames that the input describes.
fn behind_a_header(input: &mut Input<'_>, built: bool) {
    let shape = input.byte();
    let first_index = if shape & 1 == 0 { 0 } else { input.number(1 << 40) };
    let capacity: u64 = [64 << 10, 64 << 10, 96 << 10, 256 << 10][usize::from(shape >> 1 & 3)];
    let header = SegmentHeader {
        magic: 0,
        version: 0,
        kind: 1,
        origin: 1,
        marker: 0,
        id: 1,
        first_index,
        generation: 1,
        generation_start: 1,
        salt: SALT,
        log: 77,
        link: 3,
        previous_link: 0,
        created_micros: 0,
        capacity: if shape & 8 == 0 { capacity } else { input.number(capacity) },
        checksum: 0,
    }
    .sealed();
    let mut bytes = header.block().to_vec();
    let mut written = Written::default();
    if built {
        bytes.resize(usize::try_from(capacity).unwrap_or(0), 0);
        let state =
            State { first_index, commit: 0, durable: Default::default(), codec: "bytes".into(), engine: Vec::new() };
        let kind = FrameKind::Control;
        let place = FramePlace {
            salt: SALT,
            position: DATA_START,
            kind,
            batch: BatchFlags::ALONE,
            index: 0,
            distance: u16::MAX,
        };
        put_frame(&mut bytes, HEADER_BLOCK_LEN, &place, &state.encode());
        while !input.is_empty() {
            match input.byte() {
                0..240 => put_any_frame(&mut bytes, &header, input, &mut written),
                240..250 => change_footer(&mut bytes, &header, input),
                _ => {
                    let (at, with) = (HEADER_BLOCK_LEN + usize::from(input.short()) % 4096, input.byte());
                    bytes[at] ^= with;
                }
            }
        }
    } else {
        bytes.extend_from_slice(input.take(usize::try_from(capacity - FOOTER_LEN).unwrap_or(0)));
        if shape & 16 == 0 {
            bytes.resize(usize::try_from(capacity).unwrap_or(0), 0);
        }
    }
    look(&Files::from([("0000000000000001.seg".to_owned(), bytes)]), &written);
}
