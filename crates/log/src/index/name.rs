//! Names of the key index's files. Whatever does not match is not ours, and never touched.

use std::fmt;

use varve_format::MOST;

/// A file of the key index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// A table: `0000000000000000-0000000000004096.key`.
    Table { from: u64, to: u64 },
    /// One being written: `key-0123456789abcdef.tmp`.
    Temporary(u64),
}

impl Name {
    /// Reads a name; `None` if it is not one of ours.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let found = match name.rsplit_once('.')? {
            (stem, "key") => {
                let (from, to) = stem.split_once('-')?;
                Self::Table { from: from.parse().ok()?, to: to.parse().ok().filter(|to| *to < MOST)? }
            }
            (stem, "tmp") => Self::Temporary(u64::from_str_radix(stem.strip_prefix("key-")?, 16).ok()?),
            _ => return None,
        };
        (found.to_string() == name).then_some(found)
    }

    /// True of a table that stands for no message from `offset` on; also of what is no table yet.
    pub(super) fn ends_by(self, offset: u64) -> bool {
        match self {
            Self::Table { to, .. } => to <= offset,
            Self::Temporary(_) => true,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { from, to } => write!(f, "{from:016}-{to:016}.key"),
            Self::Temporary(random) => write!(f, "key-{random:016x}.tmp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written_and_no_other() {
        for name in [Name::Table { from: 0, to: 7 }, Name::Table { from: 9, to: MOST - 1 }, Name::Temporary(u64::MAX)] {
            assert_eq!(Name::parse(&name.to_string()), Some(name));
        }
        let long = format!("{:016}-{MOST:016}.key", 0);
        for other in ["7.key", "0-7.key", "next-0123456789abcdef.tmp", "key-1.tmp", "a-b.key", ".key", long.as_str()] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}
