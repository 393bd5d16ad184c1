//! The documents of `docs/formats` against the code: the tables, and the numbers in the prose. `UPDATE_DOCS=1` writes the tables again.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::fmt::Write as _;
use std::path::PathBuf;

use varve_format::{
    DATA_START, DISTANCE_UNKNOWN, DurableSlot, EngineKind, FOOTER_LEN, FORMAT_VERSION, FRAME_HEADER_LEN, Field, Footer,
    FrameKind, HEADER_COPIES, KEY_TABLE_LAYOUTS, LAYOUTS, MAX_RELATIVE_INDEX, Origin, SLOT_POSITIONS, SegmentHeader,
};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats")
}

/// The text of a document of the directory.
fn document(name: &str) -> String {
    std::fs::read_to_string(directory().join(name)).unwrap()
}

/// All documents by name.
fn documents() -> Vec<(String, String)> {
    let names = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| (name.clone(), document(&name))).collect()
}

/// Every layout by name.
fn layouts() -> impl Iterator<Item = &'static (&'static str, &'static [Field])> {
    LAYOUTS.iter().chain(KEY_TABLE_LAYOUTS)
}

fn marker(name: &str) -> String {
    format!("<!-- layout:{name} -->\n")
}

fn table(fields: &[Field]) -> String {
    let mut table = String::from("| offset | bytes | field | meaning |\n|---:|---:|---|---|\n");
    for Field { name, offset, len, meaning } in fields {
        writeln!(table, "| {offset} | {len} | `{name}` | {meaning} |").unwrap();
    }
    table
}

/// `document` with the tables as they are in the code.
fn rendered(document: &str) -> String {
    let mut rendered = document.to_owned();
    for (name, fields) in layouts() {
        let Some(open) = rendered.find(&marker(name)) else { continue };
        let from = open + marker(name).len();
        let to = from + rendered[from..].find("<!-- /layout -->").unwrap();
        rendered.replace_range(from..to, &table(fields));
    }
    rendered
}

#[test]
fn tables_are_those_of_the_code() {
    for (name, document) in documents() {
        let rendered = rendered(&document);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(directory().join(name), &rendered).unwrap();
        } else {
            assert!(rendered == document, "the tables of {name} are stale: run this test with UPDATE_DOCS=1");
        }
    }
}

#[test]
fn every_layout_has_one_table() {
    let documents = documents();
    for (name, _) in layouts() {
        let markers: usize = documents.iter().map(|(_, document)| document.matches(&marker(name)).count()).sum();
        assert_eq!(markers, 1, "tables of {name} in the documents");
    }
    let markers: usize = documents.iter().map(|(_, document)| document.matches("<!-- layout:").count()).sum();
    assert_eq!(markers, layouts().count(), "a document has a table that the code does not know");
}

/// Sentences of the prose that say a number, with the number from the code.
#[test]
fn numbers_in_the_prose_are_those_of_the_code() {
    let document = document("segment.md");
    let [_, second_header] = HEADER_COPIES;
    let [first_slot, second_slot] = SLOT_POSITIONS;
    let sentences = [
        format!("{} bytes, written twice: at {} and at {second_header}", SegmentHeader::LEN, HEADER_COPIES[0]),
        format!("position 0          {second_header}          {DATA_START} "),
        format!("capacity-{FOOTER_LEN} "),
        format!("At multiples of 8 bytes, from {DATA_START} on"),
        format!("{FRAME_HEADER_LEN} bytes of header, the payload"),
        format!("its last {FOOTER_LEN} bytes take a frame of type {}", FrameKind::Footer as u8),
        format!("two slots, at {first_slot} and {second_slot}"),
        format!("{DISTANCE_UNKNOWN:#x}: not known, or further"),
        format!(
            "Types: {} record, {} control, {} footer",
            FrameKind::Record as u8,
            FrameKind::Control as u8,
            FrameKind::Footer as u8
        ),
        "upper 6 bits of the index word: 4 bits of type, 2 of flags".to_owned(),
        "Flag 1, *more*".to_owned(),
        "Flag 2, *continued*".to_owned(),
    ];
    for sentence in sentences {
        assert!(document.contains(&sentence), "the document does not say: {sentence}");
    }
    assert_eq!(MAX_RELATIVE_INDEX, (1 << (32 - 6)) - 1, "6 bits of the index word are for kind and flags");
    assert_eq!(FRAME_HEADER_LEN + Footer::LEN, usize::try_from(FOOTER_LEN).unwrap());
}

fn meaning(layout: &str, field: &str) -> &'static str {
    let (_, fields) = layouts().find(|(name, _)| *name == layout).unwrap();
    fields.iter().find(|one| one.name == field).unwrap().meaning
}

/// Numbers and magics that the tables say in words.
#[test]
fn meanings_are_those_of_the_code() {
    assert_eq!(meaning("SegmentHeader", "version"), format!("format version of the file, {FORMAT_VERSION}"));
    let kinds = format!("engine: {} Wal, {} Log", EngineKind::Wal as u8, EngineKind::Log as u8);
    assert_eq!(meaning("SegmentHeader", "kind"), kinds);
    let origins = [
        (Origin::Continues, "continues the one before"),
        (Origin::First, "first of a log"),
        (Origin::Recovery, "torn tail"),
        (Origin::Truncation, "truncation"),
    ];
    for (origin, words) in origins {
        assert!(meaning("SegmentHeader", "origin").contains(&format!("{} {words}", origin as u8)), "{words}");
    }
    let header = SegmentHeader::decode(&[0; SegmentHeader::LEN]).sealed();
    let slot = DurableSlot::decode(&[0; DurableSlot::LEN]).sealed();
    let sidecar = varve_format::Sidecar::encode(&[], DATA_START, &header);
    let magics = [
        ("SegmentHeader", header.encode().to_vec()),
        ("DurableSlot", slot.encode().to_vec()),
        ("SidecarHeader", sidecar),
    ];
    for (layout, bytes) in magics {
        let magic = String::from_utf8(bytes[..8].to_vec()).unwrap();
        assert_eq!(meaning(layout, "magic"), format!("`{magic}`"));
    }
}
