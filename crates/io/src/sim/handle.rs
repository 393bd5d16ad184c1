use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::plan::Denied;
use super::{Shared, State};
use crate::errno::Errno;
use crate::{Access, Error, File, Lock, Map, Operation, PrivateMap, Result};

/// No file is longer: what is longer in a test is a mistake.
const MAX_LEN: u64 = 1 << 32;

/// Keeps a file alive while it is open or mapped.
#[derive(Debug)]
struct Hold {
    shared: Arc<Shared>,
    number: u64,
}

impl Hold {
    fn new(shared: &Arc<Shared>, state: &mut State, number: u64) -> Self {
        state.disk.hold(number);
        Self { shared: Arc::clone(shared), number }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.state().disk.release(self.number);
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct SimFile {
    hold: Hold,
    path: PathBuf,
    access: Access,
    /// Bytes were written since the last sync.
    unsynced: AtomicBool,
}

impl SimFile {
    pub(super) fn new(shared: &Arc<Shared>, state: &mut State, number: u64, path: &Path, access: Access) -> Self {
        state.open_files += 1;
        let unsynced = AtomicBool::new(false);
        Self { hold: Hold::new(shared, state, number), path: path.to_path_buf(), access, unsynced }
    }

    fn failed(&self, operation: Operation, error: impl Into<io::Error>) -> Error {
        Error::new(operation, &self.path, error.into())
    }

    /// Refuses changes to a file opened for reading, and positions that no test means.
    fn writable(&self, operation: Operation, end: Option<u64>) -> Result<usize> {
        if self.access == Access::Read {
            return Err(self.failed(operation, Errno::BADF));
        }
        let end = end.filter(|end| *end <= MAX_LEN).and_then(|end| usize::try_from(end).ok());
        end.ok_or_else(|| self.failed(operation, Errno::FBIG))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.hold.shared.state();
        state.open_files -= 1;
        if self.unsynced.load(Ordering::Relaxed) && state.disk.directory_of(self.hold.number).is_some() {
            state.closed_unsynced.push(self.path.clone());
        }
    }
}

impl SimFile {
    /// Refuses to map more than there is.
    fn mappable(&self, state: &mut State, len: u64) -> Result<usize> {
        state.plan.require(Operation::Map, &self.path)?;
        let there = state.disk.inode(self.hold.number).len();
        let refused = || io::Error::new(io::ErrorKind::InvalidInput, "the map would be longer than the file");
        let len = usize::try_from(len).ok().filter(|len| *len <= there);
        len.ok_or_else(|| self.failed(Operation::Map, refused()))
    }
}

impl File for SimFile {
    fn len(&self) -> Result<u64> {
        let mut state = self.hold.shared.state();
        state.plan.require(Operation::Stat, &self.path)?;
        Ok(state.disk.inode(self.hold.number).len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> Result<usize> {
        let mut state = self.hold.shared.state();
        state.plan.require(Operation::Read, &self.path)?;
        // Beyond what can be counted there is nothing to read.
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        Ok(state.disk.inode(self.hold.number).read(position, buf))
    }

    fn write_at(&self, parts: &[&[u8]], position: u64) -> Result<()> {
        let bytes = match parts {
            [part] => Cow::Borrowed(*part),
            parts => Cow::Owned(parts.concat()),
        };
        let end = self.writable(Operation::Write, position.checked_add(bytes.len() as u64))?;
        let position = end - bytes.len();
        let mut state = self.hold.shared.state();
        let (written, outcome) = match state.plan.admit(Operation::Write, &self.path) {
            Ok(()) => (bytes.len(), Ok(())),
            Err(Denied::Crashed(error)) => (0, Err(error)),
            Err(Denied::Fault { error, half: true }) => (bytes.len() / 2, Err(error)),
            Err(Denied::Fault { error, half: false }) => (state.rng.below(bytes.len() + 1), Err(error)),
        };
        let room = state.disk.room();
        let fitting = state.disk.inode(self.hold.number).fitting(position, written, room);
        state.change(self.hold.number, &self.path, position, fitting, |at| bytes[at]);
        state.disk.inode(self.hold.number).write(position, &bytes[..fitting]);
        if fitting > 0 {
            self.unsynced.store(true, Ordering::Relaxed);
            state.contents_changed(self.hold.number);
        }
        outcome?;
        if fitting < bytes.len() { Err(self.failed(Operation::Write, Errno::NOSPC)) } else { Ok(()) }
    }

    fn allocate(&self, len: u64) -> Result<()> {
        let len = self.writable(Operation::Allocate, Some(len))?;
        let mut state = self.hold.shared.state();
        state.plan.require(Operation::Allocate, &self.path)?;
        let room = state.disk.room();
        let inode = state.disk.inode(self.hold.number);
        if inode.fitting(0, len, room) < len {
            return Err(self.failed(Operation::Allocate, Errno::NOSPC));
        }
        inode.allocate(len);
        state.contents_changed(self.hold.number);
        Ok(())
    }

    fn punch(&self, range: Range<u64>) -> Result<()> {
        self.writable(Operation::Punch, Some(0))?;
        let mut state = self.hold.shared.state();
        state.plan.require(Operation::Punch, &self.path)?;
        let len = state.disk.inode(self.hold.number).len();
        let end = usize::try_from(range.end).map_or(len, |end| end.min(len));
        let start = usize::try_from(range.start).map_or(end, |start| start.min(end));
        state.change(self.hold.number, &self.path, start, end - start, |_| 0);
        state.disk.inode(self.hold.number).punch(start..end);
        state.contents_changed(self.hold.number);
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        let mut state = self.hold.shared.state();
        let admitted = state.plan.admit(Operation::Sync, &self.path);
        let ignored = state.mutants.ignore_sync_data.as_ref().is_some_and(|ignored| ignored(&self.path));
        if admitted.is_ok() {
            self.unsynced.store(false, Ordering::Relaxed);
        }
        let inode = state.disk.inode(self.hold.number);
        match admitted {
            Ok(()) if ignored => Ok(()),
            Ok(()) => {
                inode.sync();
                Ok(())
            }
            Err(Denied::Crashed(error)) => Err(error),
            Err(Denied::Fault { error, .. }) => {
                inode.lose();
                Err(error)
            }
        }
    }

    fn map(&self, len: u64) -> Result<Arc<dyn Map>> {
        let mut state = self.hold.shared.state();
        let len = self.mappable(&mut state, len)?;
        let id = state.lent.begin();
        Ok(Arc::new(SimMap { hold: Hold::new(&self.hold.shared, &mut state, self.hold.number), id, len }))
    }

    fn map_private(&self, len: u64) -> Result<PrivateMap> {
        let mut state = self.hold.shared.state();
        let mut bytes = vec![0; self.mappable(&mut state, len)?];
        state.disk.inode(self.hold.number).read(0, &mut bytes);
        PrivateMap::copy_of(&bytes).map_err(|error| self.failed(Operation::Map, error))
    }
}

impl State {
    /// Called before the `len` bytes from `position` on become `new`: records the first byte lent that would change.
    fn change(&mut self, number: u64, path: &Path, position: usize, len: usize, new: impl Fn(usize) -> u8) {
        for lent in self.lent.of(number, position..position + len) {
            let mut old = vec![0; lent.len()];
            let read = self.disk.inode(number).read(lent.start, &mut old);
            let changed = (0..read).find(|at| old[*at] != new(lent.start + at - position));
            if let Some(at) = changed {
                let (at, path) = (lent.start + at, path.display());
                self.violations.push(format!(
                    "byte {at} of {path} was changed while a map that had lent {}..{} of it was alive",
                    lent.start, lent.end
                ));
            }
        }
    }
}

/// A map. It reads what the file holds at each call.
#[derive(Debug)]
struct SimMap {
    hold: Hold,
    id: u64,
    len: usize,
}

impl Map for SimMap {
    fn len(&self) -> usize {
        self.len
    }

    fn slice(&self, range: Range<usize>) -> Cow<'_, [u8]> {
        let end = range.end.min(self.len);
        let start = range.start.min(end);
        let mut bytes = vec![0; end - start];
        let mut state = self.hold.shared.state();
        state.disk.inode(self.hold.number).read(start, &mut bytes);
        state.lent.lend(self.id, self.hold.number, start..end);
        Cow::Owned(bytes)
    }
}

impl Drop for SimMap {
    fn drop(&mut self) {
        self.hold.shared.state().lent.end(self.id);
    }
}

/// Ranges that living maps have lent to readers, by map.
#[derive(Debug, Default)]
pub(super) struct Lent {
    next: u64,
    /// The file's number, and ranges that neither overlap nor touch, by their start.
    maps: BTreeMap<u64, (u64, BTreeMap<usize, usize>)>,
}

impl Lent {
    fn begin(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn end(&mut self, map: u64) {
        self.maps.remove(&map);
    }

    fn lend(&mut self, map: u64, number: u64, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let (_, ranges) = self.maps.entry(map).or_insert_with(|| (number, BTreeMap::new()));
        let Range { mut start, mut end } = range;
        // Swallows what it touches, the nearest first.
        while let Some((&from, &to)) = ranges.range(..=end).next_back()
            && to >= start
        {
            ranges.remove(&from);
            start = start.min(from);
            end = end.max(to);
        }
        ranges.insert(start, end);
    }

    /// What is lent within `range` of a file.
    fn of(&self, number: u64, range: Range<usize>) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for (_, ranges) in self.maps.values().filter(|(of, _)| *of == number) {
            let nearest_first = ranges.range(..range.end).rev().take_while(|(_, to)| **to > range.start);
            found.extend(nearest_first.map(|(from, to)| range.start.max(*from)..range.end.min(*to)));
        }
        found
    }
}

/// A lock held.
#[derive(Debug)]
pub(super) struct SimLock {
    hold: Hold,
}

impl SimLock {
    pub(super) fn new(shared: &Arc<Shared>, state: &mut State, number: u64) -> Self {
        Self { hold: Hold::new(shared, state, number) }
    }
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.hold.shared.state().locked.remove(&self.hold.number);
    }
}
