//! A log read in every way: what is read must have been written, and all ways must tell the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use varve_log::{Care, Error, ErrorCode, Fill, Log, LogReader, ROW_WORDS, ReaderOptions, Result, Rule};

use super::Written;
use crate::known::Known;

/// Messages that are asked for one by one, from both ends.
const GETS: usize = 40;

/// What came of reading a log from its first message on.
pub enum Reading {
    All(Vec<Known>),
    /// Damage that the open did not look at was met.
    Failed,
}

pub fn is_coded(code: ErrorCode, by: &str) {
    let expected = [ErrorCode::Corrupt, ErrorCode::Unsupported, ErrorCode::InvalidArgument, ErrorCode::OutOfRange];
    assert!(expected.contains(&code), "{by} says {}, which bytes on a sound disk cannot cause", code.name());
}

/// Of what need not be there.
fn looked<T>(found: Result<T>, by: &str) -> Option<T> {
    found.inspect_err(|error| is_coded(error.code(), by)).ok()
}

/// All messages from the start offset on.
pub fn walk(log: &Arc<Log>, from: u64) -> Result<Vec<Known>> {
    rest(&mut log.reader(ReaderOptions { from, ..ReaderOptions::default() })?)
}

fn rest(reader: &mut LogReader) -> Result<Vec<Known>> {
    let (mut slab, mut words, mut found) = (vec![0; 4096], vec![0; 256 * ROW_WORDS], Vec::new());
    loop {
        let count = match reader.fill(&mut slab, &mut words)? {
            Fill::Messages(0) => return Ok(found),
            Fill::Messages(count) => count,
            Fill::Needs(bytes) => {
                assert!(bytes > slab.len(), "a slab of {} bytes is refused for {bytes}", slab.len());
                slab.resize(bytes, 0);
                continue;
            }
        };
        for row in words.as_chunks::<ROW_WORDS>().0.iter().take(count) {
            let wide = |at: usize| u64::from(row[at]) | u64::from(row[at + 1]) << 32;
            let part = |at: usize| slab[row[at] as usize..row[at + 1] as usize].to_vec();
            found.push(Known {
                offset: wide(0),
                time: wide(2).cast_signed(),
                key: (row[8] & 1 != 0).then(|| part(4)),
                headers: part(5),
                value: (row[8] & 2 != 0).then(|| part(6)),
            });
        }
    }
}

/// Reads all in order; each must be one that was written. Then by offset, key and time, which must tell the same, unless somebody forged what they go by.
pub fn read(log: &Arc<Log>, written: &Written) -> Reading {
    let (start, next) = (log.start_offset(), log.next_offset());
    assert!(start <= next, "a log of {start} to {next}");
    let walked = walk(log, start);
    let all = match &walked {
        Ok(all) => all.as_slice(),
        Err(error) => {
            is_coded(error.code(), "a reader");
            &[]
        }
    };
    let mut last = None;
    for known in all {
        let offset = known.offset;
        assert!((start..next).contains(&offset), "message {offset} of a log of {start} to {next}");
        assert!(last.is_none_or(|last| last < offset), "message {offset} comes again");
        assert!(written.admits(known), "message {offset} was never written: {known:?}");
        last = Some(offset);
    }
    let strict = !written.is_forged() && walked.is_ok();
    let ask = Ask { log, written, all, strict };
    ask.by_offset(start, next);
    ask.by_key(start);
    ask.by_time();
    ask.by_rule();
    let (first, last) = (log.first(Known::of), log.last(Known::of));
    ask.compare(first, all.first(), "first");
    ask.compare(last, all.last(), "last");
    let _figures = (log.stats(), log.cursors(), log.high_water_mark(), log.durable_offset());
    match walked {
        Ok(all) => Reading::All(all),
        Err(_) => Reading::Failed,
    }
}

/// Asks a log, of which all messages are known unless damage was met.
struct Ask<'a> {
    log: &'a Arc<Log>,
    written: &'a Written,
    all: &'a [Known],
    /// All that is asked must tell what the reader has told.
    strict: bool,
}

impl Ask<'_> {
    fn compare(&self, found: Result<Option<Known>>, expected: Option<&Known>, what: &str) {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                is_coded(error.code(), what);
                // A search by time may meet damage before the start of the log, in what has been dropped of its first segment.
                let dropped = what == "get by time" && self.log.start_offset() > 0;
                assert!(!self.strict || dropped, "{what} fails, and all can be read in order: {error}");
                return;
            }
        };
        if let Some(found) = &found {
            assert!(self.written.admits(found), "{what} finds what was never written: {found:?}");
        }
        assert!(!self.strict || found.as_ref() == expected, "{what} finds {found:?} in place of {expected:?}");
    }

    fn by_offset(&self, start: u64, next: u64) {
        let held = self.all.iter().map(|known| known.offset);
        let mut some: BTreeSet<u64> = held.clone().take(GETS / 2).chain(held.rev().take(GETS / 2)).collect();
        some.extend([
            start,
            start.saturating_add(1),
            start.midpoint(next),
            next.saturating_sub(2),
            next.wrapping_sub(1),
        ]);
        for offset in some {
            if offset < start || offset >= next {
                continue;
            }
            let expected = self.all.iter().find(|known| known.offset == offset);
            self.compare(self.log.get(offset, Known::of), expected, "get");
        }
        for offset in [start.saturating_add(1), start.midpoint(next), next] {
            if offset > next {
                continue;
            }
            let Some(found) = looked(walk(self.log, offset), "a reader from the middle") else {
                assert!(!self.strict, "a reader from {offset} on fails, and one from the start does not");
                continue;
            };
            assert!(found.iter().all(|known| known.offset >= offset && self.written.admits(known)));
            let behind = self.all.iter().skip_while(|known| known.offset < offset);
            assert!(!self.strict || found.iter().eq(behind), "a reader from {offset} on gives other messages");
        }
        for outside in [start.wrapping_sub(1), next, u64::MAX] {
            let code = self.log.get(outside, |_| ()).err().map(|error| error.code());
            assert_eq!(code, Some(ErrorCode::OutOfRange), "message {outside} of a log of {start} to {next}");
        }
    }

    fn by_key(&self, start: u64) {
        let mut keys: BTreeSet<Option<Vec<u8>>> = [None, Some(vec![]), Some(vec![1]), Some(b"none".to_vec())].into();
        keys.extend(self.all.iter().map(|known| known.key.clone()).take(GETS));
        for key in keys {
            let last = match self.log.get_by_key(key.as_deref(), Known::of) {
                // A state that was lost says nothing of indexes.
                Err(Error::NoIndex { .. }) => return,
                last => last,
            };
            let expected = self.all.iter().rfind(|known| known.key == key);
            assert!(last.as_ref().is_ok_and(|last| last.as_ref().is_none_or(|last| last.key == key)) || last.is_err());
            self.compare(last, expected, "get by key");
            let options = ReaderOptions { from: start, key: Some(key.clone()), ..ReaderOptions::default() };
            let found = self.log.reader(options).and_then(|mut reader| rest(&mut reader));
            let Some(found) = looked(found, "a reader of a key") else { continue };
            assert!(found.iter().all(|known| known.key == key && self.written.admits(known)));
            let of_key = self.all.iter().filter(|known| known.key == key);
            assert!(!self.strict || found.iter().eq(of_key), "a reader of {key:?} gives other messages");
        }
    }

    fn by_time(&self) {
        let mut times: BTreeSet<i64> = [i64::MIN, 0, i64::MAX].into();
        let some = self.all.iter().step_by(1 + self.all.len() / GETS).map(|known| known.time);
        times.extend(some.flat_map(|time| [time - 1, time, time + 1]));
        for time in times {
            let expected = self.all.iter().find(|known| known.time >= time);
            match self.log.get_by_time(time, Known::of) {
                Err(Error::NoIndex { .. }) => return,
                found => {
                    assert!(
                        found.as_ref().is_ok_and(|found| found.as_ref().is_none_or(|found| found.time >= time))
                            || found.is_err()
                    );
                    self.compare(found, expected, "get by time");
                }
            }
        }
    }

    fn by_rule(&self) {
        let middle = self.all.get(self.all.len() / 2).map_or(0, |known| known.time);
        let keep = self.all.len() as u64 / 3;
        let rules =
            [Rule::OlderThan(middle), Rule::KeepMessages(keep), Rule::KeepBytes(4000), Rule::UpdatesBefore(middle)];
        for rule in rules {
            let found = looked(self.log.matching(&rule, &Care::default()), "matching");
            assert!(found.is_some() || !self.strict, "{rule:?} fails, and all can be read");
            let Some(found) = found.filter(|_| self.strict) else { continue };
            let expected: Vec<u64> = match rule {
                Rule::OlderThan(time) => {
                    self.all.iter().take_while(|known| known.time < time).map(|known| known.offset).collect()
                }
                Rule::KeepMessages(keep) => {
                    let gone = self.all.len().saturating_sub(usize::try_from(keep).unwrap_or(0));
                    self.all.iter().take(gone).map(|known| known.offset).collect()
                }
                Rule::UpdatesBefore(time) => {
                    let is_later = |one: &Known, at: usize| self.all[at + 1..].iter().any(|other| other.key == one.key);
                    let all = self.all.iter().enumerate();
                    all.filter(|(at, one)| one.time < time && one.key.is_some() && is_later(one, *at))
                        .map(|(_, one)| one.offset)
                        .collect()
                }
                _ => continue,
            };
            assert_eq!(found, expected, "{rule:?}");
        }
    }
}
