//! Those who are asked before retention removes anything, and answer when they come to it.

use std::sync::{Arc, Mutex, PoisonError};

use varve_wal::{News, Question, Wal};

/// Who is asked, in the order in which they came.
#[derive(Default)]
pub(crate) struct Objectors {
    all: Vec<Objector>,
    /// The least that was allowed so far of the question with this number.
    allowed: (u64, usize),
}

struct Objector {
    listener: u64,
    asked: Arc<Mutex<Option<Arc<Question>>>>,
}

impl Objector {
    fn take(&self) -> Option<Arc<Question>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is_asked(&self) -> bool {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// An answer that is about to be given.
pub(crate) struct Answer {
    listener: u64,
    number: u64,
    allowed: usize,
    /// The last segment that may go, if this is the last answer, and any may.
    pub(crate) through: Option<u64>,
}

impl Answer {
    pub(crate) fn give(&self, wal: &Arc<Wal>) {
        wal.answer(self.listener, self.number, self.allowed);
    }
}

impl Objectors {
    /// True if nothing is removed without an answer.
    pub(crate) fn are_asked(&self) -> bool {
        !self.all.is_empty()
    }

    /// One more is asked from the next question on.
    pub(crate) fn object(&mut self, wal: &Arc<Wal>) {
        let asked = Arc::<Mutex<Option<Arc<Question>>>>::default();
        let told = Arc::clone(&asked);
        let listener = wal.listen(Arc::new(move |news| {
            if let News::MayDelete(question) = news {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(question));
            }
        }));
        wal.object(listener);
        self.all.push(Objector { listener, asked });
    }

    /// The next answer to the question that is open.
    pub(crate) fn answer(&mut self, allowed: usize) -> Option<Answer> {
        let (listener, question) = self.all.iter().find_map(|objector| Some((objector.listener, objector.take()?)))?;
        let number = question.number;
        let least = if self.allowed.0 == number { self.allowed.1 } else { question.segments.len() };
        self.allowed = (number, least.min(allowed));
        let is_last = !self.all.iter().any(Objector::is_asked);
        let may_go = question.segments.get(..self.allowed.1).filter(|_| is_last);
        let through = may_go.and_then(<[_]>::last).map(|segment| segment.id);
        Some(Answer { listener, number, allowed, through })
    }

    /// The log is closed: nobody is asked any more.
    pub(crate) fn clear(&mut self) {
        self.all.clear();
    }
}
