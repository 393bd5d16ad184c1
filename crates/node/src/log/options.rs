//! What `open` takes.

use std::path::Path;
use std::time::{Duration, Instant};

use varve_log::{ErrorCode, Handle, LogOptions, Retention, open_shared};

use crate::argument::{count, span, whole};
use crate::fault::Fault;
use crate::handle::MACHINE;

/// How often a lock that is held is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// Options, as JavaScript gives them. The facade has checked types and ranges; the engine checks again what it depends on.
#[napi(object)]
#[derive(Debug, Default)]
pub struct NativeLogOptions {
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
    /// Names of the codecs of keys and of values.
    pub codec_name: String,
    /// Only read.
    pub read_only: Option<bool>,
    /// Index keys.
    pub key_index: Option<bool>,
    /// Index times.
    pub time_index: Option<bool>,
    /// What is kept.
    pub retention: Option<NativeLogRetention>,
}

/// `Retention` without its function and its interval, which are the facade's.
#[napi(object)]
#[derive(Debug, Default)]
pub struct NativeLogRetention {
    /// Milliseconds.
    pub max_age_ms: Option<f64>,
    /// Bytes of files.
    pub max_bytes: Option<f64>,
    /// Messages.
    pub max_messages: Option<f64>,
}

impl NativeLogRetention {
    fn resolve(&self) -> Result<Retention, Fault> {
        Ok(Retention {
            max_age_micros: span("retention.maxAgeMs", self.max_age_ms)?,
            max_bytes: count("retention.maxBytes", self.max_bytes)?,
            max_messages: count("retention.maxMessages", self.max_messages)?,
        })
    }
}

impl NativeLogOptions {
    /// As the engine takes them.
    pub fn resolve(&self) -> Result<LogOptions, Fault> {
        Ok(LogOptions {
            create: self.create,
            segment_size: count("segmentSize", self.segment_size)?,
            codec: self.codec_name.clone(),
            verify: self.verify,
            skip_damage: self.on_damage.as_deref().map(|mode| mode == "skip"),
            read_only: self.read_only.unwrap_or(false),
            key_index: self.key_index,
            time_index: self.time_index,
            retention: self.retention.as_ref().map(NativeLogRetention::resolve).transpose()?,
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
