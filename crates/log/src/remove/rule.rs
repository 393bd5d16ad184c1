//! Which messages a trim or a search means.

use std::sync::Arc;

use varve_format::{Message, Provenance, frame_len};
use varve_segment::Care;

use crate::entry::{self, Input};
use crate::error::{Error, Result};
use crate::writer::Log;

/// One rule. Times are microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// From the start of the log, as long as messages are older.
    OlderThan(i64),
    /// From the start of the log, up to an offset.
    BeforeOffset(u64),
    /// From the start of the log, until so many are left.
    KeepMessages(u64),
    /// From the start of the log, until those left take so many bytes, by [`Log::size_of`].
    KeepBytes(u64),
    /// Those whose key comes again later in the log, of those that are older.
    UpdatesBefore(i64),
    /// Those without a value, and with nothing for their key before them, of those that are older.
    DeletesBefore(i64),
}

/// Bytes that one message takes in a table of the key index.
const KEY_ENTRY: u64 = 8;

impl Log {
    /// Bytes that a message takes on disk, uncompressed and not in a group, with its index entries.
    pub fn size_of(&self, input: &Input<'_>) -> u64 {
        let mut bytes = Vec::with_capacity(input.len() + 64);
        entry::write_single(&mut bytes, 0, input, Provenance::NONE);
        self.framed(bytes.len())
    }

    fn framed(&self, payload: usize) -> u64 {
        frame_len(payload) as u64 + if self.key_index { KEY_ENTRY } else { 0 }
    }

    fn size_of_message(&self, message: &Message<'_>) -> u64 {
        let (key, value, headers) = (message.key, message.value, message.headers.as_bytes());
        self.size_of(&Input { key, value, headers, time: message.time })
    }

    /// Offset up to which `rule`, one of those that remove from the start, removes.
    pub(crate) fn prefix_end(self: &Arc<Self>, rule: &Rule) -> Result<u64> {
        loop {
            let held = (self.moves(), self.start_offset());
            let end = self.prefix_end_now(rule, held.1)?;
            // What was removed while it was counted was counted, and is not there to be passed over.
            if held == (self.moves(), self.start_offset()) {
                return Ok(end);
            }
        }
    }

    fn prefix_end_now(self: &Arc<Self>, rule: &Rule, start: u64) -> Result<u64> {
        let next = self.next_offset();
        let care = Care::default();
        match *rule {
            Rule::BeforeOffset(offset) if offset > next => {
                Err(Error::OutOfRange { what: "beforeOffset", offset, first: start, last: next })
            }
            Rule::BeforeOffset(offset) => Ok(offset.max(start)),
            Rule::OlderThan(time) => {
                // Segments all of whose messages are older need not be read.
                let older = self.sealed.all().into_iter().take_while(|one| one.max_time < time).last();
                let from = older.map_or(start, |one| one.end.max(start));
                let young = self.first_from(from, &mut |message| (message.time >= time).then_some(message.offset))?;
                Ok(young.unwrap_or(next))
            }
            Rule::KeepMessages(keep) => {
                let held = self.count(start, next)?;
                let Some(mut gone) = held.checked_sub(keep).filter(|gone| *gone > 0) else { return Ok(start) };
                let mut from = start;
                for one in self.sealed.all() {
                    let here = self.count(from, one.end.max(from))?;
                    if here > gone {
                        break;
                    }
                    (gone, from) = (gone - here, one.end.max(from));
                }
                let first_kept = self.first_from(from, &mut |message| {
                    let kept = gone == 0;
                    gone = gone.saturating_sub(1);
                    kept.then_some(message.offset)
                })?;
                Ok(first_kept.unwrap_or(next))
            }
            Rule::KeepBytes(keep) => {
                let mut total = 0;
                self.each_held(&care, &mut |message| {
                    total += self.size_of_message(message);
                    Ok(true)
                })?;
                let mut to = start;
                self.each_held(&care, &mut |message| {
                    if total <= keep {
                        return Ok(false);
                    }
                    total -= self.size_of_message(message);
                    to = message.offset + 1;
                    Ok(true)
                })?;
                Ok(to)
            }
            Rule::UpdatesBefore(_) | Rule::DeletesBefore(_) => Ok(start),
        }
    }

    /// Messages held from `from` up to `to`.
    pub(crate) fn count(self: &Arc<Self>, from: u64, to: u64) -> Result<u64> {
        let mut count = 0;
        for one in self.sealed.all() {
            let (first, last) = (one.base.max(from), one.end.min(to));
            if first >= last {
                continue;
            }
            count += if first == one.base && last == one.end {
                one.messages
            } else if one.messages == one.end - one.base {
                last - first
            } else {
                self.count_by_reading(first, last)?
            };
        }
        let tail = self.tail.lock();
        let (base, end, messages) = (tail.outline.base(), tail.outline.end(), tail.outline.messages());
        drop(tail);
        let (first, last) = (base.max(from), end.min(to));
        Ok(count
            + match () {
                () if first >= last => 0,
                () if first == base && last == end => messages,
                () if messages == end - base => last - first,
                () => self.count_by_reading(first, last)?,
            })
    }

    fn count_by_reading(self: &Arc<Self>, from: u64, to: u64) -> Result<u64> {
        let mut count = 0;
        self.first_from(from, &mut |message| {
            let within = message.offset < to;
            count += u64::from(within);
            (!within).then_some(())
        })?;
        Ok(count)
    }

    /// Hands all messages held to `look`, until it gives false.
    pub(crate) fn each_held(
        self: &Arc<Self>,
        care: &Care,
        look: &mut dyn FnMut(&Message<'_>) -> Result<bool>,
    ) -> Result<()> {
        let mut outcome = Ok(());
        self.first_from(self.start_offset(), &mut |message| {
            if care.is_aborted() {
                outcome = Err(varve_segment::Error::Aborted.into());
                return Some(());
            }
            match look(message) {
                Ok(true) => None,
                Ok(false) => Some(()),
                Err(error) => {
                    outcome = Err(error);
                    Some(())
                }
            }
        })?;
        outcome
    }

    pub(crate) fn offsets_below(self: &Arc<Self>, to: u64, care: &Care) -> Result<Vec<u64>> {
        let mut offsets = Vec::new();
        self.each_held(care, &mut |message| {
            let goes = message.offset < to;
            if goes {
                offsets.push(message.offset);
            }
            Ok(goes)
        })?;
        Ok(offsets)
    }
}
