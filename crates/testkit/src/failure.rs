//! What a test found.

use std::fmt;

/// A promise that was broken, and the way there.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What is wrong.
    pub what: String,
    /// What was done, in order.
    pub trail: Vec<String>,
    /// The seed that it comes from.
    pub seed: u64,
}

impl Failure {
    /// A failure whose way there is told by those who pass it on.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), trail: Vec::new(), seed: 0 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        self.trail.iter().try_for_each(|step| writeln!(f, "  {step}"))?;
        write!(f, "run it again with VARVE_SEED={}", self.seed)
    }
}

impl std::error::Error for Failure {}

impl From<varve_wal::Error> for Failure {
    fn from(error: varve_wal::Error) -> Self {
        Self::new(format!("unexpected error: {error}"))
    }
}

impl From<varve_io::Error> for Failure {
    fn from(error: varve_io::Error) -> Self {
        Self::new(format!("unexpected error: {error}"))
    }
}
