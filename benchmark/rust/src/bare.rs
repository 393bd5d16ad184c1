//! The floor: the same frames (a header of 16 bytes, CRC-32C, payload, padding to 8) in the same buffer of 256 KiB, written
//! by the same `pwrite`s into a file that was allocated and zero-written before. No index, no lock, no recovery, no rotation.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use memmap2::Mmap;

use crate::Task;
use crate::measure::{Outcome, each, passes, steps};
use crate::payload::{BATCH, Payloads, shuffle};

const HEADER: usize = 16;
const GROUP: usize = 256 << 10;

/// Frames gathered in a buffer, and the file they go to.
struct Writer {
    file: File,
    buffer: Vec<u8>,
    position: u64,
}

fn path(task: &Task) -> PathBuf {
    task.dir.join("bare.log")
}

fn frame_len(size: usize) -> usize {
    (HEADER + size).next_multiple_of(8)
}

impl Writer {
    fn create(task: &Task) -> Outcome<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path(task))?;
        // What is written before the clock starts (a quarter at the most), and the last stride, need room too.
        let room = (task.records + task.records / 4 + 512) * frame_len(task.size) as u64;
        let zeros = vec![0; 1 << 20];
        for position in (0..room).step_by(zeros.len()) {
            file.write_all_at(&zeros, position)?;
        }
        if task.run.starts_with("durable") || task.run.starts_with("group") {
            file.sync_all()?;
        }
        Ok(Self { file, buffer: Vec::with_capacity(GROUP), position: 0 })
    }

    #[inline]
    fn append(&mut self, data: &[u8], index: u32) -> Outcome<()> {
        let len = frame_len(data.len());
        if self.buffer.len() + len > GROUP {
            self.flush()?;
        }
        self.buffer.extend_from_slice(&crc_fast::crc32_iscsi(data).to_le_bytes());
        self.buffer.extend_from_slice(&(data.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(&index.to_le_bytes());
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(data);
        self.buffer.resize(self.buffer.len().next_multiple_of(8), 0);
        Ok(())
    }

    fn flush(&mut self) -> Outcome<()> {
        self.file.write_all_at(&self.buffer, self.position)?;
        self.position += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn sync(&mut self) -> Outcome<()> {
        self.flush()?;
        Ok(self.file.sync_data()?)
    }
}

/// The payload of the frame at `at`, verified, and where the next frame begins; `None` at the end.
#[inline]
fn frame_at(bytes: &[u8], at: usize) -> Outcome<Option<(&[u8], usize)>> {
    let word = |k: usize| bytes.get(at + k..at + k + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    let len = word(4) as usize;
    if len == 0 {
        return Ok(None);
    }
    let payload = bytes.get(at + HEADER..at + HEADER + len).ok_or("a frame is cut off")?;
    if crc_fast::crc32_iscsi(payload) != word(0) {
        return Err(format!("checksum at {at}").into());
    }
    Ok(Some((payload, at + frame_len(len))))
}

fn map(task: &Task) -> Outcome<Mmap> {
    let file = File::open(path(task))?;
    // SAFETY: this process, and no other, wrote the file, and nobody writes to it or shortens it while it is mapped.
    Ok(unsafe { Mmap::map(&file) }?)
}

/// Runs one job, and gives its result as JSON.
pub fn run(task: &Task) -> Outcome<String> {
    let payloads = Payloads::new(task.size);
    match task.run.as_str() {
        "fill" => fill(task, payloads),
        "read" => read(task, &payloads),
        "get" => get(task, &payloads),
        _ => write(task, payloads),
    }
}

fn write(task: &Task, payloads: Payloads) -> Outcome<String> {
    let mut state = (Writer::create(task)?, payloads);
    let flush = |(writer, _): &mut (Writer, Payloads)| writer.flush();
    match task.run.as_str() {
        "append" => {
            let step = |(writer, payloads): &mut (Writer, Payloads), i| writer.append(payloads.stamp(i), i as u32);
            steps(task, &mut state, (1, 256), step, flush)
        }
        "batch" => {
            let step = |(writer, payloads): &mut (Writer, Payloads), i: u64| {
                let packed = payloads.stamp_batch(i);
                for (k, record) in packed.chunks_exact(packed.len() / BATCH as usize).enumerate() {
                    writer.append(record, i as u32 + k as u32)?;
                }
                Ok(())
            };
            steps(task, &mut state, (BATCH, 4), step, flush)
        }
        "durable" => {
            let step = |(writer, payloads): &mut (Writer, Payloads), i| {
                writer.append(payloads.stamp(i), i as u32)?;
                writer.sync()
            };
            steps(task, &mut state, (1, 1), step, flush)
        }
        "group" => {
            let step = |(writer, payloads): &mut (Writer, Payloads), i| {
                for k in i..i + task.outstanding {
                    writer.append(payloads.stamp(k), k as u32)?;
                }
                writer.sync()
            };
            steps(task, &mut state, (task.outstanding, 1), step, flush)
        }
        "tail" => {
            let (mut writer, mut payloads) = state;
            each(task, |i| writer.append(payloads.stamp(i), i as u32))
        }
        other => Err(format!("no job is called {other}").into()),
    }
}

fn fill(task: &Task, mut payloads: Payloads) -> Outcome<String> {
    let mut writer = Writer::create(task)?;
    for i in 0..task.records {
        writer.append(payloads.stamp(i), i as u32)?;
    }
    writer.flush()?;
    Ok(format!("{{\"ops\":{}}}", task.records))
}

fn read(task: &Task, payloads: &Payloads) -> Outcome<String> {
    let bytes = map(task)?;
    passes(task, || {
        let (mut at, mut i) = (0, 0);
        while let Some((payload, next)) = frame_at(&bytes, at)? {
            payloads.check(payload, i)?;
            (at, i) = (next, i + 1);
        }
        Ok(i)
    })
}

/// The record is verified and copied out, as `get` does it.
fn get(task: &Task, payloads: &Payloads) -> Outcome<String> {
    let bytes = map(task)?;
    let mut next = shuffle(task.records);
    let mut copy = vec![0; task.size];
    let step = |copy: &mut Vec<u8>, _| {
        let index = next();
        let at = index as usize * frame_len(task.size);
        let (payload, _) = frame_at(&bytes, at)?.ok_or("nothing there")?;
        copy.copy_from_slice(payload);
        Ok(payloads.check(copy, index)?)
    };
    let gets = Task { records: task.gets, run: task.run.clone(), dir: task.dir.clone(), ..*task };
    steps(&gets, &mut copy, (1, 32), step, |_| Ok(()))
}
