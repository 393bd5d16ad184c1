//! Bytes with the right checksums, whatever they say: what lies behind a checksum is only reached by these.

use varve_format::{
    BatchFlags, DATA_START, FOOTER_LEN, Field, Footer, Frame, FrameKind, FramePlace, GapFields, HEADER_COPIES,
    MAX_RELATIVE_INDEX, SegmentHeader, StateFields, checksum, frame_len, place_frame, read_header_block,
};

use crate::input::Input;
use crate::written::Written;

/// Where the frames of a segment begin, up to the first place that holds none; its last entry is that place.
pub fn walk(bytes: &[u8], salt: u64) -> Vec<usize> {
    let mut at = usize::try_from(DATA_START).unwrap_or(0);
    let mut found = vec![at];
    while let Some(rest) = bytes.get(at..)
        && let Ok(frame) = Frame::read(rest, salt, at as u64)
    {
        at += frame.len();
        found.push(at);
    }
    found
}

/// The header of a segment, if it is intact.
pub fn header(bytes: &[u8]) -> Option<SegmentHeader> {
    Some(read_header_block(bytes).ok()?.header)
}

/// Sets one field of a layout to a number that is near what it was, or far from it.
pub fn change(bytes: &mut [u8], fields: &[Field], input: &mut Input<'_>) {
    let field = &fields[input.pick(fields.len())];
    let Some(place) = bytes.get_mut(field.offset..field.offset + field.len) else { return };
    let mut old = [0; 8];
    old[..place.len()].copy_from_slice(place);
    let new = input.number(u64::from_le_bytes(old)).to_le_bytes();
    place.copy_from_slice(&new[..place.len()]);
}

/// Puts the CRC-32C of all before its last four bytes there.
pub fn seal(bytes: &mut [u8]) {
    let checked = bytes.len() - 4;
    let sum = checksum(&bytes[..checked]);
    bytes[checked..].copy_from_slice(&sum.to_le_bytes());
}

/// Changes fields of a segment's header, in both copies or one, and seals it again.
pub fn change_header(bytes: &mut [u8], input: &mut Input<'_>) {
    let copies = input.pick(3);
    for (i, at) in HEADER_COPIES.into_iter().enumerate() {
        if copies != i + 1
            && let Some(copy) = bytes.get_mut(at..at + SegmentHeader::LEN)
        {
            // The same change to both: the second copy is that of the first.
            change(copy, &SegmentHeader::FIELDS[1..], &mut input.clone());
            seal(copy);
        }
    }
    input.take(10);
}

/// A frame at `at` with this payload, and the right checks for whatever it says of itself.
pub fn put_frame(bytes: &mut Vec<u8>, at: usize, place: &FramePlace, payload: &[u8]) {
    let end = at + frame_len(payload.len());
    if end > bytes.len() {
        return;
    }
    let head = place_frame(place, payload);
    bytes[at..end].fill(0);
    bytes[at..at + head.len()].copy_from_slice(&head);
    bytes[at + head.len()..at + head.len() + payload.len()].copy_from_slice(payload);
}

/// Changes the footer of a segment, and frames it again at its place.
pub fn change_footer(bytes: &mut Vec<u8>, header: &SegmentHeader, input: &mut Input<'_>) {
    let at = header.capacity.checked_sub(FOOTER_LEN).filter(|at| at.is_multiple_of(8));
    let Some(at) = at.and_then(|at| usize::try_from(at).ok()) else { return };
    let Some(rest) = bytes.get(at..) else { return };
    let (mut payload, mut index) = ([0; Footer::LEN], 0);
    if let Ok(frame) = Frame::read(rest, header.salt, at as u64)
        && let Some(old) = frame.payload.first_chunk()
    {
        (payload, index) = (*old, frame.index);
    }
    for _ in 0..=input.pick(3) {
        change(&mut payload, Footer::FIELDS, input);
    }
    if input.pick(4) == 1 {
        index = near(index, input);
    }
    let place = FramePlace {
        salt: header.salt,
        position: at as u64,
        kind: FrameKind::Footer,
        batch: BatchFlags::ALONE,
        index,
        distance: input.short(),
    };
    put_frame(bytes, at, &place, &payload);
}

/// A frame of any kind at one of the places where a frame begins, or behind the last one.
pub fn put_any_frame(bytes: &mut Vec<u8>, header: &SegmentHeader, input: &mut Input<'_>, written: &mut Written) {
    let places = walk(bytes, header.salt);
    let from_end = input.pick(places.len());
    let at = places[places.len() - 1 - from_end];
    let old = bytes.get(at..).and_then(|rest| Frame::read(rest, header.salt, at as u64).ok());
    let relative = old.map_or_else(|| expected(bytes, header.salt, &places), |frame| frame.index);
    let flags = input.byte();
    let kind = [FrameKind::Record, FrameKind::Control, FrameKind::Control, FrameKind::Footer][usize::from(flags & 3)];
    let index = if flags & 0xc0 == 0xc0 { near(relative, input) } else { relative };
    let distance = if flags & 0x20 == 0 { u16::MAX } else { input.short() };
    let first = header.first_index.wrapping_add(u64::from(index));
    let payload = match flags & 3 {
        1 => state(bytes, header.salt, &places, input),
        2 => {
            let mut gap = GapFields::new(first, first.wrapping_add(5)).encode();
            change(&mut gap, &GapFields::FIELDS[1..], input);
            gap.to_vec()
        }
        _ => {
            let len = usize::from(input.byte());
            input.take(len).to_vec()
        }
    };
    let batch = BatchFlags { more: flags & 4 != 0, continued: flags & 8 != 0 };
    written.touch();
    if kind == FrameKind::Record {
        written.forge(&payload);
    }
    put_frame(
        bytes,
        at,
        &FramePlace { salt: header.salt, position: at as u64, kind, batch, index, distance },
        &payload,
    );
}

/// The relative index that the next frame would have.
fn expected(bytes: &[u8], salt: u64, places: &[usize]) -> u32 {
    let last = places.iter().rev().nth(1).and_then(|at| Some((at, bytes.get(*at..)?)));
    match last.and_then(|(at, rest)| Frame::read(rest, salt, *at as u64).ok()) {
        Some(frame) if frame.kind == FrameKind::Record => (frame.index + 1) & MAX_RELATIVE_INDEX,
        Some(frame) => frame.index,
        None => 0,
    }
}

fn near(index: u32, input: &mut Input<'_>) -> u32 {
    u32::try_from(input.number(u64::from(index)) & u64::from(MAX_RELATIVE_INDEX)).unwrap_or(0)
}

/// The segment's last state, with a change.
fn state(bytes: &[u8], salt: u64, places: &[usize], input: &mut Input<'_>) -> Vec<u8> {
    let frames = places.iter().rev().filter_map(|at| Frame::read(bytes.get(*at..)?, salt, *at as u64).ok());
    let mut states = frames.filter(|frame| frame.kind == FrameKind::Control && frame.payload.len() >= StateFields::LEN);
    let mut payload = states.next().map_or_else(|| vec![0; StateFields::LEN], |frame| frame.payload.to_vec());
    for _ in 0..=input.pick(2) {
        change(&mut payload, StateFields::FIELDS, input);
    }
    payload
}
