//! A log that is not there yet: it can be opened and read, and gets its directory and its first segment when it is first written to.

use std::sync::Arc;

use varve_format::{Bound, DATA_START, Origin, SegmentHeader, State};
use varve_io::File;

use crate::append::Resume;
use crate::begin::fresh_header;
use crate::directory::Directory;
use crate::durable::DurableFile;
use crate::error::{Error, Result};
use crate::name::FileName;
use crate::options::SegmentOptions;
use crate::prepare::Prepared;
use crate::recover::{Recovered, sync_above};
use crate::segment::Segment;

/// True if there is no log at `directory`: no segment, and nothing that tells of one.
pub fn is_to_come(directory: &Directory) -> Result<bool> {
    let names = match directory.names() {
        Err(error) if error.is_missing() => return Ok(true),
        names => names?,
    };
    // A crash while the first segment was made leaves names behind, and no slot.
    let told_of = names.iter().any(|name| !matches!(name, FileName::Durable | FileName::Lock | FileName::Prepared(_)));
    Ok(!told_of && DurableFile::read(directory)?.is_none())
}

/// A log that is empty, and takes no place on the disk before it is written to.
pub fn begin_later(directory: &Directory, options: &SegmentOptions) -> Recovered {
    let state = State { engine: options.engine.clone(), ..State::new(options.first_index, &options.codec) };
    let header = SegmentHeader {
        id: 1,
        first_index: options.first_index,
        generation: 1,
        generation_start: 1,
        origin: Origin::First as u8,
        log: directory.machine().random(),
        ..fresh_header(directory, options, options.capacity_after(0, 0, 0))
    };
    let active = Arc::new(Segment::to_come(directory, header.sealed(), DATA_START));
    let (next_index, durable) = (options.first_index, Bound { segment: 1, position: DATA_START });
    let resume = Resume {
        active: Arc::clone(&active),
        file: None,
        positions: Vec::new(),
        payload_bytes: 0,
        next_index,
        state,
        durable,
    };
    Recovered {
        resume,
        segments: vec![active],
        durable_file: DurableFile::later(directory),
        first_index: next_index,
        sealed_payload_bytes: 0,
        torn: Vec::new(),
        gaps: Vec::new(),
    }
}

/// Makes the directory and the segment with `header`, which begins with `frames`; all of it is durable. Gives the file, and its end. The slots stay
/// empty: before the first sync there is nothing that they would have to tell.
pub(crate) fn make_first(
    directory: &Directory,
    header: &SegmentHeader,
    frames: &[u8],
) -> Result<(Arc<dyn File>, Bound)> {
    directory.machine().create_dir_all(directory.path())?;
    for name in directory.names()? {
        if let FileName::Prepared(_) = name {
            directory.unlink(name)?;
        }
    }
    DurableFile::open(directory)?;
    sync_above(directory)?;
    let prepared = Prepared::make(directory, header.capacity, true, &Default::default())?;
    let file = prepared.activate(directory, header, frames, true).map_err(|error| match error {
        Error::Io(error) | Error::NoSpace(error) => Error::SyncFailed(error),
        error => error,
    })?;
    let durable = Bound { segment: header.id, position: DATA_START + frames.len() as u64 };
    Ok((file, durable))
}
