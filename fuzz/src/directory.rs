//! A directory that was valid, and that somebody has changed.

use crate::base::bases;
use crate::edit::edit;
use crate::input::Input;
use crate::look::look;

/// Edits of one input.
const MOST_EDITS: usize = 8;

/// The first byte chooses the log, the others what is done to its directory; then all that reads a log reads it, and all that repairs one repairs it.
pub fn directory(bytes: &[u8]) {
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
