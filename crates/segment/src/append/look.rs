//! What readers want to know of the active segment.

use std::sync::Arc;

use varve_format::FRAME_HEADER_LEN;

use super::Appender;
use crate::segment::{Segment, find_frame};

impl Appender {
    /// Position of record `index`, and the segment, if it is in the active one.
    #[inline]
    pub fn position_of(&self, index: u64) -> Option<(&Arc<Segment>, u64)> {
        let at = usize::try_from(index.checked_sub(self.active.header.first_index)?).ok()?;
        self.positions.get(at).map(|entry| (&self.active, u64::from(*entry) * 8))
    }

    /// The payload of the record at `position` of the active segment, if it is still in the buffer.
    #[inline]
    pub fn buffered_record(&self, position: u64) -> Option<&[u8]> {
        let frame = self.buffered(self.active.header.id, position)?;
        let (head, payload) = frame.split_first_chunk::<FRAME_HEADER_LEN>()?;
        payload.get(..varve_format::FrameHeader::decode(head).length as usize)
    }

    /// The bytes from `position` of `segment` on, as far as they are in the buffer.
    #[inline]
    pub fn buffered(&self, segment: u64, position: u64) -> Option<&[u8]> {
        let from = usize::try_from(position.checked_sub(self.start)?).ok()?;
        if segment != self.active.header.id || from >= self.filled {
            return None;
        }
        self.buffer.get(from..self.filled)
    }

    /// Index of the record whose frame is at `position` of the active segment; `None` if none is.
    pub fn index_at(&self, position: u64) -> Option<u64> {
        find_frame(&self.positions, position).map(|at| self.active.header.first_index + at as u64)
    }

    /// Copies whole bytes of the buffer from `position` of `segment` on into `slab`; for [`crate::Cursor::fill`].
    pub fn copy_tail(&self, segment: u64, position: u64, slab: &mut [u8]) -> usize {
        let Some(bytes) = self.buffered(segment, position) else { return 0 };
        let len = bytes.len().min(slab.len());
        slab[..len].copy_from_slice(&bytes[..len]);
        len
    }
}
