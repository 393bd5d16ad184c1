//! What a log may hold: every state that it was in, in order, and which of them a crash may not go back behind.

use std::sync::Arc;

use varve_format::frame_len;

use crate::failure::Failure;

/// A state of the log: what an operation, done whole, leaves.
#[derive(Debug, Clone)]
pub struct Point {
    first: u64,
    records: Arc<Vec<Arc<[u8]>>>,
    /// Index after the last committed record.
    committed: u64,
    /// While this was the newest state, every record below it was said to be durable.
    durable: u64,
    /// Lengths of the frames that were added to come here.
    frames: Vec<usize>,
}

impl Point {
    /// Index of the first record.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Index after the last record.
    pub fn next(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// Index after the last committed record.
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// The bytes of record `index`.
    pub fn get(&self, index: u64) -> Option<&[u8]> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.records.get(at).map(|bytes| &**bytes)
    }

    /// Sum of the lengths of all records.
    pub fn bytes(&self) -> u64 {
        self.records.iter().map(|bytes| bytes.len() as u64).sum()
    }

    /// True if the records that were said to be durable in the `later` state are here.
    fn keeps(&self, later: &Self) -> bool {
        let both = self.first.max(later.first)..later.durable;
        both.is_empty()
            || both.into_iter().all(|index| self.get(index).is_some() && self.get(index) == later.get(index))
    }
}

/// The states that may be found.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// What was committed in this one is.
    sure: usize,
    from: usize,
    to: usize,
}

/// The history of one log. Every operation is added before it is tried: it may have happened, whatever became of the call.
#[derive(Debug, Clone)]
pub struct Model {
    points: Vec<Point>,
    disk: usize,
    os: usize,
}

impl Model {
    /// Of a log that begins at index `first`.
    pub fn new(first: u64) -> Self {
        let empty = Point { first, records: Arc::default(), committed: first, durable: 0, frames: Vec::new() };
        Self { points: vec![empty], disk: 0, os: 0 }
    }

    /// The newest state.
    pub fn now(&self) -> &Point {
        // There is always one.
        &self.points[self.points.len() - 1]
    }

    /// A state by its number.
    pub fn point(&self, at: usize) -> &Point {
        &self.points[at]
    }

    /// Index of the first record.
    pub fn first(&self) -> u64 {
        self.now().first
    }

    /// Index after all that was tried.
    pub fn next(&self) -> u64 {
        self.now().next()
    }

    /// Where the newest state ends that was acknowledged as durable, or returned by a log that was opened again.
    pub fn disk(&self) -> u64 {
        self.points[self.disk].next()
    }

    /// Where the newest state ends that was acknowledged as the system's.
    pub fn os(&self) -> u64 {
        self.points[self.os].next()
    }

    /// The bytes of record `index`.
    pub fn get(&self, index: u64) -> Option<&[u8]> {
        self.now().get(index)
    }

    fn push(&mut self, frames: Vec<usize>, change: impl FnOnce(&mut Point)) {
        let mut point = Point { frames, durable: 0, ..self.now().clone() };
        change(&mut point);
        self.points.push(point);
    }

    /// Records that are tried as one batch.
    pub fn attempt(&mut self, batch: impl IntoIterator<Item = Arc<[u8]>>) {
        let batch: Vec<_> = batch.into_iter().collect();
        let frames = batch.iter().map(|bytes| frame_len(bytes.len())).collect();
        self.push(frames, |point| Arc::make_mut(&mut point.records).extend(batch));
    }

    /// Every record from `next` on is dropped.
    pub fn truncate_after(&mut self, next: u64) {
        self.push(Vec::new(), |point| {
            let keep = usize::try_from(next - point.first).unwrap_or(usize::MAX);
            Arc::make_mut(&mut point.records).truncate(keep);
            point.committed = point.committed.min(next);
        });
    }

    /// Every record before `first` is dropped, by a frame of `frame` bytes.
    pub fn truncate_before(&mut self, first: u64, frame: usize) {
        self.push(vec![frame], |point| {
            let gone = usize::try_from(first - point.first).unwrap_or(usize::MAX);
            Arc::make_mut(&mut point.records).drain(..gone);
            point.first = first;
            point.committed = point.committed.max(first);
        });
    }

    /// Every record is dropped, and the next one gets the index `next`.
    pub fn reset(&mut self, next: u64) {
        let durable = 0;
        self.points.push(Point { first: next, records: Arc::default(), committed: next, durable, frames: Vec::new() });
    }

    /// Every record below `count` is committed.
    pub fn commit(&mut self, count: u64) {
        self.push(Vec::new(), |point| point.committed = point.committed.max(count));
    }

    /// The last operation was not begun.
    pub fn take_back(&mut self) {
        self.points.pop();
    }

    /// All so far was handed to the system.
    pub fn flushed(&mut self) {
        self.os = self.points.len() - 1;
    }

    /// All so far is durable.
    pub fn synced(&mut self) {
        self.flushed();
        self.disk = self.os;
    }

    /// The machine lost power: what only the system had may be gone.
    pub fn lost_power(&mut self) {
        self.os = self.disk;
    }

    /// The log says that every record below `index` is durable.
    pub fn said_durable(&mut self, index: u64) -> Result<(), Failure> {
        let last = self.points.len() - 1;
        let least = self.points[self.disk..].iter().map(Point::next).min().unwrap_or(0);
        if index > self.next() || index < least {
            return Err(Failure::new(format!("the durable index {index} is not in {least} to {}", self.next())));
        }
        let point = &mut self.points[last];
        point.durable = point.durable.max(index);
        Ok(())
    }

    /// A log that was opened again was found in state `at`: what lies behind must never come back, what lies before never vanish.
    pub fn found(&mut self, at: usize, committed: u64) {
        let found = Point { committed, durable: 0, frames: Vec::new(), ..self.points[at].clone() };
        *self = Self { points: vec![found], disk: 0, os: 0 };
    }

    /// The same, of a log that has only grown.
    pub fn reopened(&mut self, next: u64) {
        let at = self.points.iter().rposition(|point| point.next() == next).unwrap_or(0);
        self.found(at, self.points[at].committed);
    }

    /// The states that a power loss may leave.
    pub fn without_power(&self) -> Bounds {
        Bounds { sure: self.disk, from: self.disk, to: self.points.len() - 1 }
    }

    /// Those that the end of the process may leave, at any moment since the last operation that returned.
    pub fn without_process(&self) -> Bounds {
        Bounds { sure: self.os, from: self.os, to: self.points.len() - 1 }
    }

    /// State `at` alone.
    pub fn exactly(&self, at: usize) -> Bounds {
        Bounds { sure: self.os.min(at), from: at, to: at }
    }

    /// The newest state alone.
    pub fn exactly_now(&self) -> Bounds {
        self.exactly(self.points.len() - 1)
    }

    /// The state in which a log is that hands `pending` bytes of frames to the system no more: whole operations only.
    pub fn without_buffered(&self, pending: usize) -> Result<usize, Failure> {
        let mut left = pending;
        for (at, point) in self.points.iter().enumerate().rev() {
            if left == 0 {
                return Ok(at);
            }
            for frame in point.frames.iter().rev().take_while(|_| at > 0) {
                if left == 0 {
                    break;
                }
                left = left.checked_sub(*frame).ok_or_else(|| Failure::new("part of a frame is in the buffer"))?;
            }
        }
        Err(Failure::new(format!("{pending} bytes are in the buffer, more than were appended")))
    }

    /// The newest state within `bounds` that is the one found: by where it begins and ends, what is committed, and what `same` says of the records.
    pub fn find(
        &self,
        bounds: &Bounds,
        (first, next, committed): (u64, u64, u64),
        mut same: impl FnMut(&Point) -> Result<(), Failure>,
    ) -> Result<usize, Failure> {
        let mut why = Failure::new(format!("the log is {first} to {next}, committed {committed}"));
        for at in (bounds.from..=bounds.to).rev() {
            let point = &self.points[at];
            if (point.first, point.next()) != (first, next) {
                continue;
            }
            let sure = &self.points[bounds.sure.min(at)..=at];
            let least = sure.iter().map(|point| point.committed).min().unwrap_or(0).clamp(first, next);
            if let Some(later) = self.points[at + 1..].iter().find(|later| !point.keeps(later)) {
                why = Failure::new(format!(
                    "all below {} was said to be durable; found {first} to {next}",
                    later.durable
                ));
            } else if !(least..=point.committed).contains(&committed) {
                why = Failure::new(format!("committed is {committed}, and not {least} to {}", point.committed));
            } else if let Err(differs) = same(point) {
                why = differs;
            } else {
                return Ok(at);
            }
        }
        let outline = |point: &Point| format!("{}..{} ({})", point.first, point.next(), point.committed);
        let states: Vec<_> = self.points[bounds.from..=bounds.to].iter().map(outline).collect();
        Err(Failure::new(format!("{}; it was in the states {}", why.what, states.join(", "))))
    }

    /// An error unless a log that has only grown may end at `next` after a crash that keeps what was acknowledged below `least`.
    pub fn admits(&self, next: u64, least: u64) -> Result<(), Failure> {
        if next < least {
            return Err(Failure::new(format!("the log ends at {next}; all below {least} was acknowledged")));
        }
        if next > self.next() {
            return Err(Failure::new(format!("the log ends at {next}; only {} was ever appended", self.next())));
        }
        if self.points.iter().any(|point| point.next() == next) {
            return Ok(());
        }
        Err(Failure::new(format!("the log ends at {next}, within a batch")))
    }
}
