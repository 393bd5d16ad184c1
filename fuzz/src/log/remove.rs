//! What is done to a log that has opened, whatever lay there: messages are added, and others removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use varve_log::{Care, Codec, Compression, Conditions, ErrorCode, Input, Log, Result};

use crate::known::Known;

fn known(offset: u64, key: &[u8], value: Option<&[u8]>) -> Known {
    let (key, value) = (Some(key.to_vec()), value.map(<[u8]>::to_vec));
    Known { offset, time: 1_700_000_100_000_000, key, value, headers: Vec::new() }
}

/// Adds messages in every way. `held` is what there is, if that is known, and then what there must be.
pub fn add(log: &Arc<Log>, held: &mut Option<Vec<Known>>) -> Result<()> {
    let next = log.next_offset();
    let one = known(next, b"appended", Some(b"one"));
    assert_eq!(log.append(&one.given())?, next);
    let many: Vec<_> = (1..60).map(|more| known(next + more, &[1], Some(b"many many many"))).collect();
    let inputs: Vec<Input<'_>> = many.iter().map(Known::given).collect();
    let compression = Compression { codec: Codec::Zstd, level: None };
    assert_eq!(log.append_batch(&inputs, &Conditions { compression, ..Conditions::default() })?, next + 1);
    log.sync()?;
    log.wal().rotate()?;
    let last = known(next + 60, b"appended", None);
    assert_eq!(log.append(&last.given())?, next + 60);
    // The cursors of a forged state may leave no room for one more.
    match log.cursor("another", next, Some(false)) {
        Err(error) if error.code() == ErrorCode::TooLarge => {}
        made => made.map(drop)?,
    }
    if let Some(held) = held {
        held.push(one);
        held.extend(many);
        held.push(last);
    }
    Ok(())
}

/// Deletes some, and compacts.
pub fn remove(log: &Arc<Log>, held: &mut Vec<Known>) -> Result<()> {
    let some: BTreeSet<u64> = held.iter().map(|known| known.offset).step_by(5).collect();
    let mut removal = log.delete(some.iter().copied().collect())?;
    while removal.step(&Care::default())? {}
    held.retain(|known| !some.contains(&known.offset));
    let mut removal = log.compact(i64::MAX)?;
    while removal.step(&Care::default())? {}
    let last: BTreeMap<_, _> = held.iter().map(|known| (known.key.clone(), known.offset)).collect();
    held.retain(|known| known.key.is_none() || last[&known.key] == known.offset);
    held.retain(|known| known.key.is_none() || known.value.is_some());
    Ok(())
}
