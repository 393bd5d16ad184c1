//! Removing from the start of a log by rule: what is too old, too much or too many goes, unless somebody objects or a consumer has not read it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use varve_segment::Segment;
use varve_wal::News;

use crate::error::{Error, Result};
use crate::remove::{Removed, Rule};
use crate::writer::Log;

/// A block of a disk: files take whole ones.
const BLOCK: u64 = 4096;

/// What is kept. What is `None` is no reason to remove anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// A message goes when it is older than so many microseconds, and all before it have gone.
    pub max_age_micros: Option<i64>,
    /// At most so many bytes of segments are kept, as the disk counts them, what is prepared ahead not counted. Whole segments go, never the active one.
    pub max_bytes: Option<u64>,
    /// At most so many messages are kept.
    pub max_messages: Option<u64>,
}

/// What the rules would remove, and a cursor with `holds` keeps: as of the last time they were applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Messages.
    pub messages: u64,
    /// Bytes of them in segments, about.
    pub bytes: u64,
}

/// Retention of a log.
#[derive(Debug, Default)]
pub(crate) struct Retainer {
    rules: Mutex<Option<Retention>>,
    held: Mutex<Held>,
    /// What was removed since the log was opened.
    removed: Mutex<Removed>,
    /// Rotations are listened to.
    listens: AtomicBool,
}

/// What is to go.
#[derive(Debug)]
struct Plan {
    /// All below this offset.
    to: u64,
    /// The segments that hold nothing else, and the first offset of each.
    segments: Vec<Arc<Segment>>,
    bases: Vec<u64>,
}

/// What has become of it.
#[derive(Debug)]
enum Begun {
    Done(Removed),
    /// The question with this number has to be answered first.
    Asked(u64),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Retention {
    /// A rule that is asked for, and is not what `open` has: its name, and both values.
    fn differs(&self, open: &Self) -> Option<(&'static str, u64, Option<u64>)> {
        let millis = |micros: Option<i64>| micros.and_then(|micros| u64::try_from(micros / 1000).ok());
        let rules = [
            ("maxAgeMs", millis(self.max_age_micros), millis(open.max_age_micros)),
            ("maxBytes", self.max_bytes, open.max_bytes),
            ("maxMessages", self.max_messages, open.max_messages),
        ];
        rules
            .into_iter()
            .find_map(|(name, asked, has)| asked.filter(|asked| has != Some(*asked)).map(|asked| (name, asked, has)))
    }
}

impl Retainer {
    pub(crate) fn held(&self) -> Held {
        *lock(&self.held)
    }

    /// What was removed since the log was opened.
    pub(crate) fn removed(&self) -> Removed {
        *lock(&self.removed)
    }
}

impl Log {
    /// The rules that are in force.
    pub fn retention(&self) -> Option<Retention> {
        *lock(&self.retainer.rules)
    }

    /// Has the rules applied when they are asked for, and after each rotation.
    pub(crate) fn set_retention(&self, rules: Option<Retention>) {
        *lock(&self.retainer.rules) = rules;
        if rules.is_none() || self.wal.is_following() || self.retainer.listens.swap(true, Ordering::AcqRel) {
            return;
        }
        let (log, machine) = (Weak::clone(&self.me), self.machine());
        self.wal.listen(Arc::new(move |news| {
            if let News::Rotated(_) = news {
                let log = Weak::clone(&log);
                machine.spawn(Box::new(move || {
                    if let Some(log) = log.upgrade() {
                        let _told_by_who_asks = log.begin_retention();
                    }
                }));
            }
        }));
    }

    /// An error if retention is asked for that is not what the open log has. One that has none takes it.
    pub(crate) fn agree_on_retention(&self, asked: Option<Retention>) -> Result<()> {
        match (asked, self.retention()) {
            (Some(asked), Some(has)) => match asked.differs(&has) {
                Some((name, asked, has)) => {
                    let has = has.map_or("not set".to_owned(), |has| has.to_string());
                    Err(Error::invalid(format!(
                        "retention.{name} is {has} in the open log, and {asked} was asked for; use the same values"
                    )))
                }
                None => Ok(()),
            },
            (Some(asked), None) => {
                self.set_retention(Some(asked));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Applies the rules, and returns when what they remove is removed, and that is durable. Who wants to be asked ([`varve_wal::Wal::object`]) is waited
    /// for: so not on a thread that has to answer. Of a segment that is to stay, no message is removed, and none behind it.
    pub fn enforce_retention(self: &Arc<Self>) -> Result<Removed> {
        let removed = match self.begin_retention()? {
            Begun::Done(removed) => removed,
            Begun::Asked(number) => {
                let varve_wal::Removed { segments, entries, bytes } = self.wal.await_answers(number)?;
                Removed { segments, entries, bytes }
            }
        };
        if removed != Removed::default() {
            self.wal.sync()?;
            self.wal.sweep();
        }
        Ok(removed)
    }

    /// Applies the rules, without a wait for those who want to be asked, and for the disk: what they allow is removed when they have answered.
    pub fn apply_retention(self: &Arc<Self>) -> Result<()> {
        self.begin_retention().map(drop)
    }

    fn begin_retention(self: &Arc<Self>) -> Result<Begun> {
        self.wal.check_writable()?;
        let Some(rules) = self.retention() else { return Ok(Begun::Done(Removed::default())) };
        let Plan { to, segments, bases } = self.plan(&rules)?;
        if to <= self.start_offset() {
            return Ok(Begun::Done(Removed::default()));
        }
        if segments.is_empty() {
            return Ok(Begun::Done(self.remove_to(to)?));
        }
        let log = Weak::clone(&self.me);
        let remove = move |_: &Arc<varve_wal::Wal>, allowed: usize| {
            let Some(log) = log.upgrade() else { return Ok(varve_wal::Removed::default()) };
            let to = bases.get(allowed).map_or(to, |base| to.min(*base)).min(log.held_from());
            match log.remove_to(to) {
                Ok(Removed { segments, entries, bytes }) => Ok(varve_wal::Removed { segments, entries, bytes }),
                Err(Error::Wal(error)) => Err(error),
                Err(other) => Err(varve_segment::Error::Invalid { message: other.to_string() }.into()),
            }
        };
        Ok(Begun::Asked(self.wal.ask(&segments, Box::new(remove))))
    }

    fn remove_to(self: &Arc<Self>, to: u64) -> Result<Removed> {
        if to <= self.start_offset() {
            return Ok(Removed::default());
        }
        let removed = self.trim_to(to)?;
        lock(&self.retainer.removed).add(removed);
        Ok(removed)
    }

    /// What the rules mean now.
    fn plan(self: &Arc<Self>, rules: &Retention) -> Result<Plan> {
        self.settle_tail();
        let (wanted, held_from) = (self.wanted(rules)?, self.held_from());
        *lock(&self.retainer.held) = self.held_between(held_from.max(self.start_offset()), wanted)?;
        let wanted = match wanted > self.start_offset() {
            // The log begins with a message, if one is left.
            true => self.first_from(wanted, &mut |message| Some(message.offset))?.unwrap_or_else(|| self.next_offset()),
            false => wanted,
        };
        let mut plan = Plan { to: wanted.min(held_from), segments: Vec::new(), bases: Vec::new() };
        for one in self.sealed.all().iter().take_while(|one| one.end <= plan.to) {
            plan.segments.push(Arc::clone(&one.segment));
            plan.bases.push(one.base);
        }
        if plan.to == self.next_offset() {
            let tail = self.tail.lock();
            if tail.next_offset == plan.to && tail.outline.messages() > 0 {
                plan.segments.push(Arc::clone(&tail.segment));
                plan.bases.push(tail.outline.base());
            }
        }
        Ok(plan)
    }

    /// Offset up to which the rules remove.
    fn wanted(self: &Arc<Self>, rules: &Retention) -> Result<u64> {
        let mut to = self.start_offset();
        if let Some(age) = rules.max_age_micros {
            let now = self.wal.directory().machine().now_micros();
            to = to.max(self.prefix_end(&Rule::OlderThan(now.saturating_sub(age)))?);
        }
        if let Some(most) = rules.max_messages {
            to = to.max(self.prefix_end(&Rule::KeepMessages(most))?);
        }
        if let Some(most) = rules.max_bytes {
            // What is buffered takes its place, too.
            self.wal.flush()?;
            let sealed = self.sealed.all();
            let active = on_disk(&self.tail.lock().segment);
            let mut bytes = active + sealed.iter().map(|one| on_disk(&one.segment)).sum::<u64>();
            for one in sealed {
                if bytes <= most {
                    break;
                }
                bytes -= on_disk(&one.segment);
                to = to.max(one.end);
            }
        }
        Ok(to)
    }

    /// The least place of a cursor that holds retention.
    fn held_from(&self) -> u64 {
        let cursors = self.cursors();
        cursors.iter().filter(|cursor| cursor.holds).map(|cursor| cursor.offset).min().unwrap_or(u64::MAX)
    }

    /// What there is from `from` up to `to`.
    fn held_between(self: &Arc<Self>, from: u64, to: u64) -> Result<Held> {
        if from >= to {
            return Ok(Held::default());
        }
        let tail = self.tail.lock();
        let active = (Arc::clone(&tail.segment), tail.outline.base(), tail.outline.end());
        drop(tail);
        let sealed = self.sealed.all();
        let all = sealed.iter().map(|one| (Arc::clone(&one.segment), one.base, one.end)).chain([active]);
        let bytes = all.map(|(segment, base, end)| {
            let (span, within) = (end - base, end.min(to).saturating_sub(base.max(from)));
            // A part of a segment is taken to be as large as its share of the offsets.
            let share = u128::from(segment.written()) * u128::from(within) / u128::from(span.max(1));
            u64::try_from(share).unwrap_or(u64::MAX)
        });
        Ok(Held { bytes: bytes.sum(), messages: self.count(from, to)? })
    }
}

/// Bytes that a segment takes on the disk: of one that is sealed, its end too.
fn on_disk(segment: &Segment) -> u64 {
    let footer = if segment.end().is_some() { BLOCK } else { 0 };
    segment.written().next_multiple_of(BLOCK) + footer
}
