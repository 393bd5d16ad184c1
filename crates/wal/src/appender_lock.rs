//! The one lock around the appender. Every append takes it, and nearly always finds it free.

use std::ops::{Deref, DerefMut};

use spin::Yield;
use spin::mutex::{SpinMutex, SpinMutexGuard};
use varve_segment::Appender;

/// Given up by a plain store: a lock that wakes sleepers takes a second atomic exchange, which waits until the frame just written has left the
/// store buffer (7 ns of 69 an append). Who finds it taken yields until it is free: it is held for a frame, or for one write to the system;
/// only a rotation that outran its preparation holds it for milliseconds. See `docs/decisions/0005-a-lock-that-yields.md`. bench: append
#[derive(Debug)]
pub(crate) struct AppenderLock(SpinMutex<Appender, Yield>);

/// The appender, locked. A thread that panics with it leaves the log failed.
pub(crate) struct Locked<'a>(SpinMutexGuard<'a, Appender>);

impl AppenderLock {
    pub(crate) fn new(appender: Appender) -> Self {
        Self(SpinMutex::new(appender))
    }

    #[inline]
    pub(crate) fn lock(&self) -> Locked<'_> {
        Locked(self.0.lock())
    }
}

impl Deref for Locked<'_> {
    type Target = Appender;

    #[inline]
    fn deref(&self) -> &Appender {
        &self.0
    }
}

impl DerefMut for Locked<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Appender {
        &mut self.0
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abandon();
        }
    }
}
