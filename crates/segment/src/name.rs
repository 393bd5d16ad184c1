//! Names of the files in a directory. Whatever does not match is not ours, and never touched.

use varve_format::MOST;

/// A name that varve gives to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileName {
    /// A segment: `0000000000000001.seg`.
    Segment(u64),
    /// The sidecar of a segment: `0000000000000001.idx`.
    Sidecar(u64),
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
            Self::Segment(id) | Self::Sidecar(id) => most(id),
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
