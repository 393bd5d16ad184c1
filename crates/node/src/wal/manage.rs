//! What is dropped, kept and looked at, from JavaScript.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use napi::Env;
use varve_wal::{BackupOptions, Pin, RecordPosition};

use super::care::watched;
use super::options::absolute;
use super::{WalBinding, done, index};
use crate::fault::Fault;
use crate::raw::{Answer, Call, Made, function};
use crate::report;
use crate::task::promise;

fn made(made: napi::Result<Made>) -> Result<Answer, Fault> {
    made.map(|made| Answer::Value(made.0)).map_err(|error| Fault::invalid(error.reason))
}

/// `truncateAfter(nextIndex)`: index after the last record that stays, so that it is never negative.
pub(super) fn truncate_after(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    done(binding.writable()?.truncate_after(index(call, 0)?))
}

pub(super) fn truncate_before(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    done(binding.writable()?.truncate_before(index(call, 0)?))
}

pub(super) fn reset(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    done(binding.writable()?.reset(index(call, 0)?))
}

pub(super) fn enforce_retention(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = Arc::clone(&*binding.writable()?);
    call.value(promise(move || Ok(wal.enforce_retention()?), report::removed))
}

pub(super) fn begin_retention(binding: &Rc<WalBinding>, _: &Call) -> Result<Answer, Fault> {
    done(binding.writable()?.begin_retention().map(drop))
}

/// The handle wants to be asked before segments are removed.
pub(super) fn object(binding: &Rc<WalBinding>, _: &Call) -> Result<Answer, Fault> {
    binding.settler.notifier().object();
    binding.wal()?.object(binding.listener);
    Ok(Answer::Undefined)
}

/// `answer(number, allowed)`.
pub(super) fn answer(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let allowed = usize::try_from(index(call, 1)?).unwrap_or(usize::MAX);
    binding.wal()?.answer(binding.listener, index(call, 0)?, allowed);
    Ok(Answer::Undefined)
}

pub(super) fn position_of(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let found = binding.wal()?.position_of(index(call, 0)?)?;
    made(report::position(&Env::from_raw(call.env), found))
}

/// `indexAt(segment, offset)`: -1 where no record of the log is.
pub(super) fn index_at(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let position = RecordPosition { segment: index(call, 0)?, offset: index(call, 1)? };
    let found = binding.wal()?.index_at(position)?;
    Ok(Answer::Number(found.map_or(-1.0, |index| index as f64)))
}

pub(super) fn segments(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = binding.wal()?;
    wal.check_open()?;
    made(report::segments(&Env::from_raw(call.env), &wal.segments()))
}

/// `backup(dir, afterSegment, active)`: 0 stands for all segments.
pub(super) fn backup(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = Arc::clone(&*binding.wal()?);
    let mut scratch = Vec::new();
    let to = call.utf8(0, &mut scratch, |dir| String::from_utf8_lossy(dir).into_owned());
    let to = absolute(&to.unwrap_or_default())?;
    let after = index(call, 1)?;
    let options = BackupOptions {
        after_segment: Some(after).filter(|after| *after > 0),
        active: call.boolean(2).unwrap_or(false),
    };
    let work = move |care: &varve_wal::Care| Ok(wal.backup(&to, options, care)?);
    made(watched(Env::from_raw(call.env), work, report::backed_up))
}

/// `pin(segment)`: a function that lets go of it.
pub(super) fn pin(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let pin = binding.wal()?.pin(index(call, 0)?)?;
    let held: Rc<RefCell<Option<Pin>>> = Rc::new(RefCell::new(Some(pin)));
    let release = function(call.env, &held, |held, _| {
        let released = held.take();
        drop(released);
        Ok(Answer::Undefined)
    });
    release.map(Answer::Value).map_err(|error| Fault::invalid(error.reason))
}
