//! What is kept, copied and let go of, from JavaScript.

use std::rc::Rc;
use std::sync::Arc;

use napi::Env;

use super::LogBinding;
use crate::argument::{absolute, index};
use crate::fault::Fault;
use crate::handle::made;
use crate::raw::{Answer, Call, Made};
use crate::report;
use crate::task::{promise, watched};

pub(super) fn enforce_retention(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = Arc::clone(&*binding.writable()?);
    call.value(promise(move || Ok(log.enforce_retention()?), report::removed_messages))
}

/// Reads messages: on another thread.
pub(super) fn begin_retention(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = Arc::clone(&*binding.writable()?);
    let nothing = |env: Env, ()| crate::raw::value(env.raw(), ()).map(Made);
    call.value(promise(move || Ok(log.apply_retention()?), nothing))
}

/// `backup(dir)`
pub(super) fn backup(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = Arc::clone(&*binding.engine()?);
    let to = directory(call)?;
    let work = move |care: &varve_log::Care| Ok(log.backup(&to, care)?);
    made(watched(Env::from_raw(call.env), work, report::backed_up))
}

/// Argument 0, an absolute path.
pub fn directory(call: &Call) -> Result<std::path::PathBuf, Fault> {
    let dir = call.utf8(0, &mut Vec::new(), |dir| String::from_utf8_lossy(dir).into_owned());
    absolute(&dir.unwrap_or_default())
}

/// `gc(unusedMicros)`
pub(super) fn gc(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    binding.engine()?.gc(index(call, 0)?);
    Ok(Answer::Undefined)
}
