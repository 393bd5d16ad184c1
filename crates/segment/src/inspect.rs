//! Looking at a directory without opening it.

use crate::candidate::Candidate;
use crate::care::Care;
use crate::directory::Directory;
use crate::durable::DurableFile;
use crate::error::Result;
use crate::name::FileName;
use crate::options::SegmentOptions;
use crate::recover::{hidden, is_torn};
use crate::segment::Segment;
use crate::survey::{Flaw, Gap, Survey, survey};

/// A writer that is met in so many looks in a row is not waited for any longer.
const CALM_LOOKS: usize = 20;

/// What a directory holds.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Segments of the log.
    pub segments: usize,
    /// Index of the first record.
    pub first_index: u64,
    /// Index after the last.
    pub next_index: u64,
    /// Every record below it is known to be durable, by the slots beside the segments.
    pub durable_index: u64,
    /// Index after the last committed record.
    pub committed: u64,
    /// Records that can be read.
    pub records: u64,
    /// Bytes of the segment files.
    pub file_bytes: u64,
    /// The log would open, though it may have a torn tail.
    pub ok: bool,
    /// All that is not as it should be.
    pub flaws: Vec<Flaw>,
    /// Records that are lost.
    pub gaps: Vec<Gap>,
    /// Name of the codec.
    pub codec: Option<String>,
}

/// Looks at all of `directory`, takes no lock, and changes nothing. Reads every frame if `verify`.
pub fn inspect(directory: &Directory, options: &SegmentOptions, verify: bool, care: &Care) -> Result<Inspection> {
    calmly(|| look(directory, options, verify, care))
}

fn look(directory: &Directory, options: &SegmentOptions, verify: bool, care: &Care) -> Result<Inspection> {
    let mut found = calm_survey(directory, options, verify, care)?;
    let mut flaws = std::mem::take(&mut found.flaws);
    let mut ok = true;
    if let Some(stop) = found.stop {
        let path = directory.file(FileName::Segment(stop.at.segment));
        let position = stop.at.position;
        if is_torn(&found, &stop) {
            flaws.push(Flaw { path, position, reason: "torn tail" });
            found.pieces.retain(|piece| piece.header.id <= stop.at.segment);
        } else {
            ok = false;
            flaws.push(Flaw { path, position, reason: stop.reason });
            found = survey(directory, options, verify, true, care)?;
            let gap = |gap: &Gap| Flaw { path: gap.path.clone(), position: gap.position, reason: "records are lost" };
            flaws.extend(
                found.gaps.iter().filter(|gap| gap.to > gap.from && gap.position != position && !gap.removed).map(gap),
            );
        }
    }
    hidden(&mut found);
    let cut = found.stop.filter(|_| ok).map(|stop| stop.index);
    let state = found.state.as_ref();
    let first_index = found.first_index();
    let next_index = found.pieces.last().map_or(first_index, |piece| piece.next_index);
    let next_index = cut.map_or(next_index, |cut| next_index.min(cut));
    let lost: u64 = found.gaps.iter().map(|gap| gap.within(first_index, next_index)).sum();
    let slot = DurableFile::read(directory)?;
    // What a slot says of records that were cut since says nothing of those that are there now.
    let cut_behind = |id| {
        let cuts = found.pieces.iter().map(|piece| &piece.header).filter(|header| header.id > id && header.is_cut());
        // One that has been removed since has left only what came behind it.
        let cut_since = found.pieces.last().is_some_and(|piece| piece.header.generation_start > id);
        let first = found.pieces.first().map_or(0, |piece| piece.header.first_index);
        cuts.map(|header| header.first_index).min().unwrap_or(if cut_since { first } else { u64::MAX })
    };
    let mut file_bytes = 0;
    for piece in &found.pieces {
        file_bytes += piece.header.capacity;
        if verify && piece.sealed {
            let segment = Segment::sealed(directory, piece.header, piece.end(), None, false);
            if segment.sidecar_is_wrong(piece.positions.as_deref()) {
                let path = directory.file(FileName::Sidecar(piece.header.id));
                flaws.push(Flaw {
                    path,
                    position: 0,
                    reason: "the sidecar index is damaged or stale; it will be rebuilt",
                });
            }
        }
    }
    Ok(Inspection {
        segments: found.pieces.len(),
        first_index,
        next_index,
        durable_index: slot.map_or(first_index, |slot| slot.next_index.min(next_index).min(cut_behind(slot.segment))),
        committed: state.map_or(0, |state| state.commit).clamp(first_index.min(next_index), next_index),
        records: next_index.saturating_sub(first_index).saturating_sub(lost),
        file_bytes,
        ok,
        flaws,
        gaps: found.gaps,
        codec: state.map(|state| state.codec.clone()),
    })
}

/// A file may be removed by its writer between the look at its name and the look into it: then all is looked at again.
pub(crate) fn calmly<T>(mut look: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 0..CALM_LOOKS {
        match look() {
            Err(error) if error.is_missing() => {}
            looked => return looked,
        }
    }
    look()
}

/// Beside a writer a look may meet a write that is just being made. A writer moves on; damage stays where it is: what is found twice is there.
pub(crate) fn calm_survey(
    directory: &Directory,
    options: &SegmentOptions,
    verify: bool,
    care: &Care,
) -> Result<Survey> {
    let mut found = calmly(|| survey(directory, options, verify, false, care))?;
    for _ in 0..CALM_LOOKS {
        let before = found.stop;
        if before.is_none() {
            break;
        }
        found = calmly(|| survey(directory, options, verify, false, care))?;
        if found.stop == before {
            break;
        }
    }
    Ok(found)
}

/// The users' marks in the headers of all segments, each once.
pub fn markers(directory: &Directory, options: &SegmentOptions) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for name in directory.names()? {
        if let FileName::Segment(id) = name
            && let (Candidate { header: Some(header), .. }, _) = Candidate::read(directory, id, options)?
            && !found.contains(&header.marker)
        {
            found.push(header.marker);
        }
    }
    found.sort_unstable();
    Ok(found)
}
