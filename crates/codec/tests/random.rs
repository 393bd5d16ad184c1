//! Random inputs and random damage. `VARVE_SEED` runs one seed again; a failure names it.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use varve_codec::{Codec, Error, MAX_RAW_LEN};
use varve_testkit::Rng;

/// Runs `test` for some seeds, or for the one of `VARVE_SEED`, which is printed if it fails.
fn seeds(count: u64, test: impl Fn(&mut Rng)) {
    let given = std::env::var("VARVE_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds = given.map_or(0..count, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let _told = Told(seed);
        test(&mut Rng::new(seed));
    }
}

/// Says the seed if a panic drops it.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("run it again with VARVE_SEED={}", self.0);
        }
    }
}

fn low(rng: &mut Rng) -> u8 {
    rng.bits().to_le_bytes()[0]
}

/// Bytes of many kinds: noise, few letters, runs, repeats of what was before, and mixtures.
fn input(rng: &mut Rng) -> Vec<u8> {
    let len = match rng.pick(10) {
        0 => rng.pick(4),
        1..7 => rng.pick(3000),
        7 | 8 => 65_000 + rng.pick(1100),
        _ => rng.pick(400_000),
    };
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let most = 1 << rng.pick(17);
        let run = 1 + rng.pick((len - bytes.len()).min(most));
        match rng.pick(4) {
            0 => bytes.extend((0..run).map(|_| low(rng))),
            1 => bytes.extend((0..run).map(|_| b'a' + low(rng) % 4)),
            2 => bytes.resize(bytes.len() + run, low(rng)),
            _ => {
                let from = rng.pick(bytes.len());
                let to = (from + run).min(bytes.len());
                bytes.extend_from_within(from..to);
            }
        }
    }
    bytes
}

fn level(rng: &mut Rng, codec: Codec) -> Option<i32> {
    // The greatest levels of zstd take seconds for what all the others take together.
    let (start, end) = (*codec.levels().start(), (*codec.levels().end()).min(12));
    let level = start + i32::try_from(rng.below(u64::from((end - start + 1).unsigned_abs()))).unwrap();
    rng.chance(70).then_some(level)
}

#[test]
fn what_was_compressed_comes_back() {
    seeds(300, |rng| {
        let bytes = input(rng);
        for codec in Codec::ALL {
            let level = level(rng, codec);
            let mut form = Vec::new();
            codec.compress(level, &bytes, &mut form).unwrap();
            let mut again = Vec::new();
            codec.compress(level, &bytes, &mut again).unwrap();
            assert!(form == again, "{codec:?} at {level:?}: a thread's second form is another");
            let mut out = vec![1; rng.pick(2000)];
            codec.decompress(&form, bytes.len(), &mut out).unwrap();
            assert!(out == bytes, "{codec:?} at {level:?}: {} bytes", bytes.len());
            let mut exact = vec![2; bytes.len()];
            codec.decompress_into(&form, &mut exact).unwrap();
            assert!(exact == bytes, "{codec:?} at {level:?}: {} bytes", bytes.len());
        }
    });
}

/// Checks what is promised of any input: exactly so many bytes, or an error that fits, with an empty vector.
fn taken_or_refused(codec: Codec, form: &[u8], raw_len: usize, out: &mut Vec<u8>) -> bool {
    let done = codec.decompress(form, raw_len, out);
    match done {
        Ok(()) => assert_eq!(out.len(), raw_len, "{codec:?}"),
        Err(Error::TooLong { .. }) => assert!(raw_len > MAX_RAW_LEN && out.is_empty()),
        Err(Error::Implausible { .. } | Error::Damaged { .. }) => assert!(out.is_empty(), "{codec:?}"),
        Err(error) => panic!("{codec:?}: {error}"),
    }
    done.is_ok()
}

#[test]
fn damaged_forms_are_refused_or_yield_as_much_as_was_asked_for() {
    seeds(300, |rng| {
        let mut bytes = input(rng);
        bytes.truncate(20_000);
        let mut out = Vec::new();
        for codec in Codec::ALL {
            let mut form = Vec::new();
            codec.compress(level(rng, codec), &bytes, &mut form).unwrap();
            for _ in 0..20 {
                let mut damaged = form.clone();
                for _ in 0..=rng.pick(3) {
                    let at = rng.pick(damaged.len());
                    match rng.pick(4) {
                        0 => damaged.truncate(at),
                        1 => damaged.insert(at, low(rng)),
                        _ => damaged.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.pick(8)),
                    }
                }
                let raw_len = if rng.chance(70) { bytes.len() } else { rng.pick(bytes.len() * 2 + 10) };
                let taken = taken_or_refused(codec, &damaged, raw_len, &mut out);
                // Of the codecs only gzip has a checksum of its own.
                let noticed = codec == Codec::Gzip && damaged != form;
                assert!(!(taken && noticed && out != bytes), "gzip took damage for data");
            }
            // What the damage did to the states that are kept does no harm.
            codec.decompress(&form, bytes.len(), &mut out).unwrap();
            assert!(out == bytes, "{codec:?} is not what it was after damage");
        }
    });
}

#[test]
fn noise_is_refused_or_yields_as_much_as_was_asked_for() {
    seeds(2000, |rng| {
        let noise: Vec<u8> = (0..rng.pick(200)).map(|_| low(rng)).collect();
        let mut out = Vec::new();
        for codec in Codec::ALL {
            let raw_len = if rng.chance(90) { rng.pick(2000) } else { usize::try_from(rng.bits() >> 20).unwrap_or(7) };
            taken_or_refused(codec, &noise, raw_len, &mut out);
        }
    });
}

#[test]
fn every_prefix_and_every_flipped_bit_of_a_form_is_survived() {
    let bytes: Vec<u8> = (0..60u32).flat_map(|i| format!("key {} value {};", i % 7, i * i).into_bytes()).collect();
    let mut out = Vec::new();
    for codec in Codec::ALL {
        let mut form = Vec::new();
        codec.compress(None, &bytes, &mut form).unwrap();
        for len in 0..form.len() {
            assert!(!taken_or_refused(codec, &form[..len], bytes.len(), &mut out), "{codec:?} cut to {len}");
        }
        for bit in 0..form.len() * 8 {
            form[bit / 8] ^= 1 << (bit % 8);
            let taken = taken_or_refused(codec, &form, bytes.len(), &mut out);
            assert!(codec != Codec::Gzip || !taken || out == bytes, "gzip took bit {bit} for data");
            form[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn threads_do_not_disturb_each_other() {
    std::thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || {
                let mut rng = Rng::new(seed);
                let mut out = Vec::new();
                for _ in 0..20 {
                    let bytes = input(&mut rng);
                    for codec in Codec::ALL {
                        let mut form = Vec::new();
                        codec.compress(None, &bytes, &mut form).unwrap();
                        codec.decompress(&form, bytes.len(), &mut out).unwrap();
                        assert!(out == bytes, "{codec:?}, thread {seed}");
                    }
                }
            });
        }
    });
}
