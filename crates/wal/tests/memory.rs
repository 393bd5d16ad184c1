//! Memory is bounded by what the files justify: a hostile directory makes nobody allocate more than a small multiple of
//! its own size.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use varve_format::{
    BatchFlags, DATA_START, DISTANCE_UNKNOWN, DurableSlot, Footer, FrameKind, FramePlace, MOST, SegmentHeader,
    SidecarHeader, place_frame, read_header_block,
};
use varve_io::{Machine, RealMachine};
use varve_wal::{Care, Fill, TABLE_LEN, Wal, WalOptions, check, recover, salvage, stat};

/// Counts what is allocated, and how much it has been at the most.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn took(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: all is done by the system's allocator; this counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        took(size);
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What any of it may take beside what the files justify: windows, the group buffer, tables.
const ALWAYS: usize = 6 << 20;

const OPTIONS: fn() -> WalOptions =
    || WalOptions { segment_size: Some(64 << 10), codec: "bytes".into(), ..WalOptions::default() };

/// A directory that is gone at the end.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn machine() -> Arc<dyn Machine> {
    Arc::new(RealMachine::new())
}

fn segment(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:016}.seg"))
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

fn put_frame(bytes: &mut [u8], at: usize, kind: FrameKind, index: u32, payload: &[u8]) {
    let salt = read_header_block(&bytes[..1024]).unwrap().header.salt;
    let place =
        FramePlace { salt, position: at as u64, kind, batch: BatchFlags::ALONE, index, distance: DISTANCE_UNKNOWN };
    bytes[at..at + 16].copy_from_slice(&place_frame(&place, payload));
    bytes[at + 16..at + 16 + payload.len()].copy_from_slice(payload);
}

fn change_footer(path: &Path, change: impl FnOnce(&mut Footer)) {
    edit(path, |bytes| {
        let at = bytes.len() - 128;
        let mut footer = Footer::decode(bytes[at + 16..].first_chunk().unwrap());
        change(&mut footer);
        put_frame(bytes, at, FrameKind::Footer, 20, &footer.encode());
    });
}

fn change_header(path: &Path, change: impl FnOnce(&mut SegmentHeader)) {
    edit(path, |bytes| {
        let mut header = read_header_block(&bytes[..1024]).unwrap().header;
        change(&mut header);
        bytes[..1024].copy_from_slice(&header.sealed().block());
    });
}

/// Three segments of twenty records each, closed, with sidecars.
fn log(dir: &Path) {
    let wal = Wal::open(machine(), dir, &OPTIONS()).unwrap();
    for index in 0..60_u8 {
        if index > 0 && index % 20 == 0 {
            wal.rotate().unwrap();
        }
        wal.append(&[index; 100], None).unwrap();
    }
    wal.close().unwrap();
}

/// Reads what can be read, in both ways, through a slab that grows as it must.
fn read(wal: &Arc<Wal>) {
    let (first, next) = (wal.first_index(), wal.next_index());
    for index in [first, first + 1, 19, 20, 45, next / 2, next.saturating_sub(1), next, MOST] {
        let _found = wal.get(index, <[u8]>::len);
        let _place = wal.position_of(index);
        let Ok(mut reader) = wal.reader(index, None) else { continue };
        let (mut slab, mut table) = (vec![0; 4096], [0; TABLE_LEN]);
        for _ in 0..100 {
            match reader.fill(&mut slab, &mut table) {
                Ok(Fill::Needs(bytes)) => slab.resize(bytes, 0),
                Ok(Fill::Records(1..)) => {}
                _ => break,
            }
        }
    }
    let _all = (wal.stats(), wal.segments());
}

/// Does all that a user may do with a directory. What comes of it is of no interest here, as long as it comes.
fn use_it(dir: &Path) {
    let salvaged = dir.with_extension("salvaged");
    let _outcomes = (
        stat(machine(), dir).is_ok(),
        check(machine(), dir, &Care::default()).is_ok(),
        salvage(machine(), dir, &salvaged, &Care::default()).is_ok(),
    );
    let _gone = std::fs::remove_dir_all(&salvaged);
    if let Ok(wal) = Wal::follow(machine(), dir, &OPTIONS()) {
        read(&wal);
        let _closed = wal.close();
    }
    for (verify, skip) in [(false, false), (true, false), (false, true), (true, true)] {
        let options = WalOptions { verify: Some(verify), skip_damage: Some(skip), ..OPTIONS() };
        if let Ok(wal) = Wal::open(machine(), dir, &options) {
            read(&wal);
            let _written = (wal.append(b"x", None).is_ok(), wal.sync().is_ok());
            let _closed = wal.close();
        }
    }
    let _recovered = recover(machine(), dir, &Care::default()).is_ok();
}

/// Bytes that segments take on the disk: holes justify nothing, and neither does a sidecar.
fn justified(dir: &Path) -> usize {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let segments = files.filter(|path| path.extension().is_some_and(|ending| ending == "seg"));
    let blocks = |path: PathBuf| std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(path).unwrap());
    usize::try_from(segments.map(blocks).sum::<u64>() * 512).unwrap()
}

type Case = (&'static str, fn(&Path));

const CASES: &[Case] = &[
    ("nothing", |_| {}),
    ("a footer with more records than fit", |dir| {
        change_footer(&segment(dir, 1), |footer| (footer.records, footer.next_index) = (1 << 42, 1 << 42));
    }),
    ("a footer with an index far away, and a next segment that begins there", |dir| {
        change_footer(&segment(dir, 1), |footer| footer.next_index = 1 << 50);
        change_header(&segment(dir, 2), |header| header.first_index = 1 << 50);
    }),
    ("a footer with an end and a sum far away", |dir| {
        change_footer(&segment(dir, 2), |footer| (footer.data_end, footer.payload_bytes) = (1 << 60, u64::MAX));
    }),
    ("a footer with a bound far away", |dir| {
        change_footer(&segment(dir, 2), |footer| {
            (footer.durable_segment, footer.durable_position) = (1 << 52, 1 << 52)
        });
    }),
    ("a frame of 128 MiB whose check fits", |dir| {
        edit(&segment(dir, 1), |bytes| {
            let at = usize::try_from(DATA_START).unwrap() + 16 + 48;
            let salt = read_header_block(&bytes[..1024]).unwrap().header.salt;
            let (kind, batch) = (FrameKind::Record, BatchFlags::ALONE);
            let place = FramePlace { salt, position: at as u64, kind, batch, index: 0, distance: DISTANCE_UNKNOWN };
            bytes[at..at + 16].copy_from_slice(&place_frame(&place, &vec![0; 1 << 27]));
        });
    }),
    ("headers with a capacity far away", |dir| {
        for id in 1..4 {
            change_header(&segment(dir, id), |header| header.capacity = 1 << 62);
        }
    }),
    ("headers with a first index far away", |dir| change_header(&segment(dir, 1), |header| header.first_index = MOST)),
    ("a last segment that is a hole of 128 MiB", |dir| {
        change_header(&segment(dir, 3), |header| header.capacity = 1 << 27);
        std::fs::File::options().write(true).open(segment(dir, 3)).unwrap().set_len(1 << 27).unwrap();
    }),
    ("a last segment that is longer than it says", |dir| {
        std::fs::File::options().write(true).open(segment(dir, 3)).unwrap().set_len(1 << 40).unwrap();
    }),
    ("sidecars of 16 MiB", |dir| {
        for id in 1..4 {
            std::fs::write(dir.join(format!("{id:016}.idx")), vec![7; 16 << 20]).unwrap();
        }
    }),
    ("a sidecar that claims more than it has", |dir| {
        let path = dir.join(format!("{:016}.idx", 1));
        edit(&path, |bytes| {
            let mut header = SidecarHeader::decode(bytes.first_chunk().unwrap());
            header.count = 1 << 60;
            bytes[..SidecarHeader::LEN].copy_from_slice(&header.encode());
            let sum = varve_format::checksum(&bytes[..60]);
            bytes[60..64].copy_from_slice(&sum.to_le_bytes());
        });
    }),
    ("a slot that says that all is durable", |dir| {
        edit(&dir.join("durable"), |bytes| {
            let mut slot = DurableSlot::read(&bytes[..DurableSlot::LEN]).unwrap();
            (slot.sequence, slot.segment, slot.position, slot.next_index) = (1 << 50, 1 << 52, 1 << 52, 1 << 52);
            bytes[..DurableSlot::LEN].copy_from_slice(&slot.sealed().encode());
        });
    }),
    ("a gap to the last index there is", |dir| {
        let wal = Wal::open(machine(), dir, &OPTIONS()).unwrap();
        wal.skip_to(MOST - 100).unwrap();
        wal.append(b"behind", None).unwrap();
        wal.close().unwrap();
    }),
    ("a reset to the last index there is", |dir| {
        let wal = Wal::open(machine(), dir, &OPTIONS()).unwrap();
        wal.reset(MOST - 100).unwrap();
        wal.close().unwrap();
    }),
    ("a name with a great number", |dir| {
        std::fs::rename(segment(dir, 3), segment(dir, 9_999_999_999_999_999)).unwrap()
    }),
    ("a missing segment", |dir| std::fs::remove_file(segment(dir, 2)).unwrap()),
];

#[test]
fn a_hostile_directory_takes_no_more_memory_than_its_files_justify() {
    let scratch = Place(std::env::temp_dir().join(format!("varve-memory-{}", std::process::id())));
    for (number, (what, change)) in CASES.iter().enumerate() {
        let dir = scratch.0.join(format!("{number}"));
        log(&dir);
        change(&dir);
        let before = NOW.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let justified = justified(&dir);
        use_it(&dir);
        let took = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        println!("{what}: {took} bytes, for {justified} on the disk");
        assert!(took <= ALWAYS + 4 * justified, "{what}: {took} bytes, for {justified} on the disk");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
