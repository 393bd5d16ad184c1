//! A segment file at first sight: header, footer and first state, and nothing between.

use varve_format::{
    BadFrame, BadHeader, DATA_START, FOOTER_LEN, FRAME_HEADER_LEN, Footer, Frame, FrameKind, HEADER_BLOCK_LEN, MOST,
    SegmentHeader, State, read_header_block,
};
use varve_io::{Access, File};

use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::name::FileName;
use crate::options::{MAX_SEGMENT_SIZE, SegmentOptions};

/// Most states are shorter.
const STATE_READ: usize = 1024;

/// What is seen of it.
pub(crate) struct Candidate {
    pub(crate) id: u64,
    pub(crate) header: Option<SegmentHeader>,
    pub(crate) footer: Option<Footer>,
    /// The footer's place holds neither a footer nor zeros.
    pub(crate) footer_torn: bool,
    pub(crate) state: Option<State>,
}

impl Candidate {
    /// Looks at segment `id`. Gives the position of a copy of its header that is damaged, too.
    pub(crate) fn read(directory: &Directory, id: u64, options: &SegmentOptions) -> Result<(Self, Option<u64>)> {
        // Not kept open: a log may have more segments than a process may have files.
        let file = directory.open(FileName::Segment(id), Access::Read)?;
        Self::of(directory, id, &*file, options)
    }

    /// The same of `file`, which is that segment's.
    pub(crate) fn of(
        directory: &Directory,
        id: u64,
        file: &dyn File,
        options: &SegmentOptions,
    ) -> Result<(Self, Option<u64>)> {
        let mut block = [0; HEADER_BLOCK_LEN];
        let read = file.read_at(&mut block, 0)?;
        let unsupported = |what| Error::Unsupported { path: directory.file(FileName::Segment(id)), what };
        let (header, damaged_copy) = match read_header_block(&block[..read]) {
            Ok(found) => (Some(found.header), found.damaged_copy),
            Err(BadHeader::Version(version)) => {
                let what =
                    format!("of format version {version}, which this version of varve does not know; use a newer one");
                return Err(unsupported(what));
            }
            Err(BadHeader::Damaged) => (None, None),
        };
        if header.is_some_and(|header| header.kind != options.kind as u8) {
            return Err(unsupported("a segment of another engine".into()));
        }
        let fits = |header: &SegmentHeader| {
            header.id == id
                && header.capacity <= MAX_SEGMENT_SIZE
                && header.capacity >= DATA_START + FOOTER_LEN
                && header.capacity.is_multiple_of(8)
                && header.first_index < MOST
                && header.generation < MOST
        };
        let header = header.filter(fits);
        let (footer, state) = match &header {
            Some(header) => (read_footer(file, header)?, read_state(file, header)?),
            None => (None, None),
        };
        let footer_torn = match &header {
            Some(header) if footer.is_none() => !is_footer_zero(file, header)?,
            _ => false,
        };
        Ok((Self { id, header, footer, footer_torn, state }, damaged_copy))
    }
}

fn read_frame<R>(
    file: &dyn File,
    header: &SegmentHeader,
    position: u64,
    len: usize,
    read: impl FnOnce(Frame<'_>) -> Option<R>,
) -> Result<Option<R>> {
    let mut bytes = vec![0; len];
    let got = file.read_at(&mut bytes, position)?;
    Ok(Frame::read(&bytes[..got], header.salt, position).ok().and_then(read))
}

fn read_footer(file: &dyn File, header: &SegmentHeader) -> Result<Option<Footer>> {
    let position = header.capacity - FOOTER_LEN;
    let len = usize::try_from(FOOTER_LEN).unwrap_or(0);
    read_frame(file, header, position, len, |frame| {
        let payload = frame.payload.first_chunk().filter(|_| frame.kind == FrameKind::Footer)?;
        let footer = Footer::decode(payload);
        let records = footer.next_index.checked_sub(header.first_index)?;
        // No more records than frames fit: what a footer promises is believed, and memory is asked for by it.
        let room = footer.data_end.checked_sub(DATA_START)? / FRAME_HEADER_LEN as u64;
        let possible = footer.durable().is_possible() && footer.next_index < MOST;
        // Fewer records than indexes: the segment ends with a gap.
        let fits = footer.records <= records && footer.records <= room && footer.payload_bytes <= footer.data_end;
        (possible && fits && footer.data_end <= position).then_some(footer)
    })
}

fn is_footer_zero(file: &dyn File, header: &SegmentHeader) -> Result<bool> {
    let mut bytes = vec![0; usize::try_from(FOOTER_LEN).unwrap_or(0)];
    file.read_at(&mut bytes, header.capacity - FOOTER_LEN)?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}

fn read_state(file: &dyn File, header: &SegmentHeader) -> Result<Option<State>> {
    let mut bytes = vec![0; STATE_READ];
    let mut got = file.read_at(&mut bytes, DATA_START)?;
    if let Err(BadFrame::Short(needs)) = Frame::read(&bytes[..got], header.salt, DATA_START)
        && needs > STATE_READ
        && DATA_START + needs as u64 <= header.capacity.min(file.len()?)
    {
        bytes.resize(needs, 0);
        got = file.read_at(&mut bytes, DATA_START)?;
    }
    let frame = Frame::read(&bytes[..got], header.salt, DATA_START).ok();
    Ok(frame.filter(|frame| frame.kind == FrameKind::Control).and_then(|frame| State::decode(frame.payload)))
}
