//! The sticky failure of an engine.

use std::sync::OnceLock;

use crate::error::{Error, Result};

/// Set once, by the first failed write or sync; from then on every write gets that error. Only opening again leaves this state:
/// a sync that failed once may succeed the second time without the lost bytes (the kernel marks them clean), so it is never tried.
#[derive(Debug, Default)]
pub struct Failure(OnceLock<Error>);

impl Failure {
    /// Fails the engine with `error`, unless it has failed before; gives the error that holds.
    pub fn set(&self, error: Error) -> Error {
        // A full disk that is met in the middle of a write is a failure like any other: making room does not help.
        let error = if let Error::NoSpace(error) = error { Error::Io(error) } else { error };
        self.0.get_or_init(|| error).clone()
    }

    /// The error, if the engine has failed.
    pub fn get(&self) -> Option<&Error> {
        self.0.get()
    }

    /// An error if the engine has failed.
    #[inline]
    pub fn check(&self) -> Result<()> {
        match self.0.get() {
            None => Ok(()),
            Some(error) => Err(error.clone()),
        }
    }
}
