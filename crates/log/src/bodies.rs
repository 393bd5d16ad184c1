//! Bodies of compressed groups, as they were uncompressed last: messages that are read at random often lie in the same few.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bodies that are kept, and their bytes, together.
const MOST_BODIES: usize = 64;
const MOST_BYTES: usize = 8 << 20;

/// Names a body: the first offset of its group, and how often groups had been rewritten when it was read.
type Key = (u64, u64);

/// The cache.
#[derive(Debug, Default)]
pub(crate) struct Bodies(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The one used last is in front.
    bodies: VecDeque<(Key, Arc<Vec<u8>>)>,
    bytes: usize,
    /// Those in front that were used since some were let go of for not being used.
    used: usize,
}

impl Bodies {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body with this key.
    pub(crate) fn get(&self, key: Key) -> Option<Arc<Vec<u8>>> {
        let mut kept = self.kept();
        let at = kept.bodies.iter().position(|(known, _)| *known == key)?;
        let found = kept.bodies.remove(at)?;
        kept.used += usize::from(at >= kept.used);
        let body = Arc::clone(&found.1);
        kept.bodies.push_front(found);
        Some(body)
    }

    /// Keeps a body, and lets go of those that were used longest ago.
    pub(crate) fn put(&self, key: Key, body: &Arc<Vec<u8>>) {
        if body.len() > MOST_BYTES / 2 {
            return;
        }
        let mut kept = self.kept();
        kept.bytes += body.len();
        kept.used += 1;
        kept.bodies.push_front((key, Arc::clone(body)));
        while kept.bodies.len() > MOST_BODIES || kept.bytes > MOST_BYTES {
            let Some((_, gone)) = kept.bodies.pop_back() else { break };
            kept.bytes -= gone.len();
        }
        kept.used = kept.used.min(kept.bodies.len());
    }

    /// Lets go of those that were not used since the last call.
    pub(crate) fn forget_unused(&self) {
        let mut kept = self.kept();
        while kept.bodies.len() > kept.used {
            let Some((_, gone)) = kept.bodies.pop_back() else { break };
            kept.bytes -= gone.len();
        }
        kept.used = 0;
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.kept().bytes
    }
}
