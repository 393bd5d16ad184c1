//! Rewriting a segment without some of its messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use varve_codec::Codec;
use varve_format::{BatchFlags, Body, Entry, Group, Message};
use varve_segment::{ErrorCode, OldRecord, Result as SegmentResult, Rewriter};

use super::{Removed, Which};
use crate::entry::{self, Packer};
use crate::error::Result;
use crate::options::Compression;
use crate::outline::Outline;
use crate::sealed::corrupt;
use crate::writer::Log;

/// As long as it lives, entries are being given other indexes: odd then.
pub(crate) struct Moving<'a>(pub(crate) &'a AtomicU64);

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Log {
    /// Ids of the segments that may have such messages. The active one is sealed, if it may.
    pub(super) fn segments_of(&self, which: &Which) -> Result<Vec<u64>> {
        let reaches = |base: u64, end: u64| match which {
            Which::Offsets(offsets) => {
                offsets.get(offsets.partition_point(|offset| *offset < base)).is_some_and(|first| *first < end)
            }
            _ => true,
        };
        if reaches(self.active_base.load(Ordering::Acquire), u64::MAX) {
            self.wal.rotate()?;
            self.settle_tail();
        }
        let sealed = self.sealed.all().into_iter().filter(|one| one.messages > 0 && reaches(one.base, one.end));
        Ok(sealed.map(|one| one.segment.header.id).collect())
    }

    /// Takes note of segments that have been sealed since the last message.
    pub(crate) fn settle_tail(&self) {
        let mut tail = self.tail.lock();
        let mut before = u64::MAX;
        while tail.segment.end().is_some() && tail.segment.header.id != before {
            before = tail.segment.header.id;
            self.go_on(&mut tail);
        }
    }

    /// Rewrites segment `id` without the messages that `goes` means. Durable when it returns. Gives what was removed, and the offsets.
    pub(super) fn rewrite_without(
        &self,
        id: u64,
        goes: &mut dyn FnMut(&Message<'_>) -> Result<bool>,
    ) -> Result<(Removed, Vec<u64>)> {
        let _one_at_a_time = self.removing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(segment) = self.wal.segment_set().by_id(id) else { return Ok(Default::default()) };
        let Some(end) = segment.end() else { return Ok(Default::default()) };
        let (start, first) = (self.start_offset(), segment.header.first_index);
        let (mut gone, mut body) = (Vec::new(), Vec::new());
        let looked = entry::each(&self.wal, first.max(self.wal.first_index()), end.next_index, |index, payload| {
            let mut outcome = Ok(());
            let looked = entry::each_message(payload, &mut body, &mut |message| {
                match goes(message) {
                    Ok(true) if message.offset >= start => gone.push(message.offset),
                    Ok(_) => {}
                    Err(error) => outcome = Err(error),
                }
                outcome.is_ok()
            });
            looked.map_err(|reason| corrupt(&self.wal, index, reason))?;
            outcome
        });
        match looked {
            // Retention has taken it meanwhile: nothing is left to remove.
            Err(error) if error.code() == ErrorCode::OutOfRange && self.wal.first_index() > first => {
                return Ok(Default::default());
            }
            looked => looked?,
        }
        if gone.is_empty() {
            return Ok(Default::default());
        }
        self.remember_next_offset(gone.last().copied().unwrap_or(0))?;
        // One of which nothing is left stands between its neighbours still.
        let base = self.sealed.all().iter().find(|one| one.segment.header.id == id).map_or(0, |one| one.base);
        let mut kept =
            Kept { gone: &gone, outline: Outline::at(base), packer: Packer::default(), bytes: Vec::new(), body };
        let mut moving = None;
        let rewritten = self.wal.rewrite(id, &mut |record, rewriter| kept.take(record, rewriter), |_| {
            self.rewrites.fetch_add(1, Ordering::AcqRel);
            moving = Some(Moving(&self.rewrites));
        });
        let outline = std::mem::take(&mut kept.outline);
        if let Ok(Some(rewritten)) = &rewritten {
            self.sealed.replace_one(&self.wal, &rewritten.segment, &outline);
        }
        drop(moving);
        let Some(rewritten) = rewritten? else { return Ok(Default::default()) };
        let bytes = rewritten.bytes_before.saturating_sub(rewritten.bytes_after);
        Ok((Removed { segments: 1, entries: gone.len() as u64, bytes }, gone))
    }

    /// Before the last message goes: its offset is not given again.
    fn remember_next_offset(&self, last: u64) -> Result<()> {
        let mut tail = self.tail.lock();
        if last < tail.state.next_offset {
            return Ok(());
        }
        self.change_state(&mut tail, |_| {})?;
        drop(tail);
        self.wal.sync()?;
        Ok(())
    }

    /// Takes segments at the start that hold no message any more out of the log, and moves its start to the first message held.
    pub(super) fn drop_emptied(self: &Arc<Self>) -> Result<Removed> {
        let first = self.first_from(self.start_offset(), &mut |message| Some(message.offset))?;
        let to = first.unwrap_or_else(|| self.next_offset());
        let dropped = self.trim_to(to)?;
        self.wal.sync()?;
        Ok(dropped)
    }
}

/// The entries that stay.
struct Kept<'a> {
    gone: &'a [u64],
    outline: Outline,
    packer: Packer,
    bytes: Vec<u8>,
    body: Vec<u8>,
}

impl Kept<'_> {
    fn stays(&self, offset: u64) -> bool {
        self.gone.binary_search(&offset).is_err()
    }

    fn take(&mut self, record: &OldRecord<'_>, rewriter: &mut Rewriter) -> SegmentResult<()> {
        // What ties a batch together stays, though nothing may be left in it.
        let alone = record.batch == BatchFlags::ALONE;
        let invalid = |reason: &str| varve_segment::Error::Invalid { message: reason.to_owned() };
        match Entry::decode(record.payload).map_err(|bad| invalid(bad.reason()))? {
            Entry::Single(single) if self.stays(single.message.offset) => {}
            Entry::Single(_) if alone => return Ok(()),
            Entry::Single(single) => {
                self.packer.begin(single.message.offset, single.message.time);
                return self.put(1, &single.provenance, Codec::None, record, rewriter);
            }
            Entry::Group(group) => {
                let lost = self.gone.partition_point(|offset| *offset < group.head.base);
                let reached = self.gone.get(lost).is_some_and(|at| *at < group.head.base + u64::from(group.head.span));
                if reached {
                    return self.thin_out(&group, alone, record, rewriter);
                }
            }
        }
        self.note(record.payload)?;
        rewriter.push(record.batch, record.payload).map(drop)
    }

    fn thin_out(
        &mut self,
        group: &Group<'_>,
        alone: bool,
        record: &OldRecord<'_>,
        rewriter: &mut Rewriter,
    ) -> SegmentResult<()> {
        let invalid = |reason: &str| varve_segment::Error::Invalid { message: reason.to_owned() };
        let mut body = std::mem::take(&mut self.body);
        let raw = if entry::is_raw(group) {
            group.stored
        } else {
            entry::unpack(group, &mut body).map_err(invalid)?;
            &body
        };
        let mut left = Vec::with_capacity(usize::from(group.head.count));
        for message in Body::open(&group.head, raw).map_err(|bad| invalid(bad.reason()))?.messages() {
            let message = message.map_err(|bad| invalid(bad.reason()))?;
            if self.stays(message.offset) {
                left.push(message);
            }
        }
        let time = left.iter().map(|message| message.time).max();
        if time.is_none() && alone {
            self.body = body;
            return Ok(());
        }
        self.packer.begin(group.head.base, time.unwrap_or(group.head.base_time));
        for message in &left {
            self.packer.push(message).map_err(|error| invalid(&error.to_string()))?;
        }
        drop(left);
        self.body = body;
        let codec = Codec::from_byte(group.head.codec).unwrap_or_default();
        self.put(group.head.span, &group.provenance, codec, record, rewriter)
    }

    /// Puts the group that has been packed in the place of the record.
    fn put(
        &mut self,
        span: u32,
        provenance: &varve_format::Provenance,
        codec: Codec,
        record: &OldRecord<'_>,
        rewriter: &mut Rewriter,
    ) -> SegmentResult<()> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let compression = Compression { codec, level: None };
        let packed = self.packer.finish(&mut bytes, Some(span), *provenance, &compression);
        packed.map_err(|error| varve_segment::Error::Invalid { message: error.to_string() })?;
        self.note(&bytes)?;
        let pushed = rewriter.push(record.batch, &bytes).map(drop);
        self.bytes = bytes;
        pushed
    }

    fn note(&mut self, payload: &[u8]) -> SegmentResult<()> {
        let noted = entry::outline(payload).is_ok_and(|(entry, _)| self.outline.push(&entry));
        let message = "an entry's offset does not follow the one before".to_owned();
        if noted { Ok(()) } else { Err(varve_segment::Error::Invalid { message }) }
    }
}
