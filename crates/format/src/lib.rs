//! What the bytes of a varve directory mean: headers, frames, footers, slots, sidecars. Takes and gives slices; no I/O.
//!
//! Each layout is declared once, by `layout!`, which gives the struct, its encoding and the table that
//! `docs/formats/` shows. Integers are little-endian.

#![forbid(unsafe_code)]

mod checksum;
mod control;
mod digest;
mod durable;
mod entry;
mod footer;
mod form;
mod frame;
mod group;
mod header;
mod key_table;
mod layout;
mod log_state;
mod message;
#[cfg(feature = "mutants")]
mod mutants;
mod partitions;
mod producers;
mod sidecar;
mod varint;

pub use checksum::checksum;
pub use control::{GapFields, State, StateFields};
pub use digest::{Digest, DigestHeader, Point};
pub use durable::{Bound, DurableSlot, MOST, SLOT_POSITIONS};
pub use entry::Entry;
pub use footer::{FOOTER_LEN, Footer};
pub use form::{BadEntry, Producer, Provenance};
pub use frame::{
    BadFrame, BatchFlags, DISTANCE_UNKNOWN, FRAME_HEADER_LEN, Frame, FrameHeader, FrameKind, FramePlace,
    MAX_RELATIVE_INDEX, frame_len, place_frame,
};
pub use group::{BadItem, Body, Group, GroupBuilder, GroupFields, GroupHead, Items, MAX_GROUP};
pub use header::{
    BadHeader, DATA_START, EngineKind, FORMAT_VERSION, HEADER_BLOCK_LEN, HEADER_COPIES, HeaderBlock, Origin,
    SegmentHeader, read_header_block,
};
pub use key_table::{
    KEY_BLOCK_BODY, KEY_BLOCK_LEN, KEY_BUCKET_BITS, KEY_BUCKETS_A_BLOCK, KEY_ENTRIES_A_BLOCK, KEY_PREFIX_BITS,
    KeyTableEntry, KeyTableHeader, key_bucket_bits,
};
pub use layout::Field;
pub use log_state::{LogCursor, LogState, LogStateFields, MAX_CURSOR_NAME};
pub use message::{HeaderIter, Headers, Message, Single, SingleFields, put_header};
#[cfg(feature = "mutants")]
pub use mutants::Mutant;
pub use partitions::{BadPartitions, MAX_PARTITIONS, PARTITIONS_COPIES, PARTITIONS_LEN, Partitions};
pub use producers::{ProducerBatch, ProducerFields, ProducerRecord, ProducerSnapshot, ProducersHeader};
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
    ("LogState", LogStateFields::FIELDS),
    ("DigestHeader", DigestHeader::FIELDS),
    ("Single", SingleFields::FIELDS),
    ("Group", GroupFields::FIELDS),
    ("Producer", Producer::FIELDS),
    ("Partitions", Partitions::FIELDS),
    ("ProducersHeader", ProducersHeader::FIELDS),
    ("ProducerFields", ProducerFields::FIELDS),
    ("ProducerBatch", ProducerBatch::FIELDS),
];

/// Those of `docs/formats/key-index.md`.
pub const KEY_TABLE_LAYOUTS: &[(&str, &[Field])] =
    &[("KeyTableHeader", KeyTableHeader::FIELDS), ("KeyTableEntry", KeyTableEntry::FIELDS)];
