//! Changing what a log is made with: its indexes, and how its messages are compressed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use varve_codec::Codec;
use varve_format::{BatchFlags, Body, Entry, Group, MAX_GROUP, Message, Provenance};
use varve_io::Machine;
use varve_segment::{Care, OldRecord, Result as SegmentResult, Rewriter};

use super::as_it_is;
use crate::entry::{self, Packer};
use crate::error::Result;
use crate::options::Compression;
use crate::outline::Outline;
use crate::remove::Moving;
use crate::writer::Log;

/// Bytes of messages after which a group takes no more.
const GROUP_BYTES: usize = 64 << 10;

/// What is to be different; `None` stays as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Migrate {
    /// Keys are indexed.
    pub key_index: Option<bool>,
    /// Times are indexed.
    pub time_index: Option<bool>,
    /// How the messages that are there are compressed.
    pub compression: Option<Compression>,
}

/// A migration that is under way, a segment a step. It holds the log's lock. What a step has done stays done, and is durable; dropped, it ends there,
/// with a log that is whole, and another migration does the rest.
#[derive(Debug)]
pub struct Migration {
    machine: Arc<dyn Machine>,
    dir: PathBuf,
    log: Option<Arc<Log>>,
    compression: Option<Compression>,
    /// The segments that are left, the next one last.
    segments: Vec<u64>,
}

impl Log {
    /// Begins to change the log at `dir`, which nobody may have open. The settings are changed when this returns, durably; segments are by
    /// [`Migration::step`]. Indexes are built, or removed, by the last step, or else by the next open.
    pub fn migrate(machine: Arc<dyn Machine>, dir: &Path, to: &Migrate, care: &Care) -> Result<Migration> {
        if let Some(compression) = &to.compression {
            compression.check()?;
        }
        let options = as_it_is(&machine, dir)?;
        let log = Self::open(Arc::clone(&machine), dir, &options)?;
        if care.is_aborted() {
            return Err(varve_segment::Error::Aborted.into());
        }
        let mut tail = log.tail.lock();
        let now = (tail.state.key_index, tail.state.time_index);
        let asked = (to.key_index.unwrap_or(now.0), to.time_index.unwrap_or(now.1));
        if asked != now {
            log.change_state(&mut tail, |state| (state.key_index, state.time_index) = asked)?;
        }
        drop(tail);
        log.sync()?;
        let mut segments = Vec::new();
        if to.compression.is_some() {
            log.wal.rotate()?;
            log.settle_tail();
            segments = log.sealed.all().iter().rev().map(|one| one.segment.header.id).collect();
        }
        care.expect(segments.len() as u64, 0);
        Ok(Migration { machine, dir: dir.to_path_buf(), log: Some(log), compression: to.compression, segments })
    }
}

impl Migration {
    /// Does the next segment. False: there was none, and all is done.
    pub fn step(&mut self, care: &Care) -> Result<bool> {
        if care.is_aborted() {
            return Err(varve_segment::Error::Aborted.into());
        }
        let Some(log) = &self.log else { return Ok(false) };
        if let (Some(id), Some(compression)) = (self.segments.pop(), self.compression) {
            log.recompress(id, compression)?;
            care.done_segment(0);
            return Ok(true);
        }
        log.close()?;
        self.log = None;
        // Builds the indexes that are asked for, and removes the others.
        let options = as_it_is(&self.machine, &self.dir)?;
        Log::open(Arc::clone(&self.machine), &self.dir, &options)?.close()?;
        Ok(false)
    }
}

impl Drop for Migration {
    fn drop(&mut self) {
        if let Some(log) = self.log.take() {
            let _told_by_the_next_open = log.close();
        }
    }
}

impl Log {
    /// Writes segment `id` anew, its messages compressed by `compression`. Nothing happens where they are already.
    fn recompress(&self, id: u64, compression: Compression) -> Result<()> {
        let _one_at_a_time = self.removing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(segment) = self.wal.segment_set().by_id(id) else { return Ok(()) };
        let Some(end) = segment.end().filter(|end| end.records > 0) else { return Ok(()) };
        let first = segment.header.first_index;
        let mut as_asked = true;
        entry::each(&self.wal, first.max(self.wal.first_index()), end.next_index, |_, payload| {
            as_asked &= match Entry::decode(payload) {
                Ok(Entry::Group(group)) => group.head.codec == compression.codec.byte() || group.head.count == 0,
                _ => compression.codec == Codec::None,
            };
            Ok(())
        })?;
        if as_asked {
            return Ok(());
        }
        let mut regroup = Regroup {
            compression,
            last: first + end.records - 1,
            outline: Outline::at(self.sealed.base_of(id)),
            packer: Packer::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            bytes: Vec::new(),
            body: Vec::new(),
        };
        let mut moving = None;
        let rewritten = self.wal.rewrite(id, &mut |record, rewriter| regroup.take(record, rewriter), |_| {
            self.rewrites.fetch_add(1, Ordering::AcqRel);
            moving = Some(Moving(&self.rewrites));
        });
        if let Ok(Some(rewritten)) = &rewritten {
            self.sealed.replace_one(&self.wal, &rewritten.segment, &regroup.outline);
        }
        drop(moving);
        rewritten?;
        Ok(())
    }
}

/// A message that waits for others to be put into a group with.
struct Waiting {
    offset: u64,
    time: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<u8>,
}

impl Waiting {
    fn of(message: &Message<'_>) -> Self {
        let (key, value) = (message.key.map(<[u8]>::to_vec), message.value.map(<[u8]>::to_vec));
        Self { offset: message.offset, time: message.time, key, value, headers: message.headers.as_bytes().to_vec() }
    }

    fn message(&self) -> Message<'_> {
        let headers = varve_format::Headers::from_bytes(&self.headers);
        Message {
            offset: self.offset,
            time: self.time,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers,
        }
    }

    fn len(&self) -> usize {
        [self.key.as_ref(), self.value.as_ref(), Some(&self.headers)].into_iter().flatten().map(Vec::len).sum()
    }
}

/// Puts entries that stand alone into groups, and compresses all.
struct Regroup {
    compression: Compression,
    /// Index of the last record.
    last: u64,
    outline: Outline,
    packer: Packer,
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    bytes: Vec<u8>,
    body: Vec<u8>,
}

fn invalid(reason: impl ToString) -> varve_segment::Error {
    varve_segment::Error::Invalid { message: reason.to_string() }
}

impl Regroup {
    fn take(&mut self, record: &OldRecord<'_>, rewriter: &mut Rewriter) -> SegmentResult<()> {
        let alone = record.batch == BatchFlags::ALONE;
        match Entry::decode(record.payload).map_err(|bad| invalid(bad.reason()))? {
            Entry::Single(single) if self.compression.codec == Codec::None => {
                self.flush(rewriter)?;
                let _ = single;
                self.put(record.payload, record.batch, rewriter)?;
            }
            Entry::Single(single) if alone && single.provenance == Provenance::NONE => {
                self.wait_for_others(Waiting::of(&single.message), rewriter)?;
            }
            Entry::Single(single) => {
                self.flush(rewriter)?;
                self.packer.begin(single.message.offset, single.message.time);
                self.packer.push(&single.message).map_err(invalid)?;
                self.finish(None, single.provenance, record.batch, rewriter)?;
            }
            Entry::Group(group) => {
                self.flush(rewriter)?;
                if group.head.codec == self.compression.codec.byte() {
                    self.put(record.payload, record.batch, rewriter)?;
                } else {
                    self.pack_again(&group, record.batch, rewriter)?;
                }
            }
        }
        if record.index == self.last { self.flush(rewriter) } else { Ok(()) }
    }

    fn wait_for_others(&mut self, message: Waiting, rewriter: &mut Rewriter) -> SegmentResult<()> {
        let span = self.waiting.first().map_or(0, |first| message.offset - first.offset);
        let full = self.waiting.len() >= MAX_GROUP || self.waiting_bytes >= GROUP_BYTES;
        if full || span >= u64::from(u32::MAX) {
            self.flush(rewriter)?;
        }
        self.waiting_bytes += message.len();
        self.waiting.push(message);
        Ok(())
    }

    /// Writes the messages that wait as a group.
    fn flush(&mut self, rewriter: &mut Rewriter) -> SegmentResult<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let Some(first) = waiting.first() else { return Ok(()) };
        let time = waiting.iter().map(|message| message.time).max().unwrap_or(first.time);
        self.packer.begin(first.offset, time);
        for message in &waiting {
            self.packer.push(&message.message()).map_err(invalid)?;
        }
        self.finish(None, Provenance::NONE, BatchFlags::ALONE, rewriter)
    }

    fn pack_again(&mut self, group: &Group<'_>, batch: BatchFlags, rewriter: &mut Rewriter) -> SegmentResult<()> {
        let mut body = std::mem::take(&mut self.body);
        let raw = if entry::is_raw(group) {
            group.stored
        } else {
            entry::unpack(group, &mut body).map_err(invalid)?;
            &body
        };
        self.packer.begin(group.head.base, group.head.base_time);
        for message in Body::open(&group.head, raw).map_err(|bad| invalid(bad.reason()))?.messages() {
            self.packer.push(&message.map_err(|bad| invalid(bad.reason()))?).map_err(invalid)?;
        }
        self.body = body;
        self.finish(Some(group.head.span), group.provenance, batch, rewriter)
    }

    /// Writes the group that has been packed.
    fn finish(
        &mut self,
        span: Option<u32>,
        provenance: Provenance,
        batch: BatchFlags,
        rewriter: &mut Rewriter,
    ) -> SegmentResult<()> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        self.packer.finish(&mut bytes, span, provenance, &self.compression).map_err(invalid)?;
        let put = self.put(&bytes, batch, rewriter);
        self.bytes = bytes;
        put
    }

    fn put(&mut self, payload: &[u8], batch: BatchFlags, rewriter: &mut Rewriter) -> SegmentResult<()> {
        let noted = entry::outline(payload).is_ok_and(|(entry, _)| self.outline.push(&entry));
        if !noted {
            return Err(invalid("an entry's offset does not follow the one before"));
        }
        rewriter.push(batch, payload).map(drop)
    }
}
