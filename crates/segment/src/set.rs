//! The segments of a log, in order.

use std::sync::{Arc, PoisonError, RwLock};

use crate::segment::Segment;

/// The segments that readers may look at: sealed ones, and the active one last.
#[derive(Debug, Default)]
pub struct SegmentSet(RwLock<Vec<Arc<Segment>>>);

impl SegmentSet {
    /// A set of `segments`, in order.
    pub fn new(segments: Vec<Arc<Segment>>) -> Self {
        Self(RwLock::new(segments))
    }

    fn with<R>(&self, look: impl FnOnce(&[Arc<Segment>]) -> R) -> R {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds the new active segment.
    pub(crate) fn push(&self, segment: Arc<Segment>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(segment);
    }

    /// The segment that holds `index`, or would.
    pub fn find(&self, index: u64) -> Option<Arc<Segment>> {
        self.with(|all| {
            let behind = all.partition_point(|segment| segment.header.first_index <= index);
            all.get(behind.saturating_sub(1)).cloned()
        })
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
