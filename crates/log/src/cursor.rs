//! Consumers' places, kept in the log itself.

use varve_format::{LogCursor, MAX_CURSOR_NAME};

use crate::error::{Error, Result};
use crate::writer::Log;

/// Most bytes that the cursors of a log take together: they are written whole, with each group of messages in which one was saved.
const MOST_CURSOR_BYTES: u64 = 64 << 10;

/// A consumer's place.
pub type CursorInfo = LogCursor;

impl Log {
    /// The cursor of this name, which is made, at `from`, if there is none. With `holds` given, it is changed to that.
    pub fn cursor(&self, name: &str, from: u64, holds: Option<bool>) -> Result<CursorInfo> {
        if name.is_empty() || name.len() > MAX_CURSOR_NAME {
            let len = name.len();
            return Err(Error::invalid(format!(
                "a cursor's name has 1 to {MAX_CURSOR_NAME} bytes, and this has {len}"
            )));
        }
        self.catch_up();
        let tail = self.tail.lock();
        let known = tail.state.cursors.iter().find(|cursor| cursor.name == name).cloned();
        drop(tail);
        match known {
            Some(known) if holds.is_none_or(|holds| holds == known.holds) => Ok(known),
            Some(known) => self.put_cursor(LogCursor { holds: holds.unwrap_or_default(), ..known }),
            None => {
                self.check_offset(from)?;
                self.put_cursor(LogCursor { name: name.to_owned(), offset: from, holds: holds.unwrap_or_default() })
            }
        }
    }

    /// All cursors, by name.
    pub fn cursors(&self) -> Vec<CursorInfo> {
        self.catch_up();
        self.tail.lock().state.cursors.clone()
    }

    /// Moves a cursor: its consumer goes on at `offset`. Durable with the next sync.
    pub fn save_cursor(&self, name: &str, offset: u64) -> Result<()> {
        self.check_offset(offset)?;
        let mut tail = self.tail.lock();
        let Some(known) = tail.state.cursors.iter().find(|cursor| cursor.name == name).cloned() else {
            return Err(Error::invalid(format!("there is no cursor '{name}'; it has been deleted")));
        };
        if known.offset == offset {
            return Ok(());
        }
        self.change_state(&mut tail, |state| {
            state.cursors.iter_mut().filter(|cursor| cursor.name == name).for_each(|cursor| cursor.offset = offset);
        })
    }

    /// Deletes a cursor. False: there is none of that name.
    pub fn delete_cursor(&self, name: &str) -> Result<bool> {
        let mut tail = self.tail.lock();
        self.wal.check_writable()?;
        if tail.state.cursors.iter().all(|cursor| cursor.name != name) {
            return Ok(false);
        }
        self.change_state(&mut tail, |state| state.cursors.retain(|cursor| cursor.name != name))?;
        Ok(true)
    }

    fn check_offset(&self, offset: u64) -> Result<()> {
        let last = self.next_offset();
        if offset > last {
            return Err(Error::OutOfRange { what: "the cursor's offset", offset, first: self.start_offset(), last });
        }
        Ok(())
    }

    fn put_cursor(&self, cursor: LogCursor) -> Result<CursorInfo> {
        let mut tail = self.tail.lock();
        let others = tail.state.cursors.iter().filter(|one| one.name != cursor.name);
        let bytes = others.chain([&cursor]).map(|one| one.name.len() as u64 + 10).sum();
        if bytes > MOST_CURSOR_BYTES {
            return Err(Error::too_large("the cursors of a log", bytes, MOST_CURSOR_BYTES));
        }
        self.change_state(&mut tail, |state| {
            state.cursors.retain(|one| one.name != cursor.name);
            state.cursors.push(cursor.clone());
            state.cursors.sort_by(|one, other| one.name.cmp(&other.name));
        })?;
        Ok(cursor)
    }
}
