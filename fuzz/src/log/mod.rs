//! A directory of a log that was valid, and that somebody has changed.

mod base;
mod edit;
mod look;
mod read;
mod remove;

use std::collections::HashMap;

use crate::input::Input;
use crate::known::Known;
use base::bases;
use edit::edit;
use look::look;

/// Edits of one input.
const MOST_EDITS: usize = 8;

/// What was ever written and not removed, and so may be read.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// Messages by offset: behind an end that was cut off, offsets are given again.
    messages: HashMap<u64, Vec<Known>>,
    /// Something has the right checksums that the log did not write there, or not then.
    forged: bool,
}

impl Written {
    /// A message that the log was given.
    pub fn add(&mut self, known: Known) {
        self.messages.entry(known.offset).or_default().push(known);
    }

    /// Messages that were removed are not there.
    pub fn retain(&mut self, held: impl Fn(u64) -> bool) {
        self.messages.retain(|offset, _| held(*offset));
    }

    /// Somebody writes right checksums who is not the log.
    pub fn forge(&mut self) {
        self.forged = true;
    }

    pub fn is_forged(&self) -> bool {
        self.forged
    }

    /// True if a log may return this message.
    pub fn admits(&self, known: &Known) -> bool {
        self.forged || self.messages.get(&known.offset).is_some_and(|written| written.contains(known))
    }
}

/// The first byte chooses the log, the others what is done to its directory; then all that reads a log reads it, and all that repairs one repairs it.
pub fn log(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let base = &bases()[input.pick(bases().len())];
    let (mut files, mut written) = (base.files.clone(), base.written.clone());
    for _ in 0..MOST_EDITS {
        if input.is_empty() {
            break;
        }
        edit(&mut files, &mut written, &mut input);
    }
    look(&files, &written);
}
