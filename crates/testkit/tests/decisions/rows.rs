//! The rows of the table.

use varve_format::{BatchFlags, DATA_START, FOOTER_LEN, SegmentHeader, checksum};
use varve_testkit::Snapshot;

use super::log::{Log, Outcome, segment};
use Outcome::{Clean, Damage, Sealed, Torn, Unsupported};

/// One row.
pub struct Row {
    pub name: &'static str,
    pub edit: fn(&Log, &mut Snapshot),
    /// With the durable bound where the log began.
    pub low: Outcome,
    /// With the durable bound behind record 11.
    pub high: Outcome,
}

fn row(name: &'static str, edit: fn(&Log, &mut Snapshot), low: Outcome, high: Outcome) -> Row {
    Row { name, edit, low, high }
}

fn file(files: &mut Snapshot, id: u64) -> &mut Vec<u8> {
    files.get_mut(&segment(id)).unwrap()
}

fn footer(files: &mut Snapshot, id: u64) -> &mut [u8] {
    let bytes = file(files, id);
    let at = bytes.len() - usize::try_from(FOOTER_LEN).unwrap();
    &mut bytes[at..]
}

const STATE: usize = varve_format::HEADER_BLOCK_LEN;

pub fn rows() -> Vec<Row> {
    [frames(), segments(), headers(), slots(), leftovers()].into_iter().flatten().collect()
}

/// What lies among the frames of the last segment.
fn frames() -> Vec<Row> {
    vec![
        row("nothing is wrong", |_, _| (), Clean(13), Clean(13)),
        row("zeros for the last record", |log, files| log.fill(files, 12, 0), Clean(12), Clean(12)),
        row(
            "zeros for the last batch and behind",
            |log, files| (10..13).for_each(|i| log.fill(files, i, 0)),
            Clean(10),
            Damage,
        ),
        row("zeros in the middle", |log, files| log.fill(files, 9, 0), Torn(9), Damage),
        row("garbage for the last record", |log, files| log.fill(files, 12, 0xa7), Torn(12), Torn(12)),
        row("garbage in the middle", |log, files| log.fill(files, 9, 0xa7), Torn(9), Damage),
        row("garbage for the end of a batch", |log, files| log.fill(files, 11, 0xa7), Torn(10), Damage),
        row(
            "zeros for the end of a batch, and behind",
            |log, files| (11..13).for_each(|i| log.fill(files, i, 0)),
            Torn(10),
            Damage,
        ),
        row("garbage behind the last record", |log, files| log.behind(files, &[0xa7; 300]), Torn(13), Torn(13)),
        row("a byte far behind the last record", |_, files| file(files, 3)[40_000] = 1, Torn(13), Torn(13)),
        row("a bad header check", |log, files| log.flip(files, 9, 14), Torn(9), Damage),
        row("a bad header check, last record", |log, files| log.flip(files, 12, 14), Torn(12), Torn(12)),
        row("a bad length", |log, files| log.flip(files, 9, 4), Torn(9), Damage),
        row("a bad length, last record", |log, files| log.flip(files, 12, 6), Torn(12), Torn(12)),
        row("a bad payload", |log, files| log.flip(files, 9, 20), Torn(9), Damage),
        row("bytes in the padding", |log, files| log.flip(files, 9, 16 + 49), Torn(9), Damage),
        row(
            "a stale frame of another salt",
            |log, files| log.behind(files, &log.frame(13, 77, BatchFlags::ALONE)),
            Torn(13),
            Torn(13),
        ),
        row(
            "a repeated frame",
            |log, files| {
                let (name, bytes) = log.place(12);
                let copy = files[&name][bytes].to_vec();
                log.behind(files, &copy);
            },
            Torn(13),
            Torn(13),
        ),
        row(
            "a frame copied from elsewhere in the file",
            |log, files| {
                let (name, bytes) = log.place(8);
                let copy = files[&name][bytes].to_vec();
                log.behind(files, &copy);
            },
            Torn(13),
            Torn(13),
        ),
        row(
            "a frame of its place with an index that was",
            |log, files| log.behind(files, &log.frame(12, log.header(3).salt, BatchFlags::ALONE)),
            Torn(13),
            Torn(13),
        ),
        row(
            "a frame of its place with an index too high",
            |log, files| log.behind(files, &log.frame(14, log.header(3).salt, BatchFlags::ALONE)),
            Torn(13),
            Torn(13),
        ),
        row(
            "the end of a batch that never began",
            |log, files| {
                log.behind(files, &log.frame(13, log.header(3).salt, BatchFlags { more: false, continued: true }))
            },
            Torn(13),
            Torn(13),
        ),
        row(
            "the beginning of a batch without its end",
            |log, files| {
                log.behind(files, &log.frame(13, log.header(3).salt, BatchFlags { more: true, continued: false }))
            },
            Torn(13),
            Torn(13),
        ),
        row(
            "the state of the last segment is missing",
            |_, files| file(files, 3)[STATE..STATE + 72].fill(0),
            Torn(8),
            Damage,
        ),
        row("nothing but a header in the last segment", |_, files| file(files, 3)[STATE..].fill(0), Torn(8), Damage),
        row(
            "the state of a middle segment is missing",
            |_, files| file(files, 2)[STATE..STATE + 72].fill(0),
            Torn(4),
            Damage,
        ),
    ]
}

/// What becomes of whole files, and of their ends.
fn segments() -> Vec<Row> {
    vec![
        row("the first segment is missing", |_, files| drop(files.remove(&segment(1))), Damage, Damage),
        row("a middle segment is missing", |_, files| drop(files.remove(&segment(2))), Torn(4), Damage),
        row(
            "the last segment is missing: a footer without a next one",
            |_, files| drop(files.remove(&segment(3))),
            Sealed(8),
            Damage,
        ),
        row("all segments are missing", |_, files| files.retain(|name, _| !name.ends_with(".seg")), Damage, Damage),
        row(
            "a segment doubled under another id",
            |_, files| drop(files.insert(segment(4), files[&segment(2)].clone())),
            Torn(13),
            Torn(13),
        ),
        row(
            "a segment renamed",
            |_, files| {
                let bytes = files.remove(&segment(3)).unwrap();
                files.insert(segment(5), bytes);
            },
            Torn(8),
            Damage,
        ),
        row(
            "zeros at the end of a segment, and the next one without a header",
            |log, files| {
                log.fill(files, 7, 0);
                footer(files, 2).fill(0);
                file(files, 3)[..1024].fill(0);
            },
            Torn(7),
            Damage,
        ),
        row(
            "records that were durable are zeros, and the next segment is without a header",
            |log, files| {
                let end = log.place(7).1.end as u64;
                files.insert("durable".into(), Log::slots(log.header(1).log, 2, end, 8));
                log.fill(files, 7, 0);
                footer(files, 2).fill(0);
                file(files, 3)[..1024].fill(0);
            },
            Damage,
            Damage,
        ),
        row(
            "the first segment renamed",
            |_, files| {
                let bytes = files.remove(&segment(1)).unwrap();
                files.insert(segment(9), bytes);
            },
            Damage,
            Damage,
        ),
        row(
            "a segment of another log",
            |_, files| {
                let other = Log::seeded(99, false);
                files.insert(segment(3), other.files[&segment(3)].clone());
            },
            Unsupported,
            Unsupported,
        ),
        row(
            "a segment of another engine",
            |log, files| log.reheader(files, 3, SegmentHeader { kind: 9, ..log.header(3) }),
            Unsupported,
            Unsupported,
        ),
        row("half a footer in the middle", |_, files| footer(files, 2)[..64].fill(0), Clean(13), Clean(13)),
        row("no footer in the middle", |_, files| footer(files, 2).fill(0), Clean(13), Clean(13)),
        row(
            "half a footer at the end",
            |_, files| {
                files.remove(&segment(3));
                footer(files, 2)[..64].fill(0);
            },
            Torn(8),
            Damage,
        ),
        row("garbage in the footer's place at the end", |_, files| footer(files, 3)[100] = 7, Torn(13), Torn(13)),
        row("frames are missing before a footer", |log, files| log.fill(files, 7, 0), Torn(7), Damage),
        row("a short file, behind the frames", |log, files| file(files, 3).truncate(log.end + 80), Torn(13), Torn(13)),
        row(
            "a short file, within the last record",
            |log, files| file(files, 3).truncate(log.end - 20),
            Torn(12),
            Torn(12),
        ),
        row(
            "a short file, within a batch",
            |log, files| file(files, 3).truncate(log.place(11).1.start),
            Torn(10),
            Damage,
        ),
        row(
            "a short file in the middle, within the footer",
            |_, files| {
                let len = file(files, 2).len();
                file(files, 2).truncate(len - 5);
            },
            Clean(13),
            Clean(13),
        ),
        row(
            "a short file in the middle, within the frames",
            |log, files| file(files, 2).truncate(log.place(6).1.start + 9),
            Torn(6),
            Damage,
        ),
        row("an empty file", |_, files| file(files, 3).clear(), Torn(8), Damage),
        row("an empty first file", |_, files| file(files, 1).clear(), Damage, Damage),
    ]
}

/// What becomes of headers.
fn headers() -> Vec<Row> {
    vec![
        row("both header copies bad, first segment", |_, files| file(files, 1)[..1024].fill(3), Damage, Damage),
        row("both header copies bad, middle segment", |_, files| file(files, 2)[..1024].fill(3), Torn(4), Damage),
        row("both header copies bad, last segment", |_, files| file(files, 3)[..1024].fill(3), Torn(8), Damage),
        row(
            "first header copy bad in all",
            |_, files| (1..=3).for_each(|id| file(files, id)[..512].fill(3)),
            Clean(13),
            Clean(13),
        ),
        row(
            "second header copy bad in all",
            |_, files| (1..=3).for_each(|id| file(files, id)[512..1024].fill(3)),
            Clean(13),
            Clean(13),
        ),
        row("a newer version, last segment", |_, files| newer(file(files, 3)), Unsupported, Unsupported),
        row("a newer version, first segment", |_, files| newer(file(files, 1)), Unsupported, Unsupported),
        row(
            "a header with another id",
            |log, files| log.reheader(files, 3, SegmentHeader { id: 4, ..log.header(3) }),
            Torn(8),
            Damage,
        ),
        row(
            "a header that does not continue: link",
            |log, files| log.reheader(files, 3, SegmentHeader { previous_link: 1, ..log.header(3) }),
            Torn(8),
            Damage,
        ),
        row(
            "a header that does not continue: first index",
            |log, files| log.reheader(files, 3, SegmentHeader { first_index: 9, ..log.header(3) }),
            Torn(8),
            Damage,
        ),
        row(
            "a header that does not continue: generation",
            |log, files| log.reheader(files, 3, SegmentHeader { generation: 0, ..log.header(3) }),
            Torn(8),
            Damage,
        ),
        row(
            "a capacity that cannot be",
            |log, files| log.reheader(files, 3, SegmentHeader { capacity: 1 << 40, ..log.header(3) }),
            Torn(8),
            Damage,
        ),
        row(
            "a capacity below the frames",
            |log, files| log.reheader(files, 3, SegmentHeader { capacity: 1024 + 128, ..log.header(3) }),
            Torn(8),
            Damage,
        ),
    ]
}

/// Makes the header one of version 2, in both copies.
fn newer(bytes: &mut [u8]) {
    for at in [0, 512] {
        bytes[at + 8] = 2;
        let seal = checksum(&bytes[at..at + SegmentHeader::LEN - 4]).to_le_bytes();
        bytes[at + SegmentHeader::LEN - 4..at + SegmentHeader::LEN].copy_from_slice(&seal);
    }
}

/// What becomes of the slots of the durable bound.
fn slots() -> Vec<Row> {
    fn without(files: &mut Snapshot) {
        files.remove("durable");
    }
    vec![
        row("no slot file", |_, files| without(files), Clean(13), Clean(13)),
        row(
            "no slot file, garbage before a frame that knows the bound",
            |log, files| {
                without(files);
                log.fill(files, 9, 0xa7);
            },
            Torn(9),
            Damage,
        ),
        // Said in docs/durability.md: the very last synced group, where all that told of its sync is gone.
        row(
            "no slot file, garbage in all that knew the bound",
            |log, files| {
                without(files);
                (10..13).for_each(|index| log.fill(files, index, 0xa7));
            },
            Torn(10),
            Torn(10),
        ),
        row(
            "a stale slot file",
            |log, files| {
                files.insert("durable".into(), Log::slots(log.header(1).log, 1, DATA_START, 0));
            },
            Clean(13),
            Clean(13),
        ),
        row(
            "a slot file of another log",
            |_, files| {
                files.insert("durable".into(), Log::slots(42, 900, 4096, 90_000));
            },
            Clean(13),
            Clean(13),
        ),
        row(
            "a slot that promises more of the last segment",
            |log, files| {
                files.insert("durable".into(), Log::slots(log.header(1).log, 3, log.end as u64 + 8, 14));
            },
            Damage,
            Damage,
        ),
        row(
            "a slot that promises another segment",
            |log, files| {
                files.insert("durable".into(), Log::slots(log.header(1).log, 4, 2048, 20));
            },
            Damage,
            Damage,
        ),
        row("one slot damaged", |_, files| files.get_mut("durable").unwrap()[20] ^= 1, Clean(13), Clean(13)),
        row(
            "the other slot damaged",
            |_, files| files.get_mut("durable").unwrap()[512 + 20] ^= 1,
            Clean(13),
            Clean(13),
        ),
        row("both slots damaged", |_, files| files.get_mut("durable").unwrap().fill(5), Clean(13), Clean(13)),
        row("a slot file cut short", |_, files| files.get_mut("durable").unwrap().truncate(30), Clean(13), Clean(13)),
        row("an empty slot file", |_, files| files.get_mut("durable").unwrap().clear(), Clean(13), Clean(13)),
    ]
}

/// What else may lie in the directory, or alone.
fn leftovers() -> Vec<Row> {
    fn alone(files: &mut Snapshot, name: &str) {
        files.clear();
        files.insert(name.into(), vec![1; 100]);
    }
    vec![
        row("nothing at all", |_, files| files.clear(), Clean(0), Clean(0)),
        row("only a .torn left", |_, files| alone(files, "0000000000000001-0000000000002048.torn"), Damage, Damage),
        row("only an .idx left", |_, files| alone(files, "0000000000000001.idx"), Damage, Damage),
        row("only slots left", |_, files| files.retain(|name, _| name == "durable"), Damage, Damage),
        row(
            "only a slot file of zeros left",
            |_, files| {
                files.clear();
                files.insert("durable".into(), vec![0; 576]);
            },
            Clean(0),
            Clean(0),
        ),
        row(
            "only a segment being prepared left",
            |_, files| alone(files, "next-0123456789abcdef.tmp"),
            Clean(0),
            Clean(0),
        ),
        row(
            "a segment being prepared",
            |_, files| {
                files.insert("next-0123456789abcdef.tmp".into(), vec![0; 4096]);
            },
            Clean(13),
            Clean(13),
        ),
        row(
            "a segment prepared to continue, not renamed yet",
            |log, files| {
                let header =
                    SegmentHeader { id: 4, first_index: 13, previous_link: log.header(3).link, ..log.header(3) };
                files.insert("next-0123456789abcdef.tmp".into(), header.sealed().block().to_vec());
            },
            Clean(13),
            Clean(13),
        ),
        row(
            "a name that is none of ours",
            |_, files| {
                files.insert("notes.txt".into(), b"mine".to_vec());
            },
            Clean(13),
            Clean(13),
        ),
        row("no sidecars", |_, files| files.retain(|name, _| !name.ends_with(".idx")), Clean(13), Clean(13)),
        row(
            "a sidecar of garbage",
            |_, files| {
                files.insert("0000000000000001.idx".into(), vec![9; 333]);
            },
            Clean(13),
            Clean(13),
        ),
        row(
            "a sidecar of another segment",
            |_, files| {
                let other = files["0000000000000002.idx"].clone();
                files.insert("0000000000000001.idx".into(), other);
            },
            Clean(13),
            Clean(13),
        ),
    ]
}
