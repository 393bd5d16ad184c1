//! Walking the frames of one file, by reads into a window of its own: never by a map, so that bytes that another process is
//! just writing can do no harm. Time is linear in the file's length, whatever the bytes are.

use varve_format::{BadFrame, DATA_START, FRAME_HEADER_LEN, Frame, FrameHeader, FrameKind};
use varve_io::File;

use crate::error::Result;

/// Bytes read at a time: what stays in a core's second cache until it has been checked.
const WINDOW: usize = 256 << 10;

/// A part of a file in memory.
struct Window<'f> {
    file: &'f dyn File,
    size: usize,
    bytes: Vec<u8>,
    start: u64,
    end: u64,
}

impl Window<'_> {
    /// The bytes from `position` on: `len` of them, or what there is up to the end.
    fn view(&mut self, position: u64, len: usize) -> Result<&[u8]> {
        if position >= self.end {
            return Ok(&[]);
        }
        let have = self.start + self.bytes.len() as u64;
        let want = (position + len as u64).min(self.end);
        if position < self.start || want > have {
            let fill = usize::try_from((self.end - position).min(self.size.max(len) as u64)).unwrap_or(self.size);
            self.bytes.resize(fill, 0);
            self.start = position;
            let read = self.file.read_at(&mut self.bytes, position)?;
            self.bytes.truncate(read);
        }
        let from = usize::try_from(position - self.start).unwrap_or(usize::MAX);
        let rest = self.bytes.get(from..).unwrap_or_default();
        Ok(&rest[..len.min(rest.len())])
    }
}

/// What lies at a position.
pub(crate) enum Step<'a> {
    /// An intact frame.
    Frame { position: u64, frame: Frame<'a> },
    /// No frame.
    Bad(BadFrame),
    /// The end of the place for frames.
    End,
}

/// Walks frames from [`DATA_START`] up to the footer's place.
pub(crate) struct Scanner<'f> {
    window: Window<'f>,
    salt: u64,
    position: u64,
    limit: u64,
    hash_budget: u64,
}

impl<'f> Scanner<'f> {
    /// Over `file`, whose frames carry `salt` and end before `limit`.
    pub(crate) fn new(file: &'f dyn File, salt: u64, limit: u64) -> Result<Self> {
        Self::behind(file, salt, limit, DATA_START, WINDOW)
    }

    /// The same from `position` on, where a frame begins, reading `window` bytes at a time.
    pub(crate) fn behind(file: &'f dyn File, salt: u64, limit: u64, position: u64, window: usize) -> Result<Self> {
        let end = file.len()?.min(limit);
        let window = Window { file, size: window, bytes: Vec::new(), start: 0, end };
        // Behind damage every position is a candidate; a hostile file could make each of them hash all the rest.
        Ok(Self { window, salt, position, limit, hash_budget: 4 * limit })
    }

    /// Where the next frame is looked for.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The frame at the position, which moves behind it. Stays where there is none.
    pub(crate) fn step(&mut self) -> Result<Step<'_>> {
        let position = self.position;
        if self.limit.saturating_sub(position) < FRAME_HEADER_LEN as u64 {
            return Ok(Step::End);
        }
        let Some(head) = self.window.view(position, FRAME_HEADER_LEN)?.first_chunk() else {
            return Ok(Step::Bad(BadFrame::Short(FRAME_HEADER_LEN)));
        };
        let len = match FrameHeader::read(head, self.salt, position) {
            Ok(header) => header.frame_len(),
            Err(bad) => return Ok(Step::Bad(bad)),
        };
        if position + len as u64 > self.limit {
            return Ok(Step::Bad(BadFrame::Header));
        }
        match Frame::read(self.window.view(position, len)?, self.salt, position) {
            Ok(frame) => {
                self.position += len as u64;
                Ok(Step::Frame { position, frame })
            }
            Err(bad) => Ok(Step::Bad(bad)),
        }
    }

    /// Moves to the next intact frame behind a bad one. False: there is none.
    pub(crate) fn resync(&mut self) -> Result<bool> {
        loop {
            self.position += 8;
            if self.position + FRAME_HEADER_LEN as u64 > self.limit {
                return Ok(false);
            }
            let Some(head) = self.window.view(self.position, FRAME_HEADER_LEN)?.first_chunk() else { return Ok(false) };
            let Ok(header) = FrameHeader::read(head, self.salt, self.position) else { continue };
            let len = header.frame_len();
            if self.position + len as u64 > self.limit {
                continue;
            }
            if Frame::read(self.window.view(self.position, len)?, self.salt, self.position).is_ok() {
                return Ok(true);
            }
            if self.hash_budget < len as u64 {
                self.position += len as u64 - 8;
            } else {
                self.hash_budget -= len as u64;
            }
        }
    }

    /// Position behind the last byte from here on that is not zero; `None` if all are zero.
    pub(crate) fn last_byte(&mut self) -> Result<Option<u64>> {
        let mut last = None;
        let mut at = self.position;
        loop {
            let chunk = self.window.view(at, WINDOW)?;
            if chunk.is_empty() {
                return Ok(last);
            }
            // By blocks first: this runs over all of a fresh segment at each open.
            let (blocks, tail) = chunk.as_chunks::<256>();
            let tail_at = at + (chunk.len() - tail.len()) as u64;
            let in_blocks = blocks.iter().rposition(|block| block.iter().fold(0, |all, byte| all | byte) != 0);
            if let Some(byte) = tail.iter().rposition(|byte| *byte != 0) {
                last = Some(tail_at + byte as u64 + 1);
            } else if let Some(block) = in_blocks {
                let byte = blocks[block].iter().rposition(|byte| *byte != 0).unwrap_or_default();
                last = Some(at + (block * 256 + byte) as u64 + 1);
            }
            at += chunk.len() as u64;
        }
    }
}

/// Sum of the lengths of the records whose frames begin in `from..end`.
pub(crate) fn payload_bytes(file: &dyn File, salt: u64, from: u64, end: u64) -> Result<u64> {
    let mut scanner = Scanner::behind(file, salt, end, from.max(DATA_START), WINDOW)?;
    let mut sum = 0;
    loop {
        match scanner.step()? {
            Step::Frame { frame, .. } if frame.kind == FrameKind::Record => sum += frame.payload.len() as u64,
            Step::Frame { .. } => {}
            Step::End => return Ok(sum),
            Step::Bad(_) => {
                if !scanner.resync()? {
                    return Ok(sum);
                }
            }
        }
    }
}
