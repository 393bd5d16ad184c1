//! Numbers and paths of JavaScript, checked before they become anything else.

use std::path::PathBuf;

use crate::fault::Fault;
use crate::raw::{Answer, Call};

/// A safe integer that is not negative, from a number of JavaScript.
pub fn whole(number: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked: whole, not negative, at most 2^53 - 1")]
    let value = number as u64;
    ((0.0..=9_007_199_254_740_991.0).contains(&number) && value as f64 == number).then_some(value)
}

/// Microseconds since the Unix epoch, from milliseconds that have a fraction. `None` of what no `Date` can hold.
pub fn micros(millis: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked: at most 8.64e18, rounded")]
    let micros = (millis * 1000.0).round() as i64;
    (millis.abs() <= 8.64e15).then_some(micros)
}

/// An option that is a whole number, if it is given.
pub fn count(name: &str, value: Option<f64>) -> Result<Option<u64>, Fault> {
    let bad = |value| Fault::out_of_bounds(format!("{name} is a whole number that is not negative, and not {value}"));
    value.map(|value| whole(value).ok_or_else(|| bad(value))).transpose()
}

/// An option that is a span of milliseconds, in microseconds, if it is given.
pub fn span(name: &str, millis: Option<f64>) -> Result<Option<i64>, Fault> {
    let micros = |millis: u64| i64::try_from(millis.saturating_mul(1000)).unwrap_or(i64::MAX);
    Ok(count(name, millis)?.map(micros))
}

/// An index, offset or count, or nothing, as a number of JavaScript.
#[inline]
pub fn answer(index: u64) -> Answer {
    Answer::Number(index as f64)
}

/// Nothing, or the error.
pub fn done<E>(outcome: Result<(), E>) -> Result<Answer, Fault>
where
    Fault: From<E>,
{
    Ok(outcome.map(|()| Answer::Undefined)?)
}

/// Argument `at`, an index or offset.
pub fn index(call: &Call, at: usize) -> Result<u64, Fault> {
    let number = call.number(at).ok_or_else(|| Fault::invalid("an index is a number".into()))?;
    whole(number)
        .ok_or_else(|| Fault::out_of_bounds(format!("an index is a whole number from 0 to 2^53 - 1, and not {number}")))
}

/// Argument `at`, an index or offset, if it is given.
#[inline]
pub fn optional_index(call: &Call, at: usize) -> Result<Option<u64>, Fault> {
    if call.is_undefined(at) { Ok(None) } else { index(call, at).map(Some) }
}

/// An absolute path.
pub fn absolute(dir: &str) -> Result<PathBuf, Fault> {
    if dir.is_empty() || dir.contains('\0') {
        return Err(Fault::invalid("dir is the path of a directory, without zero characters".into()));
    }
    std::path::absolute(dir).map_err(|error| Fault::invalid(format!("dir cannot be made absolute: {error}")))
}
