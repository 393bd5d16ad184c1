//! One segment, as its readers see it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use varve_format::{DATA_START, FOOTER_LEN, Frame, FrameKind, SegmentHeader, Sidecar};
use varve_io::{Access, File, Map, Operation, PrivateMap};

use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::kept::Kept;
use crate::name::FileName;
use crate::scan::{Scanner, Step, payload_bytes};
use crate::span::Span;

pub use crate::hold::Hold;

/// Views are of whole pages: of the largest that the processor may have, since a page that is still written to must not be in a view.
const VIEW_PAGE: u64 = if cfg!(target_arch = "x86_64") { 4 << 10 } else { 64 << 10 };

/// Which of the frames whose `positions`, divided by 8, rise is at `position`.
pub(crate) fn find_frame(positions: &[u32], position: u64) -> Option<usize> {
    let entry = u32::try_from(position / 8).ok().filter(|_| position.is_multiple_of(8))?;
    positions.binary_search(&entry).ok()
}

/// As much of `written` as views may show.
pub(crate) fn whole_pages(written: u64) -> u64 {
    written / VIEW_PAGE * VIEW_PAGE
}

/// How a segment ends that takes no more frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Position behind the last frame that counts.
    pub data_end: u64,
    /// Index after the last record that counts, or after the gap behind it.
    pub next_index: u64,
    /// Records that count. Fewer than the indexes it spans, where it ends with a gap.
    pub records: u64,
    /// Sum of their lengths.
    pub payload_bytes: u64,
    /// When it was sealed, in microseconds since the Unix epoch.
    pub sealed_micros: i64,
}

/// A segment file. Readers share it; the one [`crate::Appender`] adds to the active one.
#[derive(Debug)]
pub struct Segment {
    /// Its header.
    pub header: SegmentHeader,
    directory: Directory,
    /// The open file, as long as it has bytes that are not synced: the system tells of a lost write only to who had the file open.
    file: Mutex<Option<Arc<dyn File>>>,
    map: Mutex<Option<Arc<dyn Map>>>,
    written: AtomicU64,
    sealed: OnceLock<Sealed>,
    positions: Mutex<Option<Arc<Vec<u32>>>>,
    /// Some of its records are lost: its positions, which say which, are kept in memory.
    damaged: bool,
    /// Its map or positions were asked for since [`Residents`] last looked.
    used: AtomicBool,
    /// When it was last written to, in microseconds since the Unix epoch.
    modified_micros: AtomicI64,
    /// Shared with what a truncation leaves of it: both are the same file.
    pub(crate) holds: Arc<AtomicUsize>,
    retired: AtomicBool,
    to_come: AtomicBool,
    /// Its file, where another has its name.
    pub(crate) kept: Kept,
    /// Set by the engine; whoever tells of the segment has it, too.
    pub span: Arc<OnceLock<Span>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Segment {
    /// Position of its first frame.
    pub const START: u64 = DATA_START;

    /// The active segment, whose frames end at `written`.
    pub fn active(directory: &Directory, header: SegmentHeader, file: Arc<dyn File>, written: u64) -> Self {
        Self {
            file: Mutex::new(Some(file)),
            to_come: AtomicBool::new(false),
            ..Self::to_come(directory, header, written)
        }
    }

    /// The first of a log that is not there yet.
    pub(crate) fn to_come(directory: &Directory, header: SegmentHeader, written: u64) -> Self {
        Self {
            header,
            directory: directory.clone(),
            file: Mutex::new(None),
            map: Mutex::new(None),
            written: AtomicU64::new(written),
            sealed: OnceLock::new(),
            positions: Mutex::new(None),
            damaged: false,
            used: AtomicBool::new(true),
            modified_micros: AtomicI64::new(header.created_micros),
            holds: Arc::default(),
            retired: AtomicBool::new(false),
            to_come: AtomicBool::new(true),
            kept: Kept::default(),
            span: Arc::default(),
        }
    }

    /// A segment that takes no more frames. `positions` are given where they are known; `damaged` if some records are lost.
    pub fn sealed(
        directory: &Directory,
        header: SegmentHeader,
        end: Sealed,
        positions: Option<Vec<u32>>,
        damaged: bool,
    ) -> Self {
        Self {
            sealed: OnceLock::from(end),
            positions: Mutex::new(positions.map(Arc::new)),
            damaged,
            modified_micros: AtomicI64::new(end.sealed_micros),
            to_come: AtomicBool::new(false),
            ..Self::to_come(directory, header, end.data_end)
        }
    }

    /// What a truncation leaves of it: `positions` are those of its records that stay. The file stays as it is; a later segment says where
    /// this one ends.
    pub(crate) fn cut(&self, end: Sealed, positions: Vec<u32>) -> Self {
        // Its sidecar tells of what is cut, too. One that is just being written may come back; a stale one is never used.
        lock(&self.positions).take();
        let _missing = self.directory.unlink(FileName::Sidecar(self.header.id));
        let cut = Self::sealed(&self.directory, self.header, end, Some(positions), self.damaged);
        *lock(&cut.file) = self.unsynced_file();
        Self { holds: Arc::clone(&self.holds), ..cut }
    }

    /// Its file, for reading.
    pub(crate) fn open(&self) -> Result<Arc<dyn File>> {
        self.kept.open(&self.directory, &self.header, Access::Read)
    }

    /// Sum of the lengths of the records whose frames begin in `from..to`.
    pub(crate) fn payload_between(&self, from: u64, to: u64) -> Result<u64> {
        let file = self.open()?;
        payload_bytes(&*file, self.header.salt, from, to)
    }

    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.directory.file(FileName::Segment(self.header.id))
    }

    /// Position up to which its frames are in the file: what readers may look at.
    #[inline]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// As much of it as views may show: whole pages that are written.
    pub fn whole_pages(&self) -> u64 {
        whole_pages(self.written())
    }

    pub(crate) fn set_written(&self, position: u64) {
        self.written.store(position, Ordering::Release);
    }

    pub(crate) fn set_modified(&self, micros: i64) {
        self.modified_micros.store(micros, Ordering::Relaxed);
    }

    /// When it was last written to, in microseconds since the Unix epoch; of a segment that is sealed, when that was done.
    pub fn modified_micros(&self) -> i64 {
        self.end().map_or_else(|| self.modified_micros.load(Ordering::Relaxed), |end| end.sealed_micros)
    }

    /// How many readers, views and pins hold it.
    pub fn holds(&self) -> usize {
        self.holds.load(Ordering::Acquire)
    }

    /// It is no more part of the log; its file goes when nobody holds it.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// True if it is no more part of the log.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// How it ends; `None` while it is active.
    #[inline]
    pub fn end(&self) -> Option<Sealed> {
        self.sealed.get().copied()
    }

    /// True if some of its records are lost, and it is known which: what is missing in it is no error.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// True if record `index`, if it is missing, is known to be lost.
    pub fn may_miss(&self, index: u64) -> bool {
        let at = index.checked_sub(self.header.first_index);
        self.damaged || self.end().is_some_and(|end| at.is_none_or(|at| at >= end.records))
    }

    /// Ends the segment, keeping the positions until a sidecar holds them.
    pub(crate) fn seal(self: &Arc<Self>, end: Sealed, positions: Vec<u32>) {
        *lock(&self.positions) = Some(Arc::new(positions));
        self.sealed.get_or_init(|| end);
        let segment = Arc::clone(self);
        self.directory.spawn(Box::new(move || {
            segment.write_sidecar();
            let _stays_allocated = segment.punch();
        }));
    }

    /// Its writer has ended it, in another process.
    pub(crate) fn end_for_follower(self: &Arc<Self>, end: Sealed, positions: Vec<u32>) {
        let bytes = positions.len() * 4;
        *lock(&self.positions) = Some(Arc::new(positions));
        self.sealed.get_or_init(|| end);
        lock(&self.file).take();
        self.directory.residents().knows_positions(self, bytes);
    }

    /// Its file is open (again).
    pub(crate) fn put_file(&self, file: Arc<dyn File>) {
        *lock(&self.file) = Some(file);
        self.to_come.store(false, Ordering::Release);
    }

    /// True if it has no file yet: it gets one when it is first written to.
    pub fn is_to_come(&self) -> bool {
        self.to_come.load(Ordering::Acquire)
    }

    pub(crate) fn unsynced_file(&self) -> Option<Arc<dyn File>> {
        lock(&self.file).clone()
    }

    /// Gives away the file of a segment that takes no more frames, if it has bytes that are not synced.
    pub(crate) fn take_file(&self) -> Option<Arc<dyn File>> {
        lock(&self.file).take()
    }

    /// Gives the unused end of a sealed segment back to the disk.
    fn punch(&self) -> Result<()> {
        let (Some(end), footer) = (self.end(), self.header.capacity - FOOTER_LEN) else { return Ok(()) };
        if self.damaged || end.data_end + 4096 >= footer {
            return Ok(());
        }
        let file = self.kept.open(&self.directory, &self.header, Access::Write)?;
        Ok(file.punch(end.data_end..footer)?)
    }

    /// The map of its file. Slices of it end below [`Segment::written`].
    pub(crate) fn map(self: &Arc<Self>) -> Result<Arc<dyn Map>> {
        self.use_it();
        let mut held = lock(&self.map);
        if let Some(map) = held.as_ref() {
            return Ok(Arc::clone(map));
        }
        let file = match self.unsynced_file() {
            Some(file) => file,
            None => self.open()?,
        };
        if file.len()? < self.written() {
            return Err(self.corrupt(file.len()?, None, "the file has been cut short"));
        }
        let map = file.map(self.header.capacity.min(file.len()?))?;
        *held = Some(Arc::clone(&map));
        drop(held);
        self.directory.residents().mapped(self);
        Ok(map)
    }

    /// A private map of the whole pages below the written length, for views: writes into it reach nobody. `None` where there is no whole page.
    pub fn private_map(&self) -> Result<Option<PrivateMap>> {
        let len = self.whole_pages();
        if len == 0 {
            return Ok(None);
        }
        let file = self.open()?;
        if file.len()? < len {
            return Err(self.corrupt(file.len()?, None, "the file has been cut short"));
        }
        Ok(Some(file.map_private(len)?))
    }

    #[inline]
    fn use_it(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was asked for since the last call.
    pub fn was_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Lets go of what it has in memory and can have again.
    pub fn let_go(&self) {
        self.unmap();
        self.forget_positions();
    }

    /// Lets go of the map. Who reads by it keeps it until then.
    pub(crate) fn unmap(&self) {
        lock(&self.map).take();
    }

    /// Lets go of the positions, if they can be had again from the sidecar.
    pub(crate) fn forget_positions(&self) {
        if !self.damaged && self.end().is_some() && self.read_sidecar().is_some() {
            lock(&self.positions).take();
        }
    }

    /// Why a frame read by `map` is not as it should be: the disk may have failed below the map.
    #[cold]
    pub(crate) fn unreadable(&self, map: &dyn Map, otherwise: Error) -> Error {
        if map.is_faulted() {
            self.unmap();
            const EIO: i32 = 5;
            let failed = std::io::Error::from_raw_os_error(EIO);
            return varve_io::Error::new(Operation::Read, &self.path(), failed).into();
        }
        otherwise
    }

    /// Hands the verified payload of record `index`, whose frame is at `position`, to `read`.
    pub fn record<R>(self: &Arc<Self>, index: u64, position: u64, read: impl FnOnce(&[u8]) -> R) -> Result<R> {
        let map = self.map()?;
        let (Ok(from), Ok(to)) = (usize::try_from(position), usize::try_from(self.written())) else {
            return Err(self.lost(index));
        };
        let bytes = map.slice(from..to);
        let bad = match Frame::read(&bytes, self.header.salt, position) {
            Ok(frame)
                if frame.kind == FrameKind::Record && u64::from(frame.index) + self.header.first_index == index =>
            {
                return Ok(read(frame.payload));
            }
            Ok(_) => "another record lies here",
            Err(bad) => bad.reason(),
        };
        Err(self.unreadable(&*map, self.corrupt(position, Some(index), bad)))
    }

    /// Position of record `index` of a sealed segment; `None` if it is lost, or not in it.
    pub fn position_of(self: &Arc<Self>, index: u64) -> Result<Option<u64>> {
        let positions = self.positions()?;
        let at = index.checked_sub(self.header.first_index).and_then(|at| usize::try_from(at).ok());
        let entry = at.and_then(|at| positions.get(at)).copied().unwrap_or(0);
        Ok((entry != 0).then_some(u64::from(entry) * 8))
    }

    /// Position of the first record from `index` on that is not lost; the end, if there is none.
    pub fn position_from(self: &Arc<Self>, index: u64) -> Result<u64> {
        let positions = self.positions()?;
        let from = usize::try_from(index.saturating_sub(self.header.first_index)).unwrap_or(usize::MAX);
        let found = positions.iter().skip(from).find(|entry| **entry != 0);
        Ok(found.map_or(self.written(), |entry| u64::from(*entry) * 8))
    }

    /// Index of the record whose frame is at `position` of a sealed segment; `None` if none is.
    pub fn index_at(self: &Arc<Self>, position: u64) -> Result<Option<u64>> {
        let positions = self.positions()?;
        // Those of lost records are 0, wherever they are: a search by halves would be led astray.
        let found = if self.damaged {
            positions.iter().position(|entry| *entry != 0 && u64::from(*entry) * 8 == position)
        } else {
            find_frame(&positions, position)
        };
        Ok(found.map(|at| self.header.first_index + at as u64))
    }

    /// The error for a record that should be here and is not.
    pub fn lost(&self, index: u64) -> Error {
        self.corrupt(DATA_START, Some(index), "the record's frame is damaged")
    }

    /// The positions of a sealed segment's records, divided by 8: from memory, the sidecar, or a scan.
    pub(crate) fn positions(self: &Arc<Self>) -> Result<Arc<Vec<u32>>> {
        self.use_it();
        let mut known = lock(&self.positions);
        if let Some(positions) = known.as_ref() {
            return Ok(Arc::clone(positions));
        }
        let positions = match self.read_sidecar() {
            Some(positions) => positions,
            None => {
                let positions = self.scan_positions()?;
                if self.directory.is_ours() {
                    let (segment, sidecar) = (Arc::clone(self), self.encode_sidecar(&positions));
                    self.directory.spawn(Box::new(move || {
                        if !segment.is_retired() {
                            let name = FileName::Sidecar(segment.header.id);
                            let _derived = segment.directory.replace_derived(name, &sidecar);
                        }
                    }));
                }
                positions
            }
        };
        let positions = Arc::new(positions);
        *known = Some(Arc::clone(&positions));
        drop(known);
        self.directory.residents().knows_positions(self, positions.len() * 4);
        Ok(positions)
    }

    fn records(&self) -> u64 {
        self.end().map_or(0, |end| end.records)
    }

    fn read_sidecar(&self) -> Option<Vec<u32>> {
        // One that is longer than its segment is none: a byte too many is not a multiple of an entry.
        let most = self.header.capacity + 1;
        let bytes = self.directory.read_derived(FileName::Sidecar(self.header.id), most)?;
        let sidecar = Sidecar::decode(&bytes, &self.header)?;
        let fits = sidecar.positions.len() as u64 == self.records() && sidecar.data_end == self.end()?.data_end;
        fits.then_some(sidecar.positions)
    }

    /// True if there is a sidecar, and it does not say what a scan found.
    pub(crate) fn sidecar_is_wrong(&self, positions: Option<&[u32]>) -> bool {
        let there = self.directory.open(FileName::Sidecar(self.header.id), Access::Read).is_ok();
        there && self.read_sidecar().is_none_or(|sidecar| positions.is_some_and(|positions| positions != sidecar))
    }

    fn scan_positions(&self) -> Result<Vec<u32>> {
        let file = self.open()?;
        let end = self.end().map_or(0, |end| end.data_end);
        let records = usize::try_from(self.records()).unwrap_or(0);
        let mut positions = vec![0; records];
        let mut scanner = Scanner::new(&*file, self.header.salt, end)?;
        loop {
            match scanner.step()? {
                Step::Frame { position, frame } if frame.kind == FrameKind::Record => {
                    // The first of an index counts, as it does for who reads in order.
                    if let Some(entry) = positions.get_mut(frame.index as usize).filter(|entry| **entry == 0) {
                        *entry = u32::try_from(position / 8).unwrap_or(0);
                    }
                }
                Step::Frame { .. } => {}
                Step::End => return Ok(positions),
                Step::Bad(_) => {
                    if !scanner.resync()? {
                        return Ok(positions);
                    }
                }
            }
        }
    }

    fn encode_sidecar(&self, positions: &[u32]) -> Vec<u8> {
        Sidecar::encode(positions, self.end().map_or(0, |end| end.data_end), &self.header)
    }

    /// Writes the sidecar and lets go of the positions; they come back from it when they are asked for. Derived, so failing is no error.
    pub(crate) fn write_sidecar(&self) {
        if self.is_retired() {
            return;
        }
        let positions = lock(&self.positions).clone();
        if let Some(positions) = positions {
            let name = FileName::Sidecar(self.header.id);
            let _derived = self.directory.replace_derived(name, &self.encode_sidecar(&positions));
            if self.is_retired() {
                // Its file may be gone by now: what tells of it goes, too.
                let _removed_by_the_next_open = self.directory.unlink(name);
            } else if !self.damaged && self.read_sidecar().is_some() {
                lock(&self.positions).take();
            }
        }
    }

    /// An error that says where in this segment.
    pub(crate) fn corrupt(&self, position: u64, index: Option<u64>, reason: &'static str) -> Error {
        Error::Corrupt { path: self.path(), position, index, reason }
    }
}
