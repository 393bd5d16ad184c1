//! What `open` takes.

use std::path::Path;
use std::time::{Duration, Instant};

use varve_wal::{ErrorCode, Handle, Retention, WalOptions, open_shared};

use crate::argument::{count, span, whole};
use crate::fault::Fault;
use crate::handle::MACHINE;

/// How often a lock that is held is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// Options, as JavaScript gives them. The facade has checked types and ranges; the engine checks again what it depends on.
#[napi(object)]
#[derive(Debug, Default)]
pub struct NativeWalOptions {
    /// Create the directory if it is missing.
    pub create: Option<bool>,
    /// Milliseconds to wait for another process's lock.
    pub lock_timeout: Option<f64>,
    /// Check every frame before opening.
    pub verify: Option<bool>,
    /// 'fail' or 'skip'.
    pub on_damage: Option<String>,
    /// Bytes of one segment file.
    pub segment_size: Option<f64>,
    /// Index of the first record of a new log.
    pub first_index: Option<f64>,
    /// Mark of new segments.
    pub marker: Option<f64>,
    /// Name of the codec.
    pub codec_name: String,
    /// Only read.
    pub read_only: Option<bool>,
    /// What is kept.
    pub retention: Option<NativeRetention>,
}

/// `WalRetention` without its function and its interval, which are the facade's.
#[napi(object)]
#[derive(Debug, Default)]
pub struct NativeRetention {
    /// Milliseconds.
    pub max_age_ms: Option<f64>,
    /// Kept whatever the rules say.
    pub min_segments: Option<f64>,
    /// Segments.
    pub max_segments: Option<f64>,
    /// Bytes of files.
    pub max_bytes: Option<f64>,
}

impl NativeWalOptions {
    fn resolve(&self) -> Result<WalOptions, Fault> {
        let marker = count("marker", self.marker)?.map(u32::try_from).transpose();
        let retention = match &self.retention {
            Some(rules) => {
                let most = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
                Some(Retention {
                    max_age_micros: span("retention.maxAgeMs", rules.max_age_ms)?,
                    min_segments: count("retention.minSegments", rules.min_segments)?.map(most),
                    max_segments: count("retention.maxSegments", rules.max_segments)?.map(most),
                    max_bytes: count("retention.maxBytes", rules.max_bytes)?,
                })
            }
            None => None,
        };
        Ok(WalOptions {
            create: self.create,
            segment_size: count("segmentSize", self.segment_size)?,
            first_index: count("firstIndex", self.first_index)?,
            marker: marker.map_err(|_| Fault::out_of_bounds("marker has 32 bits".into()))?,
            codec: self.codec_name.clone(),
            verify: self.verify,
            skip_damage: self.on_damage.as_deref().map(|mode| mode == "skip"),
            read_only: self.read_only.unwrap_or(false),
            retention,
            ..WalOptions::default()
        })
    }

    pub(super) fn open(&self, dir: &Path) -> Result<Handle, Fault> {
        Ok(open_shared(&MACHINE, dir, &self.resolve()?)?)
    }

    /// Waits for the lock on this thread, which has nothing else to do.
    pub(super) fn open_and_wait(&self, dir: &Path) -> Result<Handle, Fault> {
        let options = self.resolve()?;
        let until = Instant::now() + Duration::from_millis(self.lock_timeout.and_then(whole).unwrap_or(0));
        loop {
            match open_shared(&MACHINE, dir, &options) {
                Err(error) if error.code() == ErrorCode::Locked && Instant::now() < until => {
                    std::thread::sleep(LOCK_RETRY);
                }
                opened => return Ok(opened?),
            }
        }
    }
}
