//! The log that all rows begin with, and how to damage it.

use std::ops::Range;

use varve_format::{
    BatchFlags, DATA_START, DISTANCE_UNKNOWN, DurableSlot, Frame, FrameKind, FramePlace, SLOT_POSITIONS, SegmentHeader,
    frame_len, place_frame, read_header_block,
};
use varve_io::sim::SimMachine;
use varve_segment::FileName;
use varve_testkit::{Snapshot, open, snapshot};
use varve_wal::WalOptions;

/// What an open makes of a directory, and where the log ends then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Writing goes on where it was.
    Clean(u64),
    /// Writing goes on in a segment that continues.
    Sealed(u64),
    /// A tail is cut.
    Torn(u64),
    /// Refused: what was durable is not there.
    Damage,
    /// Refused: not a log of ours.
    Unsupported,
}

/// Records of the log: four a segment, and one more; 10 and 11 are a batch, and 12 was written behind the last sync, if there was one.
pub const RECORDS: u64 = 13;

pub fn options() -> WalOptions {
    WalOptions { segment_size: Some(64 << 10), codec: "bytes".into(), ..WalOptions::default() }
}

/// The bytes of record `index`.
pub fn record(index: u64) -> Vec<u8> {
    let word = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    word.into_iter().cycle().take(40 + usize::try_from(index % 16).unwrap()).collect()
}

/// Name of the file of segment `id`.
pub fn segment(id: u64) -> String {
    FileName::Segment(id).to_string()
}

/// Three segments that a killed process has left.
pub struct Log {
    pub files: Snapshot,
    /// Where the frames of the records are: segment and bytes.
    places: Vec<(u64, Range<usize>)>,
    /// Where the frames of the last segment end.
    pub end: usize,
}

impl Log {
    /// With `synced`, the durable bound lies behind record 11, and both a slot and the frame of record 12 tell it; else it is where the log began.
    pub fn new(synced: bool) -> Self {
        Self::seeded(3, synced)
    }

    /// The same, with other random numbers.
    pub fn seeded(seed: u64, synced: bool) -> Self {
        let machine = SimMachine::new(seed);
        let wal = open(&machine, &options()).unwrap();
        for index in 0..10 {
            if index == 4 || index == 8 {
                wal.rotate().unwrap();
            }
            wal.append(&record(index), Some(index)).unwrap();
        }
        let batch = [record(10), record(11)];
        let ends = [u32::try_from(batch[0].len()).unwrap(), u32::try_from(batch.concat().len()).unwrap()];
        wal.append_packed(&batch.concat(), &ends, Some(10)).unwrap();
        while machine.run_job() {}
        if synced {
            wal.sync().unwrap();
        }
        wal.append(&record(12), Some(12)).unwrap();
        wal.flush().unwrap();
        let files = snapshot(&machine);
        machine.crash_after(0);
        drop(wal);
        machine.drop_jobs();
        let mut log = Self { files, places: Vec::new(), end: 0 };
        for id in 1..=3 {
            let header = log.header(id);
            let bytes = &log.files[&segment(id)];
            let mut at = usize::try_from(DATA_START).unwrap();
            while let Ok(frame) = Frame::read(&bytes[at..], header.salt, at as u64) {
                if frame.kind == FrameKind::Record {
                    log.places.push((id, at..at + frame.len()));
                }
                at += frame.len();
            }
            log.end = at;
        }
        assert_eq!(log.places.len() as u64, RECORDS);
        log
    }

    pub fn header(&self, id: u64) -> SegmentHeader {
        read_header_block(&self.files[&segment(id)]).unwrap().header
    }

    /// The file of a record, and the bytes of its frame.
    pub fn place(&self, index: usize) -> (String, Range<usize>) {
        let (id, bytes) = self.places[index].clone();
        (segment(id), bytes)
    }

    /// Writes `value` over the frame of a record.
    pub fn fill(&self, files: &mut Snapshot, index: usize, value: u8) {
        let (file, bytes) = self.place(index);
        files.get_mut(&file).unwrap()[bytes].fill(value);
    }

    /// Flips bits of byte `at` of a record's frame.
    pub fn flip(&self, files: &mut Snapshot, index: usize, at: usize) {
        let (file, bytes) = self.place(index);
        files.get_mut(&file).unwrap()[bytes.start + at] ^= 0x41;
    }

    /// Puts bytes behind the last frame.
    pub fn behind(&self, files: &mut Snapshot, bytes: &[u8]) {
        files.get_mut(&segment(3)).unwrap()[self.end..self.end + bytes.len()].copy_from_slice(bytes);
    }

    /// A frame of the last segment that is intact behind the last one, for record `index`, written with `salt`.
    pub fn frame(&self, index: u64, salt: u64, batch: BatchFlags) -> Vec<u8> {
        let payload = record(index);
        let place = FramePlace {
            salt,
            position: self.end as u64,
            kind: FrameKind::Record,
            batch,
            index: u32::try_from(index - 8).unwrap(),
            distance: DISTANCE_UNKNOWN,
        };
        let mut frame = [place_frame(&place, &payload).as_slice(), &payload].concat();
        frame.resize(frame_len(payload.len()), 0);
        frame
    }

    /// Writes a header over that of segment `id`, in both copies.
    pub fn reheader(&self, files: &mut Snapshot, id: u64, header: SegmentHeader) {
        let block = header.sealed().block();
        files.get_mut(&segment(id)).unwrap()[..block.len()].copy_from_slice(&block);
    }

    /// The file `durable` with this bound of this log in both slots.
    pub fn slots(log: u64, segment: u64, position: u64, next_index: u64) -> Vec<u8> {
        let mut file = vec![0; 576];
        for (sequence, at) in (90..).zip(SLOT_POSITIONS) {
            let slot = DurableSlot { magic: 0, sequence, segment, position, next_index, log, checksum: 0 };
            let at = usize::try_from(at).unwrap();
            file[at..at + DurableSlot::LEN].copy_from_slice(&slot.sealed().encode());
        }
        file
    }
}
