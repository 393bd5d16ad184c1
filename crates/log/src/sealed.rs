//! The segments of a log that take no more entries: which offsets and times they hold. What is known of each without reading it is kept in its
//! digest, a derived file, and in memory as long as it is used.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use varve_format::{Digest, DigestHeader};
use varve_segment::{FileName, Segment, Span};
use varve_wal::Wal;

use crate::entry;
use crate::error::{Error, Result};
use crate::outline::Outline;

/// Bytes of outlines that are kept in memory: those of three hundred thousand groups, or 16 million single messages with their times.
const MOST_OUTLINE_BYTES: usize = 8 << 20;

/// One of them.
#[derive(Debug)]
pub(crate) struct SealedSegment {
    pub(crate) segment: Arc<Segment>,
    pub(crate) base: u64,
    pub(crate) end: u64,
    pub(crate) messages: u64,
    pub(crate) max_time: i64,
    pub(crate) saved: u64,
    outline: Mutex<Option<Arc<Outline>>>,
}

impl SealedSegment {
    fn new(segment: Arc<Segment>, outline: &Outline) -> Self {
        let (base, end, messages, max_time) = (outline.base(), outline.end(), outline.messages(), outline.max_time());
        let _known_before = segment.span.set(Span { first: base, next: end, entries: messages });
        Self { segment, base, end, messages, max_time, saved: outline.saved(), outline: Mutex::default() }
    }

    /// Lets go of what is known of its entries; it is read again.
    pub(crate) fn forget_outline(&self) {
        lock(&self.outline).take();
    }
}

/// All of them, in order.
#[derive(Debug, Default)]
pub(crate) struct Sealed {
    table: RwLock<Table>,
    outline_bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Table {
    segments: Vec<Arc<SealedSegment>>,
    /// Greatest time in the segments up to each.
    max_times: Vec<i64>,
}

impl Table {
    fn push(&mut self, segment: Arc<SealedSegment>) {
        let before = self.max_times.last().copied().unwrap_or(i64::MIN);
        self.max_times.push(before.max(segment.max_time));
        self.segments.push(segment);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sealed {
    fn with<R>(&self, look: impl FnOnce(&Table) -> R) -> R {
        look(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<R>(&self, change: impl FnOnce(&mut Table) -> R) -> R {
        change(&mut self.table.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds one that has just been sealed, and has its digest written.
    pub(crate) fn push(&self, wal: &Wal, segment: &Arc<Segment>, outline: Outline) {
        let sealed = Arc::new(SealedSegment::new(Arc::clone(segment), &outline));
        write_digest(wal, segment, outline.digest());
        self.change(|table| table.push(sealed));
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.with(|table| table.segments.len())
    }

    /// Takes out those behind the first `count`.
    pub(crate) fn truncate(&self, count: usize) {
        self.change(|table| {
            table.segments.truncate(count);
            table.max_times.truncate(count);
        });
    }

    /// Puts `segments` in the place of all.
    pub(crate) fn put(&self, segments: Vec<Arc<SealedSegment>>) {
        let mut table = Table::default();
        segments.into_iter().for_each(|segment| table.push(segment));
        self.change(|there| *there = table);
    }

    /// Puts a segment that was rewritten in the place of the one with its id.
    pub(crate) fn replace_one(&self, wal: &Wal, segment: &Arc<Segment>, outline: &Outline) {
        write_digest(wal, segment, outline.digest());
        let sealed = Arc::new(SealedSegment::new(Arc::clone(segment), outline));
        let replaced = |one: &Arc<SealedSegment>| {
            if one.segment.header.id == segment.header.id { Arc::clone(&sealed) } else { Arc::clone(one) }
        };
        let all = self.with(|table| table.segments.iter().map(replaced).collect());
        self.put(all);
    }

    /// Takes out those with lower ids.
    pub(crate) fn drop_below(&self, id: u64) {
        let left: Vec<_> = self.all().into_iter().filter(|one| one.segment.header.id >= id).collect();
        self.put(left);
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<SealedSegment>> {
        self.with(|table| table.segments.clone())
    }

    /// First offset of the segment with this id.
    pub(crate) fn base_of(&self, id: u64) -> u64 {
        self.with(|table| table.segments.iter().find(|one| one.segment.header.id == id).map_or(0, |one| one.base))
    }

    /// Their messages.
    pub(crate) fn messages(&self) -> u64 {
        self.with(|table| table.segments.iter().map(|one| one.messages).sum())
    }

    /// Bytes that they are smaller for the compression of their groups.
    pub(crate) fn saved(&self) -> u64 {
        self.with(|table| table.segments.iter().map(|one| one.saved).sum())
    }

    /// Bytes of memory that outlines take, about.
    pub(crate) fn outline_bytes(&self) -> usize {
        self.outline_bytes.load(Ordering::Relaxed)
    }

    /// The first that holds `offset`, or offsets behind it.
    pub(crate) fn find(&self, offset: u64) -> Option<Arc<SealedSegment>> {
        self.with(|table| {
            let from = table.segments.partition_point(|one| one.end <= offset);
            // One of which nothing is left holds no place.
            table.segments.get(from..)?.iter().find(|one| one.messages > 0).cloned()
        })
    }

    /// The first that has a message which comes up to `time`.
    pub(crate) fn find_time(&self, time: i64) -> Option<Arc<SealedSegment>> {
        self.with(|table| {
            let from = table.max_times.partition_point(|max| *max < time);
            // One of which nothing is left comes up to the least time there is, and to no message.
            table.segments.get(from..)?.iter().find(|one| one.messages > 0).cloned()
        })
    }

    /// What is known of its entries: from memory, the digest, or by reading them.
    pub(crate) fn outline(&self, wal: &Arc<Wal>, of: &SealedSegment) -> Result<Arc<Outline>> {
        let mut known = lock(&of.outline);
        if let Some(outline) = known.as_ref() {
            return Ok(Arc::clone(outline));
        }
        let outline = Arc::new(match read_digest(wal, &of.segment, true) {
            Some(outline) => outline,
            None => {
                let outline = read_entries(wal, &of.segment, of.base)?;
                write_digest(wal, &of.segment, outline.digest());
                outline
            }
        });
        *known = Some(Arc::clone(&outline));
        drop(known);
        let bytes = outline.bytes();
        if self.outline_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > MOST_OUTLINE_BYTES {
            self.outline_bytes.store(bytes, Ordering::Relaxed);
            let others = self.all().into_iter().filter(|one| !std::ptr::eq(&**one, of));
            others.for_each(|one| drop(lock(&one.outline).take()));
        }
        Ok(outline)
    }
}

/// What is known of the sealed `segment`, whose first message has an offset of `base` at least.
pub(crate) fn look_at(wal: &Arc<Wal>, segment: &Arc<Segment>, base: u64) -> Result<Arc<SealedSegment>> {
    let outline = match read_digest(wal, segment, false).filter(|outline| outline.base() >= base) {
        Some(outline) => outline,
        None => {
            let outline = read_entries(wal, segment, base)?;
            write_digest(wal, segment, outline.digest());
            outline
        }
    };
    Ok(Arc::new(SealedSegment::new(Arc::clone(segment), &outline)))
}

pub(crate) fn read_digest(wal: &Wal, segment: &Segment, whole: bool) -> Option<Outline> {
    let most = if whole { segment.header.capacity } else { DigestHeader::LEN as u64 };
    let bytes = wal.directory().read_derived(FileName::Digest(segment.header.id), most)?;
    let digest = Digest::decode(&bytes, &segment.header, whole)?;
    (digest.entries == segment.end()?.records && !segment.is_damaged()).then(|| Outline::of(digest))
}

/// Has the digest of a sealed segment written in the background. Derived: failing is no error.
fn write_digest(wal: &Wal, segment: &Arc<Segment>, digest: &Digest) {
    let directory = wal.directory();
    if !directory.is_ours() || segment.is_damaged() {
        return;
    }
    let (bytes, id, there) = (digest.encode(&segment.header), segment.header.id, directory.clone());
    let segment = Arc::clone(segment);
    directory.spawn(Box::new(move || {
        let name = FileName::Digest(id);
        let _derived = there.replace_derived(name, &bytes);
        if segment.is_retired() {
            let _removed_by_the_next_open = there.unlink(name);
        }
    }));
}

/// Reads the entries of `segment`, sealed or not, and what they say of themselves.
fn read_entries(wal: &Arc<Wal>, segment: &Segment, base: u64) -> Result<Outline> {
    let mut outline = Outline::at(base);
    let first = segment.header.first_index;
    let next = segment.end().map_or_else(|| wal.next_index(), |end| end.next_index);
    let from = first.max(wal.first_index());
    entry::each(wal, from, next, |index, payload| {
        let (entry, _) = entry::outline(payload).map_err(|bad| corrupt(wal, index, bad.reason()))?;
        if index > first + outline.entries() && !segment.is_damaged() {
            return Err(corrupt(wal, index, "an entry is missing"));
        }
        outline.skip_to(index - first);
        if outline.push(&entry) {
            Ok(())
        } else {
            Err(corrupt(wal, index, "an entry's offset does not follow the one before"))
        }
    })?;
    Ok(outline)
}

/// The error for an entry whose frame is intact, and which is not as it must be. Tells no index: of messages there are offsets.
#[cold]
pub(crate) fn corrupt(wal: &Wal, index: u64, reason: &'static str) -> Error {
    let place = wal.position_of(index).ok().flatten();
    let segment = place.and_then(|place| wal.segment_set().by_id(place.segment));
    let path = segment.map_or_else(|| wal.dir().to_path_buf(), |segment| segment.path());
    let position = place.map_or(0, |place| place.offset);
    varve_segment::Error::Corrupt { path, position, index: None, reason }.into()
}
