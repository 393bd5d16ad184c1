//! What the bytes of a varve directory mean: headers, frames, footers, slots, sidecars. Takes and gives slices; no I/O.
//!
//! Each layout is declared once, by `layout!`, which gives the struct, its encoding and the table that
//! `docs/formats/segment.md` shows. Integers are little-endian.

#![forbid(unsafe_code)]

mod checksum;
mod control;
mod durable;
mod footer;
mod frame;
mod header;
mod layout;
#[cfg(feature = "mutants")]
mod mutants;
mod sidecar;

pub use checksum::checksum;
pub use control::{GapFields, State, StateFields};
pub use durable::{Bound, DurableSlot, MOST, SLOT_POSITIONS};
pub use footer::{FOOTER_LEN, Footer};
pub use frame::{
    BadFrame, BatchFlags, DISTANCE_UNKNOWN, FRAME_HEADER_LEN, Frame, FrameHeader, FrameKind, FramePlace,
    MAX_RELATIVE_INDEX, frame_len, place_frame,
};
pub use header::{
    BadHeader, DATA_START, EngineKind, FORMAT_VERSION, HEADER_BLOCK_LEN, HEADER_COPIES, HeaderBlock, Origin,
    SegmentHeader, read_header_block,
};
pub use layout::Field;
#[cfg(feature = "mutants")]
pub use mutants::Mutant;
pub use sidecar::{Sidecar, SidecarHeader};

/// Every layout by name, for the documentation test.
pub const LAYOUTS: &[(&str, &[Field])] = &[
    ("SegmentHeader", SegmentHeader::FIELDS),
    ("FrameHeader", FrameHeader::FIELDS),
    ("State", StateFields::FIELDS),
    ("Gap", GapFields::FIELDS),
    ("Footer", Footer::FIELDS),
    ("DurableSlot", DurableSlot::FIELDS),
    ("SidecarHeader", SidecarHeader::FIELDS),
];
