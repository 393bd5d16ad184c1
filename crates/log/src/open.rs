//! Opening a log, following one, and closing it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use varve_format::{LogState, ProducerSnapshot};
use varve_io::Machine;
use varve_wal::{Owner, Wal, WalOptions};

use crate::bodies::Bodies;
use crate::care::Uses;
use crate::entry::Packer;
use crate::error::Result;
use crate::options::LogOptions;
use crate::outline::Outline;
use crate::partitioned::refuse_partitions;
use crate::places::Mirrors;
use crate::producers::Producers;
use crate::retention::Retainer;
use crate::sealed::{Sealed, look_at};
use crate::snapshot::Snapshots;
use crate::tail::{LockedTail, Tail, TailLock};
use crate::writer::Log;

/// What a repair knows of what it cut off.
#[derive(Debug, Clone)]
pub(crate) struct Mend {
    /// Offset behind the last message that was found: those that were cut off are not given again.
    pub(crate) next_offset: u64,
    /// What producers had written before.
    pub(crate) producers: Option<ProducerSnapshot>,
}

impl Log {
    /// Opens the log at `dir` for writing, and takes its lock. For one opener a process; [`crate::open_shared`] is for several.
    pub fn open(machine: Arc<dyn Machine>, dir: &Path, options: &LogOptions) -> Result<Arc<Self>> {
        refuse_partitions(&*machine, dir)?;
        Self::open_for(None, machine, dir, options)
    }

    /// The same for the owner of many.
    pub(crate) fn open_for(
        owner: Option<Arc<Owner>>,
        machine: Arc<dyn Machine>,
        dir: &Path,
        options: &LogOptions,
    ) -> Result<Arc<Self>> {
        let seed = machine.random();
        let wal = Wal::open(machine, dir, &WalOptions { owner, ..options.wal(seed) })?;
        Self::over(wal, options, None)
    }

    /// Opens the log at `dir`, whose end was cut off by a repair, so that from now on it is as any other.
    pub(crate) fn open_mended(
        machine: Arc<dyn Machine>,
        dir: &Path,
        options: &LogOptions,
        mend: Mend,
    ) -> Result<Arc<Self>> {
        let wal = Wal::open(machine, dir, &options.wal(0))?;
        Self::over(wal, options, Some(mend))
    }

    /// Opens the log at `dir` for reading: takes no lock, writes nothing, and follows whoever writes it.
    pub fn follow(machine: Arc<dyn Machine>, dir: &Path, options: &LogOptions) -> Result<Arc<Self>> {
        refuse_partitions(&*machine, dir)?;
        Self::follow_for_owner(machine, dir, options)
    }

    /// The same of one of many.
    pub(crate) fn follow_for_owner(machine: Arc<dyn Machine>, dir: &Path, options: &LogOptions) -> Result<Arc<Self>> {
        let wal = Wal::follow(machine, dir, &options.wal(0))?;
        Self::over(wal, options, None)
    }

    /// The log whose entries are in `wal`.
    fn over(wal: Arc<Wal>, options: &LogOptions, mend: Option<Mend>) -> Result<Arc<Self>> {
        let state = read_state(&wal)?;
        options.agree(&state)?;
        let segment = wal.active_segment();
        let tail = Tail {
            segment,
            outline: Outline::default(),
            seen: 0,
            next_offset: 0,
            state,
            producers: Producers::default(),
            remembered: 0,
            stamped: 0,
            moves: wal.moves(),
            scratch: Vec::new(),
            ends: Vec::new(),
            packer: Packer::default(),
            keys: None,
            keys_wait: false,
        };
        let log = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            key_seed: tail.state.key_seed,
            time_index: tail.state.time_index,
            key_index: tail.state.key_index,
            rewrites: AtomicU64::new(0),
            removing: Mutex::default(),
            snapshots: Snapshots::default(),
            uses: Uses::default(),
            retainer: Retainer::default(),
            wal,
            tail: TailLock::new(tail),
            sealed: Sealed::default(),
            active_base: AtomicU64::new(0),
            next_offset: AtomicU64::new(0),
            start_offset: AtomicU64::new(0),
            high_water: AtomicU64::new(0),
            bodies: Bodies::default(),
            gaps: OnceLock::new(),
            mirrors: Mirrors::default(),
            scratched: AtomicBool::new(false),
        });
        let mut tail = log.tail.lock();
        let mut cut = false;
        if log.wal.is_following() {
            log.look(&mut tail, true, None)?;
        } else {
            cut = log.look_to_write(&mut tail, options.skip_damage.unwrap_or(false), mend)?;
            log.open_keys(&mut tail)?;
        }
        drop(tail);
        if cut {
            log.keep_producers(true)?;
        }
        log.set_retention(options.retention);
        log.note_gaps();
        Ok(log)
    }

    /// Looks at all segments, and settles what only a writer has to know. True if snapshots of producers tell of what is not in the log any more.
    fn look_to_write(&self, tail: &mut LockedTail<'_>, skip_damage: bool, mend: Option<Mend>) -> Result<bool> {
        let told = mend.as_ref().and_then(|mend| mend.producers.as_ref());
        self.look(tail, skip_damage || mend.is_some(), told)?;
        let held = self.sealed.all().last().map_or(0, |one| one.end).max(tail.outline.end());
        let (mut cut, end) = (tail.remembered > tail.next_offset, tail.next_offset);
        if let Some(mend) = mend {
            cut = true;
            tail.producers.cut(held);
            tail.next_offset = end.max(mend.next_offset);
        } else if cut {
            tail.producers.cut(end);
        }
        // What the entries tell, and no state yet.
        if tail.state != read_state(&self.wal)? || tail.next_offset > end {
            self.change_state(tail, |_| {})?;
            self.publish(tail);
        }
        Ok(cut && tail.state.producers.is_some())
    }

    /// Looks at all segments: what the log holds, and where it ends. With `anyway`, also where it is not known what producers have written.
    fn look(&self, tail: &mut Tail, anyway: bool, told: Option<&ProducerSnapshot>) -> Result<()> {
        tail.state = read_state(&self.wal)?;
        let mut segments = self.wal.seen_segments();
        if !self.wal.is_following() {
            self.look_for_producers(tail, &segments, anyway, told)?;
        }
        let Some(active) = segments.pop() else { return Ok(()) };
        let (known, mut sealed, mut base) = (self.sealed.all(), Vec::with_capacity(segments.len()), 0);
        for segment in &segments {
            let at = known.binary_search_by_key(&segment.header.id, |one| one.segment.header.id);
            let one = match at.ok().and_then(|at| known.get(at)).filter(|one| Arc::ptr_eq(&one.segment, segment)) {
                Some(one) => Arc::clone(one),
                None => look_at(&self.wal, segment, base)?,
            };
            base = one.end;
            sealed.push(one);
        }
        self.sealed.put(sealed);
        // Of one that is still active what is known stays: a cut would have begun another.
        if tail.outline.entries() == 0 || !Arc::ptr_eq(&tail.segment, &active) {
            tail.seen = active.header.first_index;
            tail.segment = active;
            tail.outline = Outline::at(base);
            tail.next_offset = base;
            self.active_base.store(base, Ordering::Release);
        }
        self.absorb(tail)?;
        // Messages at the end that were removed had offsets, too.
        tail.next_offset = tail.next_offset.max(tail.state.next_offset);
        self.publish(tail);
        Ok(())
    }

    /// Shows others what the tail knows.
    fn publish(&self, tail: &Tail) {
        let state = &tail.state;
        self.begin_at(state.start_offset.min(tail.next_offset));
        self.high_water.store(state.high_water, Ordering::Release);
        self.next_offset.store(tail.next_offset, Ordering::Release);
    }

    /// Takes over what another process has written since.
    #[cold]
    pub(crate) fn follow_on(&self) {
        let mut tail = self.tail.lock();
        // What goes wrong fails the record log's own reading, which tells.
        let _told_there = self.follow_now(&mut tail);
    }

    /// [`Self::moves`], as far as what is known of the segments goes: where the log is only followed, what has moved since is looked at first.
    pub(crate) fn settled(&self) -> Result<u64> {
        if !self.wal.is_following() {
            return Ok(self.moves());
        }
        let mut tail = self.tail.lock();
        self.follow_now(&mut tail)?;
        Ok(tail.moves)
    }

    fn follow_now(&self, tail: &mut Tail) -> Result<()> {
        loop {
            let moves = self.moves();
            if moves == tail.moves {
                let state = read_state(&self.wal)?;
                if tail.seen != self.wal.next_index() || state != tail.state {
                    self.absorb(tail)?;
                    tail.state = state;
                    tail.next_offset = tail.next_offset.max(tail.state.next_offset);
                    self.publish(tail);
                }
            } else {
                // What the index knows may have been cut; it is opened again when it is asked.
                tail.keys = None;
                self.look(tail, true, None)?;
                tail.moves = moves;
            }
            if self.moves() == moves {
                return Ok(());
            }
        }
    }

    /// Writes and syncs what is there, gives unused space back, and lets go of the lock. Anything after it is an error; a second close does nothing.
    pub fn close(&self) -> Result<()> {
        if self.wal.check_writable().is_ok() {
            self.settle_keys();
        }
        self.snapshots.close();
        Ok(self.wal.close()?)
    }
}

fn read_state(wal: &Wal) -> Result<LogState> {
    let engine = wal.engine_state();
    LogState::decode(&engine).ok_or_else(|| {
        let what = "the state of a log that this version of varve does not know; use a newer one".into();
        varve_segment::Error::Unsupported { path: wal.dir().to_path_buf(), what }.into()
    })
}
