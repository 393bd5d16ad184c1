//! Removing messages: from the start of a log by moving where it begins, from anywhere by rewriting segments without them.

mod replaced;
mod rule;
mod segment;
mod trim;

use std::sync::Arc;

use varve_format::Message;
use varve_segment::Care;

use crate::error::Result;
use crate::remove::replaced::Replaced;
use crate::writer::Log;

pub(crate) use segment::Moving;

pub use rule::Rule;

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Segments that went, or were rewritten.
    pub segments: u64,
    /// Messages.
    pub entries: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

impl Removed {
    pub(crate) fn add(&mut self, more: Self) {
        self.segments += more.segments;
        self.entries += more.entries;
        self.bytes += more.bytes;
    }
}

/// Which messages of a segment go.
#[derive(Debug)]
enum Which {
    /// Those with these offsets, which rise.
    Offsets(Vec<u64>),
    /// Those with a later one of the same key, older than this.
    Updates(i64),
    /// Those without a value, older than this, with nothing of their key before them.
    Deletes(i64),
}

/// A removal that is under way, a segment a step. What a step has done stays done, whatever becomes of the rest; it is durable. Dropped, it ends there.
#[derive(Debug)]
pub struct Removal {
    log: Arc<Log>,
    /// What is still to be done, in turn.
    passes: Vec<Which>,
    /// The segments that are left of the pass, the next one last.
    segments: Vec<u64>,
    begun: bool,
    replaced: Option<Replaced>,
    removed: Removed,
    offsets: Vec<u64>,
}

impl Log {
    /// Removes the messages with these offsets, where they are.
    pub fn delete(self: &Arc<Self>, mut offsets: Vec<u64>) -> Result<Removal> {
        offsets.sort_unstable();
        offsets.dedup();
        self.removal(vec![Which::Offsets(offsets)])
    }

    /// Removes messages that were replaced by later ones of the same key, and then those without a value that have nothing left to delete; of both those
    /// older than `before`, in microseconds since the Unix epoch. Messages without a key stay. Keys that are not indexed are for as long as it lasts.
    pub fn compact(self: &Arc<Self>, before: i64) -> Result<Removal> {
        self.removal(vec![Which::Updates(before), Which::Deletes(before)])
    }

    /// Removes the messages that `rule` means.
    pub fn trim(self: &Arc<Self>, rule: &Rule) -> Result<Removal> {
        match rule {
            Rule::UpdatesBefore(time) => self.removal(vec![Which::Updates(*time)]),
            Rule::DeletesBefore(time) => self.removal(vec![Which::Deletes(*time)]),
            _ => {
                let mut removal = self.removal(Vec::new())?;
                let (to, start) = (self.prefix_end(rule)?, self.start_offset());
                if to > start {
                    // The first that is left: behind `to` messages may have been removed before.
                    let first = self.first_from(to, &mut |message| Some(message.offset))?;
                    removal.removed = self.trim_to(first.unwrap_or_else(|| self.next_offset()))?;
                }
                Ok(removal)
            }
        }
    }

    /// Offsets of the messages that `rule` means. `care` may call it off.
    pub fn matching(self: &Arc<Self>, rule: &Rule, care: &Care) -> Result<Vec<u64>> {
        self.wal.check_open()?;
        let which = match rule {
            Rule::UpdatesBefore(time) => Which::Updates(*time),
            Rule::DeletesBefore(time) => Which::Deletes(*time),
            _ => return self.offsets_below(self.prefix_end(rule)?, care),
        };
        let mut found = Vec::new();
        let mut replaced = Replaced::new(self)?;
        self.each_held(care, &mut |message| {
            if goes(&which, &mut replaced, message)? {
                found.push(message.offset);
            }
            Ok(true)
        })?;
        Ok(found)
    }

    fn removal(self: &Arc<Self>, mut passes: Vec<Which>) -> Result<Removal> {
        self.wal.check_writable()?;
        passes.reverse();
        Ok(Removal {
            log: Arc::clone(self),
            passes,
            segments: Vec::new(),
            begun: false,
            replaced: None,
            removed: Removed::default(),
            offsets: Vec::new(),
        })
    }
}

fn goes(which: &Which, replaced: &mut Replaced, message: &Message<'_>) -> Result<bool> {
    match which {
        Which::Offsets(offsets) => Ok(offsets.binary_search(&message.offset).is_ok()),
        Which::Updates(before) => Ok(message.time < *before && replaced.has_later(message)?),
        Which::Deletes(before) => {
            Ok(message.time < *before && message.value.is_none() && !replaced.has_earlier(message)?)
        }
    }
}

impl Removal {
    /// What has been removed so far.
    pub fn removed(&self) -> Removed {
        self.removed
    }

    /// Offsets of the messages that [`Log::delete`] has removed so far.
    pub fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// Does the next segment. False: there was none, and all is done.
    pub fn step(&mut self, care: &Care) -> Result<bool> {
        loop {
            let Some(which) = self.passes.last() else { return Ok(false) };
            if !self.begun {
                self.segments = self.log.segments_of(which)?;
                if !self.segments.is_empty() {
                    self.log.settle_producers()?;
                }
                self.segments.reverse();
                care.expect(self.segments.len() as u64, 0);
                if !matches!(which, Which::Offsets(_)) && self.replaced.is_none() {
                    self.replaced = Some(Replaced::new(&self.log)?);
                }
                self.begun = true;
            }
            if let Some(id) = self.segments.pop() {
                let mut replaced = match self.replaced.take() {
                    Some(replaced) => replaced,
                    None => Replaced::none(&self.log),
                };
                let keep_offsets = matches!(which, Which::Offsets(_));
                let done = self.log.rewrite_without(id, &mut |message| goes(which, &mut replaced, message));
                self.replaced = Some(replaced);
                let (removed, offsets) = done?;
                self.removed.add(removed);
                if keep_offsets {
                    self.offsets.extend(offsets);
                }
                care.done_segment(0);
                return Ok(true);
            }
            self.passes.pop();
            self.begun = false;
            if self.passes.is_empty() {
                let emptied = self.log.drop_emptied()?;
                self.removed.bytes += emptied.bytes;
                self.replaced = None;
            }
        }
    }
}
