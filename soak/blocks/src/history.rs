//! What was done to a log, and what it may hold after each step.

use std::fs;
use std::path::Path;

/// One step that was done. Records carry numbers that are never used twice: those of their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A batch: the number of its first record, and how many.
    Append { number: u64, count: u64 },
    /// All from this index on are dropped.
    TruncateAfter(u64),
    /// All before this index are dropped.
    TruncateBefore(u64),
    /// A new segment is begun.
    Rotate,
    /// What is before it is durable; the disk had been told so much when that was said.
    Synced(u64),
}

/// The bytes of the record with this number: told apart from all others by its length and by every byte.
pub fn record(number: u64) -> Vec<u8> {
    let len = 8 + usize::try_from(number.wrapping_mul(0x9E37_79B9) % 700).unwrap_or(0);
    number.to_le_bytes().into_iter().cycle().take(len).collect()
}

impl Step {
    /// As a line of the journal.
    pub fn line(&self) -> String {
        match self {
            Self::Append { number, count } => format!("append {number} {count}\n"),
            Self::TruncateAfter(index) => format!("after {index} 0\n"),
            Self::TruncateBefore(index) => format!("before {index} 0\n"),
            Self::Rotate => "rotate 0 0\n".into(),
            Self::Synced(told) => format!("synced {told} 0\n"),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (verb, one, two) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(match verb {
            "append" => Self::Append { number: one, count: two },
            "after" => Self::TruncateAfter(one),
            "before" => Self::TruncateBefore(one),
            "rotate" => Self::Rotate,
            "synced" => Self::Synced(one),
            _ => return None,
        })
    }
}

/// The steps that a journal names.
pub fn read(journal: &Path) -> std::io::Result<Vec<Step>> {
    Ok(fs::read_to_string(journal)?.lines().filter_map(Step::parse).collect())
}

/// A log as it is after some steps: its first index, and the numbers of its records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    pub first: u64,
    pub numbers: Vec<u64>,
}

impl Log {
    /// The index of its next record.
    pub fn next(&self) -> u64 {
        self.first + self.numbers.len() as u64
    }

    /// Does a step.
    pub fn step(&mut self, step: &Step) {
        let at = |index: u64, log: &Self| usize::try_from(index - log.first).unwrap_or(usize::MAX);
        match *step {
            Step::Append { number, count } => self.numbers.extend(number..number + count),
            Step::TruncateAfter(index) => self.numbers.truncate(at(index, self)),
            Step::TruncateBefore(index) => {
                self.numbers.drain(..at(index, self));
                self.first = index;
            }
            Step::Rotate | Step::Synced(_) => {}
        }
    }
}
