//! Finding a message by its offset, its key or its time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use varve_format::{BadEntry, Body, Entry, Group, GroupHead, Provenance};

use crate::entry::{self, Message};
use crate::error::{Error, Result};
use crate::outline::Located;
use crate::sealed::corrupt;
use crate::tail::Tail;
use crate::writer::Log;

/// Where an entry is, and which.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Index in the record log.
    pub(crate) index: u64,
    /// The entry stands for the offset that was asked for.
    pub(crate) holds: bool,
}

impl Log {
    /// How often entries have been moved or removed: an index found before is not to be used after.
    pub(crate) fn moves(&self) -> u64 {
        loop {
            let rewrites = self.rewrites.load(Ordering::Acquire);
            if rewrites.is_multiple_of(2) {
                return self.wal.moves() + rewrites;
            }
            // It lasts as long as a rename.
            std::thread::yield_now();
        }
    }

    /// The first entry that holds `offset`, or offsets behind it; `None` behind the last one.
    pub(crate) fn locate(&self, offset: u64) -> Result<Option<Place>> {
        loop {
            if offset < self.active_base.load(Ordering::Acquire)
                && let Some(place) = self.locate_sealed(offset)?
            {
                return Ok(Some(place));
            }
            let tail = self.tail.lock();
            // It may have been sealed since.
            if offset >= self.active_base.load(Ordering::Acquire) || self.sealed.find(offset).is_none() {
                return Ok(tail.locate(offset));
            }
        }
    }

    /// The same, for who has the tail.
    pub(crate) fn locate_in(&self, tail: &Tail, offset: u64) -> Result<Option<Place>> {
        Ok(self.locate_sealed(offset)?.or_else(|| tail.locate(offset)))
    }

    /// The same, in the segments that are sealed.
    fn locate_sealed(&self, offset: u64) -> Result<Option<Place>> {
        let Some(sealed) = self.sealed.find(offset) else { return Ok(None) };
        let outline = self.sealed.outline(&self.wal, &sealed)?;
        Ok(outline.find(offset).map(|found| place(sealed.segment.header.first_index, found)))
    }

    /// First offset of the entry at `index`, if it is there.
    pub(crate) fn offset_of_entry(&self, index: u64) -> Option<u64> {
        let read = |payload: &[u8]| entry::outline(payload).ok().map(|(entry, _)| entry.base);
        self.wal.get(index, read).ok().flatten().flatten()
    }

    /// Hands the message at `offset` to `read`. `None`: it was removed, or it is lost and that is known. [`Error::OutOfRange`] outside of what the log
    /// holds. A message that is still in the group buffer is read under the log's lock: `read` must be short. bench: log-get
    pub fn get<R>(&self, offset: u64, mut read: impl FnMut(&Message<'_>) -> R) -> Result<Option<R>> {
        let next = self.next_offset();
        let first = self.start_offset();
        self.wal.check_open()?;
        if offset < first || offset >= next {
            return Err(Error::OutOfRange { what: "offset", offset, first, last: next.saturating_sub(1) });
        }
        self.find(offset, &mut read).map_err(|error| error.at(offset))
    }

    /// The same of any offset: `None` where there is none.
    pub(crate) fn find<R>(&self, offset: u64, read: &mut impl FnMut(&Message<'_>) -> R) -> Result<Option<R>> {
        loop {
            let moves = self.settled()?;
            let found = match self.locate(offset)? {
                Some(place) if place.holds => self.read_at(place.index, offset, moves, read),
                _ => Ok(None),
            };
            if self.moves() == moves {
                return found;
            }
        }
    }

    /// Hands the message at `offset`, if it is in the entry at `index`, to `read`.
    fn read_at<R>(
        &self,
        index: u64,
        offset: u64,
        moves: u64,
        read: &mut impl FnMut(&Message<'_>) -> R,
    ) -> Result<Option<R>> {
        let is_it = |entry: &Entry<'_>| entry.base() <= offset && offset - entry.base() < u64::from(entry.span());
        let found = self.look_into(index, moves, is_it, |message| match message {
            Within::Single(message) => Ok(Some(read(message))),
            Within::Body(body) => Ok(body.message(offset).transpose()?.map(|message| read(&message))),
        })?;
        Ok(match found {
            Looked::Found(found) => Some(found),
            Looked::Other | Looked::Missing => None,
        })
    }

    /// Looks into the entry at `index`, if `wanted` says so of its header. A compressed body is uncompressed once, and kept for the next.
    fn look_into<R>(
        &self,
        index: u64,
        moves: u64,
        wanted: impl Fn(&Entry<'_>) -> bool,
        mut look: impl FnMut(&Within<'_>) -> Result<Option<R>, BadEntry>,
    ) -> Result<Looked<R>> {
        enum Seen<R> {
            Looked(Result<Option<R>, BadEntry>),
            Other,
            Packed(GroupHead, Vec<u8>),
        }
        let seen = self.wal.get(index, |payload| match Entry::decode(payload) {
            Ok(entry) if !wanted(&entry) => Seen::Other,
            Ok(Entry::Single(single)) => Seen::Looked(look(&Within::Single(&single.message))),
            Ok(Entry::Group(group)) if entry::is_raw(&group) => {
                Seen::Looked(Body::open(&group.head, group.stored).and_then(|body| look(&Within::Body(&body))))
            }
            Ok(Entry::Group(group)) => match self.bodies.get((group.head.base, moves)) {
                Some(raw) => Seen::Looked(Body::open(&group.head, &raw).and_then(|body| look(&Within::Body(&body)))),
                // Not uncompressed here: this may be under the lock of all that write.
                None => Seen::Packed(group.head, group.stored.to_vec()),
            },
            Err(bad) => Seen::Looked(Err(bad)),
        })?;
        let looked = match seen {
            None => return Ok(Looked::Missing),
            Some(Seen::Other) => return Ok(Looked::Other),
            Some(Seen::Looked(looked)) => looked,
            Some(Seen::Packed(head, stored)) => {
                let group = Group { head, provenance: Provenance::NONE, stored: &stored };
                let mut raw = Vec::new();
                entry::unpack(&group, &mut raw).map_err(|reason| corrupt(&self.wal, index, reason))?;
                let raw = Arc::new(raw);
                self.bodies.put((head.base, moves), &raw);
                Body::open(&head, &raw).and_then(|body| look(&Within::Body(&body)))
            }
        };
        let found = looked.map_err(|bad| corrupt(&self.wal, index, bad.reason()))?;
        Ok(found.map_or(Looked::Other, Looked::Found))
    }

    /// Hands the first message held to `read`; `None` in an empty log.
    pub fn first<R>(&self, mut read: impl FnMut(&Message<'_>) -> R) -> Result<Option<R>> {
        self.wal.check_open()?;
        let from = self.start_offset();
        self.first_from(from, &mut |message| Some(read(message)))
    }

    /// Hands the last message held to `read`; `None` in an empty log.
    pub fn last<R>(&self, mut read: impl FnMut(&Message<'_>) -> R) -> Result<Option<R>> {
        self.wal.check_open()?;
        let (mut behind, start) = (self.next_offset(), self.start_offset());
        // Removed messages may lie behind it: by segments first, then by offsets.
        while behind > start {
            if let Some(found) = self.find(behind - 1, &mut read)? {
                return Ok(Some(found));
            }
            behind = self.last_end_below(behind - 1, start)?;
        }
        Ok(None)
    }

    /// The end of the last entry that begins before or at `offset`; `offset` itself where it is in the middle of one.
    fn last_end_below(&self, offset: u64, start: u64) -> Result<u64> {
        let tail = self.tail.lock();
        if tail.outline.base() <= offset && tail.outline.messages() > 0 {
            // Of a log that is followed, messages may have been removed from it, too.
            return Ok(tail.outline.end().min(offset).max(start));
        }
        drop(tail);
        let before = self.sealed.all().into_iter().rev().find(|one| one.base <= offset && one.messages > 0);
        Ok(before.map_or(start, |one| if one.end <= offset { one.end } else { offset }))
    }

    /// Hands the messages from `from` on to `look`, until it gives something.
    pub(crate) fn first_from<R>(
        &self,
        from: u64,
        look: &mut dyn FnMut(&Message<'_>) -> Option<R>,
    ) -> Result<Option<R>> {
        let mut at = from;
        loop {
            let moves = self.settled()?;
            let Some(place) = self.locate(at)? else { return Ok(None) };
            let (mut found, mut next) = (None, at);
            let read = entry::messages(&self.wal, place.index, &mut |message| {
                if message.offset >= at && found.is_none() {
                    next = message.offset + 1;
                    found = look(message);
                }
                found.is_none()
            });
            if self.moves() == moves || found.is_some() {
                read?;
                return Ok(found);
            }
            at = next;
        }
    }

    /// The lowest offset whose message's time is `time` or later, in microseconds since the Unix epoch, and that time. bench: log-time
    pub fn offset_by_time(&self, time: i64) -> Result<Option<(u64, i64)>> {
        self.by_time(time, |message| (message.offset, message.time))
    }

    /// Hands the message of the lowest offset whose time is `time` or later to `read`.
    pub fn get_by_time<R>(&self, time: i64, read: impl FnMut(&Message<'_>) -> R) -> Result<Option<R>> {
        self.by_time(time, read)
    }

    fn by_time<R>(&self, time: i64, mut read: impl FnMut(&Message<'_>) -> R) -> Result<Option<R>> {
        self.catch_up();
        self.wal.check_open()?;
        if !self.time_index {
            return Err(Error::NoIndex { by: "time" });
        }
        let start = self.start_offset();
        loop {
            let moves = self.settled()?;
            let from = match self.sealed.find_time(time) {
                Some(sealed) => {
                    let outline = self.sealed.outline(&self.wal, &sealed)?;
                    outline.find_time(time).map(|entry| sealed.segment.header.first_index + entry)
                }
                None => {
                    let tail = self.tail.lock();
                    tail.outline.find_time(time).map(|entry| tail.segment.header.first_index + entry)
                }
            };
            let Some(from) = from else { return Ok(None) };
            // What lies before the start is not looked at, whatever became of it.
            let held = self.locate(start)?.map_or(from, |place| place.index);
            let found = self.first_at(from.max(held).max(self.wal.first_index()), moves, time, start, &mut read);
            if self.moves() == moves {
                return found;
            }
        }
    }

    /// The first message of that time or later from the entry at `index` on: within one step as a rule; further only where what the digest counts has
    /// been dropped from the start.
    fn first_at<R>(
        &self,
        mut index: u64,
        moves: u64,
        time: i64,
        start: u64,
        read: &mut impl FnMut(&Message<'_>) -> R,
    ) -> Result<Option<R>> {
        // A group tells its greatest time.
        let comes_up = |entry: &Entry<'_>| {
            let greatest = match entry {
                Entry::Single(single) => single.message.time,
                Entry::Group(group) => group.head.base_time,
            };
            greatest >= time && entry.base() + u64::from(entry.span()) > start
        };
        let is_it = |message: &Message<'_>| message.time >= time && message.offset >= start;
        while index < self.wal.next_index() {
            let looked = self.look_into(index, moves, comes_up, |within| match within {
                Within::Single(message) => Ok(is_it(message).then(|| read(message))),
                Within::Body(body) => {
                    for message in body.messages() {
                        let message = message?;
                        if is_it(&message) {
                            return Ok(Some(read(&message)));
                        }
                    }
                    Ok(None)
                }
            })?;
            index = match looked {
                Looked::Found(found) => return Ok(Some(found)),
                Looked::Other => index + 1,
                Looked::Missing => entry::behind_missing(&self.wal, index),
            };
        }
        Ok(None)
    }
}

/// What is looked at of an entry.
enum Within<'a> {
    Single(&'a Message<'a>),
    Body(&'a Body<'a>),
}

/// What came of it.
enum Looked<R> {
    Found(R),
    /// It is there, and not what was looked for.
    Other,
    /// It was removed, or is lost.
    Missing,
}

impl Tail {
    /// The first entry of the active segment that holds `offset`, or offsets behind it.
    fn locate(&self, offset: u64) -> Option<Place> {
        self.outline.find(offset).map(|found| place(self.segment.header.first_index, found))
    }
}

fn place(first: u64, found: Located) -> Place {
    Place { index: first + found.entry, holds: found.holds }
}
