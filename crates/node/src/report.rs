//! Reports, as objects of JavaScript.

use std::path::PathBuf;

use napi::bindgen_prelude::{Array, JsObjectValue, Object};
use napi::{Env, JsValue};
use varve_log::{CursorInfo, Enforced, LogStats, PartitionedBackup, RetentionStats};
use varve_wal::{
    BackupReport, CheckReport, Damage, News, Question, RecordPosition, RecoverReport, Removed, SegmentInfo, Span,
    StatReport, WalStats,
};

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

fn checked<'env>(env: &'env Env, ok: bool, figures: [u64; 3], damage: &[Damage]) -> napi::Result<Object<'env>> {
    let mut object = Object::new(env)?;
    object.set_named_property("ok", ok)?;
    let [segments, entries, bytes] = figures;
    numbers(&mut object, &[("segments", segments), ("entries", entries), ("bytes", bytes)])?;
    let damage = array(env, damage, |object, damage| {
        object.set_named_property("path", damage.path.display().to_string())?;
        object.set_named_property("position", number(damage.position))?;
        object.set_named_property("reason", damage.reason)
    })?;
    object.set_named_property("damage", damage)?;
    Ok(object)
}

/// A `CheckReport`.
pub fn check(env: Env, report: CheckReport) -> napi::Result<Made> {
    let figures = [report.segments as u64, report.entries, report.bytes];
    Ok(Made(checked(&env, report.ok, figures, &report.damage)?.raw()))
}

fn paths<'env>(env: &'env Env, paths: &[PathBuf]) -> napi::Result<Array<'env>> {
    let mut array = env.create_array(0)?;
    for path in paths {
        array.insert(path.display().to_string())?;
    }
    Ok(array)
}

/// A `RecoverReport`.
pub fn recovered(env: Env, report: RecoverReport) -> napi::Result<Made> {
    let figures = [report.segments as u64, report.entries, report.bytes];
    let mut object = checked(&env, report.ok, figures, &report.damage)?;
    numbers(&mut object, &[("keptEntries", report.kept_entries)])?;
    object.set_named_property("setAside", paths(&env, &report.set_aside)?)?;
    Ok(Made(object.raw()))
}

/// A `BackupResult`.
pub fn backed_up(env: Env, report: BackupReport) -> napi::Result<Made> {
    let mut object = Object::new(&env)?;
    object.set_named_property("files", paths(&env, &report.files)?)?;
    numbers(&mut object, &[("bytes", report.bytes), ("position", report.position)])?;
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
        committed: report.committed,
        codec: report.codec.unwrap_or_default(),
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
            ("firstIndex", stats.first_index),
            ("nextIndex", stats.next_index),
            ("durableIndex", stats.durable_index),
        ],
    )?;
    // Before the first committed record this is one less than the first index, which may be 0.
    object.set_named_property("committedIndex", stats.committed as f64 - 1.0)?;
    files(env, &mut object, stats)?;
    Ok(Made(object.raw()))
}

/// `LogStats`.
pub fn log_stats(env: &Env, stats: &LogStats) -> napi::Result<Made> {
    Ok(Made(log_figures(env, stats)?.raw()))
}

fn log_figures<'env>(env: &'env Env, stats: &LogStats) -> napi::Result<Object<'env>> {
    let mut object = Object::new(env)?;
    numbers(
        &mut object,
        &[
            ("version", u64::from(LogStats::VERSION)),
            ("messages", stats.messages),
            ("indexBytes", stats.index_bytes),
            ("indexMemoryBytes", stats.index_memory_bytes),
            ("startOffset", stats.start_offset),
            ("nextOffset", stats.next_offset),
            ("durableOffset", stats.durable_offset),
            ("highWaterMark", stats.high_water_mark),
        ],
    )?;
    object.set_named_property("compressionRatio", stats.compression_ratio())?;
    let mut held = Object::new(env)?;
    numbers(&mut held, &[("messages", stats.held.messages), ("bytes", stats.held.bytes)])?;
    object.set_named_property("held", held)?;
    files(env, &mut object, &stats.entries)?;
    Ok(object)
}

/// `LogStats[]`.
pub fn partitions(env: &Env, all: &[LogStats]) -> napi::Result<Made> {
    let mut array = env.create_array(0)?;
    for stats in all {
        array.insert(log_figures(env, stats)?)?;
    }
    Ok(Made(array.raw()))
}

/// A `BackupResult`, with the position of each partition.
pub fn backed_up_partitions(env: Env, report: PartitionedBackup) -> napi::Result<Made> {
    let mut object = Object::new(&env)?;
    object.set_named_property("files", paths(&env, &report.files)?)?;
    numbers(&mut object, &[("bytes", report.bytes)])?;
    let mut positions = env.create_array(0)?;
    for position in &report.positions {
        positions.insert(number(*position))?;
    }
    object.set_named_property("positions", positions)?;
    Ok(Made(object.raw()))
}

/// `RemoveResult`, and of how many partitions.
pub fn enforced(env: Env, enforced: Enforced) -> napi::Result<Made> {
    let mut object = Object::new(&env)?;
    let Enforced { removed, partitions } = enforced;
    removed_figures(&mut object, &removed)?;
    numbers(&mut object, &[("partitions", partitions as u64)])?;
    Ok(Made(object.raw()))
}

/// `RemoveResult`, and how often.
pub fn retention_stats(env: &Env, stats: &RetentionStats) -> napi::Result<Made> {
    let mut object = Object::new(env)?;
    removed_figures(&mut object, &stats.removed)?;
    numbers(&mut object, &[("runs", stats.runs)])?;
    Ok(Made(object.raw()))
}

fn removed_figures(object: &mut Object<'_>, removed: &varve_log::Removed) -> napi::Result<()> {
    numbers(object, &[("segments", removed.segments), ("entries", removed.entries), ("bytes", removed.bytes)])
}

/// What is the same of all engines: `EngineStats`, the files, and how they are written.
fn files(env: &Env, object: &mut Object<'_>, stats: &WalStats) -> napi::Result<()> {
    numbers(
        object,
        &[
            ("bytes", stats.bytes),
            ("segments", stats.segments as u64),
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
    let mut pinned = Object::new(env)?;
    numbers(
        &mut pinned,
        &[
            ("segments", stats.pinned.segments as u64),
            ("bytes", stats.pinned.bytes),
            ("references", stats.pinned.references as u64),
        ],
    )?;
    object.set_named_property("pinned", pinned)?;
    object.set_named_property("codec", stats.codec.as_str())?;
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
    object.set_named_property("recovery", recovery)
}

fn millis(micros: i64) -> f64 {
    micros as f64 / 1000.0
}

fn segment<'env>(env: &'env Env, info: &SegmentInfo) -> napi::Result<Object<'env>> {
    let mut object = Object::new(env)?;
    object.set_named_property("path", info.path.display().to_string())?;
    let own = Span { first: info.first_index, next: info.next_index, entries: info.entries };
    let Span { first, next, entries } = info.span.get().copied().unwrap_or(own);
    numbers(
        &mut object,
        &[
            ("id", info.id),
            ("firstIndex", first),
            ("nextIndex", next),
            ("entries", entries),
            ("bytes", info.bytes),
            ("capacity", info.capacity),
            ("marker", u64::from(info.marker)),
            ("references", info.references as u64),
        ],
    )?;
    object.set_named_property("sealed", info.sealed)?;
    object.set_named_property("createdAt", millis(info.created_micros))?;
    object.set_named_property("modifiedAt", millis(info.modified_micros))?;
    object.set_named_property("pendingDeletion", info.pending_deletion)?;
    Ok(object)
}

fn list<'env>(env: &'env Env, infos: &[SegmentInfo]) -> napi::Result<Array<'env>> {
    let mut array = env.create_array(0)?;
    for info in infos {
        array.insert(segment(env, info)?)?;
    }
    Ok(array)
}

/// `SegmentInfo[]`.
pub fn segments(env: &Env, infos: &[SegmentInfo]) -> napi::Result<Made> {
    Ok(Made(list(env, infos)?.raw()))
}

/// `{ type, segment, partition? }` or `{ type, number, segments, partition? }` each.
pub fn events(env: &Env, happened: &[(Option<usize>, News)]) -> napi::Result<Made> {
    let mut array = env.create_array(0)?;
    for (partition, news) in happened {
        let mut object = Object::new(env)?;
        if let Some(partition) = partition {
            numbers(&mut object, &[("partition", *partition as u64)])?;
        }
        match news {
            News::Rotated(info) => {
                object.set_named_property("type", "rotate")?;
                object.set_named_property("segment", segment(env, info)?)?;
            }
            News::Deleted(info) => {
                object.set_named_property("type", "delete")?;
                object.set_named_property("segment", segment(env, info)?)?;
            }
            News::MayDelete(question) => {
                let Question { number, segments } = &**question;
                object.set_named_property("type", "mayDelete")?;
                numbers(&mut object, &[("number", *number)])?;
                object.set_named_property("segments", list(env, segments)?)?;
            }
            _ => continue,
        }
        array.insert(object)?;
    }
    Ok(Made(array.raw()))
}

/// `RecordPosition`, or `undefined`.
pub fn position(env: &Env, position: Option<RecordPosition>) -> napi::Result<Made> {
    let Some(position) = position else { return Ok(Made(crate::raw::value(env.raw(), ())?)) };
    let mut object = Object::new(env)?;
    numbers(&mut object, &[("segment", position.segment), ("offset", position.offset)])?;
    Ok(Made(object.raw()))
}

/// `RemoveResult`.
pub fn removed(env: Env, removed: Removed) -> napi::Result<Made> {
    let mut object = Object::new(&env)?;
    numbers(&mut object, &[("segments", removed.segments), ("entries", removed.entries), ("bytes", removed.bytes)])?;
    Ok(Made(object.raw()))
}

/// `RemoveResult`, of messages.
pub fn removed_messages(env: Env, removed: varve_log::Removed) -> napi::Result<Made> {
    let mut object = Object::new(&env)?;
    removed_figures(&mut object, &removed)?;
    Ok(Made(object.raw()))
}

/// `{ name, offset, holdRetention }` each.
pub fn cursors(env: &Env, cursors: &[CursorInfo]) -> napi::Result<Made> {
    let array = array(env, cursors, |object, cursor| {
        object.set_named_property("name", cursor.name.as_str())?;
        object.set_named_property("offset", number(cursor.offset))?;
        object.set_named_property("holdRetention", cursor.holds)
    })?;
    Ok(Made(array.raw()))
}
