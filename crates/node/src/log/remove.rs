//! Removing messages, from JavaScript: a segment a step, so that who asked for it may pause between them.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use napi::Env;
use napi::bindgen_prelude::Float64Array;
use varve_log::{Care, Log, Progress, Removal, Rule};

use super::LogBinding;
use crate::argument::{index, micros};
use crate::fault::Fault;
use crate::handle::made;
use crate::raw::{Answer, Call, Made, function, object};
use crate::report;
use crate::task::{promise, watched};

/// What is to be removed.
enum Wish {
    Rule(Rule),
    /// Those with these offsets.
    Delete(Vec<u64>),
    /// Those that were replaced before a time, and deletes that have nothing left to delete.
    Compact(i64),
}

/// Kinds of wishes, as the facade numbers them.
fn wish(call: &Call) -> Result<Wish, Fault> {
    let time = || {
        let millis = call.number(1).unwrap_or(f64::NAN);
        micros(millis)
            .ok_or_else(|| Fault::out_of_bounds(format!("a time is one that a Date can hold, and not {millis}")))
    };
    Ok(match index(call, 0)? {
        0 => Wish::Rule(Rule::OlderThan(time()?)),
        1 => Wish::Rule(Rule::BeforeOffset(index(call, 1)?)),
        2 => Wish::Rule(Rule::KeepMessages(index(call, 1)?)),
        3 => Wish::Rule(Rule::KeepBytes(index(call, 1)?)),
        4 => Wish::Rule(Rule::UpdatesBefore(time()?)),
        5 => Wish::Rule(Rule::DeletesBefore(time()?)),
        6 => {
            let offsets = call.numbers(1)?.ok_or_else(|| Fault::invalid("offsets are a Float64Array".into()))?;
            let bad = || Fault::out_of_bounds("an offset is a whole number from 0 to 2^53 - 1".into());
            let whole = |offset: &f64| crate::argument::whole(*offset).ok_or_else(bad);
            Wish::Delete(offsets.iter().map(whole).collect::<Result<_, _>>()?)
        }
        7 => Wish::Compact(time()?),
        _ => return Err(Fault::invalid("an unknown rule".into())),
    })
}

/// `find(kind, value)`: long work that gives offsets.
pub(super) fn find(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = Arc::clone(&*binding.engine()?);
    let Wish::Rule(rule) = wish(call)? else { return Err(Fault::invalid("no rule".into())) };
    made(watched(Env::from_raw(call.env), move |care| Ok(log.matching(&rule, care)?), offsets))
}

fn offsets(env: Env, offsets: Vec<u64>) -> napi::Result<Made> {
    let numbers: Vec<f64> = offsets.iter().map(|offset| *offset as f64).collect();
    crate::raw::value(env.raw(), Float64Array::new(numbers)).map(Made)
}

/// A removal that is under way.
struct Work {
    state: Arc<Mutex<State>>,
    care: Arc<Care>,
}

enum State {
    Wished(Arc<Log>, Wish),
    Begun(Box<Removal>),
    Failed,
}

impl State {
    fn step(&mut self, care: &Care) -> Result<bool, Fault> {
        let mut removal = match std::mem::replace(self, Self::Failed) {
            Self::Wished(log, wish) => match wish {
                Wish::Rule(rule) => Box::new(log.trim(&rule)?),
                Wish::Delete(offsets) => Box::new(log.delete(offsets)?),
                Wish::Compact(before) => Box::new(log.compact(before)?),
            },
            Self::Begun(removal) => removal,
            Self::Failed => return Err(Fault::panicked()),
        };
        let more = removal.step(care);
        *self = Self::Begun(removal);
        Ok(more?)
    }
}

/// `remove(kind, value)`: gives `{ step(), result(), offsets(), progress(table), abort() }`.
pub(super) fn remove(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = Arc::clone(&*binding.writable()?);
    let state = Arc::new(Mutex::new(State::Wished(log, wish(call)?)));
    let work = Rc::new(Work { state, care: Arc::default() });
    let properties = || {
        object(
            call.env,
            &[
                (c"step", function(call.env, &work, step)?),
                (c"result", function(call.env, &work, result)?),
                (c"offsets", function(call.env, &work, removed_offsets)?),
                (c"progress", function(call.env, &work, progress)?),
                (
                    c"abort",
                    function(call.env, &work, |work, _| {
                        work.care.abort();
                        Ok(Answer::Undefined)
                    })?,
                ),
            ],
        )
    };
    properties().map(Answer::Value).map_err(|error: napi::Error| Fault::invalid(error.reason))
}

/// Does the next segment on another thread; false when all is done.
fn step(work: &Rc<Work>, call: &Call) -> Result<Answer, Fault> {
    let (state, care) = (Arc::clone(&work.state), Arc::clone(&work.care));
    let step = move || state.lock().unwrap_or_else(PoisonError::into_inner).step(&care);
    call.value(promise(step, |env, more: bool| crate::raw::value(env.raw(), more).map(Made)))
}

fn result(work: &Rc<Work>, call: &Call) -> Result<Answer, Fault> {
    let state = work.state.lock().unwrap_or_else(PoisonError::into_inner);
    let removed = if let State::Begun(removal) = &*state { removal.removed() } else { varve_log::Removed::default() };
    made(report::removed_messages(&Env::from_raw(call.env), removed))
}

fn removed_offsets(work: &Rc<Work>, call: &Call) -> Result<Answer, Fault> {
    let state = work.state.lock().unwrap_or_else(PoisonError::into_inner);
    let removed = if let State::Begun(removal) = &*state { removal.offsets().to_vec() } else { Vec::new() };
    made(offsets(Env::from_raw(call.env), removed))
}

fn progress(work: &Rc<Work>, call: &Call) -> Result<Answer, Fault> {
    let Progress { bytes, total_bytes, segments, total_segments } = work.care.progress();
    if let Some(table) = call.doubles(0).and_then(|table| table.first_chunk_mut()) {
        *table = [bytes as f64, total_bytes as f64, segments as f64, total_segments as f64];
    }
    Ok(Answer::Undefined)
}
