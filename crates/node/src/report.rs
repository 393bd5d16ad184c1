//! Reports, as objects of JavaScript.

use napi::bindgen_prelude::{Array, JsObjectValue, Object};
use napi::{Env, JsValue};
use varve_wal::{CheckReport, StatReport, WalStats};

use crate::fault::Fault;
use crate::raw::Made;

fn number(value: u64) -> f64 {
    value as f64
}

fn numbers(object: &mut Object<'_>, fields: &[(&str, u64)]) -> napi::Result<()> {
    fields.iter().try_for_each(|(name, value)| object.set_named_property(name, number(*value)))
}

fn array<'env, T>(
    env: &'env Env,
    items: &[T],
    make: impl Fn(&mut Object<'_>, &T) -> napi::Result<()>,
) -> napi::Result<Array<'env>> {
    let mut array = env.create_array(0)?;
    for item in items {
        let mut object = Object::new(env)?;
        make(&mut object, item)?;
        array.insert(object)?;
    }
    Ok(array)
}

/// A `CheckReport`.
pub fn check(env: Env, report: CheckReport) -> napi::Result<Made> {
    let mut object = Object::new(&env)?;
    object.set_named_property("ok", report.ok)?;
    numbers(
        &mut object,
        &[("segments", report.segments as u64), ("entries", report.entries), ("bytes", report.bytes)],
    )?;
    let damage = array(&env, &report.damage, |object, damage| {
        object.set_named_property("path", damage.path.display().to_string())?;
        object.set_named_property("position", number(damage.position))?;
        object.set_named_property("reason", damage.reason)
    })?;
    object.set_named_property("damage", damage)?;
    Ok(Made(object.raw()))
}

/// `WalStats` of a log that is not open: it has written, synced and recovered nothing.
pub fn outline(env: Env, report: StatReport) -> napi::Result<Made> {
    let stats = WalStats {
        entries: report.entries,
        bytes: report.bytes,
        segments: report.segments,
        first_index: report.first_index,
        next_index: report.next_index,
        durable_index: report.durable_index,
        ..WalStats::default()
    };
    self::stats(&env, &stats)
}

/// `WalStats`.
pub fn stats(env: &Env, stats: &WalStats) -> napi::Result<Made> {
    let mut object = Object::new(env)?;
    numbers(
        &mut object,
        &[
            ("entries", stats.entries),
            ("bytes", stats.bytes),
            ("segments", stats.segments as u64),
            ("firstIndex", stats.first_index),
            ("nextIndex", stats.next_index),
            ("durableIndex", stats.durable_index),
            ("pendingBytes", stats.pending_bytes as u64),
            ("rotations", stats.rotations),
            ("syncs", stats.syncs),
        ],
    )?;
    let mut micros = Object::new(env)?;
    numbers(
        &mut micros,
        &[("p50", stats.sync_micros.p50), ("p99", stats.sync_micros.p99), ("max", stats.sync_micros.max)],
    )?;
    object.set_named_property("syncMicros", micros)?;
    match &stats.failed {
        Some(error) => {
            object.set_named_property("failed", Fault::from(varve_wal::Error::from(error.clone())).to_js(env)?)?
        }
        None => object.set_named_property("failed", ())?,
    }
    let mut recovery = Object::new(env)?;
    let torn = array(env, &stats.recovery.torn, |object, torn| {
        object.set_named_property("path", torn.path.display().to_string())?;
        numbers(object, &[("position", torn.position), ("bytes", torn.bytes)])
    })?;
    let gaps = array(env, &stats.recovery.gaps, |object, gap| {
        object.set_named_property("path", gap.path.display().to_string())?;
        numbers(object, &[("position", gap.position), ("bytes", gap.bytes)])?;
        // Where no record is known to be lost there is no range.
        if gap.to > gap.from { numbers(object, &[("from", gap.from), ("to", gap.to)]) } else { Ok(()) }
    })?;
    recovery.set_named_property("torn", torn)?;
    recovery.set_named_property("gaps", gaps)?;
    numbers(&mut recovery, &[("micros", stats.recovery.micros)])?;
    object.set_named_property("recovery", recovery)?;
    Ok(Made(object.raw()))
}
