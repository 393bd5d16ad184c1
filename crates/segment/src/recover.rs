//! Opening a directory for writing: what a survey found is made good, or refused.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use varve_format::{Bound, DATA_START, FOOTER_LEN, Origin, SegmentHeader, State};
use varve_io::{Access, File};

use crate::append::Resume;
use crate::begin::{fresh_header, state_frame};
use crate::care::Care;
use crate::directory::Directory;
use crate::durable::DurableFile;
use crate::error::{Error, Result};
use crate::name::FileName;
use crate::options::SegmentOptions;
use crate::prepare::Prepared;
use crate::scan::payload_bytes;
use crate::segment::Segment;
use crate::survey::{Gap, Piece, Place, Survey, survey};

const COPY_PIECE: usize = 256 << 10;

/// A torn tail that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The file that keeps its bytes.
    pub path: PathBuf,
    /// Where it began in its segment.
    pub position: u64,
    /// How many bytes it had.
    pub bytes: u64,
}

/// A log, ready to go on.
#[derive(Debug)]
pub struct Recovered {
    /// For the appender.
    pub resume: Resume,
    /// All segments, the active one last.
    pub segments: Vec<Arc<Segment>>,
    /// The slots of the durable bound.
    pub durable_file: DurableFile,
    /// Index of the first record.
    pub first_index: u64,
    /// Sum of the lengths of the records in sealed segments.
    pub sealed_payload_bytes: u64,
    /// What was cut.
    pub torn: Vec<Torn>,
    /// What is lost.
    pub gaps: Vec<Gap>,
}

impl Recovered {
    /// Number of committed records, counted from index 0.
    pub fn commit(&self) -> u64 {
        self.resume.state.commit
    }
}

/// True if what is from `stop` on may be cut: nothing of it is known to have been durable.
pub(crate) fn is_torn(survey: &Survey, stop: &Place) -> bool {
    // The first segment, its state included, was durable before anything was acknowledged, or before what preceded it was removed.
    let discarded: HashSet<u64> = survey.discarded.iter().copied().collect();
    let first = survey.ids.iter().find(|id| !discarded.contains(id)).copied();
    survey.bound <= stop.at && !(first == Some(stop.at.segment) && stop.at.position <= DATA_START)
}

/// The error for damage at `stop`.
pub(crate) fn damage(directory: &Directory, stop: &Place) -> Error {
    Error::Corrupt {
        path: directory.file(FileName::Segment(stop.at.segment)),
        position: stop.at.position,
        index: Some(stop.index),
        reason: stop.reason,
    }
}

/// Opens `directory`, whose lock the caller holds: creates the first segment, resumes the active one, or cuts a torn tail. Damage is an
/// error, and changes nothing; with `options.skip_damage` the log goes on behind it.
pub fn recover(directory: &Directory, options: &SegmentOptions) -> Result<Recovered> {
    let verify = options.verify || options.skip_damage;
    let mut found = survey(directory, options, verify, false, &Care::default())?;
    if let Some(state) = &found.state
        && state.codec != options.codec
        && !state.codec.is_empty()
    {
        let message = format!(
            "{} holds records of the codec '{}', and was opened with '{}'; open it with the first",
            directory.path().display(),
            state.codec,
            options.codec
        );
        return Err(Error::Invalid { message });
    }
    let mut torn_at = None;
    if let Some(stop) = found.stop {
        if is_torn(&found, &stop) {
            torn_at = Some(stop);
        } else if options.skip_damage {
            found = survey(directory, options, true, true, &Care::default())?;
        } else {
            return Err(damage(directory, &stop));
        }
    }
    if let Some(stop) = torn_at {
        cut_tail(directory, &mut found, &stop)?;
    }
    if found.pieces.is_empty() && found.stop.is_some() {
        // Before anything is changed.
        let path = directory.path().to_path_buf();
        return Err(Error::Corrupt { path, position: 0, index: None, reason: "no intact segment is left" });
    }
    for leftover in std::mem::take(&mut found.leftovers) {
        directory.unlink(leftover)?;
    }
    let mut durable_file = DurableFile::open(directory)?;
    if found.ids.is_empty() && found.stop.is_none() {
        return create(directory, options, durable_file);
    }
    let mut torn = Vec::new();
    if let Some(stop) = torn_at {
        torn.extend(keep_tail(directory, &stop)?);
    }
    let end =
        found.pieces.last().map_or(Bound::default(), |piece| Bound { segment: piece.header.id, position: piece.end });
    if found.bound < end {
        write_again(directory, &found)?;
    }
    // Names that a killed process left unsynced are durable before anything is served or acknowledged.
    directory.sync()?;
    let (dropped, mut discarded) = (std::mem::take(&mut found.dropped), std::mem::take(&mut found.discarded));
    discarded.extend(hidden(&mut found));
    let gaps = found.gaps.clone();
    let (resume, segments, sealed_payload_bytes) =
        resume(directory, options, found, torn_at.is_some(), &mut durable_file)?;
    for id in dropped {
        torn.push(set_aside(directory, id, FileName::Torn { segment: id, position: 0 })?);
    }
    #[cfg(feature = "mutants")]
    if varve_format::Mutant::KeepHidden.is_on() {
        discarded.clear();
    }
    for id in discarded {
        directory.unlink(FileName::Segment(id))?;
        let _derived = directory.unlink(FileName::Sidecar(id));
    }
    let first_index = resume.state.first_index;
    Ok(Recovered { resume, segments, durable_file, first_index, sealed_payload_bytes, torn, gaps })
}

/// Takes the segments that lie wholly below the first index out of the log: a truncation dropped them, and it is durable by now.
pub(crate) fn hidden(found: &mut Survey) -> Vec<u64> {
    let first_index = found.state.as_ref().map_or(0, |state| state.first_index);
    let firsts = found.pieces.iter().skip(1).map(|next| next.header.first_index);
    let count = firsts.take_while(|first| *first <= first_index).count();
    // What is lost of it is no loss.
    found.gaps.retain(|gap| gap.to > first_index);
    found.pieces.drain(..count).map(|piece| piece.header.id).collect()
}

fn create(directory: &Directory, options: &SegmentOptions, mut durable_file: DurableFile) -> Result<Recovered> {
    let state = State { engine: options.engine.clone(), ..State::new(options.first_index, &options.codec) };
    sync_above(directory)?;
    let log = directory.machine().random();
    let begin =
        Begin { id: 1, first_index: options.first_index, generation: 1, origin: Origin::First, log, previous: None };
    let (active, file) = begin.segment(directory, options, &state)?;
    let durable = Bound { segment: 1, position: active.written() };
    durable_file.write(durable, options.first_index, log)?;
    let next_index = options.first_index;
    let resume = Resume {
        active: Arc::clone(&active),
        file: Some(file),
        positions: Vec::new(),
        payload_bytes: 0,
        next_index,
        state,
        durable,
    };
    Ok(Recovered {
        resume,
        segments: vec![active],
        durable_file,
        first_index: next_index,
        sealed_payload_bytes: 0,
        torn: Vec::new(),
        gaps: Vec::new(),
    })
}

/// A process that was killed while it made the path may have left names above unsynced. Some may be none of ours to sync.
pub(crate) fn sync_above(directory: &Directory) -> Result<()> {
    for above in directory.path().ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        match directory.machine().sync_dir(above) {
            Err(error) if !matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

pub(crate) type Resumed = (Resume, Vec<Arc<Segment>>, u64);

/// Makes the last piece active again, or begins a segment behind it.
pub(crate) fn resume(
    directory: &Directory,
    options: &SegmentOptions,
    mut found: Survey,
    torn: bool,
    durable_file: &mut DurableFile,
) -> Result<Resumed> {
    let Some(last) = found.pieces.last() else {
        let path = directory.path().to_path_buf();
        return Err(Error::Corrupt { path, position: 0, index: None, reason: "no intact segment is left" });
    };
    let next_index = last.next_index;
    let end = Bound { segment: last.header.id, position: last.end };
    let first_index = found.first_index();
    let state = found
        .state
        .take()
        .unwrap_or_else(|| State { engine: options.engine.clone(), ..State::new(first_index, &options.codec) });
    // All that is found whole has been made durable by now: the segment that begins here says so.
    let state = State {
        durable: end.max(found.bound),
        first_index: state.first_index.min(next_index),
        commit: state.commit.min(next_index),
        ..state
    };
    // A segment with anything behind its last accepted frame is never appended to.
    let whole_behind = |stop: Place| !torn && stop.at.segment < end.segment && found.bound <= end;
    let lost_behind = found.gaps.iter().any(|gap| gap.to > last.header.first_index);
    let goes_on = found.stop.is_none_or(whole_behind) && !last.sealed && last.clean && !last.damaged && !lost_behind;
    #[cfg(feature = "mutants")]
    let goes_on = goes_on || (varve_format::Mutant::WriteOverTail.is_on() && !last.sealed && last.end > DATA_START);
    let (active, file, positions, payload_bytes);
    let mut pieces = found.pieces;
    if goes_on
        && let Some(Piece { header, end, positions: Some(known), payload_bytes: sum, .. }) = pieces.pop_if(|_| true)
    {
        file = directory.open(FileName::Segment(header.id), Access::Write)?;
        active = Arc::new(Segment::active(directory, header, Arc::clone(&file), end));
        (positions, payload_bytes) = (known, sum);
    } else {
        let before = pieces.last().map(|piece| piece.header);
        // Where names are left of a segment that itself is lost, its id is not used again, and what would continue has to be a cut.
        let cut = found.stop.is_some() || before.is_some_and(|before| before.id != found.last_id);
        let begin = Begin {
            id: found.last_id + 1,
            first_index: next_index,
            generation: if cut { found.last_generation + 1 } else { before.map_or(1, |header| header.generation) },
            origin: if cut { Origin::Recovery } else { Origin::Continues },
            log: before.map_or_else(|| found.log.unwrap_or(0), |header| header.log),
            previous: before.filter(|_| !cut),
        };
        (active, file) = begin.segment(directory, options, &state)?;
        (positions, payload_bytes) = (Vec::new(), 0);
    }
    let durable = Bound { segment: active.header.id, position: active.written() };
    if durable != found.bound {
        durable_file.write(durable, next_index, active.header.log)?;
    }
    let sealed_payload_bytes = pieces.iter().map(|piece| piece.payload_bytes).sum();
    let mut segments: Vec<_> = pieces
        .into_iter()
        .map(|piece| {
            let bytes = piece.positions.as_ref().map(|positions| positions.len() * 4);
            let segment = piece.into_sealed(directory);
            if let Some(bytes) = bytes {
                directory.residents().knows_positions(&segment, bytes);
            }
            segment
        })
        .collect();
    segments.push(Arc::clone(&active));
    let resume = Resume { active, file: Some(file), positions, payload_bytes, next_index, state, durable };
    Ok((resume, segments, sealed_payload_bytes))
}

/// A segment that is to begin.
pub(crate) struct Begin {
    pub(crate) id: u64,
    pub(crate) first_index: u64,
    pub(crate) generation: u64,
    pub(crate) origin: Origin,
    pub(crate) log: u64,
    /// The segment it continues.
    pub(crate) previous: Option<SegmentHeader>,
}

impl Begin {
    /// Makes it, durable with its name.
    pub(crate) fn segment(
        self,
        directory: &Directory,
        options: &SegmentOptions,
        state: &State,
    ) -> Result<(Arc<Segment>, Arc<dyn File>)> {
        let capacity = options.capacity_after(self.previous.map_or(0, |previous| previous.capacity), 0, 0);
        let header = SegmentHeader {
            id: self.id,
            first_index: self.first_index,
            generation: self.generation,
            generation_start: self.previous.map_or(self.id, |previous| previous.generation_start),
            origin: self.origin as u8,
            log: self.log,
            previous_link: self.previous.map_or(0, |previous| previous.link),
            ..fresh_header(directory, options, capacity)
        }
        .sealed();
        let frames = state_frame(state, &header);
        let prepared = Prepared::make(directory, capacity, true, &AtomicBool::new(false))?;
        let file = prepared.activate(directory, &header, &frames, true)?;
        let written = DATA_START + frames.len() as u64;
        Ok((Arc::new(Segment::active(directory, header, Arc::clone(&file), written)), file))
    }
}

/// Takes all from `stop` on out of the log. The segments behind are still there: a new one that cuts them is the commit.
pub(crate) fn cut_tail(directory: &Directory, found: &mut Survey, stop: &Place) -> Result<()> {
    found.pieces.retain(|piece| {
        piece.header.id <= stop.at.segment && (stop.at.position > 0 || piece.header.id < stop.at.segment)
    });
    let held: Vec<u64> = found.pieces.iter().map(|piece| piece.header.id).collect();
    // What a truncation has dropped before is no part of the tail.
    let is_tail = |id: &u64| !held.contains(id) && !found.discarded.contains(id);
    found.dropped = found.ids.iter().copied().filter(is_tail).collect();
    if let Some(piece) = found.pieces.last_mut()
        && piece.next_index > stop.index
    {
        let keep = usize::try_from(stop.index - piece.header.first_index).unwrap_or(0);
        if let Some(positions) = &mut piece.positions {
            positions.truncate(keep);
            piece.records = positions.len() as u64;
        }
        piece.next_index = stop.index;
        piece.end = piece.end.min(stop.at.position);
        let file = directory.open(FileName::Segment(piece.header.id), Access::Read)?;
        piece.payload_bytes = payload_bytes(&*file, piece.header.salt, 0, piece.end)?;
    }
    Ok(())
}

/// Takes the file of a segment that has been cut from the log out of it, and keeps it. Its name need not be durable: the next open would do it again.
pub(crate) fn set_aside(directory: &Directory, id: u64, name: FileName) -> Result<Torn> {
    let bytes = directory.open(FileName::Segment(id), Access::Read)?.len()?;
    directory.rename(FileName::Segment(id), name)?;
    let _missing = directory.unlink(FileName::Sidecar(id));
    Ok(Torn { path: directory.file(name), position: 0, bytes })
}

/// Keeps a copy of the bytes from `stop` to the end of its segment. They stay where they are, too; so a full disk is no reason not to open.
fn keep_tail(directory: &Directory, stop: &Place) -> Result<Option<Torn>> {
    if stop.at.position == 0 {
        return Ok(None);
    }
    let name = FileName::Torn { segment: stop.at.segment, position: stop.at.position };
    match copy_tail(directory, stop.at.segment, stop.at.position, name) {
        Ok(0) => {
            directory.unlink(name)?;
            Ok(None)
        }
        Ok(bytes) => Ok(Some(Torn { path: directory.file(name), position: stop.at.position, bytes })),
        Err(Error::NoSpace(_)) => {
            let _partial = directory.unlink(name);
            let path = directory.file(FileName::Segment(stop.at.segment));
            Ok(Some(Torn { path, position: stop.at.position, bytes: 0 }))
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn copy_tail(directory: &Directory, id: u64, position: u64, name: FileName) -> Result<u64> {
    let source = directory.open(FileName::Segment(id), Access::Read)?;
    if directory.names()?.contains(&name) {
        directory.unlink(name)?;
    }
    let copy = directory.create(name)?;
    let (mut piece, mut at, mut last) = (vec![0; COPY_PIECE], position, 0);
    loop {
        let read = source.read_at(&mut piece, at)?;
        if read == 0 {
            break;
        }
        if let Some(byte) = piece[..read].iter().rposition(|byte| *byte != 0) {
            copy.write_at(&[&piece[..=byte]], at - position)?;
            last = at - position + byte as u64 + 1;
        }
        at += read as u64;
    }
    copy.sync_data()?;
    Ok(last)
}

/// Writes what is not known to be durable once more, byte for byte, and syncs it. After a sync that failed the page cache may show
/// bytes that the disk does not have, and believes them clean: only bytes written again are sure to be synced.
pub(crate) fn write_again(directory: &Directory, found: &Survey) -> Result<()> {
    let mut buffer = vec![0; COPY_PIECE];
    for piece in &found.pieces {
        let header = &piece.header;
        if (Bound { segment: header.id, position: piece.end }) <= found.bound {
            continue;
        }
        let file = directory.open(FileName::Segment(header.id), Access::Write)?;
        let from = if header.id == found.bound.segment { found.bound.position } else { 0 };
        again(&*file, from, piece.end, &mut buffer)?;
        if piece.sealed {
            again(&*file, header.capacity - FOOTER_LEN, header.capacity, &mut buffer)?;
        }
        file.sync_data()?;
    }
    Ok(())
}

fn again(file: &dyn File, from: u64, to: u64, buffer: &mut [u8]) -> Result<()> {
    let mut at = from;
    while at < to {
        let len = usize::try_from(to - at).unwrap_or(usize::MAX).min(buffer.len());
        let read = file.read_at(&mut buffer[..len], at)?;
        if read == 0 {
            break;
        }
        #[cfg(feature = "mutants")]
        if varve_format::Mutant::NoRewrite.is_on() {
            break;
        }
        file.write_at(&[&buffer[..read]], at)?;
        at += read as u64;
    }
    Ok(())
}
