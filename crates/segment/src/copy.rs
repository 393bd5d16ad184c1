//! Copying segments into another directory, so that what is there is a log at every moment.
//!
//! Segments are added in order, each under its own name by a rename; what the directory ended with before, a partial copy of the active segment or
//! an end made here, is replaced by the same. No state in a copy tells of a first index below what the directory holds: where the log begins
//! later there than at its source, the state frames are written anew.

use std::path::PathBuf;
use std::sync::Arc;

use varve_format::{
    BatchFlags, Bound, DATA_START, DISTANCE_UNKNOWN, FOOTER_LEN, FRAME_HEADER_LEN, Frame, FrameKind, FramePlace,
    SegmentHeader, State,
};
use varve_io::{Access, File};

use crate::begin::{frame_of, fresh_header, state_frame};
use crate::candidate::Candidate;
use crate::care::Care;
use crate::contents::scan;
use crate::directory::Directory;
use crate::durable::DurableFile;
use crate::error::{Error, Result};
use crate::name::FileName;
use crate::options::SegmentOptions;
use crate::scan::{Scanner, Step};
use crate::segment::Hold;

const PIECE: usize = 256 << 10;

/// A log as it is to be copied, its segments held.
#[derive(Debug)]
pub struct Source {
    /// All segments, in order; the last one is active.
    pub segments: Vec<Hold>,
    /// Position in the active segment up to which it is copied: all is in the file, and no batch goes on behind it.
    pub end: u64,
    /// Index of the record that would be there.
    pub next_index: u64,
    /// The state of the log.
    pub state: State,
    /// What else its engine needs: files that are written before all others.
    pub beside: Vec<(FileName, Vec<u8>)>,
}

/// What is to be copied.
#[derive(Debug, Clone, Copy, Default)]
pub struct CopyOptions {
    /// Only segments with greater ids.
    pub after_segment: Option<u64>,
    /// The active segment, too.
    pub active: bool,
}

/// What was copied.
#[derive(Debug, Clone, Default)]
pub struct Copied {
    /// The files written.
    pub files: Vec<PathBuf>,
    /// Bytes in them.
    pub bytes: u64,
    /// The copy holds every record below this index.
    pub position: u64,
}

/// One segment of the target.
struct There {
    header: SegmentHeader,
    /// It has its footer: it is a whole copy.
    sealed: bool,
    records: usize,
}

/// One segment to be copied.
struct Part<'s> {
    hold: &'s Hold,
    end: u64,
    next_index: u64,
    footer: Option<Vec<u8>>,
}

/// Copies `source` into `target`, which is missing, empty, or holds an earlier copy of the same log; any other is refused before anything is written.
pub fn copy_log(
    source: &Source,
    target: &Directory,
    options: &SegmentOptions,
    what: CopyOptions,
    care: &Care,
) -> Result<Copied> {
    let Some(active) = source.segments.last() else { return Ok(Copied::default()) };
    let log = active.header.log;
    let there = look(source, target, options)?;
    let after = what.after_segment.unwrap_or(0);
    let mut parts = Vec::new();
    for hold in source.segments.iter().filter(|hold| hold.header.id > after) {
        if let Some(part) = part(source, hold, what.active)? {
            parts.push(part);
        }
    }
    if !what.active {
        // One that a truncation has cut is whole only with the one that cuts it, and a batch only with the segment that it ends in.
        while let Some(last) = parts.last() {
            if last.footer.is_some() && !ends_in_batch(last)? {
                break;
            }
            parts.pop();
        }
    }
    let missing: Vec<_> = parts.iter().filter(|part| !is_there(&there, part.hold)).collect();
    let first = first_index(source, &there, &parts);
    care.expect(missing.len() as u64, missing.iter().map(|part| part.end).sum());

    target.machine().create_dir_all(target.path())?;
    for leftover in target.names()?.into_iter().filter(|name| matches!(name, FileName::Prepared(_))) {
        target.unlink(leftover)?;
    }
    for (name, bytes) in &source.beside {
        target.replace_durably(*name, bytes)?;
    }
    if let Some(lowest) = missing.first() {
        let bound = Bound { segment: lowest.hold.header.id, position: 0 };
        lower_bound(target, bound, lowest.hold.header.first_index, log)?;
    }
    let mut copied = Copied::default();
    for part in missing {
        if care.is_aborted() {
            return Err(Error::Aborted);
        }
        copied.bytes += put(target, part, first)?;
        copied.files.push(target.file(FileName::Segment(part.hold.header.id)));
        care.done_segment(part.end);
    }
    let end = parts.last().map(|part| (part.hold.header.id, part.end, part.next_index));
    let lowest = source.segments.first().map_or(active.header, |hold| hold.header);
    copied.position = end.map_or(lowest.first_index, |(_, _, next_index)| next_index);
    let top = there.iter().filter(|one| one.sealed || one.records > 0).map(|one| one.header.id).max().unwrap_or(0);
    let last = parts.last().map(|part| part.hold.header);
    if !what.active && last.is_none_or(|last| last.id >= top) && (last.is_some() || there.is_empty()) {
        // Behind sealed segments a small one says what the state of the log is. Where there are none it stands for the first.
        let header = match last {
            Some(last) => SegmentHeader {
                id: last.id + 1,
                first_index: copied.position,
                generation: last.generation,
                generation_start: last.generation_start,
                previous_link: last.link,
                marker: last.marker,
                log,
                ..fresh_header(target, options, options.capacity_after(0, 0, 0))
            },
            None => SegmentHeader {
                capacity: options.capacity_after(0, 0, 0),
                salt: target.machine().random(),
                link: target.machine().random(),
                ..lowest
            },
        }
        .sealed();
        let state = State {
            first_index: source.state.first_index.max(first).min(copied.position),
            commit: source.state.commit.min(copied.position),
            durable: Bound::default(),
            codec: source.state.codec.clone(),
            engine: source.state.engine.clone(),
        };
        lower_bound(target, Bound { segment: header.id, position: 0 }, header.first_index, log)?;
        let frames = state_frame(&state, &header);
        write(target, &header, |file| Ok(file.write_at(&[&frames], DATA_START)?))?;
        copied.bytes += DATA_START + frames.len() as u64;
        copied.files.push(target.file(FileName::Segment(header.id)));
        settle(target, Bound { segment: header.id, position: DATA_START + frames.len() as u64 }, copied.position, log)?;
    } else if let Some((segment, position, next_index)) = end.filter(|(id, _, _)| *id >= top) {
        settle(target, Bound { segment, position }, next_index, log)?;
    }
    Ok(copied)
}

/// True if the target has a whole copy of `hold`.
fn is_there(there: &[There], hold: &Hold) -> bool {
    let header = &hold.header;
    there.iter().any(|one| one.header.id == header.id && one.header.salt == header.salt && one.sealed)
}

fn part<'s>(source: &Source, hold: &'s Hold, active: bool) -> Result<Option<Part<'s>>> {
    let Some(end) = hold.end() else {
        let part = Part { hold, end: source.end, next_index: source.next_index, footer: None };
        return Ok(active.then_some(part));
    };
    let file = hold.open()?;
    let position = hold.header.capacity - FOOTER_LEN;
    let mut bytes = vec![0; usize::try_from(FOOTER_LEN).unwrap_or(0)];
    let read = file.read_at(&mut bytes, position)?;
    let whole = Frame::read(&bytes[..read], hold.header.salt, position)
        .ok()
        .filter(|frame| frame.kind == FrameKind::Footer)
        .and_then(|frame| frame.payload.first_chunk().map(varve_format::Footer::decode))
        .is_some_and(|footer| footer.data_end == end.data_end && footer.next_index == end.next_index);
    let footer = whole.then_some(bytes);
    Ok(Some(Part { hold, end: end.data_end, next_index: end.next_index, footer }))
}

/// True if the batch of the last record goes on in a later segment.
fn ends_in_batch(part: &Part<'_>) -> Result<bool> {
    let Some(last) = part.hold.positions()?.last().map(|entry| u64::from(*entry) * 8) else { return Ok(false) };
    let file = part.hold.open()?;
    let mut bytes = vec![0; usize::try_from(part.end.saturating_sub(last)).unwrap_or(0)];
    let read = file.read_at(&mut bytes, last)?;
    Ok(Frame::read(&bytes[..read], part.hold.header.salt, last).is_ok_and(|frame| frame.batch.more))
}

/// Looks at what is in `target`, and refuses what is no earlier copy.
fn look(source: &Source, target: &Directory, options: &SegmentOptions) -> Result<Vec<There>> {
    let refuse = |why: &str| {
        let message = format!(
            "{} {why}; name a directory that is missing, empty, or a backup of this log",
            target.path().display()
        );
        Err(Error::Invalid { message })
    };
    let entries = match target.machine().list(target.path()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    if entries.iter().any(|entry| FileName::parse(&entry.name).is_none()) {
        return refuse("holds something else");
    }
    let Some(active) = source.segments.last() else { return Ok(Vec::new()) };
    let mut ids: Vec<_> = target
        .names()?
        .into_iter()
        .filter_map(|name| if let FileName::Segment(id) = name { Some(id) } else { None })
        .collect();
    ids.sort_unstable();
    let mut there = Vec::new();
    for id in ids {
        let file = target.open(FileName::Segment(id), Access::Read)?;
        let (candidate, _) = Candidate::of(target, id, &*file, options)?;
        let Some(header) = candidate.header else { return refuse("holds a damaged log") };
        if header.log != active.header.log {
            return refuse("holds another log");
        }
        if id > active.header.id {
            return refuse("has been written to");
        }
        let sealed = candidate.footer.is_some();
        let found = if sealed { None } else { Some(scan(&*file, &header, None, false)?) };
        let records = found.as_ref().map_or(0, |found| found.positions.len());
        if let Some(ours) = source.segments.iter().find(|hold| hold.header.id == id) {
            let same = ours.header.salt == header.salt;
            let written = match &found {
                // A copy from before it was rewritten.
                _ if ours.header.is_rewritten() && ours.header.is_same_rewritten(&header) => false,
                _ if !same => sealed || records > 0,
                Some(found) => {
                    !has_same_end(&*file, &*ours.open()?, found.positions.last(), found.end.min(ours.written()))?
                }
                None => false,
            };
            if written {
                return refuse("has been written to");
            }
        }
        there.push(There { header, sealed, records });
    }
    let begun = |name: &FileName| matches!(name, FileName::Prepared(_) | FileName::Lock | FileName::Producers(_));
    if there.is_empty() && !target.names()?.iter().all(begun) {
        return refuse("holds the rest of a log");
    }
    Ok(there)
}

/// True if the header of the last record's frame, at `last`, is the same in both files: its checks cover the record, its place and its index.
fn has_same_end(one: &dyn File, other: &dyn File, last: Option<&u32>, limit: u64) -> Result<bool> {
    let Some(position) = last.map(|last| u64::from(*last) * 8) else { return Ok(true) };
    let len = usize::try_from(limit.saturating_sub(position)).unwrap_or(FRAME_HEADER_LEN).min(FRAME_HEADER_LEN);
    let (mut ours, mut theirs) = ([0; FRAME_HEADER_LEN], [0; FRAME_HEADER_LEN]);
    let read = [one.read_at(&mut ours[..len], position)?, other.read_at(&mut theirs[..len], position)?];
    Ok(read[0] == read[1] && ours == theirs)
}

/// Index of the first record of the unbroken row that ends with `parts`.
fn first_index(source: &Source, there: &[There], parts: &[Part<'_>]) -> u64 {
    let is_present =
        |hold: &Hold| is_there(there, hold) || parts.iter().any(|part| part.hold.header.id == hold.header.id);
    let Some(last) = parts.last().map(|part| part.hold.header.id) else {
        return source.segments.first().map_or(0, |lowest| lowest.header.first_index);
    };
    let row = source.segments.iter().rev().filter(|hold| hold.header.id <= last).take_while(|hold| is_present(hold));
    let Some(mut lowest) = row.last().map(|hold| hold.header) else { return 0 };
    while let Some(before) =
        there.iter().find(|one| lowest.previous_link != 0 && one.header.link == lowest.previous_link)
    {
        lowest = before.header;
    }
    lowest.first_index
}

/// Copies one segment. Gives the bytes written.
fn put(target: &Directory, part: &Part<'_>, first: u64) -> Result<u64> {
    let header = part.hold.header;
    let source = part.hold.open()?;
    write(target, &header, |file| {
        let (mut piece, mut at) = (vec![0; PIECE], DATA_START);
        while at < part.end {
            let len = usize::try_from(part.end - at).unwrap_or(PIECE).min(PIECE);
            let read = source.read_at(&mut piece[..len], at)?;
            if read == 0 {
                break;
            }
            file.write_at(&[&piece[..read]], at)?;
            at += read as u64;
        }
        // What was copied is verified as it is there.
        let mut scanner = Scanner::new(&**file, header.salt, part.end)?;
        let mut states = Vec::new();
        loop {
            match scanner.step()? {
                Step::End => break,
                Step::Frame { position, frame } => states.extend(state_anew(&header, position, &frame, first)),
                Step::Bad(bad) => {
                    let position = scanner.position();
                    return Err(Error::Corrupt { path: part.hold.path(), position, index: None, reason: bad.reason() });
                }
            }
        }
        for (position, frame) in states {
            file.write_at(&[&frame], position)?;
        }
        if let Some(footer) = &part.footer {
            let position = header.capacity - FOOTER_LEN;
            file.write_at(&[footer], position)?;
            if part.end + 4096 < position {
                file.punch(part.end..position)?;
            }
        }
        Ok(())
    })?;
    Ok(part.end + part.footer.as_ref().map_or(0, |footer| footer.len() as u64))
}

/// The frame that takes the place of a state that tells of a first index below `first`.
fn state_anew(header: &SegmentHeader, position: u64, frame: &Frame<'_>, first: u64) -> Option<(u64, Vec<u8>)> {
    let state = State::decode(frame.payload).filter(|_| frame.kind == FrameKind::Control)?;
    if state.first_index >= first {
        return None;
    }
    let payload = State { first_index: first, ..state }.encode();
    let behind = frame.durable_position.and_then(|durable| u16::try_from((position - durable) / 8).ok());
    let place = FramePlace {
        salt: header.salt,
        position,
        kind: FrameKind::Control,
        batch: BatchFlags::ALONE,
        index: frame.index,
        distance: behind.unwrap_or(DISTANCE_UNKNOWN),
    };
    Some((position, frame_of(&place, &payload)))
}

/// Makes a segment under a temporary name, durable, and gives it its own.
fn write(target: &Directory, header: &SegmentHeader, fill: impl FnOnce(&Arc<dyn File>) -> Result<()>) -> Result<()> {
    let name = FileName::Prepared(target.machine().random());
    let file = target.create(name)?;
    let filled = file
        .allocate(header.capacity)
        .and_then(|()| file.write_at(&[&header.block()], 0))
        .map_err(Error::from)
        .and_then(|()| fill(&file))
        .and_then(|()| Ok(file.sync_data()?));
    if let Err(error) = filled {
        let _stays = target.unlink(name);
        return Err(error);
    }
    let _none = target.unlink(FileName::Sidecar(header.id));
    target.rename(name, FileName::Segment(header.id))?;
    target.sync()
}

/// Before a segment is replaced, nothing in or behind it is said to be durable: a smaller bound is never wrong.
fn lower_bound(target: &Directory, bound: Bound, next_index: u64, log: u64) -> Result<()> {
    #[cfg(feature = "mutants")]
    if varve_format::Mutant::CopyKeepsBound.is_on() {
        return Ok(());
    }
    match DurableFile::read(target)? {
        Some(slot) if slot.bound() > bound => DurableFile::open(target)?.settle(bound, next_index, log),
        _ => Ok(()),
    }
}

fn settle(target: &Directory, bound: Bound, next_index: u64, log: u64) -> Result<()> {
    #[cfg(feature = "mutants")]
    if varve_format::Mutant::CopyLeavesBound.is_on() {
        return Ok(());
    }
    DurableFile::open(target)?.settle(bound, next_index, log)?;
    target.sync()
}
