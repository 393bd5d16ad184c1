//! Removing messages, from JavaScript: a segment a step, so that who asked for it may pause between them.

use std::rc::Rc;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::Float64Array;
use varve_log::{Care, Log, Removal, Rule};

use super::LogBinding;
use crate::argument::{index, micros};
use crate::fault::Fault;
use crate::handle::made;
use crate::raw::{Answer, Call, Made, function};
use crate::report;
use crate::steps::{Step, Steps};
use crate::task::watched;

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
enum Work {
    Wished(Arc<Log>, Wish),
    Begun(Box<Removal>),
    Failed,
}

impl Step for Work {
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

/// `remove(kind, value)`: gives `{ step(), progress(table), abort(), result(), offsets() }`.
pub(super) fn remove(binding: &Rc<LogBinding>, call: &Call) -> Result<Answer, Fault> {
    let log = Arc::clone(&*binding.writable()?);
    let steps = Steps::new(Work::Wished(log, wish(call)?));
    let bound = || {
        let more = vec![
            (c"result", function(call.env, &steps, result)?),
            (c"offsets", function(call.env, &steps, removed_offsets)?),
        ];
        steps.bind(call.env, more)
    };
    made(bound())
}

fn result(steps: &Rc<Steps<Work>>, call: &Call) -> Result<Answer, Fault> {
    let work = steps.work();
    let removed = if let Work::Begun(removal) = &*work { removal.removed() } else { varve_log::Removed::default() };
    made(report::removed_messages(Env::from_raw(call.env), removed))
}

fn removed_offsets(steps: &Rc<Steps<Work>>, call: &Call) -> Result<Answer, Fault> {
    let work = steps.work();
    let removed = if let Work::Begun(removal) = &*work { removal.offsets().to_vec() } else { Vec::new() };
    made(offsets(Env::from_raw(call.env), removed))
}
