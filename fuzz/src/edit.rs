//! What is done to a directory: by accident, by a careless hand, by somebody who knows the format.

use varve_format::{DurableSlot, SLOT_POSITIONS, Sidecar, SidecarHeader};

use crate::base::{Files, bases};
use crate::forge::{change, change_footer, change_header, header, put_any_frame, seal, walk};
use crate::input::Input;
use crate::written::Written;

/// No file grows beyond: the log's own are of 64 KiB.
const MOST: usize = 256 << 10;

/// Kinds of edits.
const EDITS: usize = 18;

/// Does one edit.
pub fn edit(files: &mut Files, written: &mut Written, input: &mut Input<'_>) {
    let kind = input.pick(EDITS);
    let Some(name) = name(files, input) else { return };
    match kind {
        0..=8 | 10 | 17 => accident(kind, files, &name, input, new_name),
        9 => foreign(files, written, &name, input),
        11 => {
            written.forge_indexes();
            with(files, &name, |bytes| change_header(bytes, input));
        }
        12 => {
            written.forge_indexes();
            with(files, &name, |bytes| {
                if let Some(header) = header(bytes) {
                    change_footer(bytes, &header, input);
                }
            });
        }
        13 | 14 => with(files, &name, |bytes| {
            if let Some(header) = header(bytes) {
                put_any_frame(bytes, &header, input, written);
            }
        }),
        15 => {
            written.touch();
            with(files, "durable", |bytes| slot(bytes, input));
        }
        _ => {
            written.touch();
            sidecar(files, &name, input);
        }
    }
}

/// What befalls the file `name` without anybody who knows the format: kinds 0 to 8, 10 and 17.
pub fn accident(
    kind: usize,
    files: &mut Files,
    name: &str,
    input: &mut Input<'_>,
    new_name: fn(&mut Input<'_>) -> String,
) {
    match kind {
        0 => with(files, name, |bytes| {
            let at = place(bytes, input);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << input.pick(8);
            }
        }),
        1 => with(files, name, |bytes| {
            let at = place(bytes, input);
            bytes.truncate(at);
        }),
        2 => with(files, name, |bytes| {
            let len = bytes.len() + usize::from(input.short());
            bytes.resize(len.min(MOST), input.byte());
        }),
        3 => with(files, name, |bytes| {
            let at = place(bytes, input);
            let len = usize::from(input.byte());
            let new = input.take(len);
            if let Some(old) = bytes.get_mut(at..at + new.len()) {
                old.copy_from_slice(new);
            }
        }),
        4 => with(files, name, |bytes| {
            let (from, len) = (place(bytes, input), usize::from(input.short()));
            bytes.iter_mut().skip(from).take(len).for_each(|byte| *byte = 0);
        }),
        5 => drop(files.remove(name)),
        6 => {
            let other = self::name(files, input).unwrap_or_default();
            if let (Some(one), Some(two)) = (files.get(name).cloned(), files.get(&other).cloned()) {
                files.insert(name.to_owned(), two);
                files.insert(other, one);
            }
        }
        7 => {
            let bytes = files.get(name).cloned().unwrap_or_default();
            files.insert(new_name(input), bytes);
        }
        8 => {
            let bytes = files.remove(name).unwrap_or_default();
            files.insert(new_name(input), bytes);
        }
        10 => splice(files, name, input),
        // Nothing where the footer was: the segment has to be walked.
        _ => with(files, name, |bytes| {
            let from = bytes.len().saturating_sub(128);
            bytes[from..].fill(0);
        }),
    }
}

pub fn with(files: &mut Files, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
    if let Some(bytes) = files.get_mut(name) {
        edit(bytes);
    }
}

pub fn name(files: &Files, input: &mut Input<'_>) -> Option<String> {
    files.keys().nth(input.pick(files.len())).cloned()
}

/// A place in a file: mostly where something is written, the border of a frame among them.
fn place(bytes: &[u8], input: &mut Input<'_>) -> usize {
    match input.pick(4) {
        0 => usize::from(input.short()),
        1 => bytes.len().saturating_sub(usize::from(input.byte())),
        2 => usize::from(input.short()) % 4096,
        _ => {
            let places = header(bytes).map_or(vec![0], |header| walk(bytes, header.salt));
            places[input.pick(places.len())] + input.pick(24)
        }
    }
}

/// A name that means something to a log.
fn new_name(input: &mut Input<'_>) -> String {
    let id = input.number(3);
    match input.pick(7) {
        0..=2 => format!("{id:016}.seg"),
        3 => format!("{id:016}.idx"),
        4 => format!("next-{id:016x}.tmp"),
        5 => format!("{id:016}-{:016}.torn", input.number(0)),
        _ => format!("{id:016}-{:016}.lost", input.number(1024)),
    }
}

/// A file of another log, or of another time of this one.
fn foreign(files: &mut Files, written: &mut Written, name: &str, input: &mut Input<'_>) {
    let base = &bases()[input.pick(bases().len())];
    let Some((theirs, bytes)) = base.files.iter().nth(input.pick(base.files.len())) else { return };
    written.join(&base.written);
    // All its checksums are right: nothing tells it from what a forger makes.
    written.touch();
    files.insert(if input.pick(2) == 0 { theirs.clone() } else { name.to_owned() }, bytes.clone());
}

/// Bytes of one file in another, where they were or elsewhere.
fn splice(files: &mut Files, name: &str, input: &mut Input<'_>) {
    let Some(bytes) = self::name(files, input).and_then(|from| files.get(&from).cloned()) else { return };
    let (from, len) = (place(&bytes, input), usize::from(input.short()));
    let to = if input.pick(2) == 0 { from } else { usize::from(input.short()) };
    let piece: Vec<u8> = bytes.into_iter().skip(from).take(len).collect();
    with(files, name, |bytes| bytes.iter_mut().skip(to).zip(piece).for_each(|(old, new)| *old = new));
}

/// Changes a slot of the durable bound, and seals it.
pub fn slot(bytes: &mut [u8], input: &mut Input<'_>) {
    let at = usize::try_from(SLOT_POSITIONS[input.pick(2)]).unwrap_or(0);
    if let Some(slot) = bytes.get_mut(at..at + DurableSlot::LEN) {
        change(slot, &DurableSlot::FIELDS[1..], input);
        seal(slot);
    }
}

/// Changes a sidecar: its header, or its positions, with the checksums of what it says then.
pub fn sidecar(files: &mut Files, name: &str, input: &mut Input<'_>) {
    let segment = name.replace(".idx", ".seg");
    let Some(header) = files.get(&segment).and_then(|bytes| header(bytes)) else { return };
    with(files, &segment.replace(".seg", ".idx"), |bytes| {
        let Some(Sidecar { mut positions, mut data_end }) = Sidecar::decode(bytes, &header) else { return };
        match input.pick(4) {
            0 => data_end = input.number(data_end),
            1 => positions.truncate(input.pick(positions.len())),
            2 => {
                change(&mut bytes[..], &SidecarHeader::FIELDS[1..7], input);
                seal(&mut bytes[..SidecarHeader::LEN]);
                return;
            }
            _ => {
                let at = input.pick(positions.len());
                if let Some(position) = positions.get_mut(at) {
                    *position = u32::try_from(input.number(u64::from(*position)) & 0xffff_ffff).unwrap_or(0);
                }
            }
        }
        *bytes = Sidecar::encode(&positions, data_end, &header);
    });
}
