//! Consumers' places, from JavaScript.

use std::rc::Rc;

use napi::Env;

use super::LogBinding;
use crate::argument::{done, index};
use crate::fault::Fault;
use crate::handle::made;
use crate::raw::{Answer, Call};
use crate::report;

fn name(call: &Call) -> Result<String, Fault> {
    let mut scratch = Vec::new();
    let name = call.text(0, &mut scratch).ok_or_else(|| Fault::invalid("a cursor's name is a string".into()))?;
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// `cursor(name, from, holds?)`: what it is now.
pub(super) fn cursor(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = binding.engine()?;
    let cursor = log.cursor(&name(call)?, index(call, 1)?, call.boolean(2))?;
    made(report::cursors(&Env::from_raw(call.env), &[cursor]))
}

pub(super) fn cursors(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = binding.engine()?;
    log.wal().check_open()?;
    made(report::cursors(&Env::from_raw(call.env), &log.cursors()))
}

/// `saveCursor(name, offset)`.
pub(super) fn save(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    done(binding.writable()?.save_cursor(&name(call)?, index(call, 1)?))
}

/// `deleteCursor(name)`.
pub(super) fn delete(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    done(binding.writable()?.delete_cursor(&name(call)?).map(drop))
}
