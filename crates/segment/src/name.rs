//! Names of the files in a directory. Whatever does not match is not ours, and never touched.

use varve_format::MOST;

/// Ids that are found stay below, so that the ids of later segments, which are greater, are names too.
pub(crate) const MOST_IDS: u64 = MOST / 2;

/// A name that varve gives to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileName {
    /// A segment: `0000000000000001.seg`.
    Segment(u64),
    /// The sidecar of a segment: `0000000000000001.idx`.
    Sidecar(u64),
    /// The digest of a segment of a Log: `0000000000000001.dig`.
    Digest(u64),
    /// What producers of a Log had written, as of a segment: `0000000000000001.prod`.
    Producers(u64),
    /// A table of the key index of a Log, from an offset up to another: `0000000000000000-0000000000004096.key`.
    KeyTable {
        /// The first offset it stands for.
        from: u64,
        /// The first behind.
        to: u64,
    },
    /// One being written: `key-0123456789abcdef.tmp`.
    PreparedKeyTable(u64),
    /// A segment being prepared: `next-0123456789abcdef.tmp`.
    Prepared(u64),
    /// Bytes cut off by a recovery: `0000000000000001-0000000000004096.torn`.
    Torn {
        /// The segment they were in.
        segment: u64,
        /// Where they began.
        position: u64,
    },
    /// Bytes that a repair set aside: `0000000000000001-0000000000004096.lost`.
    Lost {
        /// The segment they were in.
        segment: u64,
        /// Where they began.
        position: u64,
    },
    /// The two slots of the durable bound.
    Durable,
    /// The lock.
    Lock,
}

impl FileName {
    /// The segment it speaks of.
    pub(crate) fn segment(self) -> Option<u64> {
        match self {
            Self::Segment(id) | Self::Sidecar(id) | Self::Digest(id) | Self::Producers(id) => Some(id),
            Self::Torn { segment, .. } | Self::Lost { segment, .. } => Some(segment),
            Self::KeyTable { .. } | Self::PreparedKeyTable(_) | Self::Prepared(_) | Self::Durable | Self::Lock => None,
        }
    }

    /// Reads a name; `None` if it is not one of ours.
    pub fn parse(name: &str) -> Option<Self> {
        let found = match name {
            "durable" => Self::Durable,
            "LOCK" => Self::Lock,
            _ => {
                let (stem, extension) = name.rsplit_once('.')?;
                match extension {
                    "seg" => Self::Segment(stem.parse().ok()?),
                    "idx" => Self::Sidecar(stem.parse().ok()?),
                    "dig" => Self::Digest(stem.parse().ok()?),
                    "prod" => Self::Producers(stem.parse().ok()?),
                    "key" => {
                        let (from, to) = stem.split_once('-')?;
                        Self::KeyTable { from: from.parse().ok()?, to: to.parse().ok()? }
                    }
                    "tmp" if stem.starts_with("key-") => {
                        Self::PreparedKeyTable(u64::from_str_radix(stem.strip_prefix("key-")?, 16).ok()?)
                    }
                    "tmp" => Self::Prepared(u64::from_str_radix(stem.strip_prefix("next-")?, 16).ok()?),
                    "torn" | "lost" => {
                        let (segment, position) = stem.split_once('-')?;
                        let (segment, position) = (segment.parse().ok()?, position.parse().ok()?);
                        if extension == "torn" {
                            Self::Torn { segment, position }
                        } else {
                            Self::Lost { segment, position }
                        }
                    }
                    _ => return None,
                }
            }
        };
        let most = |number: u64| number < MOST;
        let fits = match found {
            Self::Segment(id) | Self::Sidecar(id) | Self::Digest(id) | Self::Producers(id) => most(id),
            Self::KeyTable { from, to } => most(from) && most(to),
            Self::Torn { segment, position } | Self::Lost { segment, position } => most(segment) && most(position),
            _ => true,
        };
        (fits && found.to_string() == name).then_some(found)
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Segment(id) => write!(f, "{id:016}.seg"),
            Self::Sidecar(id) => write!(f, "{id:016}.idx"),
            Self::Digest(id) => write!(f, "{id:016}.dig"),
            Self::Producers(id) => write!(f, "{id:016}.prod"),
            Self::KeyTable { from, to } => write!(f, "{from:016}-{to:016}.key"),
            Self::PreparedKeyTable(random) => write!(f, "key-{random:016x}.tmp"),
            Self::Prepared(random) => write!(f, "next-{random:016x}.tmp"),
            Self::Torn { segment, position } => write!(f, "{segment:016}-{position:016}.torn"),
            Self::Lost { segment, position } => write!(f, "{segment:016}-{position:016}.lost"),
            Self::Durable => f.write_str("durable"),
            Self::Lock => f.write_str("LOCK"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FileName, MOST};

    #[test]
    fn a_name_is_read_as_it_was_written_and_no_other() {
        for name in [
            FileName::Segment(7),
            FileName::Sidecar(MOST - 1),
            FileName::Digest(3),
            FileName::Producers(7),
            FileName::KeyTable { from: 0, to: 4096 },
            FileName::PreparedKeyTable(u64::MAX),
            FileName::Prepared(u64::MAX),
            FileName::Torn { segment: 3, position: 4096 },
            FileName::Lost { segment: 3, position: 0 },
            FileName::Durable,
            FileName::Lock,
        ] {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
        for other in [
            "7.seg",
            "18446744073709551615.idx",
            "+000000000000007.seg",
            "0000000000000007.seg.bak",
            "next-1.tmp",
            "lock",
            ".seg",
            "a.torn",
        ] {
            assert_eq!(FileName::parse(other), None, "{other}");
        }
    }
}
