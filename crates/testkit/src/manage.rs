//! What is done to a log beside writing to it: truncation, commits, retention, readers and pins.

use std::path::Path;
use std::sync::Arc;

use varve_format::{DurableSlot, SLOT_POSITIONS, StateFields, frame_len};
use varve_io::Machine;
use varve_io::sim::SimMachine;
use varve_wal::{Error, ErrorCode, SegmentInfo, Wal};

use crate::failure::Failure;
use crate::life::Life;
use crate::open::DIR;
use crate::script::{Op, Spot};

/// The log as it is before an operation: what its own thread is doing can be told by it.
pub(crate) struct Before {
    syncs: u64,
    live: Vec<u64>,
    waiting: bool,
}

/// Number of the last slot that was written.
fn sequence(machine: &SimMachine) -> u64 {
    let bytes = machine.contents(&Path::new(DIR).join("durable")).unwrap_or_default();
    let slots = SLOT_POSITIONS.iter().filter_map(|at| bytes.get(usize::try_from(*at).ok()?..));
    slots.filter_map(DurableSlot::read).map(|slot| slot.sequence).max().unwrap_or(0)
}

fn live(wal: &Wal) -> Vec<SegmentInfo> {
    wal.segments().into_iter().filter(|segment| !segment.pending_deletion).collect()
}

impl Spot {
    fn resolve(self, wal: &Wal) -> u64 {
        let (first, next) = (wal.first_index(), wal.next_index());
        match self {
            Self::Part(part) => first + (next - first) * part / 1000,
            Self::Back(back) => next.saturating_sub(back).max(first),
            Self::Segment(number) => {
                let segments = live(wal);
                let at = usize::try_from(number).unwrap_or(0) % segments.len().max(1);
                segments.get(at).map_or(first, |segment| segment.first_index.max(first))
            }
            Self::Anywhere(index) => index,
        }
    }
}

impl Life {
    pub(crate) fn before(&self, wal: &Wal) -> Before {
        let segments = wal.segments();
        Before {
            syncs: sequence(&self.machine),
            waiting: segments.iter().any(|segment| segment.pending_deletion),
            live: live(wal).iter().map(|segment| segment.id).collect(),
        }
    }

    /// Where segments were dropped, the log syncs and removes their files on a thread of its own. Waits until that is done, so that equal
    /// seeds give equal changes.
    pub(crate) fn rest(&self, wal: &Wal, op: &Op, before: &Before) {
        let now = live(wal);
        let dropped = before.live.iter().any(|id| now.iter().all(|segment| segment.id != *id));
        let is_cut = matches!(op, Op::TruncateAfter(_) | Op::Reset(_))
            && before.live.last().copied() != now.last().map(|active| active.id);
        if !(dropped || is_cut && before.waiting) {
            return;
        }
        let removable = |segment: &SegmentInfo| segment.pending_deletion && segment.references == 0;
        let is_done = || sequence(&self.machine) > before.syncs && !wal.segments().iter().any(removable);
        while !self.machine.crashed() && wal.failed().is_none() && !is_done() {
            std::thread::yield_now();
        }
    }

    /// Does one thing that is no write.
    pub(crate) fn manage(&mut self, wal: &Arc<Wal>, op: &Op) -> Result<Result<(), Error>, Failure> {
        let state = frame_len(StateFields::LEN + wal.stats().codec.len());
        let (first, next) = (wal.first_index(), wal.next_index());
        Ok(match op {
            Op::TruncateAfter(spot) => {
                let to = spot.resolve(wal);
                if to < next && self.held.blocks() > to {
                    let code = wal.truncate_after(to).err().map(|error| error.code());
                    return match code {
                        Some(ErrorCode::Busy) => Ok(Ok(())),
                        code => Err(Failure::new(format!("a reader stands beyond {to}, and truncation says {code:?}"))),
                    };
                }
                self.model.truncate_after(to);
                if to < next {
                    self.beside.cut(to);
                    self.held.cut(to);
                }
                wal.truncate_after(to)
            }
            Op::TruncateBefore(spot) => {
                let to = spot.resolve(wal);
                if to > first {
                    self.model.truncate_before(to, state);
                }
                wal.truncate_before(to)
            }
            Op::Reset(spot) => {
                let to = spot.resolve(wal);
                self.model.reset(to);
                self.beside.cut(to);
                self.held.cut(to);
                wal.reset(to)
            }
            Op::Commit(spot) => {
                let count = spot.resolve(wal);
                self.model.commit(count);
                wal.commit(count)
            }
            Op::Retain { later } => {
                self.machine.advance(*later);
                let to = self.retained(wal).unwrap_or(first);
                if to > first {
                    self.model.truncate_before(to, state);
                }
                if self.objectors.are_asked() {
                    return Ok(wal.begin_retention().map(drop));
                }
                let enforced = wal.enforce_retention();
                if enforced.is_ok() && to > first {
                    self.model.synced();
                }
                enforced.map(drop)
            }
            Op::Job => {
                // It may be retention's.
                let to = self.retained(wal).unwrap_or(first);
                if to > first {
                    self.model.truncate_before(to, state);
                }
                self.machine.run_job();
                if to > first && wal.first_index() == first && !self.machine.crashed() {
                    self.model.take_back();
                }
                Ok(())
            }
            Op::Reader { from, waits } if !self.machine.crashed() => {
                self.held.read(wal, &self.model, from.resolve(wal), *waits)?;
                Ok(())
            }
            Op::ReadOn if !self.machine.crashed() => {
                self.held.read_on(&self.model)?;
                Ok(())
            }
            Op::Pin(number) => {
                self.held.pin(wal, *number)?;
                Ok(())
            }
            Op::Object => {
                self.objectors.object(wal);
                Ok(())
            }
            Op::Answer(allowed) => {
                let Some(answer) = self.objectors.answer(*allowed) else { return Ok(Ok(())) };
                if let Some(id) = answer.through {
                    let segments = live(wal);
                    let gone = segments.iter().filter(|segment| segment.id <= id).count();
                    let gone = gone.min(segments.len().saturating_sub(1));
                    if let Some(next) = segments.get(gone).filter(|_| gone > 0) {
                        self.model.truncate_before(next.first_index.max(first), state);
                    }
                }
                answer.give(wal);
                Ok(())
            }
            Op::LetGo => {
                self.held.let_go();
                Ok(())
            }
            _ => Ok(()),
        })
    }

    /// Where the log begins when retention has done its work; `None` if all is kept, or somebody is asked first.
    fn retained(&self, wal: &Wal) -> Option<u64> {
        let rules = self.options.retention.filter(|_| !self.objectors.are_asked())?;
        let segments = live(wal);
        let may_go = segments.len().saturating_sub(rules.min_segments.unwrap_or(1).max(1));
        let now = self.machine.now_micros();
        let goes = |at: usize| {
            let bytes: u64 = segments[at..].iter().map(|segment| segment.bytes).sum();
            rules.max_segments.is_some_and(|most| segments.len() - at > most)
                || rules.max_bytes.is_some_and(|most| bytes > most)
                || rules.max_age_micros.is_some_and(|age| {
                    segments[..=at].iter().all(|segment| segment.sealed && now - segment.modified_micros > age)
                })
        };
        let gone = (0..may_go).take_while(|at| goes(*at)).count();
        let next = segments.get(gone).filter(|_| gone > 0)?;
        Some(next.first_index.max(wal.first_index()))
    }

    /// An error if anything lies in the directory that is not the log's. Sidecars of segments that were removed go at the next open; one behind
    /// all segments goes when they have come so far.
    pub(crate) fn tidy(&self, wal: &Wal, opened: bool) -> Result<(), Failure> {
        let segments = wal.segments();
        if let Some(waits) = segments.iter().find(|segment| segment.pending_deletion) {
            return Err(Failure::new(format!("segment {} still waits to be removed", waits.id)));
        }
        let last = segments.last().map_or(0, |segment| segment.id);
        for entry in self.machine.list(Path::new(DIR))? {
            let is_ours = |id: u64| segments.iter().any(|segment| segment.id == id);
            let known = match entry.name.rsplit_once('.').map(|(id, extension)| (id.parse::<u64>(), extension)) {
                Some((Ok(id), "seg")) => is_ours(id),
                Some((Ok(id), "idx")) => is_ours(id) || !opened || id > last,
                Some((_, extension)) => extension == "torn",
                None => true,
            };
            if !known {
                return Err(Failure::new(format!("{} is left over", entry.name)));
            }
        }
        Ok(())
    }
}
