//! How a segment begins: its header, and the state of the directory.

use varve_format::{
    BatchFlags, DATA_START, DISTANCE_UNKNOWN, FrameKind, FramePlace, Origin, SegmentHeader, State, frame_len,
    place_frame,
};

use crate::directory::Directory;
use crate::options::SegmentOptions;

/// The parts of a header that do not depend on the log's order.
pub(crate) fn fresh_header(directory: &Directory, options: &SegmentOptions, capacity: u64) -> SegmentHeader {
    let machine = directory.machine();
    SegmentHeader {
        magic: 0,
        version: 0,
        kind: options.kind as u8,
        origin: Origin::Continues as u8,
        marker: options.marker,
        id: 0,
        first_index: 0,
        generation: 0,
        generation_start: 0,
        salt: machine.random(),
        log: 0,
        link: machine.random(),
        previous_link: 0,
        created_micros: machine.now_micros(),
        capacity,
        checksum: 0,
    }
}

/// The frame that every segment begins with.
pub(crate) fn state_frame(state: &State, header: &SegmentHeader) -> Vec<u8> {
    let payload = state.encode();
    let place = FramePlace {
        salt: header.salt,
        position: DATA_START,
        kind: FrameKind::Control,
        batch: BatchFlags::ALONE,
        index: 0,
        distance: DISTANCE_UNKNOWN,
    };
    frame_of(&place, &payload)
}

/// The bytes of a frame, padding included.
pub(crate) fn frame_of(place: &FramePlace, payload: &[u8]) -> Vec<u8> {
    let mut frame = [place_frame(place, payload).as_slice(), payload].concat();
    frame.resize(frame_len(payload.len()), 0);
    frame
}
