//! From segment to segment: a full one is sealed, a truncation begins one that cuts the log.

use std::sync::Arc;

use varve_format::{
    BatchFlags, Bound, DATA_START, FOOTER_LEN, Footer, FrameKind, FramePlace, GapFields, Origin, SegmentHeader,
    frame_len, place_frame,
};
use varve_io::File;

use super::Appender;
use crate::begin::{fresh_header, state_frame};
use crate::error::{Error, Result};
use crate::options::{GROWTH, room};
use crate::prepare::Prepared;
use crate::segment::{Sealed, Segment};

impl Appender {
    /// Seals the active segment and begins the next, which has room for a frame of `needed` bytes. Nothing is synced.
    #[cold]
    pub fn rotate(&mut self, needed: u64) -> Result<()> {
        self.failure.check()?;
        self.wake()?;
        // One that is not half full when it is left says nothing of a log that grows.
        let stays = self.options.thrifty && self.position() < self.limit / 2;
        let capacity = self.active.header.capacity;
        let prepared = self.take_prepared(if stays { capacity / GROWTH } else { capacity }, needed)?;
        self.seal_and_begin(prepared).map_err(|error| self.fail_with(error))
    }

    /// A file for the segment after one of `previous` bytes. Where it cannot be had, nothing has happened.
    fn take_prepared(&mut self, previous: u64, needed: u64) -> Result<Prepared> {
        let state = self.state_frame_len();
        let wanted = self.options.capacity_after(previous, needed, state);
        let least = needed + (wanted - room(wanted, state));
        loop {
            match self.ready.pop_front() {
                Some(ready) if ready.capacity >= least => return Ok(ready),
                Some(small) => small.discard(&self.directory),
                None => return self.preparer.take(least, wanted),
            }
        }
    }

    fn seal_and_begin(&mut self, prepared: Prepared) -> Result<()> {
        self.write_buffer()?;
        let sealed_micros = self.directory.machine().now_micros();
        let end = Sealed {
            data_end: self.start,
            next_index: self.next_index,
            records: self.positions.len() as u64,
            payload_bytes: self.payload_bytes,
            sealed_micros,
        };
        let footer = self.footer(&end);
        self.write(&[&footer], self.limit)?;

        let old = self.active.header;
        let header = SegmentHeader {
            id: old.id + 1,
            first_index: self.next_index,
            generation: old.generation,
            generation_start: old.generation_start,
            log: old.log,
            previous_link: old.link,
            ..fresh_header(&self.directory, &self.options, prepared.capacity)
        };
        let (next, file) = self.begin(prepared, header.sealed())?;
        let sealed = self.go_on_in(&next, file);
        sealed.0.seal(end, sealed.1);
        self.unsynced.push(sealed.0);
        self.sealed_payload_bytes += std::mem::take(&mut self.payload_bytes);
        self.set.push(next);
        Ok(())
    }

    /// Drops every record from `next_index` on, by a segment that cuts them: its name is the commit. With `reset`, those before it too, and
    /// `next_index` may be any. What is cut is gone for this process at once, and for good with the next sync; its files go after that.
    pub fn cut(&mut self, next_index: u64, reset: bool) -> Result<()> {
        self.failure.check()?;
        self.wake()?;
        let prepared = self.take_prepared(0, 0)?;
        self.cut_and_begin(prepared, next_index, reset).map_err(|error| self.fail_with(error))
    }

    fn cut_and_begin(&mut self, prepared: Prepared, next_index: u64, reset: bool) -> Result<()> {
        self.write_buffer()?;
        let all = self.set.all();
        // What is cut off in the middle, and what stays before it.
        let whole = all.partition_point(|segment| segment.header.first_index < next_index);
        let kept = if reset { 0 } else { whole };
        let partial = all.get(kept.wrapping_sub(1)).filter(|_| kept > 0);
        let partial = match partial {
            Some(segment) => Some(self.shorten(segment, next_index)?),
            None => None,
        };

        let old = self.active.header;
        let mut state = self.state.clone();
        state.commit = state.commit.min(next_index);
        if reset {
            (state.first_index, state.commit) = (next_index, next_index);
        }
        let header = SegmentHeader {
            id: old.id + 1,
            first_index: next_index,
            generation: old.generation + 1,
            generation_start: old.id + 1,
            origin: Origin::Truncation as u8,
            log: old.log,
            // Without the segment that it ends, it is no cut: of two cuts that were not synced the first alone may be lost.
            previous_link: partial.as_ref().map_or(0, |segment| segment.header.link),
            ..fresh_header(&self.directory, &self.options, prepared.capacity)
        };
        #[cfg(feature = "mutants")]
        let header = match varve_format::Mutant::SameGeneration.is_on() {
            true => SegmentHeader { generation: old.generation, ..header },
            false => header,
        };
        let before = std::mem::replace(&mut self.state, state);
        let begun = self.begin(prepared, header.sealed());
        let (next, file) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                self.state = before;
                return Err(error);
            }
        };
        self.go_on_in(&next, file);
        self.next_index = next_index;
        let stays = &all[..kept.saturating_sub(1)];
        // Files that are cut whole are synced too, before the cut is: where a crash has kept its name, what lies before it is whole, and no header
        // of a file that was not removed yet is missing.
        if !self.unsynced.iter().any(|segment| segment.header.id == old.id) {
            self.unsynced.extend(all.last().cloned());
        }
        // One that is cut in the middle stands for the whole.
        for one in self.unsynced.iter_mut() {
            if let Some(partial) = partial.as_ref().filter(|partial| partial.header.id == one.header.id) {
                *one = Arc::clone(partial);
            }
        }
        let sealed = stays.iter().chain(&partial).filter_map(|segment| segment.end());
        self.sealed_payload_bytes = sealed.map(|end| end.payload_bytes).sum();
        self.payload_bytes = 0;
        let after = Bound { segment: next.header.id, position: self.start };
        self.set.replace_from(stays.len(), partial.into_iter().chain([next]));
        self.set.retire(all[kept..].iter().cloned(), after);
        Ok(())
    }

    /// What stays of `segment` when the log ends before record `next_index`.
    fn shorten(&self, segment: &Arc<Segment>, next_index: u64) -> Result<Arc<Segment>> {
        let first = segment.header.first_index;
        let (mut positions, end) = match segment.end() {
            Some(end) if end.next_index <= next_index => return Ok(Arc::clone(segment)),
            Some(end) => (segment.positions()?.to_vec(), end),
            None => {
                let end = Sealed {
                    data_end: self.start,
                    next_index: self.next_index,
                    records: self.positions.len() as u64,
                    payload_bytes: self.payload_bytes,
                    sealed_micros: 0,
                };
                (self.positions.clone(), end)
            }
        };
        let keep = usize::try_from(next_index - first).unwrap_or(usize::MAX).min(positions.len());
        let cut = positions.iter().skip(keep).find(|entry| **entry != 0);
        let data_end = cut.map_or(end.data_end, |entry| u64::from(*entry) * 8);
        positions.truncate(keep);
        let dropped = segment.payload_between(data_end, end.data_end)?;
        let left = Sealed {
            data_end,
            next_index,
            records: keep as u64,
            payload_bytes: end.payload_bytes.saturating_sub(dropped),
            sealed_micros: self.directory.machine().now_micros(),
        };
        Ok(Arc::new(segment.cut(left, positions)))
    }

    /// Passes over the indexes up to `to`, whose records are lost: a frame says so, and the record that follows begins a segment.
    pub fn skip_to(&mut self, to: u64) -> Result<()> {
        let payload = GapFields::new(self.next_index, to).encode();
        let len = frame_len(payload.len()) as u64;
        if !self.has_room(len) {
            self.make_room(len)?;
        }
        self.put_control(&payload)?;
        self.next_index = to;
        #[cfg(feature = "mutants")]
        if varve_format::Mutant::GapWithin.is_on() {
            return Ok(());
        }
        self.rotate(0)
    }

    fn begin(&mut self, prepared: Prepared, header: SegmentHeader) -> Result<(Arc<Segment>, Arc<dyn File>)> {
        self.state.durable = self.durable.get();
        let frames = state_frame(&self.state, &header);
        let file = prepared.activate(&self.directory, &header, &frames, false)?;
        let written = DATA_START + frames.len() as u64;
        Ok((Arc::new(Segment::active(&self.directory, header, Arc::clone(&file), written)), file))
    }

    /// Makes `next` the active segment. Gives the one before, and the positions of its records.
    fn go_on_in(&mut self, next: &Arc<Segment>, file: Arc<dyn File>) -> (Arc<Segment>, Vec<u32>) {
        self.file = Some(file);
        self.limit = next.header.capacity - FOOTER_LEN;
        self.start = next.written();
        self.names_unsynced = true;
        // The state that it begins with is the newest.
        self.state_unwritten = false;
        self.rotations += 1;
        let positions = Vec::with_capacity(self.positions.len());
        (std::mem::replace(&mut self.active, Arc::clone(next)), std::mem::replace(&mut self.positions, positions))
    }

    fn fail_with(&self, error: Error) -> Error {
        match error {
            Error::NoSpace(error) => self.failure.set(Error::Io(error)),
            error => self.failure.set(error),
        }
    }

    fn footer(&self, end: &Sealed) -> Vec<u8> {
        let header = &self.active.header;
        let durable = self.durable.get();
        let payload = Footer {
            next_index: end.next_index,
            records: end.records,
            payload_bytes: self.payload_bytes,
            data_end: end.data_end,
            durable_segment: durable.segment,
            durable_position: durable.position,
            sealed_micros: end.sealed_micros,
            min_time: 0,
            max_time: 0,
        }
        .encode();
        // The index behind the last record: behind a gap the next one may be too far away for a frame to tell.
        let index = u32::try_from(end.records).unwrap_or_default();
        let place = FramePlace {
            salt: header.salt,
            position: self.limit,
            kind: FrameKind::Footer,
            batch: BatchFlags::ALONE,
            index,
            distance: self.durable.distance(header.id, self.limit),
        };
        [place_frame(&place, &payload).as_slice(), &payload].concat()
    }
}
