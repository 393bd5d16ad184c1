//! Who wants to know what happens to a log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use varve_segment::Error;

use crate::retention::Question;
use crate::segments::SegmentInfo;

/// What listeners are told.
#[derive(Debug, Clone)]
pub enum News {
    /// A sync is done.
    Durable {
        /// Every record below it is durable.
        index: u64,
        /// Everything up to this ticket is: see [`crate::Wal::request_sync`].
        ticket: u64,
    },
    /// There is more to read, or less: told once to those who asked by [`crate::Wal::wake_at`].
    Moved,
    /// A segment was sealed.
    Rotated(SegmentInfo),
    /// The file of a segment is gone.
    Deleted(SegmentInfo),
    /// Retention asks whether segments may go.
    MayDelete(Arc<Question>),
    /// The log has failed.
    Failed(Error),
}

/// Told of what happens, on the thread that brought it about. Must be quick, and must not call the log.
pub type Listener = Arc<dyn Fn(&News) + Send + Sync>;

/// All listeners of a log.
#[derive(Default)]
pub(crate) struct Listeners {
    list: Mutex<Vec<(u64, Listener)>>,
    next: AtomicU64,
}

impl std::fmt::Debug for Listeners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listeners").field("listening", &self.list().len()).finish_non_exhaustive()
    }
}

impl Listeners {
    fn list(&self) -> MutexGuard<'_, Vec<(u64, Listener)>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, listener: Listener) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.list().push((id, listener));
        id
    }

    pub(crate) fn remove(&self, id: u64) {
        self.list().retain(|(listener, _)| *listener != id);
    }

    pub(crate) fn tell(&self, news: &News) {
        let listeners: Vec<Listener> = self.list().iter().map(|(_, listener)| Arc::clone(listener)).collect();
        listeners.iter().for_each(|listener| listener(news));
    }
}
