//! What is done to the directory of a log: by accident, by a careless hand, by somebody who knows the format.

use varve_format::{
    BatchFlags, DATA_START, Digest, DigestHeader, Entry, Frame, FrameKind, FramePlace, GroupFields, LogState,
    LogStateFields, ProducerFields, ProducerSnapshot, ProducersHeader, SegmentHeader, SingleFields, State, checksum,
};

use super::Written;
use super::base::bases;
use crate::base::Files;
use crate::edit::{accident, name, sidecar, slot, with};
use crate::forge::{change, change_footer, change_header, header, put_any_frame, put_frame, seal, walk};
use crate::input::Input;
use crate::keys::forge_table;

/// Does one edit. Kinds 0 to 10 are accidents, all others forge.
pub fn edit(files: &mut Files, written: &mut Written, input: &mut Input<'_>) {
    let kind = input.pick(22);
    let Some(name) = name(files, input) else { return };
    if kind <= 10 {
        return accident(if kind == 9 { 17 } else { kind }, files, &name, input, new_name);
    }
    written.forge();
    match kind {
        11 => {
            let base = &bases()[input.pick(bases().len())];
            let Some((theirs, bytes)) = base.files.iter().nth(input.pick(base.files.len())) else { return };
            files.insert(if input.pick(2) == 0 { theirs.clone() } else { name }, bytes.clone());
        }
        12 => with(files, &name, |bytes| change_header(bytes, input)),
        13 => with(files, &name, |bytes| {
            if let Some(header) = header(bytes) {
                change_footer(bytes, &header, input);
            }
        }),
        14 => with(files, &name, |bytes| {
            if let Some(header) = header(bytes) {
                put_any_frame(bytes, &header, input, &mut crate::written::Written::default());
            }
        }),
        15 => with(files, "durable", |bytes| slot(bytes, input)),
        16 => sidecar(files, &name, input),
        17 => digest(files, &name, input),
        18 => derived(files, &name, input),
        _ => {
            // The name may be of any file; what is forged is in a segment.
            let segment = files.keys().filter(|name| name.ends_with(".seg")).nth(input.pick(8)).cloned();
            with(files, &segment.unwrap_or(name), |bytes| {
                if let Some(header) = header(bytes) {
                    frame(bytes, &header, input);
                }
            });
        }
    }
}

/// A name that means something to a log.
fn new_name(input: &mut Input<'_>) -> String {
    let id = input.number(3);
    match input.pick(10) {
        0..=2 => format!("{id:016}.seg"),
        3 => format!("{id:016}.idx"),
        4 => format!("{id:016}.dig"),
        5 => format!("{id:016}.prod"),
        6 => format!("{id:016}-{:016}.key", input.number(300)),
        7 => format!("key-{id:016x}.tmp"),
        8 => format!("next-{id:016x}.tmp"),
        _ => format!("{id:016}-{:016}.lost", input.number(1024)),
    }
}

/// An entry, or a state, with something else in it, in its frame.
fn frame(bytes: &mut Vec<u8>, header: &SegmentHeader, input: &mut Input<'_>) {
    let places = walk(bytes, header.salt);
    let at = places[input.pick(places.len())];
    let Some(rest) = bytes.get(at..) else { return };
    let Ok(found) = Frame::read(rest, header.salt, at as u64) else { return };
    let (kind, index, mut payload) = (found.kind, found.index, found.payload.to_vec());
    let mut batch = found.batch;
    match kind {
        FrameKind::Record => entry(&mut payload, input),
        FrameKind::Control => state(&mut payload, input),
        FrameKind::Footer => return,
    }
    if input.pick(8) == 1 {
        batch = BatchFlags { more: !batch.more, ..batch };
    }
    let distance = if at as u64 == DATA_START { u16::MAX } else { input.short() };
    let place = FramePlace { salt: header.salt, position: at as u64, kind, batch, index, distance };
    put_frame(bytes, at, &place, &payload);
}

fn entry(payload: &mut Vec<u8>, input: &mut Input<'_>) {
    let group = matches!(Entry::decode(payload), Ok(Entry::Group(_)));
    match input.pick(4) {
        0 | 1 => change(payload, if group { GroupFields::FIELDS } else { SingleFields::FIELDS }, input),
        2 => {
            let at = usize::from(input.short()).checked_rem(payload.len()).unwrap_or(0);
            payload.iter_mut().skip(at).take(2).for_each(|byte| *byte = input.byte());
        }
        // What follows in the segment is not where it was; a frame that is shorter ends before.
        _ => payload.truncate(payload.len().saturating_sub(input.pick(9))),
    }
}

fn state(payload: &mut Vec<u8>, input: &mut Input<'_>) {
    let Some(mut state) = State::decode(payload) else { return };
    if input.pick(3) == 0
        && let Some(mut known) = LogState::decode(&state.engine)
    {
        match input.pick(4) {
            0 => known.cursors.clear(),
            1 => known.producers = Some(input.number(1)),
            2 => (known.key_index, known.time_index) = (!known.key_index, !known.time_index),
            _ => known.cursors.iter_mut().for_each(|cursor| cursor.offset = input.number(cursor.offset)),
        }
        state.engine = known.encode();
    } else {
        change(&mut state.engine, LogStateFields::FIELDS, input);
    }
    *payload = state.encode();
}

/// A digest that says something else.
fn digest(files: &mut Files, name: &str, input: &mut Input<'_>) {
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    let Some(header) = files.get(&format!("{stem}.seg")).and_then(|bytes| header(bytes)) else { return };
    with(files, &format!("{stem}.dig"), |bytes| {
        let Some(mut digest) = Digest::decode(bytes, &header, true) else { return };
        match input.pick(5) {
            0 => {
                let at = input.pick(digest.points.len());
                digest.points.iter_mut().skip(at).take(1).for_each(|point| {
                    point.entry = u32::try_from(input.number(u64::from(point.entry)) & 0xffff_ffff).unwrap_or(0);
                    point.offset = u32::try_from(input.number(u64::from(point.offset)) & 0xffff_ffff).unwrap_or(0);
                    point.span = u32::try_from(input.number(u64::from(point.span)) & 0xffff_ffff).unwrap_or(0);
                });
            }
            1 => {
                let at = input.pick(digest.steps.len());
                let step = |step: &mut i64| *step = input.number(step.cast_unsigned()).cast_signed();
                digest.steps.iter_mut().skip(at).take(1).for_each(step);
            }
            2 => digest.points.truncate(input.pick(digest.points.len())),
            3 => digest.steps.truncate(input.pick(digest.steps.len())),
            _ => {
                let mut encoded = digest.encode(&header);
                change(&mut encoded, &DigestHeader::FIELDS[4..9], input);
                seal(&mut encoded[..DigestHeader::LEN]);
                *bytes = encoded;
                return;
            }
        }
        *bytes = digest.encode(&header);
    });
}

/// A table of keys, or a snapshot of producers, that says something else.
fn derived(files: &mut Files, name: &str, input: &mut Input<'_>) {
    with(files, name, |bytes| {
        if name.ends_with(".key") {
            forge_table(bytes, input);
        } else if ProducerSnapshot::decode(bytes).is_some() {
            let (head, body) = bytes.split_at_mut(ProducersHeader::LEN);
            match input.pick(2) {
                0 => change(head, &ProducersHeader::FIELDS[2..7], input),
                _ => change(body, ProducerFields::FIELDS, input),
            }
            head[56..60].copy_from_slice(&checksum(body).to_le_bytes());
            seal(head);
        }
    });
}
