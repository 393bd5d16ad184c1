//! One segment, as its readers see it.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use varve_format::{BadFrame, DATA_START, FOOTER_LEN, Frame, FrameKind, SegmentHeader, Sidecar};
use varve_io::{Access, File, Map};

use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::name::FileName;
use crate::scan::{Scanner, Step};

/// How a segment ends that takes no more frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Position behind the last frame that counts.
    pub data_end: u64,
    /// Index after the last record that counts.
    pub next_index: u64,
}

/// A segment file. Readers share it; the one [`crate::Appender`] adds to the active one.
#[derive(Debug)]
pub struct Segment {
    /// Its header.
    pub header: SegmentHeader,
    directory: Directory,
    /// The open file, as long as it has bytes that are not synced: the system tells of a lost write only to who had the file open.
    file: Mutex<Option<Arc<dyn File>>>,
    map: OnceLock<Arc<dyn Map>>,
    written: AtomicU64,
    sealed: OnceLock<Sealed>,
    positions: Mutex<Option<Arc<Vec<u32>>>>,
    /// Some of its records are lost: its positions, which say which, are kept in memory.
    damaged: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Segment {
    /// The active segment, whose frames end at `written`.
    pub fn active(directory: &Directory, header: SegmentHeader, file: Arc<dyn File>, written: u64) -> Self {
        Self {
            header,
            directory: directory.clone(),
            file: Mutex::new(Some(file)),
            map: OnceLock::new(),
            written: AtomicU64::new(written),
            sealed: OnceLock::new(),
            positions: Mutex::new(None),
            damaged: false,
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
            header,
            directory: directory.clone(),
            file: Mutex::new(None),
            map: OnceLock::new(),
            written: AtomicU64::new(end.data_end),
            sealed: OnceLock::from(end),
            positions: Mutex::new(positions.map(Arc::new)),
            damaged,
        }
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

    pub(crate) fn set_written(&self, position: u64) {
        self.written.store(position, Ordering::Release);
    }

    /// How it ends; `None` while it is active.
    #[inline]
    pub fn end(&self) -> Option<Sealed> {
        self.sealed.get().copied()
    }

    /// True if some of its records are lost.
    pub fn is_damaged(&self) -> bool {
        self.damaged
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

    pub(crate) fn unsynced_file(&self) -> Option<Arc<dyn File>> {
        lock(&self.file).clone()
    }

    /// Lets go of the file of a sealed segment, whose bytes are all synced.
    pub fn synced(&self) {
        if self.sealed.get().is_some() {
            lock(&self.file).take();
        }
    }

    /// Gives the unused end of a sealed segment back to the disk.
    fn punch(&self) -> Result<()> {
        let (Some(end), footer) = (self.end(), self.header.capacity - FOOTER_LEN) else { return Ok(()) };
        if self.damaged || end.data_end + 4096 >= footer {
            return Ok(());
        }
        let file = self.directory.open(FileName::Segment(self.header.id), Access::Write)?;
        Ok(file.punch(end.data_end..footer)?)
    }

    /// The bytes of `range`, which ends below [`Segment::written`].
    pub(crate) fn bytes(&self, from: u64, to: u64) -> Result<Cow<'_, [u8]>> {
        let map = match self.map.get() {
            Some(map) => map,
            None => {
                let file = match self.unsynced_file() {
                    Some(file) => file,
                    None => self.directory.open(FileName::Segment(self.header.id), Access::Read)?,
                };
                if file.len()? < self.written() {
                    return Err(self.corrupt(file.len()?, None, "the file has been cut short"));
                }
                let map = file.map(self.header.capacity.min(file.len()?))?;
                self.map.get_or_init(|| map)
            }
        };
        let (Ok(from), Ok(to)) = (usize::try_from(from), usize::try_from(to)) else { return Ok(Cow::Borrowed(&[])) };
        Ok(map.slice(from..to))
    }

    /// Hands the verified payload of record `index`, whose frame is at `position`, to `read`.
    pub fn record<R>(&self, index: u64, position: u64, read: impl FnOnce(&[u8]) -> R) -> Result<R> {
        let bytes = self.bytes(position, self.written())?;
        match Frame::read(&bytes, self.header.salt, position) {
            Ok(frame)
                if frame.kind == FrameKind::Record && u64::from(frame.index) + self.header.first_index == index =>
            {
                Ok(read(frame.payload))
            }
            Ok(_) => Err(self.corrupt(position, Some(index), "another record lies here")),
            Err(bad) => Err(self.corrupt(position, Some(index), bad.reason())),
        }
    }

    /// Position of record `index` of a sealed segment; `None` if it is lost, or not in it.
    pub fn position_of(&self, index: u64) -> Result<Option<u64>> {
        let positions = self.positions()?;
        let at = index.checked_sub(self.header.first_index).and_then(|at| usize::try_from(at).ok());
        let entry = at.and_then(|at| positions.get(at)).copied().unwrap_or(0);
        Ok((entry != 0).then_some(u64::from(entry) * 8))
    }

    /// Position of the first record from `index` on that is not lost; the end, if there is none.
    pub fn position_from(&self, index: u64) -> Result<u64> {
        let positions = self.positions()?;
        let from = usize::try_from(index.saturating_sub(self.header.first_index)).unwrap_or(usize::MAX);
        let found = positions.iter().skip(from).find(|entry| **entry != 0);
        Ok(found.map_or(self.written(), |entry| u64::from(*entry) * 8))
    }

    /// The error for a record that should be here and is not.
    pub fn lost(&self, index: u64) -> Error {
        self.corrupt(DATA_START, Some(index), "the record's frame is damaged")
    }

    /// The positions of a sealed segment's records, divided by 8: from memory, the sidecar, or a scan.
    pub(crate) fn positions(&self) -> Result<Arc<Vec<u32>>> {
        let mut known = lock(&self.positions);
        if let Some(positions) = known.as_ref() {
            return Ok(Arc::clone(positions));
        }
        let positions = match self.read_sidecar() {
            Some(positions) => positions,
            None => {
                let positions = self.scan_positions()?;
                let (segment, sidecar) = (self.directory.clone(), self.encode_sidecar(&positions));
                let id = self.header.id;
                self.directory.spawn(Box::new(move || replace_sidecar(&segment, id, &sidecar)));
                positions
            }
        };
        let positions = Arc::new(positions);
        *known = Some(Arc::clone(&positions));
        Ok(positions)
    }

    fn records(&self) -> u64 {
        self.end().map_or(0, |end| end.next_index - self.header.first_index)
    }

    fn read_sidecar(&self) -> Option<Vec<u32>> {
        let file = self.directory.open(FileName::Sidecar(self.header.id), Access::Read).ok()?;
        let len = usize::try_from(file.len().ok()?).ok().filter(|len| *len as u64 <= self.header.capacity)?;
        let mut bytes = vec![0; len];
        let read = file.read_at(&mut bytes, 0).ok()?;
        let sidecar = Sidecar::decode(&bytes[..read], &self.header)?;
        let fits = sidecar.positions.len() as u64 == self.records() && sidecar.data_end == self.end()?.data_end;
        fits.then_some(sidecar.positions)
    }

    /// True if there is a sidecar, and it does not say what a scan found.
    pub(crate) fn sidecar_is_wrong(&self, positions: Option<&[u32]>) -> bool {
        let there = self.directory.open(FileName::Sidecar(self.header.id), Access::Read).is_ok();
        there && self.read_sidecar().is_none_or(|sidecar| positions.is_some_and(|positions| positions != sidecar))
    }

    fn scan_positions(&self) -> Result<Vec<u32>> {
        let file = self.directory.open(FileName::Segment(self.header.id), Access::Read)?;
        let end = self.end().map_or(0, |end| end.data_end);
        let records = usize::try_from(self.records()).unwrap_or(0);
        let mut positions = vec![0; records];
        let mut scanner = Scanner::new(&*file, self.header.salt, end)?;
        loop {
            match scanner.step()? {
                Step::Frame { position, frame } if frame.kind == FrameKind::Record => {
                    if let Some(entry) = positions.get_mut(frame.index as usize) {
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
    fn write_sidecar(&self) {
        let positions = lock(&self.positions).clone();
        if let Some(positions) = positions {
            replace_sidecar(&self.directory, self.header.id, &self.encode_sidecar(&positions));
            if !self.damaged && self.read_sidecar().is_some() {
                lock(&self.positions).take();
            }
        }
    }

    /// An error that says where in this segment.
    pub(crate) fn corrupt(&self, position: u64, index: Option<u64>, reason: &'static str) -> Error {
        Error::Corrupt { path: self.path(), position, index, reason }
    }

    pub(crate) fn bad_frame(&self, position: u64, index: u64, bad: BadFrame) -> Error {
        self.corrupt(position, Some(index), bad.reason())
    }
}

fn replace_sidecar(directory: &Directory, id: u64, bytes: &[u8]) {
    let name = FileName::Sidecar(id);
    let _missing = directory.unlink(name);
    let _derived = directory.create(name).and_then(|file| Ok(file.write_at(&[bytes], 0)?));
}

impl Segment {
    /// Position of its first frame.
    pub const START: u64 = DATA_START;
}
