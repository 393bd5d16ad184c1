//! What is dropped, kept and looked at, from JavaScript.

use std::rc::Rc;
use std::sync::Arc;

use napi::Env;
use varve_wal::{BackupOptions, RecordPosition};

use super::WalBinding;
use crate::argument::{absolute, done, index};
use crate::fault::Fault;
use crate::handle::made;
use crate::raw::{Answer, Call};
use crate::report;
use crate::task::{promise, watched};

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

pub(super) fn position_of(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let found = binding.engine()?.position_of(index(call, 0)?)?;
    made(report::position(&Env::from_raw(call.env), found))
}

/// `indexAt(segment, offset)`: -1 where no record of the log is.
pub(super) fn index_at(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let position = RecordPosition { segment: index(call, 0)?, offset: index(call, 1)? };
    let found = binding.engine()?.index_at(position)?;
    Ok(Answer::Number(found.map_or(-1.0, |index| index as f64)))
}

/// `backup(dir, afterSegment, active)`: 0 stands for all segments.
pub(super) fn backup(binding: &Rc<WalBinding>, call: &Call) -> Result<Answer, Fault> {
    let wal = Arc::clone(&*binding.engine()?);
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
