//! Where readers stand: a truncation has to know who has seen what it drops.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The log has changed: what was read ahead is to be read again.
const READ_AGAIN: u8 = 1;
/// Records that were returned are no more part of the log.
const OVERTAKEN: u8 = 2;

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
    signal: AtomicU8,
    /// A truncation of what it has returned is refused.
    blocks: bool,
    mirror: Option<Box<dyn Mirror>>,
}

impl Place {
    pub(crate) fn new(next: u64, blocks: bool, mirror: Option<Box<dyn Mirror>>) -> Self {
        Self { next: AtomicU64::new(next), signal: AtomicU8::new(0), blocks, mirror }
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
        self.signal.load(Ordering::Acquire) != 0
    }

    /// Where to read on; `None` if the reader has been overtaken.
    pub(crate) fn resume(&self) -> Option<u64> {
        let signal = self.signal.compare_exchange(READ_AGAIN, 0, Ordering::AcqRel, Ordering::Acquire);
        (signal != Err(OVERTAKEN)).then(|| self.stands().0)
    }

    /// The reader has been put elsewhere, by its own wish.
    pub(crate) fn settle(&self, next: u64) {
        self.signal.store(0, Ordering::Release);
        self.move_to(next);
    }

    fn interrupt(&self, signal: u8) {
        self.signal.fetch_max(signal, Ordering::AcqRel);
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

    /// Index of a record at `next_index` or behind it that a reader has returned, if one has.
    pub(crate) fn beyond(&self, next_index: u64) -> Option<u64> {
        let stands = self.live().into_iter().filter(|place| place.blocks).map(|place| place.stands());
        stands.filter(|(next, returned)| *returned && *next > next_index).map(|(next, _)| next - 1).max()
    }

    /// The log ends before `next_index` now, whatever follows: who stands behind it is overtaken, all others read again what they had ahead.
    pub(crate) fn cut(&self, next_index: u64) {
        for place in self.live() {
            place.interrupt(if place.stands().0 > next_index { OVERTAKEN } else { READ_AGAIN });
        }
    }

    /// The log begins later now.
    pub(crate) fn trimmed(&self) {
        self.live().iter().for_each(|place| place.interrupt(READ_AGAIN));
    }
}
