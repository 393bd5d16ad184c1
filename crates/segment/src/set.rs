//! The segments of a log, in order; and those that are no more part of it, until nobody holds them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use varve_format::Bound;

use crate::directory::Directory;
use crate::error::Result;
use crate::name::FileName;
use crate::segment::{Hold, Segment};

/// The segments that readers may look at: sealed ones, and the active one last.
#[derive(Debug, Default)]
pub struct SegmentSet {
    live: RwLock<Vec<Arc<Segment>>>,
    retired: Mutex<Vec<Retired>>,
    /// How many are retired: looked at without the lock.
    waiting: AtomicUsize,
}

/// A segment that is no more part of the log.
#[derive(Debug, Clone)]
struct Retired {
    segment: Arc<Segment>,
    /// Its file may go when everything before this place is durable: then what drops it is.
    after: Bound,
}

impl SegmentSet {
    /// A set of `segments`, in order.
    pub fn new(segments: Vec<Arc<Segment>>) -> Self {
        Self { live: RwLock::new(segments), ..Self::default() }
    }

    fn with<R>(&self, look: impl FnOnce(&[Arc<Segment>]) -> R) -> R {
        look(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<R>(&self, change: impl FnOnce(&mut Vec<Arc<Segment>>) -> R) -> R {
        change(&mut self.live.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn retired(&self) -> MutexGuard<'_, Vec<Retired>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the new active segment.
    pub(crate) fn push(&self, segment: Arc<Segment>) {
        self.change(|all| all.push(segment));
    }

    /// Puts `segments` in the place of all from the one at `from` on.
    pub(crate) fn replace_from(&self, from: usize, segments: impl IntoIterator<Item = Arc<Segment>>) {
        self.change(|all| {
            all.truncate(from);
            all.extend(segments);
        });
    }

    /// Puts `new`, which has the same id, in the place of `old`, if that is there. Who holds the old one keeps it.
    pub(crate) fn replace(&self, old: &Arc<Segment>, new: Arc<Segment>) {
        self.change(|all| {
            if let Some(place) = all.iter_mut().find(|segment| Arc::ptr_eq(segment, old)) {
                *place = new;
            }
        });
    }

    /// Takes the first `count` segments out of the log; their files go after `after` is durable. Gives them.
    pub fn retire_first(&self, count: usize, after: Bound) -> Vec<Arc<Segment>> {
        let gone: Vec<_> = self.change(|all| all.drain(..count.min(all.len())).collect());
        self.retire(gone.iter().cloned(), after);
        gone
    }

    /// The files of `segments`, which are no more in the set, go after `after` is durable.
    pub(crate) fn retire(&self, segments: impl IntoIterator<Item = Arc<Segment>>, after: Bound) {
        let mut retired = self.retired();
        for segment in segments {
            segment.retire();
            retired.push(Retired { segment, after });
        }
        self.waiting.store(retired.len(), Ordering::Release);
    }

    /// True if files wait to be removed.
    #[inline]
    pub fn has_retired(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// The segments whose files wait to be removed.
    pub fn waiting(&self) -> Vec<Arc<Segment>> {
        self.retired().iter().map(|one| Arc::clone(&one.segment)).collect()
    }

    /// Removes the files of retired segments, as far as everything before `durable` is durable and nobody holds them; with `held`, those too.
    /// Gives those that went, and the first error: what is left is tried again by the next sweep, or the next open.
    pub fn sweep(&self, directory: &Directory, durable: Bound, held: bool) -> (Vec<Arc<Segment>>, Result<()>) {
        if !self.has_retired() {
            return (Vec::new(), Ok(()));
        }
        let mut retired = self.retired();
        let (mut gone, mut outcome) = (Vec::new(), Ok(()));
        retired.retain(|one| {
            if outcome.is_err() || one.after > durable || (one.segment.holds() > 0 && !held) {
                return true;
            }
            if one.segment.kept.is_outdated() {
                // Its name is that of the segment which was written in its place.
                return false;
            }
            match remove(directory, one.segment.header.id) {
                Ok(()) => gone.push(Arc::clone(&one.segment)),
                Err(error) => outcome = Err(error),
            }
            outcome.is_err()
        });
        self.waiting.store(retired.len(), Ordering::Release);
        (gone, outcome)
    }

    /// The segment that holds `index`, or would.
    pub fn find(&self, index: u64) -> Option<Arc<Segment>> {
        self.with(|all| {
            let behind = all.partition_point(|segment| segment.header.first_index <= index);
            all.get(behind.saturating_sub(1)).cloned()
        })
    }

    /// The segment with this id.
    pub fn by_id(&self, id: u64) -> Option<Arc<Segment>> {
        self.with(|all| {
            all.binary_search_by_key(&id, |segment| segment.header.id).ok().and_then(|at| all.get(at).cloned())
        })
    }

    /// The segment with this id, held; retired ones too, as long as they are there.
    pub fn hold(&self, id: u64) -> Option<Hold> {
        // Under both locks: a sweep does not remove it between the search and the hold.
        let retired = self.retired();
        let found = self.by_id(id);
        found.or_else(|| retired.iter().map(|one| &one.segment).find(|one| one.header.id == id).cloned()).map(Hold::new)
    }

    /// The same, if it has this salt: of a segment that was rewritten there may be two, one of them no more part of the log.
    pub fn hold_salted(&self, id: u64, salt: u64) -> Option<Hold> {
        let retired = self.retired();
        let is_it = |segment: &&Arc<Segment>| segment.header.id == id && segment.header.salt == salt;
        let live = self.by_id(id);
        live.iter().chain(retired.iter().map(|one| &one.segment)).find(is_it).cloned().map(Hold::new)
    }

    /// The segment after the one with this id.
    pub fn after(&self, id: u64) -> Option<Arc<Segment>> {
        self.with(|all| all.get(all.partition_point(|segment| segment.header.id <= id)).cloned())
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Segment>> {
        self.with(<[_]>::to_vec)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.with(<[_]>::len)
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Removes the files of segment `id`: the segment first, since a sidecar alone is worthless, and one that stays behind keeps the id taken.
fn remove(directory: &Directory, id: u64) -> Result<()> {
    match directory.unlink(FileName::Segment(id)) {
        Err(error) if !error.is_missing() => Err(error),
        _ => {
            let _derived = [FileName::Sidecar(id), FileName::Digest(id)].map(|name| directory.unlink(name));
            Ok(())
        }
    }
}
