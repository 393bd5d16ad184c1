//! Following a log that another process writes: without a lock, and without writing anything.
//!
//! What lies behind the verified end is read by reads into a buffer of our own, never by a map, for it may be changing. A frame that fails there is *not
//! yet*; it is damage only when a bound of durability beyond it is known. Batches are shown whole. A segment of a higher generation begins behind
//! a truncation: then the directory is looked at afresh.

use std::sync::Arc;

use varve_format::{Bound, FrameKind, GapFields, State};
use varve_io::{Access, Change, File};

use crate::candidate::Candidate;
use crate::care::Care;
use crate::contents::scan;
use crate::directory::Directory;
use crate::durable::DurableFile;
use crate::error::{Error, Result};
use crate::inspect::{calm_survey, calmly};
use crate::kept::Kept;
use crate::name::FileName;
use crate::options::SegmentOptions;
use crate::recover::{cut_tail, damage, hidden, is_torn};
use crate::scan::{Scanner, Step};
use crate::segment::{Sealed, Segment, find_frame};
use crate::set::SegmentSet;
use crate::survey::{Gap, Survey, survey};

/// Sealed segments looked at when names have changed: nothing tells which one has been rewritten.
const LOOKS: usize = 128;

/// Bytes read at a time behind the end: little, since most often little has come.
const WINDOW: usize = 32 << 10;

/// What a look at the directory changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Followed {
    /// There are more records, or other state.
    pub grew: bool,
    /// The log was cut before this index, whatever has followed since.
    pub cut: Option<u64>,
}

/// A log as its follower knows it.
#[derive(Debug)]
pub struct Follower {
    directory: Directory,
    options: SegmentOptions,
    set: Arc<SegmentSet>,
    active: Arc<Segment>,
    file: Arc<dyn File>,
    /// Of the active segment's records, divided by 8.
    positions: Vec<u32>,
    payload_bytes: u64,
    sealed_payload_bytes: u64,
    /// Of the records that have been read of a batch whose end has not been seen.
    open_payload_bytes: u64,
    /// Index after the last record that has been read, which may be in the middle of a batch.
    next_index: u64,
    /// Index of the first record of a batch whose end has not been seen.
    open_batch: Option<u64>,
    state: State,
    gaps: Vec<Gap>,
    /// Everything before it is known to be durable, and the index that goes with it.
    durable: (Bound, u64),
    rotations: u64,
    /// Id up to which sealed segments were last looked at: whether they have been rewritten.
    looked_through: u64,
}

impl Follower {
    /// Looks at the log in `directory`, which is changed by nobody or by another process.
    pub fn open(directory: &Directory, options: &SegmentOptions) -> Result<Self> {
        calmly(|| Self::look(directory, options))
    }

    fn look(directory: &Directory, options: &SegmentOptions) -> Result<Self> {
        let missing = |what: &str| {
            let missing = std::io::Error::new(std::io::ErrorKind::NotFound, what.to_owned());
            varve_io::Error::new(varve_io::Operation::Open, directory.path(), missing).into()
        };
        let verify = options.verify || options.skip_damage;
        let mut found = calm_survey(directory, options, verify, &Care::default())?;
        if found.ids.is_empty() && found.stop.is_none() {
            return Err(missing("there is no log yet; open it for writing first"));
        }
        if let Some(state) = &found.state
            && state.codec != options.codec
        {
            let (has, asked) = (&state.codec, &options.codec);
            let message =
                format!("the log holds records of the codec '{has}', and was opened with '{asked}'; use the first");
            return Err(Error::Invalid { message });
        }
        if let Some(stop) = found.stop {
            if is_torn(&found, &stop) {
                cut_tail(directory, &mut found, &stop)?;
            } else if options.skip_damage {
                found = survey(directory, options, true, true, &Care::default())?;
            } else {
                return Err(damage(directory, &stop));
            }
        }
        hidden(&mut found);
        Self::begin(directory, options, found)
            .and_then(|begun| begun.ok_or_else(|| missing("no intact segment is left")))
    }

    fn begin(directory: &Directory, options: &SegmentOptions, mut found: Survey) -> Result<Option<Self>> {
        let (Some(last), state) = (found.pieces.pop(), found.state.take()) else { return Ok(None) };
        let header = last.header;
        // Missing where another was written in its place since the survey: then all is looked at again.
        let file = Kept::default().open(directory, &header, Access::Read)?;
        let positions = match last.positions {
            Some(positions) => positions,
            None => scan(&*file, &header, None, options.skip_damage)?.positions,
        };
        let mut segments: Vec<_> = found.pieces.into_iter().map(|piece| piece.into_sealed(directory)).collect();
        let sealed = segments.iter().filter_map(|segment| segment.end()).map(|end| end.payload_bytes).sum();
        let active = Arc::new(Segment::active(directory, header, Arc::clone(&file), last.end));
        segments.push(Arc::clone(&active));
        let state = state.unwrap_or_else(|| {
            State::new(segments.first().map_or(0, |first| first.header.first_index), &options.codec)
        });
        Ok(Some(Self {
            directory: directory.clone(),
            options: options.clone(),
            set: Arc::new(SegmentSet::new(segments)),
            active,
            file,
            positions,
            payload_bytes: last.payload_bytes,
            sealed_payload_bytes: sealed,
            open_payload_bytes: 0,
            next_index: last.next_index,
            open_batch: None,
            state,
            gaps: found.gaps,
            durable: (found.bound, 0),
            rotations: 0,
            looked_through: 0,
        }))
    }

    /// The segments.
    pub fn set(&self) -> &Arc<SegmentSet> {
        &self.set
    }

    /// Index after the last record that may be shown.
    pub fn visible(&self) -> u64 {
        self.open_batch.unwrap_or(self.next_index)
    }

    /// Index of the first record.
    pub fn first_index(&self) -> u64 {
        self.state.first_index.min(self.visible())
    }

    /// Number of committed records, counted from index 0.
    pub fn commit(&self) -> u64 {
        self.state.commit.clamp(self.first_index(), self.visible())
    }

    /// What the engine keeps in the newest state.
    pub fn engine(&self) -> &[u8] {
        &self.state.engine
    }

    /// Every record below it is known to be durable.
    pub fn durable_index(&self) -> u64 {
        self.durable.1.min(self.visible())
    }

    /// Records that are lost.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Sum of the lengths of all records that may be shown.
    pub fn payload_bytes(&self) -> u64 {
        self.sealed_payload_bytes + self.payload_bytes - self.open_payload_bytes
    }

    /// Segments that were seen to be sealed.
    pub fn rotations(&self) -> u64 {
        self.rotations
    }

    /// The active segment, and where its next frame will be.
    pub fn end(&self) -> (&Arc<Segment>, u64) {
        (&self.active, self.active.written())
    }

    /// Position of record `index`, and the segment, if it is in the active one.
    pub fn position_of(&self, index: u64) -> Option<(&Arc<Segment>, u64)> {
        let at = usize::try_from(index.checked_sub(self.active.header.first_index)?).ok()?;
        self.positions.get(at).filter(|entry| **entry != 0).map(|entry| (&self.active, u64::from(*entry) * 8))
    }

    /// Index of the record whose frame is at `position` of the active segment; `None` if none is.
    pub fn index_at(&self, position: u64) -> Option<u64> {
        find_frame(&self.positions, position).map(|at| self.active.header.first_index + at as u64)
    }

    /// Looks at what has changed. Calls `exchange` before segments are taken out of the set, or replaced.
    pub fn refresh(&mut self, change: Change, exchange: &mut dyn FnMut()) -> Result<Followed> {
        let before = (self.next_index, self.open_batch, self.state.clone());
        self.read_on()?;
        let mut followed = Followed::default();
        let slot = DurableFile::read(&self.directory)?.filter(|slot| slot.log == self.active.header.log);
        if let Some(slot) = slot {
            self.durable = self.durable.max((slot.bound(), slot.next_index.min(self.cut_behind(slot.segment))));
        }
        let end = Bound { segment: self.active.header.id, position: self.active.written() };
        let is_missing = self.durable.0 > end;
        if change == Change::Names || is_missing {
            followed.cut = self.look_for_cut(exchange)?;
        }
        if is_missing && followed.cut.is_none() {
            // The slot was read after the frames, and is written after them: they must be here by now.
            self.read_on()?;
            let end = Bound { segment: self.active.header.id, position: self.active.written() };
            let still = DurableFile::read(&self.directory)?.is_some_and(|slot| {
                slot.log == self.active.header.log && slot.bound() > end && slot.bound() >= self.durable.0
            });
            if still && self.look_for_cut(exchange)?.is_none() && self.active_is_there()? {
                let reason = "records that were durable are missing behind it";
                return Err(self.active.corrupt(end.position, Some(self.next_index), reason));
            }
        }
        self.drop_hidden(exchange);
        self.take_rewritten(change == Change::Names, exchange)?;
        followed.grew = before != (self.next_index, self.open_batch, self.state.clone());
        Ok(followed)
    }

    /// Where the log was cut by a segment behind `id`: what a slot from before says of records there says nothing of those that are there now.
    fn cut_behind(&self, id: u64) -> u64 {
        #[cfg(feature = "mutants")]
        if varve_format::Mutant::OldSlotCounts.is_on() {
            return u64::MAX;
        }
        if self.active.header.generation_start <= id {
            return u64::MAX;
        }
        let all = self.set.all();
        let cuts = all.iter().map(|segment| &segment.header).filter(|header| header.id > id && header.is_cut());
        // Where the cut itself has been removed since, nobody knows how far back it went.
        cuts.map(|header| header.first_index).min().unwrap_or(0)
    }

    fn active_is_there(&self) -> Result<bool> {
        match self.directory.open(FileName::Segment(self.active.header.id), Access::Read) {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads what has been written behind the end, over segments.
    fn read_on(&mut self) -> Result<()> {
        loop {
            self.read_frames()?;
            let header = self.active.header;
            let (candidate, _) = match Candidate::of(&self.directory, header.id, &*self.file, &self.options) {
                Ok(found) => found,
                Err(error) if error.is_missing() => return Ok(()),
                Err(error) => return Err(error),
            };
            let Some(footer) = candidate.footer else { return Ok(()) };
            if self.active.written() < footer.data_end {
                // Frames before a footer have been written before it.
                self.read_frames()?;
            }
            if self.active.written() != footer.data_end || self.next_index != footer.next_index {
                return Ok(());
            }
            let file = match self.directory.open(FileName::Segment(header.id + 1), Access::Read) {
                Ok(file) => file,
                Err(error) if error.is_missing() => return Ok(()),
                Err(error) => return Err(error),
            };
            // Of the file itself: its name may lead to one that was written in its place by now.
            let (next, _) = Candidate::of(&self.directory, header.id + 1, &*file, &self.options)?;
            let Some(follows) = next.header.filter(|next| {
                !next.is_cut() && next.previous_link == header.link && next.first_index == self.next_index
            }) else {
                return Ok(());
            };
            let end = Sealed {
                data_end: footer.data_end,
                next_index: footer.next_index,
                records: footer.records,
                payload_bytes: footer.payload_bytes,
                sealed_micros: footer.sealed_micros,
            };
            self.active.end_for_follower(end, std::mem::take(&mut self.positions));
            self.file = file;
            self.active = Arc::new(Segment::active(&self.directory, follows, Arc::clone(&self.file), Segment::START));
            self.sealed_payload_bytes += std::mem::take(&mut self.payload_bytes);
            self.rotations += 1;
            self.set.push(Arc::clone(&self.active));
        }
    }

    /// Reads the frames of the active segment that are whole by now.
    fn read_frames(&mut self) -> Result<()> {
        let header = self.active.header;
        let limit = header.capacity - varve_format::FOOTER_LEN;
        let from = self.active.written();
        let mut scanner = Scanner::behind(&*self.file, header.salt, limit, from, WINDOW)?;
        let mut end = from;
        while let Step::Frame { position, frame } = scanner.step()? {
            let expected = self.next_index - header.first_index;
            if u64::from(frame.index) != expected || frame.kind == FrameKind::Footer {
                break;
            }
            end = position + frame.len() as u64;
            match frame.kind {
                FrameKind::Record => {
                    self.positions.push(u32::try_from(position / 8).unwrap_or(0));
                    self.payload_bytes += frame.payload.len() as u64;
                    self.open_batch = if frame.batch.more { self.open_batch.or(Some(self.next_index)) } else { None };
                    let open = self.open_payload_bytes + frame.payload.len() as u64;
                    self.open_payload_bytes = if frame.batch.more { open } else { 0 };
                    self.next_index += 1;
                }
                _ => {
                    if let Some(state) = State::decode(frame.payload) {
                        self.state = state;
                    } else if let Some(gap) = GapFields::read(frame.payload) {
                        self.next_index = self.next_index.max(gap.to);
                    }
                }
            }
        }
        self.active.set_written(end);
        Ok(())
    }

    /// A segment of a higher generation: all is looked at afresh. Gives the least index that may have been cut.
    fn look_for_cut(&mut self, exchange: &mut dyn FnMut()) -> Result<Option<u64>> {
        let known = self.active.header.generation;
        let newer = self.directory.names()?.into_iter().filter_map(|name| match name {
            FileName::Segment(id) if id > self.active.header.id => Some(id),
            _ => None,
        });
        let (mut cut, mut starts) = (None::<u64>, Vec::new());
        for id in newer {
            match Candidate::read(&self.directory, id, &self.options) {
                Ok((Candidate { header: Some(header), .. }, _)) if header.generation > known => {
                    starts.push(header.generation);
                    // Where the segment that began a generation is gone, nobody knows how far back it went.
                    let at = if header.is_cut() { header.first_index } else { 0 };
                    cut = Some(cut.map_or(at, |cut| cut.min(at)));
                }
                Ok(_) => {}
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
        let Some(mut cut) = cut else {
            // The writer went on, and has removed what would lead there: the segments behind the active one, too.
            return if self.active_is_there()? { Ok(None) } else { self.look_afresh(None, exchange) };
        };
        // Every generation since the one known has to be there.
        let newest = starts.iter().copied().max().unwrap_or(known);
        if (known + 1..=newest).any(|generation| !starts.contains(&generation)) {
            cut = 0;
        }
        self.look_afresh(Some(cut), exchange)
    }

    fn look_afresh(&mut self, cut: Option<u64>, exchange: &mut dyn FnMut()) -> Result<Option<u64>> {
        let fresh = Self::open(&self.directory, &self.options)?;
        let cut = cut.or((fresh.active.header.generation > self.active.header.generation).then_some(0));
        let set = Arc::clone(&self.set);
        exchange();
        set.replace_from(0, fresh.set.all());
        let (durable, rotations) = (self.durable, self.rotations);
        *self = Self { set, rotations, ..fresh };
        self.durable.0 = self.durable.0.max(durable.0);
        self.durable.1 = durable.1.min(cut.unwrap_or(u64::MAX)).min(self.next_index);
        Ok(cut)
    }

    /// Takes over segments that the writer has rewritten: those that were found so by who wanted to read them and, with `look`, some of the others,
    /// the next ones at the next call. Who stands in the old one goes on there, as far as it is in memory. True if there were any.
    pub fn take_rewritten(&mut self, look: bool, exchange: &mut dyn FnMut()) -> Result<bool> {
        let mut sealed = self.set.all();
        sealed.pop();
        let mut next = sealed.partition_point(|segment| segment.header.id <= self.looked_through);
        if sealed.len() <= LOOKS || next == sealed.len() {
            next = 0;
        }
        let looked = if look { next..(next + LOOKS).min(sealed.len()) } else { 0..0 };
        if let Some(last) = looked.clone().last().and_then(|last| sealed.get(last)) {
            self.looked_through = last.header.id;
        }
        let mut found = false;
        for (at, old) in sealed.iter().enumerate() {
            if looked.contains(&at) {
                // Its name may lead to another by now, or nowhere: who reads it is told.
                let _seen = old.open();
            }
            if old.kept.is_outdated()
                && let Some(new) = rewritten(&self.directory, &self.options, old)?
            {
                let payload = |segment: &Segment| segment.end().map_or(0, |end| end.payload_bytes);
                self.sealed_payload_bytes = self.sealed_payload_bytes.saturating_sub(payload(old)) + payload(&new);
                exchange();
                self.set.replace(old, new);
                found = true;
            }
        }
        Ok(found)
    }

    /// Segments below the first index are no more part of the log; their files are the writer's to remove.
    fn drop_hidden(&mut self, exchange: &mut dyn FnMut()) {
        let first = self.state.first_index;
        let all = self.set.all();
        let count = all.iter().skip(1).take_while(|next| next.header.first_index <= first).count();
        if count > 0 {
            let kept = all.get(count..).unwrap_or_default().to_vec();
            let gone = all[..count].iter().filter_map(|segment| segment.end()).map(|end| end.payload_bytes).sum();
            self.sealed_payload_bytes = self.sealed_payload_bytes.saturating_sub(gone);
            exchange();
            self.set.replace_from(0, kept);
        }
    }
}

/// The segment that was written in the place of `old`, if one was.
fn rewritten(directory: &Directory, options: &SegmentOptions, old: &Segment) -> Result<Option<Arc<Segment>>> {
    let found = match Candidate::read(directory, old.header.id, options) {
        Ok((found, _)) => found,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error),
    };
    let (Some(header), Some(footer), Some(end)) = (found.header, found.footer, old.end()) else { return Ok(None) };
    // One that ends elsewhere has been cut since: then all is looked at afresh.
    let is_new = old.header.is_same_rewritten(&header) && header.is_rewritten();
    if !is_new || footer.next_index != end.next_index || old.is_damaged() {
        return Ok(None);
    }
    let end = Sealed {
        data_end: footer.data_end,
        next_index: footer.next_index,
        records: footer.records,
        payload_bytes: footer.payload_bytes,
        sealed_micros: footer.sealed_micros,
    };
    Ok(Some(Arc::new(Segment::sealed(directory, header, end, None, false))))
}
