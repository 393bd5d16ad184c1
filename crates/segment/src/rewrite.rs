//! Writing a sealed segment anew, without some of its records.
//!
//! The new file has the id, the place in the chain and the links of the old one, and a salt of its own, so that nothing of the old one passes for
//! its own. It is written and synced under a temporary name; the rename over the old name is the commit. A crash leaves the one or the other, whole.
//!
//! What was ever said to be durable of the old one is so of the new one: only a segment is rewritten that lies wholly below the durable bound, and
//! the new file is synced before it has the name. So a bound found elsewhere that names a position which the shorter file does not have says no more
//! than that all of it is durable. The new file carries no bound beyond its own end: copied elsewhere, it may be the last of its log.

use std::sync::Arc;

use varve_format::{
    BatchFlags, Bound, DATA_START, DISTANCE_UNKNOWN, FOOTER_LEN, Footer, Frame, FrameKind, FramePlace, GapFields,
    MAX_RELATIVE_INDEX, Origin, SegmentHeader, State, frame_len, place_frame,
};
use varve_io::File;

use crate::begin::frame_of;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::name::FileName;
use crate::options::MAX_SEGMENT_SIZE;
use crate::scan::{Scanner, Step};
use crate::segment::{Sealed, Segment};
use crate::set::SegmentSet;

/// Bytes written at a time.
const PIECE: usize = 256 << 10;

/// A record of the segment that is rewritten.
#[derive(Debug, Clone, Copy)]
pub struct OldRecord<'a> {
    /// Its index.
    pub index: u64,
    /// What ties it to its neighbours.
    pub batch: BatchFlags,
    /// Its bytes, verified.
    pub payload: &'a [u8],
}

/// Takes the records that stay, in order.
#[derive(Debug)]
pub struct Rewriter {
    file: Arc<dyn File>,
    /// Its temporary name, until it has its own.
    name: Option<FileName>,
    directory: Directory,
    header: SegmentHeader,
    /// How the old segment ends.
    end: Sealed,
    /// Position in the file of the first byte in the buffer.
    start: u64,
    buffer: Vec<u8>,
    positions: Vec<u32>,
    payload_bytes: u64,
    /// The batch of the last record goes on.
    in_batch: bool,
    times: (i64, i64),
}

impl Rewriter {
    fn begin(directory: &Directory, old: &Segment, end: Sealed, times: (i64, i64)) -> Result<Self> {
        let machine = directory.machine();
        let name = FileName::Prepared(machine.random());
        // Its capacity is known when all is written.
        let header =
            SegmentHeader { salt: machine.random(), origin: old.header.origin | Origin::Rewritten as u8, ..old.header };
        Ok(Self {
            file: directory.create(name)?,
            name: Some(name),
            directory: directory.clone(),
            header,
            end,
            start: DATA_START,
            buffer: Vec::new(),
            positions: Vec::new(),
            payload_bytes: 0,
            in_batch: false,
            times,
        })
    }

    /// Adds a record, behind those before, and returns the index that it has now. The batches of all records that are added must be whole, as far as
    /// those of the old segment were: of one that began before it, or goes on behind it, the middle alone may be left out.
    pub fn push(&mut self, batch: BatchFlags, payload: &[u8]) -> Result<u64> {
        let count = self.positions.len() as u64;
        let index = self.header.first_index + count;
        if batch.continued != self.in_batch {
            return Err(invalid("a batch is broken by the records that are kept"));
        }
        if index >= self.end.next_index || count > u64::from(MAX_RELATIVE_INDEX) {
            return Err(invalid("more records are kept than there were"));
        }
        let position = self.put(FrameKind::Record, batch, payload)?;
        self.positions.push(u32::try_from(position / 8).unwrap_or(0));
        self.payload_bytes += payload.len() as u64;
        self.in_batch = batch.more;
        Ok(index)
    }

    /// Least and greatest time of the messages that are kept. Not told, they are those of the old segment.
    pub fn set_times(&mut self, least: i64, greatest: i64) {
        self.times = (least, greatest);
    }

    /// Adds a frame. Gives its position.
    fn put(&mut self, kind: FrameKind, batch: BatchFlags, payload: &[u8]) -> Result<u64> {
        let (position, len) = (self.start + self.buffer.len() as u64, frame_len(payload.len()));
        let limit = MAX_SEGMENT_SIZE - FOOTER_LEN;
        if position + len as u64 > limit {
            return Err(Error::TooLarge { what: "a segment", bytes: position + len as u64 + FOOTER_LEN, limit });
        }
        let place = FramePlace {
            salt: self.header.salt,
            position,
            kind,
            batch,
            index: u32::try_from(self.positions.len()).unwrap_or(MAX_RELATIVE_INDEX),
            distance: DISTANCE_UNKNOWN,
        };
        self.buffer.extend_from_slice(&place_frame(&place, payload));
        self.buffer.extend_from_slice(payload);
        self.buffer.resize(self.buffer.len().next_multiple_of(8), 0);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(position)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_at(&[&self.buffer], self.start)?;
        self.start += self.buffer.len() as u64;
        self.buffer.clear();
        // A record may have been large.
        self.buffer.shrink_to(2 * PIECE);
        Ok(())
    }

    /// Writes what ends the segment, and its header, and syncs it.
    fn finish(mut self, old: Arc<Segment>, old_file: Arc<dyn File>) -> Result<Rewriting> {
        let records = self.positions.len() as u64;
        let next = self.header.first_index + records;
        if next < self.end.next_index {
            self.put(FrameKind::Control, BatchFlags::ALONE, &GapFields::new(next, self.end.next_index).encode())?;
        }
        self.flush()?;
        let data_end = self.start;
        let header = SegmentHeader { capacity: data_end + FOOTER_LEN, ..self.header }.sealed();
        let end = Sealed { data_end, records, payload_bytes: self.payload_bytes, ..self.end };
        let footer = Footer {
            next_index: end.next_index,
            records,
            payload_bytes: end.payload_bytes,
            data_end,
            durable_segment: header.id,
            durable_position: data_end,
            sealed_micros: end.sealed_micros,
            min_time: self.times.0,
            max_time: self.times.1,
        };
        let place = FramePlace {
            salt: header.salt,
            position: data_end,
            kind: FrameKind::Footer,
            batch: BatchFlags::ALONE,
            index: u32::try_from(records).unwrap_or(MAX_RELATIVE_INDEX),
            distance: DISTANCE_UNKNOWN,
        };
        self.file.write_at(&[&frame_of(&place, &footer.encode())], data_end)?;
        self.file.write_at(&[&header.block()], 0)?;
        self.file.sync_data()?;
        let positions = std::mem::take(&mut self.positions);
        let segment = Arc::new(Segment::sealed(&self.directory, header, end, Some(positions), false));
        Ok(Rewriting { written: self, segment, old, old_file })
    }
}

impl Drop for Rewriter {
    fn drop(&mut self) {
        if let Some(name) = self.name {
            // One that stays behind is removed by the next open.
            let _stays = self.directory.unlink(name);
        }
    }
}

/// A segment that is written anew, and has not got its name yet. Dropped, it never was.
#[derive(Debug)]
pub struct Rewriting {
    written: Rewriter,
    segment: Arc<Segment>,
    old: Arc<Segment>,
    old_file: Arc<dyn File>,
}

impl Rewriting {
    /// The new segment. It cannot be read before it has its name.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Removes the files that were derived from the old segment: they are of no use to the new one.
    pub fn drop_derived(&self) {
        let id = self.segment.header.id;
        let _derived = [FileName::Sidecar(id), FileName::Digest(id)].map(|name| self.written.directory.unlink(name));
    }

    /// Gives it the name and the place of the old one; false if that is no more in `set`. The rename is the commit. To be called under the lock under
    /// which segments are taken out of the set. Who stands in the old one reads that to its end. Cost: one rename.
    pub fn commit(&mut self, set: &SegmentSet) -> Result<bool> {
        let (directory, id) = (&self.written.directory, self.segment.header.id);
        let is_there = set.by_id(id).is_some_and(|live| Arc::ptr_eq(&live, &self.old));
        let Some(name) = self.written.name.filter(|_| is_there) else { return Ok(false) };
        self.old.kept.keep(Arc::clone(&self.old_file));
        if let Err(error) = directory.rename(name, FileName::Segment(id)) {
            self.old.kept.release();
            return Err(error);
        }
        self.written.name = None;
        self.old.kept.replaced();
        // Seen as long as it is held. Its file has no name any more: nothing has to be durable for it to go.
        set.retire([Arc::clone(&self.old)], Bound::default());
        set.replace(&self.old, Arc::clone(&self.segment));
        Ok(true)
    }

    /// Makes the name durable, and has a sidecar written.
    pub fn settle(self) -> Result<Arc<Segment>> {
        let (directory, segment) = (&self.written.directory, &self.segment);
        directory.residents().knows_positions(segment, self.positions_len());
        let sidecar = Arc::clone(segment);
        directory.spawn(Box::new(move || sidecar.write_sidecar()));
        directory.sync()?;
        Ok(Arc::clone(segment))
    }

    fn positions_len(&self) -> usize {
        self.segment.end().and_then(|end| usize::try_from(end.records).ok()).unwrap_or(0) * 4
    }
}

/// Writes sealed segment `old` anew, which lies wholly before `durable`: hands its records to `keep`, one after another, which pushes those that stay,
/// changed or not. They get indexes one behind the other from the segment's first on; what is left of the indexes up to the next segment is a gap.
/// An error of `keep` calls it off. Memory: a window of 1 MiB, and four bytes a record that is kept. Cost: the segment is read, and what is kept
/// written and synced.
pub fn rewrite(
    directory: &Directory,
    old: &Arc<Segment>,
    durable: Bound,
    keep: &mut dyn FnMut(&OldRecord<'_>, &mut Rewriter) -> Result<()>,
) -> Result<Rewriting> {
    let Some(end) = old.end().filter(|_| durable.segment > old.header.id) else {
        return Err(invalid("a segment that is not sealed and durable cannot be rewritten"));
    };
    if old.is_damaged() {
        return Err(invalid("records of the segment are lost; it is not rewritten"));
    }
    let file = old.open()?;
    let mut scanner = Scanner::new(&*file, old.header.salt, end.data_end)?;
    let first = match scanner.step()? {
        Step::Frame { frame, .. } => state_of(&frame),
        _ => None,
    };
    let Some(first) = first else {
        return Err(old.corrupt(DATA_START, None, "the segment's first state is damaged"));
    };
    let mut new = Rewriter::begin(directory, old, end, times(&*file, &old.header)?)?;
    new.put(FrameKind::Control, BatchFlags::ALONE, &first.encode())?;
    let (mut index, mut last, mut in_batch) = (old.header.first_index, None, None);
    loop {
        let at = scanner.position();
        let reason = match scanner.step()? {
            Step::End => break,
            Step::Bad(bad) => bad.reason(),
            Step::Frame { frame, .. } if u64::from(frame.index) != index - old.header.first_index => {
                "a record is missing, or here twice"
            }
            Step::Frame { frame, .. } => {
                match frame.kind {
                    FrameKind::Record => {
                        if in_batch.is_none() {
                            new.in_batch = frame.batch.continued;
                        }
                        in_batch = Some(frame.batch.more);
                        keep(&OldRecord { index, batch: frame.batch, payload: frame.payload }, &mut new)?;
                        index += 1;
                    }
                    _ => last = state_of(&frame).or(last),
                }
                continue;
            }
        };
        return Err(old.corrupt(at, Some(index), reason));
    }
    if index - old.header.first_index != end.records {
        return Err(old.corrupt(end.data_end, Some(index), "records are missing"));
    }
    let goes_on = in_batch.unwrap_or(false);
    if new.in_batch != goes_on || (goes_on && new.positions.is_empty()) {
        return Err(invalid("a batch is broken by the records that are kept"));
    }
    if let Some(last) = last {
        // Where the segments behind are lost it is the newest. A bound in it may be in the old file.
        let last = State { durable: first.durable, ..last };
        if last != first {
            new.put(FrameKind::Control, BatchFlags::ALONE, &last.encode())?;
        }
    }
    new.finish(Arc::clone(old), Arc::clone(&file))
}

fn invalid(message: &str) -> Error {
    Error::Invalid { message: message.to_owned() }
}

fn state_of(frame: &Frame<'_>) -> Option<State> {
    if frame.kind == FrameKind::Control { State::decode(frame.payload) } else { None }
}

/// The times in the footer of the segment; none where it has no whole one.
fn times(file: &dyn File, header: &SegmentHeader) -> Result<(i64, i64)> {
    let position = header.capacity - FOOTER_LEN;
    let mut bytes = vec![0; usize::try_from(FOOTER_LEN).unwrap_or(0)];
    let read = file.read_at(&mut bytes, position)?;
    let frame = Frame::read(&bytes[..read], header.salt, position).ok().filter(|frame| frame.kind == FrameKind::Footer);
    let footer = frame.and_then(|frame| frame.payload.first_chunk().map(Footer::decode));
    Ok(footer.map_or((0, 0), |footer| (footer.min_time, footer.max_time)))
}
