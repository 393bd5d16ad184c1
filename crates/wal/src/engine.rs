//! For engines whose entries are the records of a log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use varve_segment::{Directory, Segment, SegmentSet};

use crate::error::Result;
use crate::listen::News;
use crate::options::WalOptions;
use crate::role::Role;
use crate::writer::Wal;

impl Wal {
    /// Where its files are.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Its segments.
    pub fn segment_set(&self) -> &Arc<SegmentSet> {
        &self.set
    }

    /// The segments as far as their records may be seen: the last one takes more, or is sealed and has records that are not shown yet. Of a log that is
    /// followed others may be there behind it: those of a batch whose end has not come, or that its follower is just reading.
    pub fn seen_segments(&self) -> Vec<Arc<Segment>> {
        // The index first: segments come before their records are shown.
        let (next, mut segments) = self.steady(|| (self.next_index(), self.set.all()));
        let is_shown = |segment: &Arc<Segment>| segment.end().is_some_and(|end| end.next_index <= next);
        let shown = segments.iter().take_while(|segment| is_shown(segment)).count();
        segments.truncate(shown + 1);
        segments
    }

    /// The active segment.
    pub fn active_segment(&self) -> Arc<Segment> {
        self.active_end().0
    }

    /// How often records have been moved or removed: an index found before is not to be used after. Waits for a change under way.
    pub fn moves(&self) -> u64 {
        self.change()
    }

    /// True if the log is written by another process, and only followed here.
    pub fn is_following(&self) -> bool {
        matches!(self.role, Role::Following(_))
    }

    /// An error if an option that is given is not what the open log has.
    pub fn agree(&self, options: &WalOptions) -> Result<()> {
        options.agree(&self.options)
    }

    /// What the engine keeps in the newest state.
    pub fn engine_state(&self) -> Vec<u8> {
        match &self.role {
            Role::Writer(writer) => writer.appender.lock().state().engine.clone(),
            Role::Following(following) => following.follower().engine().to_vec(),
        }
    }

    /// Has the engine's state written with what is handed over next; every new segment begins with it, too.
    pub fn change_engine_state(&self, engine: Vec<u8>) -> Result<()> {
        self.writer()?.change_state(|state| state.engine = engine);
        Ok(())
    }

    /// Wakes all who wait for a commit: the engine has its own.
    pub fn wake_committed(&self) {
        if self.wakes.committed.swap(false, Ordering::AcqRel) {
            self.listeners.tell(&News::Moved);
        }
    }

    /// Has who waits for a commit woken by the next [`Wal::wake_committed`].
    pub fn await_committed(&self) {
        self.wakes.committed.store(true, Ordering::Release);
    }
}
