//! Giving memory back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::writer::Log;

/// When what can be let go of was last seen to have been used.
#[derive(Debug, Default)]
pub(crate) struct Uses(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Sealed segments by their salts.
    segments: HashMap<u64, i64>,
    /// When bodies that were not used were let go of.
    bodies: i64,
}

impl Log {
    /// Lets go of maps, outlines and uncompressed groups that have not been used for so many microseconds; with 0, of all that nobody reads just now.
    /// What is needed again is read again. Use is noticed from one call to the next: what is dropped has not been used since a call that was so long ago.
    pub fn gc(&self, unused_micros: u64) {
        let now = self.wal.directory().machine().now_micros();
        let unused = i64::try_from(unused_micros).unwrap_or(i64::MAX);
        let mut uses = self.uses.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = HashMap::new();
        for one in self.sealed.all() {
            let salt = one.segment.header.salt;
            let used = one.segment.was_used();
            let last = if used { now } else { uses.segments.get(&salt).copied().unwrap_or(now) };
            if unused == 0 || now.saturating_sub(last) >= unused {
                one.segment.let_go();
                one.forget_outline();
            }
            seen.insert(salt, last);
        }
        uses.segments = seen;
        if unused == 0 {
            self.bodies.forget_unused();
        }
        if now.saturating_sub(uses.bodies) >= unused {
            self.bodies.forget_unused();
            uses.bodies = now;
        }
    }
}
