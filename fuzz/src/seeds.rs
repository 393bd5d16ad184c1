//! First inputs: one for each way that the bodies branch, so that a fuzzer need not find them.

use varve_format::{BatchFlags, DATA_START, FrameKind, FramePlace, GapFields, State, place_frame};

/// Inputs of a target, by name.
pub fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds = match target {
        "frames" => frames(),
        "sidecar" => (0..8).map(|shape| (format!("shape-{shape}"), sidecar(shape))).collect(),
        "entries" => entries(),
        "pieces" => (0..5).map(|kind| (format!("kind-{kind}"), rising(&[1, kind]))).collect(),
        "keys" => (0..9).flat_map(|kind| (0..4).map(move |file| key_table(file, kind))).collect(),
        "log" => log_directory(),
        _ => directory(),
    };
    seeds.push(("empty".into(), Vec::new()));
    seeds
}

fn frames() -> Vec<(String, Vec<u8>)> {
    let place = FramePlace {
        salt: 0x5a17_5a17_5a17_5a17,
        position: DATA_START,
        kind: FrameKind::Record,
        batch: BatchFlags::ALONE,
        index: 0,
        distance: 0,
    };
    let framed = [&[0][..], &place_frame(&place, b"eight.."), b"eight..", &[0]].concat();
    let state =
        State { first_index: 3, commit: 4, durable: Default::default(), codec: "bytes".into(), engine: Vec::new() };
    let mut seeds = vec![
        ("raw-frame".into(), framed),
        ("raw-state".into(), [&[0][..], &state.encode()].concat()),
        ("raw-gap".into(), [&[0][..], &GapFields::new(3, 9).encode()].concat()),
        ("header-only".into(), vec![1, 0]),
        ("cut-short".into(), vec![1, 16, 1, 2, 3]),
    ];
    for flags in 0..=255u8 {
        if flags & 0x10 == 0 {
            let record = [2, 0, 0, 0, 0, 4, b'a', b'b', b'c', b'd'];
            seeds.push((
                format!("built-{flags:02x}"),
                [&record[..], &[0, 0, flags, 70, 1, 3, 9, 9, 9, 250, 0, 0]].concat(),
            ));
        }
    }
    seeds
}

fn sidecar(shape: u8) -> Vec<u8> {
    let mut seed = vec![shape];
    seed.extend((0..96u8).map(|byte| byte.wrapping_mul(5)));
    seed
}

/// Each codec, with groups of all sizes, as they are made and with each kind of edit.
fn entries() -> Vec<(String, Vec<u8>)> {
    let mut seeds = vec![
        ("raw-single".into(), [&[0, 0, 3][..], &[0; 16], &[1, b'k', b'v']].concat()),
        ("raw-group".into(), [&[0, 1, 0, 0, 0][..], &[0; 28]].concat()),
        ("single".into(), rising(&[1, 0, 64])),
    ];
    for codec in 0..5u8 {
        for size in 0..4u8 {
            let shape = 1 | size << 1 | codec << 3;
            seeds.push((format!("codec-{codec}-size-{size}"), vec![1, shape, 64, 1]));
            seeds.push((format!("codec-{codec}-size-{size}-edited"), rising(&[1, shape, 64])));
        }
    }
    seeds
}

/// Some numbers behind others.
fn rising(front: &[u8]) -> Vec<u8> {
    front.iter().copied().chain((0..120u8).map(|byte| byte.wrapping_mul(7))).collect()
}

fn key_table(file: u8, kind: u8) -> (String, Vec<u8>) {
    (format!("file-{file}-edit-{kind}"), vec![file, kind, 40, 16, 3, 2, 9, 70, 1, 250, 4])
}

fn directory() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for base in 0..6u8 {
        for edit in 0..18u8 {
            // What follows the edit's number: the file, then the edit's own numbers.
            for (file, more) in [(1, [3, 2, 5, 1, 4]), (3, [0, 70, 6, 70, 2]), (4, [2, 200, 1, 7, 9])] {
                seeds.push((
                    format!("base-{base}-edit-{edit:02}-file-{file}"),
                    [&[base, edit, file][..], &more].concat(),
                ));
            }
        }
    }
    seeds
}

/// Each kind of edit at some files of each log.
fn log_directory() -> Vec<(String, Vec<u8>)> {
    let mut seeds: Vec<_> = (0..6u8).map(|base| (format!("base-{base}"), vec![base])).collect();
    for base in 0..6u8 {
        for edit in 0..22u8 {
            let input = [base, edit, base * 3 + edit, 3, 2, 70, 1, 66, 5, 9];
            seeds.push((format!("base-{base}-edit-{edit:02}"), input.to_vec()));
        }
    }
    seeds
}
