//! Options of a log, their defaults and their ranges.

use std::sync::Arc;

use varve_format::EngineKind;
use varve_segment::{MAX_CODEC_NAME, MAX_SEGMENT_SIZE, MIN_SEGMENT_SIZE, SegmentOptions};

use crate::error::{Error, Result};
use crate::owner::Owner;
use crate::retention::Retention;

/// Most bytes of one batch, headers not counted: all of it must fit in memory and be written as one.
pub const MAX_BATCH_BYTES: u64 = 32 << 20;

/// Greatest index: the safe integers of JavaScript end there.
pub const MAX_INDEX: u64 = (1 << 53) - 1;

const DEFAULT_SEGMENT_SIZE: u64 = 16 << 20;

/// What is asked for at open. What is `None` takes the default, or what the log has where it is already open.
#[derive(Debug, Clone, Default)]
pub struct WalOptions {
    /// Create the directory, with its parents, if it is missing. Default true.
    pub create: Option<bool>,
    /// Bytes of one segment file, 64 KiB to 1 GiB. Default 16 MiB: large enough that rotations are rare, small enough to be retired one by one.
    pub segment_size: Option<u64>,
    /// Index of the first record of a new log. Default 0.
    pub first_index: Option<u64>,
    /// 32-bit mark stored in every new segment. Default 0.
    pub marker: Option<u32>,
    /// The engine whose records these are.
    pub kind: EngineKind,
    /// What that engine keeps in the state of a new log.
    pub engine: Vec<u8>,
    /// Name of the codec; stored in the directory.
    pub codec: String,
    /// Check every frame before opening. Default false.
    pub verify: Option<bool>,
    /// Go on behind damage. Default false.
    pub skip_damage: Option<bool>,
    /// Only read: take no lock, write nothing, follow who writes.
    pub read_only: bool,
    /// What is kept. Default: everything.
    pub retention: Option<Retention>,
    /// It is one of many, whose owner holds the lock. It takes no place on the disk before it is written to.
    pub owner: Option<Arc<Owner>>,
}

impl WalOptions {
    /// For the substrate, with defaults; an error where a value is out of its range.
    pub fn resolve(&self) -> Result<SegmentOptions> {
        let segment_size = self.segment_size.unwrap_or(DEFAULT_SEGMENT_SIZE);
        if !(MIN_SEGMENT_SIZE..=MAX_SEGMENT_SIZE).contains(&segment_size) {
            return Err(Error::invalid(format!("segmentSize is {segment_size}; it must be 65536 to 1073741824 bytes")));
        }
        let first_index = self.first_index.unwrap_or(0);
        if first_index > MAX_INDEX {
            return Err(Error::invalid(format!("firstIndex is {first_index}; it must be at most {MAX_INDEX}")));
        }
        if let Some(rules) = &self.retention
            && let Some(most) = rules.max_segments.filter(|most| *most < rules.least())
        {
            let least = rules.least();
            return Err(Error::invalid(format!("retention.maxSegments is {most}, less than minSegments, {least}")));
        }
        if self.codec.len() > MAX_CODEC_NAME {
            return Err(Error::invalid(format!(
                "the codec's name has {} bytes; at most {MAX_CODEC_NAME} do",
                self.codec.len()
            )));
        }
        Ok(SegmentOptions {
            kind: self.kind,
            create: self.create.unwrap_or(true),
            segment_size,
            first_index,
            marker: self.marker.unwrap_or(0),
            codec: self.codec.clone(),
            engine: self.engine.clone(),
            verify: self.verify.unwrap_or(false),
            skip_damage: self.skip_damage.unwrap_or(false),
            thrifty: self.owner.is_some(),
        })
    }

    /// An error if a value that is given is not what the open log has.
    pub(crate) fn agree(&self, open: &SegmentOptions) -> Result<()> {
        let differs = |name: &str, asked: &dyn std::fmt::Display, has: &dyn std::fmt::Display| {
            Err(Error::invalid(format!(
                "the log is open with {name} {has}, and was asked for with {asked}; use the same value"
            )))
        };
        match self {
            Self { segment_size: Some(asked), .. } if *asked != open.segment_size => {
                differs("segmentSize", asked, &open.segment_size)
            }
            Self { marker: Some(asked), .. } if *asked != open.marker => differs("marker", asked, &open.marker),
            Self { codec, .. } if *codec != open.codec => {
                differs("the codec", &format!("'{codec}'"), &format!("'{}'", open.codec))
            }
            Self { skip_damage: Some(asked), .. } if *asked != open.skip_damage => {
                let name = |skip: bool| if skip { "'skip'" } else { "'fail'" };
                differs("onDamage", &name(*asked), &name(open.skip_damage))
            }
            _ => Ok(()),
        }
    }
}
