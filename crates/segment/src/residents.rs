//! What of sealed segments is kept in memory: maps and positions, of the segments that were used last. A log of a hundred thousand segments must
//! not take as many maps as that; the system grants 65,530 to a process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::segment::Segment;

/// Maps that a directory keeps. Of segments of 16 MiB they cover 16 GiB.
pub const MOST_MAPS: usize = 1024;

/// Bytes of positions that a directory keeps: those of 16 million records.
pub const MOST_POSITION_BYTES: usize = 64 << 20;

/// The segments of one directory that have something in memory which they can do without.
#[derive(Debug, Default)]
pub(crate) struct Residents {
    mapped: Mutex<Ring>,
    positioned: Mutex<Ring>,
}

/// Second chance (Corbató, 1968): the oldest goes, unless it was used since it was last looked at.
#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<(Weak<Segment>, usize)>,
    sum: usize,
}

impl Ring {
    /// Adds a segment that costs so much, and gives those that have to go for it.
    fn admit(&mut self, segment: &Arc<Segment>, cost: usize, most: usize) -> Vec<Arc<Segment>> {
        self.entries.push_back((Arc::downgrade(segment), cost));
        self.sum += cost;
        let mut gone = Vec::new();
        // Once around: if all of them are in use, the oldest goes.
        let mut chances = self.entries.len();
        while self.sum > most && self.entries.len() > 1 {
            let Some((weak, cost)) = self.entries.pop_front() else { break };
            match weak.upgrade() {
                Some(oldest) if chances > 0 && (oldest.was_used() || Arc::ptr_eq(&oldest, segment)) => {
                    chances -= 1;
                    self.entries.push_back((weak, cost));
                }
                Some(oldest) => {
                    self.sum -= cost;
                    gone.push(oldest);
                }
                None => self.sum -= cost,
            }
        }
        gone
    }
}

fn admit(ring: &Mutex<Ring>, segment: &Arc<Segment>, cost: usize, most: usize) -> Vec<Arc<Segment>> {
    ring.lock().unwrap_or_else(PoisonError::into_inner).admit(segment, cost, most)
}

impl Residents {
    /// `segment` has been mapped.
    pub(crate) fn mapped(&self, segment: &Arc<Segment>) {
        admit(&self.mapped, segment, 1, MOST_MAPS).iter().for_each(|gone| gone.unmap());
    }

    /// The positions of `segment` are in memory.
    pub(crate) fn knows_positions(&self, segment: &Arc<Segment>, bytes: usize) {
        admit(&self.positioned, segment, bytes, MOST_POSITION_BYTES).iter().for_each(|gone| gone.forget_positions());
    }
}
