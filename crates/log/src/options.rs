//! Options of a log, and what of them is kept in it.

use varve_codec::Codec;
use varve_format::{EngineKind, LogState};
use varve_wal::WalOptions;

use crate::error::{Error, Result};
use crate::retention::Retention;

/// How messages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compression {
    /// By what.
    pub codec: Codec,
    /// How hard it tries; `None`: its default.
    pub level: Option<i32>,
}

impl Compression {
    /// An error if the codec has no such level.
    pub fn check(&self) -> Result<()> {
        match self.level {
            Some(level) if !self.codec.levels().contains(&level) => {
                let (levels, name) = (self.codec.levels(), self.codec.name());
                Err(Error::invalid(format!(
                    "compression.level is {level}; {name} takes {} to {}",
                    levels.start(),
                    levels.end()
                )))
            }
            _ => Ok(()),
        }
    }
}

/// What is asked for at open. What is `None` takes the default, or what the log has.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Create the directory, with its parents, if it is missing. Default true.
    pub create: Option<bool>,
    /// Bytes at which a new segment is begun, 64 KiB to 1 GiB. Default 16 MiB.
    pub segment_size: Option<u64>,
    /// Names of the codecs of keys and values; stored in the directory.
    pub codec: String,
    /// Check every frame before opening. Default false.
    pub verify: Option<bool>,
    /// Go on behind damage. Default false.
    pub skip_damage: Option<bool>,
    /// Only read: take no lock, write nothing, follow who writes.
    pub read_only: bool,
    /// Index keys. Kept in the log; default false.
    pub key_index: Option<bool>,
    /// Index times. Kept in the log; default false.
    pub time_index: Option<bool>,
    /// What is kept. Default: everything.
    pub retention: Option<Retention>,
}

impl LogOptions {
    /// Those of the record log that the entries are in.
    pub(crate) fn wal(&self, key_seed: u64) -> WalOptions {
        let state = LogState {
            key_index: self.key_index.unwrap_or(false),
            time_index: self.time_index.unwrap_or(false),
            key_seed,
            ..LogState::default()
        };
        WalOptions {
            kind: EngineKind::Log,
            engine: state.encode(),
            create: self.create,
            segment_size: self.segment_size,
            codec: self.codec.clone(),
            verify: self.verify,
            skip_damage: self.skip_damage,
            read_only: self.read_only,
            ..WalOptions::default()
        }
    }

    /// An error if what is asked for is not what the log has.
    pub(crate) fn agree(&self, state: &LogState) -> Result<()> {
        for (name, asked, has) in
            [("key", self.key_index, state.key_index), ("time", self.time_index, state.time_index)]
        {
            if let Some(asked) = asked.filter(|asked| *asked != has) {
                return Err(Error::invalid(format!(
                    "indexes.{name} is {has} in the log, and {asked} was asked for; change it by Log.migrate()"
                )));
            }
        }
        Ok(())
    }
}
