//! A segment that is not to go.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::segment::Segment;

/// Keeps the file of a segment where it is, whatever is removed from the log meanwhile. Readers hold the segment they stand in.
#[derive(Debug)]
pub struct Hold(Arc<Segment>);

impl Hold {
    /// Holds `segment`.
    pub fn new(segment: Arc<Segment>) -> Self {
        segment.holds.fetch_add(1, Ordering::Relaxed);
        Self(segment)
    }
}

impl std::ops::Deref for Hold {
    type Target = Arc<Segment>;

    #[inline]
    fn deref(&self) -> &Arc<Segment> {
        &self.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Ordering::Release);
    }
}
