//! Dropping whole segments from the start of a log: by age, number and size, unless somebody objects.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use varve_segment::Segment;

use crate::error::{Error, Result};
use crate::listen::News;
use crate::options::WalOptions;
use crate::segments::SegmentInfo;
use crate::writer::Wal;

/// What is kept. What is `None` is no reason to remove anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// A segment goes when it was sealed so many microseconds ago.
    pub max_age_micros: Option<i64>,
    /// So many are kept, whatever the rules say. Default 1, and never fewer.
    pub min_segments: Option<usize>,
    /// At most so many are kept.
    pub max_segments: Option<usize>,
    /// At most so many bytes of files are kept.
    pub max_bytes: Option<u64>,
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Segments.
    pub segments: u64,
    /// Records in them.
    pub entries: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

/// Segments that are to go, oldest first, put before those who may object.
#[derive(Debug)]
pub struct Question {
    /// Number of the question.
    pub number: u64,
    /// The segments.
    pub segments: Vec<SegmentInfo>,
}

/// The question that is open, and who has not answered it yet.
#[derive(Debug, Default)]
struct Desk {
    number: u64,
    open: Option<Open>,
    last: (u64, Option<Result<Removed>>),
    /// Listeners that want to be asked.
    askers: Vec<u64>,
}

/// Removes what may go when all have answered: it is told how many of the segments, from the first on, that are.
pub type Remove = Box<dyn FnOnce(&Arc<Wal>, usize) -> Result<Removed> + Send>;

struct Open {
    question: Arc<Question>,
    waiting: Vec<u64>,
    allowed: usize,
    remove: Remove,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("question", &self.question).field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

/// Retention at work.
#[derive(Debug, Default)]
pub(crate) struct Retainer {
    rules: Mutex<Option<Retention>>,
    desk: Mutex<Desk>,
    answered: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Retainer {
    pub(crate) fn new(rules: Option<Retention>) -> Self {
        Self { rules: Mutex::new(rules), ..Self::default() }
    }

    pub(crate) fn rules(&self) -> Option<Retention> {
        *lock(&self.rules)
    }

    pub(crate) fn set_rules(&self, rules: Retention) {
        *lock(&self.rules) = Some(rules);
    }
}

impl Retention {
    /// Segments that are kept, whatever the rules say.
    pub(crate) fn least(&self) -> usize {
        self.min_segments.unwrap_or(1).max(1)
    }

    /// A rule that is asked for, and is not what `open` has: its name, and both values.
    fn differs(&self, open: &Self) -> Option<(&'static str, String, String)> {
        fn pair<T: PartialEq + Copy + std::fmt::Display>(
            name: &'static str,
            asked: Option<T>,
            has: Option<T>,
        ) -> Option<(&'static str, String, String)> {
            let asked = asked.filter(|asked| has != Some(*asked))?;
            Some((name, asked.to_string(), has.map_or("not set".to_owned(), |has| has.to_string())))
        }
        let millis = |micros: Option<i64>| micros.map(|micros| micros / 1000);
        pair("maxAgeMs", millis(self.max_age_micros), millis(open.max_age_micros))
            .or_else(|| pair("minSegments", self.min_segments, open.min_segments))
            .or_else(|| pair("maxSegments", self.max_segments, open.max_segments))
            .or_else(|| pair("maxBytes", self.max_bytes, open.max_bytes))
    }

    /// How many of `segments`, all that there are, oldest first, have to go. The last one is active, and never goes.
    fn count(&self, segments: &[Arc<Segment>], now: i64) -> usize {
        let total = segments.len();
        let most = total.saturating_sub(self.least());
        let by_number = self.max_segments.map_or(0, |kept| total.saturating_sub(kept));
        let mut bytes: u64 = segments.iter().map(|segment| segment.written()).sum();
        let too_large = segments.iter().take_while(|segment| {
            let over = self.max_bytes.is_some_and(|most| bytes > most);
            bytes -= segment.written();
            over
        });
        let by_bytes = if self.max_bytes.is_some() { too_large.count() } else { 0 };
        let is_old = |segment: &&Arc<Segment>| {
            let sealed = segment.end().map(|end| end.sealed_micros);
            sealed.zip(self.max_age_micros).is_some_and(|(sealed, age)| now.saturating_sub(sealed) > age)
        };
        let by_age = segments.iter().take_while(is_old).count();
        by_number.max(by_bytes).max(by_age).min(most)
    }
}

impl Wal {
    /// Has `listener` asked before segments are removed. It answers by [`Wal::answer`]; as long as it has not, they stay.
    pub fn object(&self, listener: u64) {
        lock(&self.retainer.desk).askers.push(listener);
    }

    /// Asks `listener` no more. A question that it has not answered is answered with no.
    pub(crate) fn object_no_more(self: &Arc<Self>, listener: u64) {
        let mut desk = lock(&self.retainer.desk);
        desk.askers.retain(|asker| *asker != listener);
        let number = desk.number;
        drop(desk);
        self.answer(listener, number, 0);
    }

    /// Answers question `number`: the first `allowed` of its segments may go. Who answers last removes them.
    pub fn answer(self: &Arc<Self>, listener: u64, number: u64, allowed: usize) {
        let mut desk = lock(&self.retainer.desk);
        let Some(open) = desk.open.as_mut().filter(|open| open.question.number == number) else { return };
        let before = open.waiting.len();
        open.waiting.retain(|waiting| *waiting != listener);
        if open.waiting.len() == before {
            return;
        }
        open.allowed = open.allowed.min(allowed);
        if open.waiting.is_empty() {
            let open = desk.open.take();
            drop(desk);
            if let Some(open) = open {
                self.close_question(open);
            }
        }
    }

    fn close_question(self: &Arc<Self>, open: Open) {
        let removed = (open.remove)(self, open.allowed);
        lock(&self.retainer.desk).last = (open.question.number, Some(removed));
        self.retainer.answered.notify_all();
    }

    /// Asks what retention wants to remove, and removes it when all have answered. Gives the number of the question; 0: nothing has to go.
    pub fn begin_retention(self: &Arc<Self>) -> Result<u64> {
        self.check_writable()?;
        let Some(rules) = self.retainer.rules() else { return Ok(0) };
        let all = self.set.all();
        let count = rules.count(&all, self.directory.machine().now_micros());
        if count == 0 {
            return Ok(0);
        }
        let asked = all.get(..count).unwrap_or_default();
        let ids: Vec<u64> = asked.iter().map(|segment| segment.header.id).collect();
        let remove = move |wal: &Arc<Self>, allowed: usize| match ids.get(..allowed).and_then(<[_]>::last) {
            Some(last) => wal.drop_through(*last),
            None => Ok(Removed::default()),
        };
        Ok(self.ask(asked, Box::new(remove)))
    }

    /// Asks whether `segments` may go, and has `remove` called when all have answered: at once, where nobody wants to be asked. Gives the number of the
    /// question: of the one that is open, if one is.
    pub fn ask(self: &Arc<Self>, segments: &[Arc<Segment>], remove: Remove) -> u64 {
        let next_index = self.next_index();
        let segments = segments.iter().map(|segment| SegmentInfo::of(segment, next_index)).collect();
        let mut desk = lock(&self.retainer.desk);
        if let Some(open) = &desk.open {
            return open.question.number;
        }
        desk.number += 1;
        let question = Arc::new(Question { number: desk.number, segments });
        let number = question.number;
        let (allowed, waiting) = (question.segments.len(), desk.askers.clone());
        let open = Open { allowed, waiting, question: Arc::clone(&question), remove };
        #[cfg(feature = "mutants")]
        let open = if varve_format::Mutant::NoAnswers.is_on() { Open { waiting: Vec::new(), ..open } } else { open };
        if open.waiting.is_empty() {
            drop(desk);
            self.close_question(open);
        } else {
            desk.open = Some(open);
            drop(desk);
            self.listeners.tell(&News::MayDelete(question));
        }
        number
    }

    /// Removes what retention wants to, and returns when that is done and durable.
    pub fn enforce_retention(self: &Arc<Self>) -> Result<Removed> {
        let number = self.begin_retention()?;
        if number == 0 {
            return Ok(Removed::default());
        }
        let removed = self.await_answers(number)?;
        self.sync()?;
        self.sweep();
        Ok(removed)
    }

    /// Waits until question `number` is answered. Gives what was removed then.
    pub fn await_answers(&self, number: u64) -> Result<Removed> {
        let mut desk = lock(&self.retainer.desk);
        loop {
            if desk.last.0 >= number {
                // A later question was answered meanwhile: it tells of what was left.
                return desk.last.1.clone().unwrap_or(Ok(Removed::default()));
            }
            if self.is_closed() {
                return Err(Error::Closed);
            }
            desk = self.retainer.answered.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// An error if retention is asked for that is not what the open log has. One that has none takes it.
    pub(crate) fn agree_on_retention(&self, options: &WalOptions) -> Result<()> {
        match (options.retention, self.retainer.rules()) {
            (Some(asked), Some(has)) => match asked.differs(&has) {
                Some((name, asked, has)) => Err(Error::invalid(format!(
                    "retention.{name} is {has} in the open log, and {asked} was asked for; use the same values"
                ))),
                None => Ok(()),
            },
            (Some(asked), None) => {
                self.retainer.set_rules(asked);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn stop_retention(&self) {
        let _under_the_lock_so_that_none_is_missed = lock(&self.retainer.desk);
        self.retainer.answered.notify_all();
    }
}
