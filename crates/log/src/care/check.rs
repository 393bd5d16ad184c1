//! Looking at every entry of a log without opening it.

use std::path::Path;
use std::sync::Arc;

use varve_format::{Digest, EngineKind, LogState, State};
use varve_io::Machine;
use varve_segment::{Care, Directory, FileName, Inspection, Remains, Segment, remains};
use varve_wal::{CheckReport, Damage, WalOptions};

use super::log_state;
use crate::entry;
use crate::error::{Error, Result};
use crate::index::{IndexError, IndexOptions, KeyIndex, Role, key_hash};
use crate::outline::Outline;
use crate::snapshot;

/// Beside a writer files are exchanged and go: it is looked again, so often at most.
const ATTEMPTS: usize = 5;

/// Longest digest that is read: longer ones are not written.
const MOST_DIGEST: u64 = 1 << 30;

const STALE_DIGEST: &str = "the digest is damaged or stale; it will be rebuilt";
const STALE_TABLE: &str = "the table of the key index is damaged or stale; it will be rebuilt";
const STALE_PRODUCERS: &str = "the file of producers is damaged; another is used";

/// Checks every frame, entry, message and derived file of the log at `dir`, which may be open. Changes nothing. Cost: all of the log is read three times.
/// `entries` of the report counts messages. What was removed is no damage; damage of what is derived is listed, and `ok` all the same. `care` shows how
/// far it is, and may call it off.
pub fn check(machine: Arc<dyn Machine>, dir: &Path, care: &Care) -> Result<CheckReport> {
    let directory = Directory::for_reading(Arc::clone(&machine), dir);
    let options = WalOptions { kind: EngineKind::Log, ..WalOptions::default() }.resolve()?;
    let mut attempt = 1;
    loop {
        let found = remains(&directory, &options, care)?;
        match look(&directory, &found, care) {
            Err(error) if attempt < ATTEMPTS && may_be_new(&error) => attempt += 1,
            looked => {
                let (messages, mut damage, ok) = looked?;
                let mut report = report(found.found);
                report.entries = messages;
                report.ok &= ok;
                report.damage.append(&mut damage);
                return Ok(report);
            }
        }
    }
}

fn report(found: Inspection) -> CheckReport {
    found.into()
}

/// True for what is met where a writer has exchanged or removed a file meanwhile.
fn may_be_new(error: &Error) -> bool {
    use varve_segment::ErrorCode::{Corrupt, Io};
    matches!(error.code(), Corrupt | Io)
}

/// What is found on the way.
struct Look<'l> {
    directory: &'l Directory,
    damage: Vec<Damage>,
    ok: bool,
    messages: u64,
    end: u64,
    keys: Option<KeyIndex>,
    /// The segment that is being read, and what its digest should be.
    segment: Option<(Arc<Segment>, Outline)>,
}

impl Look<'_> {
    fn flaw(&mut self, path: std::path::PathBuf, position: u64, reason: &'static str) {
        self.damage.push(Damage { path, position, reason });
    }

    /// An entry whose frame is intact, and which is not as it must be.
    fn bad_entry(&mut self, segment: &Arc<Segment>, index: u64, reason: &'static str) {
        let position = segment.position_of(index).ok().flatten().unwrap_or(0);
        self.ok = false;
        self.flaw(segment.path(), position, reason);
    }

    fn begin(&mut self, segment: &Arc<Segment>) {
        if self.segment.as_ref().is_none_or(|(known, _)| known.header.id != segment.header.id) {
            self.end_segment();
            self.segment = Some((Arc::clone(segment), Outline::at(self.end)));
        }
    }

    /// Compares what was read with the digest, if there is one.
    fn end_segment(&mut self) {
        let Some((segment, outline)) = self.segment.take() else { return };
        let name = FileName::Digest(segment.header.id);
        let Some(bytes) = self.directory.read_derived(name, MOST_DIGEST) else { return };
        let digest = Digest::decode(&bytes, &segment.header, true);
        if !segment.is_damaged() && digest.as_ref() != Some(outline.digest()) {
            self.flaw(self.directory.file(name), 0, STALE_DIGEST);
        }
    }

    /// Of a segment without an entry that is held, the digest need only be intact.
    fn digests_of_empty(&mut self, found: &Remains) {
        for segment in found.set.all() {
            let (header, name) = (segment.header, FileName::Digest(segment.header.id));
            let empty = segment.end().is_some_and(|end| end.records == 0 || end.next_index <= found.first_index);
            let bytes = if empty { self.directory.read_derived(name, MOST_DIGEST) } else { None };
            if bytes.is_some_and(|bytes| Digest::decode(&bytes, &header, true).is_none()) {
                self.flaw(self.directory.file(name), 0, STALE_DIGEST);
            }
        }
    }

    fn entry(&mut self, segment: &Arc<Segment>, index: u64, payload: &[u8], state: &LogState, body: &mut Vec<u8>) {
        self.begin(segment);
        let entry = match entry::outline(payload) {
            Ok((entry, _)) => entry,
            Err(bad) => return self.bad_entry(segment, index, bad.reason()),
        };
        if entry.base < self.end {
            return self.bad_entry(segment, index, "an entry's offset does not follow the one before");
        }
        self.end = entry.base + entry.span;
        let (mut count, mut last, mut missed, mut broken) = (0, None, false, None);
        let (mut messages, start, keys) = (0, state.start_offset, &self.keys);
        let looked = entry::each_message(payload, body, &mut |message| {
            let within = message.offset >= entry.base && message.offset < entry.base + entry.span;
            if !within || last.is_some_and(|last| message.offset <= last) {
                broken = Some("the offsets of a group's messages do not rise within it");
            }
            (count, last) = (count + 1, Some(message.offset));
            if message.offset < start {
                return true;
            }
            messages += 1;
            if let Some(keys) = keys.as_ref().filter(|keys| message.offset < keys.tabled()) {
                let hash = key_hash(state.key_seed, message.key);
                missed |= !matches!(keys.older(hash, message.offset + 1), Ok(Some(found)) if found == message.offset);
            }
            true
        });
        self.messages += messages;
        let miscounted = (count != entry.messages).then_some("a group does not hold as many messages as it says");
        if let Some(reason) = looked.err().or(broken).or(miscounted) {
            self.bad_entry(segment, index, reason);
        }
        if missed {
            // Once is enough.
            self.keys = None;
            self.flaw(self.directory.path().to_path_buf(), 0, STALE_TABLE);
        }
        if let Some((_, outline)) = &mut self.segment {
            outline.skip_to(index - segment.header.first_index);
            let _told_above = outline.push(&entry);
        }
    }
}

/// Messages, what is not as it should be, and whether the log opens as far as it is the log's.
fn look(directory: &Directory, found: &Remains, care: &Care) -> Result<(u64, Vec<Damage>, bool)> {
    let state = match &found.state {
        Some(state) => log_state(directory.path(), state)?,
        None => LogState::default(),
    };
    let log = found.set.all().last().map_or(0, |segment| segment.header.log);
    let (damage, messages, end, segment) = (Vec::new(), 0, 0, None);
    let mut look = Look { directory, damage, ok: true, messages, end, keys: None, segment };
    open_tables(&mut look, &state, log)?;
    let next = if found.found.ok { found.next_index.min(found.found.next_index) } else { found.next_index };
    let mut body = Vec::new();
    found.each_record(found.first_index, next, care, |segment, index, payload| -> Result<()> {
        look.entry(segment, index, payload, &state, &mut body);
        Ok(())
    })?;
    // The last one that was read: where it is the active one, it has no digest.
    look.end_segment();
    look.digests_of_empty(found);
    producers(&mut look, found.state.as_ref(), &state, log)?;
    Ok((look.messages, look.damage, look.ok))
}

/// Opens the key index, and tells of tables that are no part of it.
fn open_tables(look: &mut Look<'_>, state: &LogState, log: u64) -> Result<()> {
    if !state.key_index {
        return Ok(());
    }
    let (seed, start) = (state.key_seed, state.start_offset);
    let options = IndexOptions { log, seed, start, end: u64::MAX, role: Role::Follower, tail: None };
    let (keys, tabled) = KeyIndex::open(Arc::clone(look.directory.machine()), look.directory.path(), &options)?;
    for name in look.directory.names()? {
        if let FileName::KeyTable { to, .. } = name
            && to > tabled
        {
            look.flaw(look.directory.file(name), 0, STALE_TABLE);
        }
    }
    match keys.verify() {
        Ok(()) => look.keys = Some(keys),
        Err(IndexError::Damaged { path, .. }) => look.flaw(path, 0, STALE_TABLE),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// What producers have written must be known.
fn producers(look: &mut Look<'_>, stored: Option<&State>, state: &LogState, log: u64) -> Result<()> {
    let Some(needed) = stored.and(state.producers) else { return Ok(()) };
    let mut known = needed == 0;
    let ids = snapshot::names(look.directory)?;
    for id in &ids {
        match snapshot::read(look.directory, *id) {
            Some(found) => known |= found.log == log && *id >= needed,
            None => look.flaw(look.directory.file(FileName::Producers(*id)), 0, STALE_PRODUCERS),
        }
    }
    if !known {
        look.ok = false;
        let reason = "what producers have written is not known: the file is damaged or missing";
        look.flaw(look.directory.file(FileName::Producers(needed)), 0, reason);
    }
    Ok(())
}
