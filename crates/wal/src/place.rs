//! Where readers stand: a truncation has to know who has seen what it drops.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Where a reader stands that reads ahead of those it returns records to: they keep the place, and are told when it has to be looked at.
pub trait Mirror: Send + Sync + Debug {
    /// Index of the next record to be returned, and whether the one before it was; `None` where nobody keeps it any more.
    fn place(&self) -> Option<(u64, bool)>;

    /// What was read ahead may no more be so.
    fn interrupt(&self);
}

/// Where one reader stands.
#[derive(Debug)]
pub(crate) struct Place {
    next: AtomicU64,
    /// The log has changed: what was read ahead is to be read again.
    interrupted: AtomicBool,
    /// The log has been cut at this index since the reader last looked; the least one, whatever has followed.
    cut: AtomicU64,
    /// A truncation of what it has returned is refused.
    blocks: bool,
    mirror: Option<Box<dyn Mirror>>,
}

impl Place {
    pub(crate) fn new(next: u64, blocks: bool, mirror: Option<Box<dyn Mirror>>) -> Self {
        let (interrupted, cut) = (AtomicBool::new(false), AtomicU64::new(u64::MAX));
        Self { next: AtomicU64::new(next), interrupted, cut, blocks, mirror }
    }

    /// Index of the next record to be returned, and whether the one before it was.
    fn stands(&self) -> (u64, bool) {
        let own = self.next.load(Ordering::Acquire);
        self.mirror.as_ref().and_then(|mirror| mirror.place()).unwrap_or((own, true))
    }

    /// The reader has come to record `next`.
    pub(crate) fn move_to(&self, next: u64) {
        self.next.store(next, Ordering::Release);
    }

    #[inline]
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    /// Where to read on; `None` if records that were returned are no more part of the log: that stays so.
    pub(crate) fn resume(&self) -> Option<u64> {
        self.interrupted.store(false, Ordering::Release);
        let (next, _) = self.stands();
        if next > self.cut.load(Ordering::Acquire) {
            self.interrupted.store(true, Ordering::Release);
            return None;
        }
        // A cut that comes now finds where it stands by itself.
        self.cut.store(u64::MAX, Ordering::Release);
        Some(next)
    }

    /// The reader has been put elsewhere, by its own wish.
    pub(crate) fn settle(&self, next: u64) {
        self.cut.store(u64::MAX, Ordering::Release);
        self.interrupted.store(false, Ordering::Release);
        self.move_to(next);
    }

    /// What is ahead is to be read again.
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
        if let Some(mirror) = &self.mirror {
            mirror.interrupt();
        }
    }
}

/// The places of all readers of a log.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<Vec<Weak<Place>>>);

impl Places {
    fn list(&self) -> MutexGuard<'_, Vec<Weak<Place>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, place: &Arc<Place>) {
        let mut list = self.list();
        // Now and then those that are gone are dropped: never more than half of the list.
        if list.len() == list.capacity() {
            list.retain(|place| place.strong_count() > 0);
        }
        list.push(Arc::downgrade(place));
    }

    fn live(&self) -> Vec<Arc<Place>> {
        self.list().iter().filter_map(Weak::upgrade).collect()
    }

    /// Index of a record at `next_index` or behind it that a reader has returned, if one has. Who has been overtaken already blocks nothing more.
    pub(crate) fn beyond(&self, next_index: u64) -> Option<u64> {
        let live = self.live().into_iter().filter(|place| place.blocks);
        let stands = live.map(|place| (place.stands(), place.cut.load(Ordering::Acquire)));
        let beyond = stands.filter(|((next, returned), cut)| *returned && *next > next_index && next <= cut);
        beyond.map(|((next, _), _)| next - 1).max()
    }

    /// The log ends before `next_index` now, whatever follows: who has come past it is overtaken, all others read again what they had ahead.
    pub(crate) fn cut(&self, next_index: u64) {
        for place in self.live() {
            place.cut.fetch_min(next_index, Ordering::AcqRel);
            place.interrupt();
        }
    }

    /// The log begins later now.
    pub(crate) fn trimmed(&self) {
        self.live().iter().for_each(|place| place.interrupt());
    }
}
