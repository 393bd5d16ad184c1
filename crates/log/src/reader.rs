//! Reading messages one after another, hundreds a call.

use std::cell::Cell;
use std::sync::Arc;

use varve_wal::{Fill as WalFill, Mirror, TABLE_LEN, Table, WalReader, first_of};

use varve_format::{Body, Entry, Message};

use crate::entry;
use crate::error::{Error, Result};
use crate::sealed::corrupt;
use crate::writer::Log;

/// Messages that one call of [`LogReader::fill`] finds at most.
pub const FILL_MESSAGES: usize = 256;

/// 32-bit words of a row. 0 and 1: offset, lower half first. 2 and 3: time in microseconds since the Unix epoch, likewise, signed. 4: where the key
/// begins in the slab, 5: the headers, 6: the value, 7: where that ends. 8: bit 0, it has a key; bit 1, it has a value; bit 2, its places are those in
/// the file of the segment whose mark is in words 9 and, from bit 8 on, 8; else 9 is 0.
pub const ROW_WORDS: usize = 10;

const HAS_KEY: u32 = 1;
const HAS_VALUE: u32 = 2;
const IN_FILE: u32 = 4;
/// Bits of a mark that are in word 9; the others are in word 8, from this bit on.
const MARK_LOW: u32 = 32;
const MARK_HIGH_AT: u32 = 8;

/// Values shorter than this are copied: a copy costs less than finding where they lie, and than what a view keeps alive.
pub const LEAST_VIEW: usize = 8 << 10;

/// Bytes of entries that are read at once.
const CHUNK: usize = 64 << 10;

/// Outcome of a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// So many messages. 0: the end, as it is now.
    Messages(usize),
    /// The next message needs a slab of so many bytes.
    Needs(usize),
}

/// How a reader reads.
#[derive(Debug, Clone, Default)]
pub struct ReaderOptions {
    /// Offset of its first message.
    pub from: u64,
    /// Offset that it does not return any more.
    pub to: Option<u64>,
    /// It stops at the high-water mark.
    pub gated: bool,
    /// Only messages of this key; `Some(None)`: those without one.
    pub key: Option<Option<Vec<u8>>>,
}

thread_local! {
    /// Memory of readers of this thread for entries: one that has come to the end leaves it to the next.
    static SPARE: Cell<[Vec<u8>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// Memory for a group that was uncompressed is left to others up to this.
const MOST_SPARE: usize = 1 << 20;

/// Goes through messages in order. Stays where the log ends now, and goes on from there. Holds the segment it stands in.
#[derive(Debug)]
pub struct LogReader {
    log: Arc<Log>,
    entries: Option<WalReader>,
    /// Offset from which on messages are returned.
    offset: u64,
    to: u64,
    gated: bool,
    key: Option<Option<Vec<u8>>>,
    /// Kept alive by it alone.
    _mirror: Option<Arc<dyn Mirror>>,
    /// Entries that were read, where each is in it, how many there are, and which is the next.
    chunk: Vec<u8>,
    table: Box<Table>,
    count: usize,
    at: usize,
    /// First offset of the compressed group whose body was uncompressed last, and that body.
    unpacked: Option<u64>,
    body: Vec<u8>,
    /// It has come to the end, as that was.
    is_at_end: bool,
    moves: u64,
}

impl Log {
    /// A reader.
    pub fn reader(self: &Arc<Self>, options: ReaderOptions) -> Result<LogReader> {
        self.reader_told(options, None)
    }

    /// The same for who has messages ahead of those that were returned: `mirror` is told when the log begins later than before, and they may be gone.
    pub fn reader_told(self: &Arc<Self>, options: ReaderOptions, mirror: Option<Arc<dyn Mirror>>) -> Result<LogReader> {
        self.wal.check_open()?;
        if let Some(mirror) = &mirror {
            // Before it stands somewhere: no removal between the two goes unnoticed.
            self.mirrors.add(mirror);
        }
        self.check_place(options.from)?;
        Ok(LogReader {
            log: Arc::clone(self),
            entries: None,
            offset: options.from,
            to: options.to.unwrap_or(u64::MAX),
            gated: options.gated,
            key: options.key,
            _mirror: mirror,
            chunk: Vec::new(),
            table: Box::new([0; TABLE_LEN]),
            count: 0,
            at: 0,
            unpacked: None,
            body: Vec::new(),
            is_at_end: false,
            moves: 0,
        })
    }

    fn check_place(&self, offset: u64) -> Result<()> {
        let (first, last) = (self.start_offset(), self.next_offset());
        if offset < first || offset > last {
            return Err(Error::OutOfRange { what: "offset", offset, first, last });
        }
        Ok(())
    }
}

/// Where a message that is alone in its entry lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Of its segment: see [`Log::pin_marked`].
    pub(crate) mark: u64,
    /// Where it ends in the file.
    pub(crate) end: u32,
}

/// Where the messages that are found are put.
struct Rows<'r> {
    slab: &'r mut [u8],
    used: usize,
    words: &'r mut [u32],
    count: usize,
    /// Messages may be told of where they lie in their files.
    views: bool,
}

/// Bytes of the parts of a message.
#[inline]
fn len(message: &Message<'_>) -> usize {
    message.key.map_or(0, <[u8]>::len) + message.headers.as_bytes().len() + message.value.map_or(0, <[u8]>::len)
}

impl Rows<'_> {
    fn is_full(&self) -> bool {
        (self.count + 1) * ROW_WORDS > self.words.len() || self.count == FILL_MESSAGES
    }

    /// Puts a message in, or where it lies in its file; false if there is no room for it.
    #[inline]
    fn put(&mut self, message: &Message<'_>, place: Option<Place>) -> bool {
        if let Some(place) = place {
            return self.put_place(message, place);
        }
        let (key, value) = (message.key.unwrap_or_default(), message.value.unwrap_or_default());
        let (headers, len) = (message.headers.as_bytes(), len(message));
        let from = self.count * ROW_WORDS;
        let (Some(room), Some(words)) =
            (self.slab.get_mut(self.used..self.used + len), self.words.get_mut(from..from + ROW_WORDS))
        else {
            return false;
        };
        let (in_key, rest) = room.split_at_mut(key.len());
        let (in_headers, in_value) = rest.split_at_mut(headers.len());
        in_key.copy_from_slice(key);
        in_headers.copy_from_slice(headers);
        in_value.copy_from_slice(value);
        let time = message.time.cast_unsigned();
        let headers_at = self.used + key.len();
        let start = headers_at + headers.len();
        let flags = u32::from(message.key.is_some()) * HAS_KEY + u32::from(message.value.is_some()) * HAS_VALUE;
        #[expect(clippy::cast_possible_truncation, reason = "halves; and a slab is smaller than 4 GiB")]
        words.copy_from_slice(&[
            message.offset as u32,
            (message.offset >> 32) as u32,
            time as u32,
            (time >> 32) as u32,
            self.used as u32,
            headers_at as u32,
            start as u32,
            (self.used + len) as u32,
            flags,
            0,
        ]);
        self.used += len;
        self.count += 1;
        true
    }

    #[cold]
    fn put_place(&mut self, message: &Message<'_>, Place { mark, end }: Place) -> bool {
        let from = self.count * ROW_WORDS;
        let Some(words) = self.words.get_mut(from..from + ROW_WORDS) else { return false };
        let time = message.time.cast_unsigned();
        #[expect(clippy::cast_possible_truncation, reason = "parts of a message lie in its file, below 4 GiB")]
        let back = |from: u32, len: usize| from.saturating_sub(len as u32);
        let start = back(end, message.value.map_or(0, <[u8]>::len));
        let headers = back(start, message.headers.as_bytes().len());
        let key = back(headers, message.key.map_or(0, <[u8]>::len));
        let flags = u32::from(message.key.is_some()) * HAS_KEY + u32::from(message.value.is_some()) * HAS_VALUE;
        #[expect(clippy::cast_possible_truncation, reason = "halves, and a mark has 53 bits")]
        words.copy_from_slice(&[
            message.offset as u32,
            (message.offset >> 32) as u32,
            time as u32,
            (time >> 32) as u32,
            key,
            headers,
            start,
            end,
            flags + IN_FILE + (((mark >> MARK_LOW) as u32) << MARK_HIGH_AT),
            mark as u32,
        ]);
        self.count += 1;
        true
    }
}

/// Why the messages of an entry were left.
enum Left {
    /// All of them have been seen.
    Done,
    /// The table is full, or the end has come.
    Full,
    /// The next one needs so many bytes.
    Needs(usize),
}

impl LogReader {
    /// Offset from which on it returns messages.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Its log.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Moves to `offset`.
    pub fn seek(&mut self, offset: u64) -> Result<()> {
        self.log.wal.check_open()?;
        self.log.check_place(offset)?;
        self.offset = offset;
        self.leave();
        Ok(())
    }

    /// Forgets what has been read ahead.
    fn leave(&mut self) {
        (self.entries, self.unpacked) = (None, None);
        (self.count, self.at) = (0, 0);
    }

    /// The next messages: their bytes in `slab`, key, headers and value one behind the other, and in `words` a row of [`ROW_WORDS`] for each.
    /// bench: log-read
    pub fn fill(&mut self, slab: &mut [u8], words: &mut [u32]) -> Result<Fill> {
        self.fill_with(slab, words, false)
    }

    /// The same. Messages that are alone in their entry, whose values have [`LEAST_VIEW`], and which lie in whole pages that are written are not copied:
    /// their rows say where they are, verified, in a file; see [`Log::pin_marked`].
    pub fn fill_views(&mut self, slab: &mut [u8], words: &mut [u32]) -> Result<Fill> {
        self.fill_with(slab, words, true)
    }

    fn fill_with(&mut self, slab: &mut [u8], words: &mut [u32], views: bool) -> Result<Fill> {
        let filled = self.fill_rows(slab, words, views);
        if self.at == self.count && self.is_at_end {
            self.rest();
        }
        filled
    }

    /// At the end, leaves the memory that it reads into to others: many may wait there.
    fn rest(&mut self) {
        if self.chunk.is_empty() {
            return;
        }
        self.unpacked = None;
        let (chunk, body) = (std::mem::take(&mut self.chunk), std::mem::take(&mut self.body));
        if chunk.len() == CHUNK && body.capacity() <= MOST_SPARE {
            SPARE.set([chunk, body]);
        }
    }

    fn fill_rows(&mut self, slab: &mut [u8], words: &mut [u32], views: bool) -> Result<Fill> {
        self.log.wal.check_open()?;
        self.log.catch_up();
        let start = self.log.start_offset();
        if self.offset < start {
            return Err(self.overtaken(start));
        }
        let end = if self.gated { self.log.high_water_mark() } else { self.log.next_offset() }.min(self.to);
        let mut rows = Rows { slab, used: 0, words, count: 0, views };
        self.is_at_end = false;
        while self.offset < end && !rows.is_full() {
            match self.take_next(end, &mut rows) {
                Ok(Left::Done) => {}
                Ok(Left::Needs(bytes)) if rows.count == 0 => return Ok(Fill::Needs(bytes)),
                // What was read before it is intact; the next call meets it again.
                Err(error) if rows.count == 0 => return Err(error.at(self.offset)),
                Ok(Left::Full | Left::Needs(_)) | Err(_) => break,
            }
        }
        self.is_at_end = self.offset >= end;
        Ok(Fill::Messages(rows.count))
    }

    /// Puts the messages of the entry that comes next into `rows`.
    fn take_next(&mut self, end: u64, rows: &mut Rows<'_>) -> Result<Left> {
        if self.at == self.count && !self.read_on()? {
            // Nothing is left before the end: what is missing there was removed, or is lost.
            self.offset = end;
            return Ok(Left::Full);
        }
        self.take(end, rows)
    }

    #[cold]
    fn overtaken(&self, first: u64) -> Error {
        Error::OutOfRange { what: "the reader's place", offset: self.offset, first, last: self.log.next_offset() }
    }

    /// Reads the next entries. False: there are none.
    fn read_on(&mut self) -> Result<bool> {
        loop {
            let moves = self.log.settled()?;
            if moves != self.moves {
                // Entries have other indexes now: its place is known by its offset alone.
                self.leave();
                self.moves = moves;
            }
            let start = self.log.start_offset();
            if self.offset < start {
                return Err(self.overtaken(start));
            }
            let read = self.read_entries();
            if self.log.moves() == moves {
                return read;
            }
        }
    }

    fn read_entries(&mut self) -> Result<bool> {
        let entries = match &mut self.entries {
            Some(entries) => entries,
            None => {
                let Some(place) = self.log.locate(self.offset)? else { return Ok(false) };
                let from = place.index.max(self.log.wal.first_index());
                self.entries.insert(self.log.wal.reader_with(varve_wal::ReaderOptions {
                    from,
                    waits: true,
                    ..varve_wal::ReaderOptions::default()
                })?)
            }
        };
        if self.chunk.is_empty() {
            [self.chunk, self.body] = SPARE.take();
            self.chunk.resize(CHUNK, 0);
        }
        loop {
            match entries.fill(&mut self.chunk, &mut self.table)? {
                WalFill::Needs(bytes) => self.chunk.resize(bytes, 0),
                WalFill::Records(count) => {
                    (self.count, self.at) = (count, 0);
                    return Ok(count > 0);
                }
            }
        }
    }

    fn index_at(&self, at: usize) -> u64 {
        first_of(&self.table) + at as u64
    }

    /// Puts the messages of the next entry, or what is left of it, into `rows`.
    fn take(&mut self, end: u64, rows: &mut Rows<'_>) -> Result<Left> {
        let (from, to) = (self.table[2 * self.at] as usize, self.table[2 * self.at + 1] as usize);
        let index = self.index_at(self.at);
        let Some(payload) = self.chunk.get(from..to) else { return Ok(Left::Done) };
        let corrupted = |reason| corrupt(&self.log.wal, index, reason);
        let offset = &mut self.offset;
        let wanted = self.key.as_ref().map(|key| key.as_deref());
        let (log, moves) = (&self.log, self.moves);
        let mut put = |message: &Message<'_>, is_alone: bool| -> Result<Left> {
            if message.offset < *offset {
                return Ok(Left::Done);
            }
            if message.offset >= end {
                return Ok(Left::Full);
            }
            if wanted.is_none_or(|key| key == message.key) {
                let is_long = || message.value.is_some_and(|value| value.len() >= LEAST_VIEW);
                let place = if rows.views && is_alone && is_long() { log.place_of(index, moves)? } else { None };
                if !rows.put(message, place) {
                    return Ok(if rows.is_full() { Left::Full } else { Left::Needs(len(message)) });
                }
            }
            *offset = message.offset + 1;
            Ok(Left::Done)
        };
        let group = match Entry::decode(payload).map_err(|bad| corrupted(bad.reason()))? {
            Entry::Single(single) => {
                let left = put(&single.message, true)?;
                if matches!(left, Left::Done) {
                    self.at += 1;
                }
                return Ok(left);
            }
            Entry::Group(group) => group,
        };
        let raw = if entry::is_raw(&group) {
            group.stored
        } else {
            if self.unpacked != Some(group.head.base) {
                self.unpacked = None;
                entry::unpack(&group, &mut self.body).map_err(corrupted)?;
                self.unpacked = Some(group.head.base);
            }
            &self.body
        };
        let body = Body::open(&group.head, raw).map_err(|bad| corrupted(bad.reason()))?;
        for message in body.messages() {
            match put(&message.map_err(|bad| corrupted(bad.reason()))?, false)? {
                Left::Done => {}
                left => return Ok(left),
            }
        }
        // Behind its last message others may have been removed.
        *offset = (*offset).max((group.head.base + u64::from(group.head.span)).min(end));
        self.at += 1;
        Ok(Left::Done)
    }
}
