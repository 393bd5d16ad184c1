//! Repairing a damaged directory in place: what lies before the first damage stays, the rest is set aside, and nothing is deleted.

use std::path::PathBuf;

use varve_format::{Bound, Origin, State};
use varve_io::Access;

use crate::candidate::Candidate;
use crate::care::Care;
use crate::contents::scan;
use crate::directory::Directory;
use crate::durable::DurableFile;
use crate::error::{Error, Result};
use crate::inspect::{Inspection, inspect};
use crate::name::FileName;
use crate::options::SegmentOptions;
use crate::recover::{Begin, copy_tail, cut_tail, is_torn, recover, resume, set_aside, write_again};
use crate::survey::{Place, Survey, survey};

/// What a repair found and did.
#[derive(Debug, Clone)]
pub struct Repaired {
    /// The directory as it was.
    pub found: Inspection,
    /// Records that are left.
    pub kept: u64,
    /// Files that hold what was set aside.
    pub set_aside: Vec<PathBuf>,
}

/// Repairs `directory`, whose lock the caller holds. A log that would open is left as it is; only a torn tail is cut, as an open does it. Safe to
/// interrupt anywhere: a crash leaves the same damage or a log that opens, and another repair does what is left to do.
pub fn repair(directory: &Directory, options: &SegmentOptions, care: &Care) -> Result<Repaired> {
    let found = inspect(directory, options, true, care)?;
    let mut log = survey(directory, options, true, false, &Care::default())?;
    let known = newest_state(directory, options, &log)?;
    let mut options = options.clone();
    if let Some(state) = &known {
        options.codec.clone_from(&state.codec);
    }
    if let Some(last) = log.pieces.last() {
        options.marker = last.header.marker;
    }
    if care.is_aborted() {
        return Err(Error::Aborted);
    }
    if let (Some(stop), Some(first), None, Some(known)) = (&mut log.stop, log.pieces.first(), &log.state, &known)
        && known.first_index < first.header.first_index
    {
        // The only state left lies behind the damage, and tells that the log began before what is there: nothing lies before the first damage.
        let at = Bound { segment: first.header.id, position: 0 };
        *stop = Place { at, index: known.first_index, reason: stop.reason };
    }
    let mut aside = Vec::new();
    let kept = match log.stop {
        Some(stop) if !is_torn(&log, &stop) => {
            cut_tail(directory, &mut log, &stop)?;
            if log.pieces.is_empty() {
                begin_anew(directory, &options, log, known, &mut aside)?;
                0
            } else {
                keep_before(directory, &options, log, &stop, known, &mut aside)?
            }
        }
        Some(_) => {
            aside.extend(recover(directory, &options)?.torn.into_iter().map(|torn| torn.path));
            found.records
        }
        None => {
            // An earlier repair may have been stopped behind its commit.
            lose(directory, &log.dropped, &mut aside)?;
            found.records
        }
    };
    Ok(Repaired { found, kept, set_aside: aside })
}

/// Cuts the log at `stop`. Gives how many records are left.
fn keep_before(
    directory: &Directory,
    options: &SegmentOptions,
    mut log: Survey,
    stop: &Place,
    known: Option<State>,
    aside: &mut Vec<PathBuf>,
) -> Result<u64> {
    if stop.at.position > 0 {
        let name = FileName::Lost { segment: stop.at.segment, position: stop.at.position };
        match copy_tail(directory, stop.at.segment, stop.at.position, name)? {
            0 => directory.unlink(name)?,
            _ => aside.push(directory.file(name)),
        }
    }
    if let (Some(state), Some(known)) = (&mut log.state, &known) {
        // What an engine has settled since stays settled: what it has dropped does not come back.
        state.engine.clone_from(&known.engine);
    }
    log.state = log.state.take().or(known);
    let first = log.state.as_ref().map_or(0, |state| state.first_index);
    let (from, to) = match (log.pieces.first(), log.pieces.last()) {
        (Some(from), Some(to)) => (from.header.first_index.max(first), to.next_index),
        _ => (0, 0),
    };
    let lost: u64 = log.gaps.iter().map(|gap| gap.within(from, to)).sum();
    write_again(directory, &log)?;
    directory.sync()?;
    let later = std::mem::take(&mut log.dropped);
    let mut durable_file = DurableFile::open(directory)?;
    // The name of the segment that cuts the log is the commit.
    resume(directory, options, log, true, &mut durable_file)?;
    lose(directory, &later, aside)?;
    Ok(to.saturating_sub(from).saturating_sub(lost))
}

/// No record is left. All segments go aside first, the last one first: until the new one is there, it is a damaged log.
fn begin_anew(
    directory: &Directory,
    options: &SegmentOptions,
    log: Survey,
    known: Option<State>,
    aside: &mut Vec<PathBuf>,
) -> Result<()> {
    let state = known.unwrap_or_else(|| State { engine: options.engine.clone(), ..State::new(0, &options.codec) });
    let first_index = state.first_index;
    let state = State { commit: first_index, durable: log.bound, ..state };
    let mut ids = log.ids;
    ids.reverse();
    lose(directory, &ids, aside)?;
    let machine = directory.machine();
    let begin = Begin {
        id: log.last_id + 1,
        first_index,
        generation: log.last_generation + 1,
        origin: Origin::Recovery,
        log: log.log.unwrap_or_else(|| machine.random()),
        previous: None,
    };
    let mut durable_file = DurableFile::open(directory)?;
    let log = begin.log;
    let (active, _) = begin.segment(directory, options, &state)?;
    durable_file.write(Bound { segment: active.header.id, position: active.written() }, first_index, log)
}

/// Sets whole segments aside.
fn lose(directory: &Directory, ids: &[u64], aside: &mut Vec<PathBuf>) -> Result<()> {
    for id in ids {
        aside.push(set_aside(directory, *id, FileName::Lost { segment: *id, position: 0 })?.path);
    }
    if ids.is_empty() { Ok(()) } else { directory.sync() }
}

/// The newest state in any segment, set aside or not; where none can be read, what the headers tell.
fn newest_state(directory: &Directory, options: &SegmentOptions, log: &Survey) -> Result<Option<State>> {
    let whole = |name: FileName| match name {
        FileName::Segment(id) | FileName::Lost { segment: id, position: 0 } => Some((id, name)),
        _ => None,
    };
    let mut names: Vec<_> = directory.names()?.into_iter().filter_map(whole).collect();
    names.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
    let mut lowest = None;
    for (id, name) in names {
        let file = directory.open(name, Access::Read)?;
        let (candidate, _) = Candidate::of(directory, id, &*file, options)?;
        let Some(header) = candidate.header.filter(|header| log.log.is_none_or(|log| log == header.log)) else {
            continue;
        };
        lowest = Some(header.first_index);
        if let Some(state) = scan(&*file, &header, None, true)?.state {
            return Ok(Some(state));
        }
    }
    let state = |first_index| State {
        commit: first_index,
        engine: options.engine.clone(),
        ..State::new(first_index, &options.codec)
    };
    Ok(lowest.map(state))
}
