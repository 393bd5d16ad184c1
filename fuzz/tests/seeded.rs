//! The bodies of the fuzz targets on any compiler: the first inputs, those that once failed, and random ones from a seed.
//! `VARVE_SEED` runs one seed, `VARVE_FUZZ_INPUT` one input as a failure prints it, `VARVE_FUZZ_SECONDS` says for how long each target goes on (default 3).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use varve_fuzz::TARGETS;
use varve_fuzz::seeds::seeds;

/// An input that takes longer goes on for ever: hours are not waited for.
const ENDLESS: Duration = Duration::from_secs(60);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// Random bytes; or a first input with some of its bytes changed, and more behind it.
    fn input(&mut self, firsts: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut input = if self.below(3) == 0 { Vec::new() } else { firsts[self.below(firsts.len())].1.clone() };
        for _ in 0..self.below(4) {
            if !input.is_empty() {
                let at = self.below(input.len());
                input[at] = self.byte();
            }
        }
        let more = self.below(60);
        input.extend((0..more).map(|_| self.byte()));
        input
    }
}

/// Runs an input; what fails is printed, so that it can be kept in `regressions/`.
fn run(name: &str, body: fn(&[u8]), input: &[u8], whence: &str) {
    if catch_unwind(AssertUnwindSafe(|| body(input))).is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{name} fails on {whence}: {hex}");
    }
}

fn target(name: &str) {
    let body = TARGETS.iter().find(|(target, _)| *target == name).expect("a target of this name").1;
    let seed = number("VARVE_SEED");
    let seconds = Duration::from_secs(number("VARVE_FUZZ_SECONDS").unwrap_or(3));
    let firsts = seeds(name);
    if let Some(seed) = seed {
        run(name, body, &Rng(seed).input(&firsts), &format!("VARVE_SEED={seed}"));
        return;
    }
    if let Ok(hex) = std::env::var("VARVE_FUZZ_INPUT") {
        let byte = |at: usize| hex.get(2 * at..2 * at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let input: Vec<u8> = (0..hex.len() / 2).map(|at| byte(at).expect("two hexadecimal digits a byte")).collect();
        run(name, body, &input, "VARVE_FUZZ_INPUT");
        return;
    }
    let (alive, heartbeat) = channel();
    let watchdog = std::thread::spawn(move || {
        while let Ok(()) | Err(RecvTimeoutError::Timeout) = match heartbeat.recv_timeout(ENDLESS) {
            Err(RecvTimeoutError::Timeout) => {
                eprintln!("an input takes more than {} s", ENDLESS.as_secs());
                std::process::abort();
            }
            other => other,
        } {}
    });
    for (first, input) in &firsts {
        run(name, body, input, first);
        alive.send(()).expect("the watchdog lives");
    }
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions").join(name);
    for file in std::fs::read_dir(kept).into_iter().flatten().flatten() {
        run(name, body, &std::fs::read(file.path()).expect("a file that is there"), &file.path().display().to_string());
        alive.send(()).expect("the watchdog lives");
    }
    let (began, mut runs) = (Instant::now(), 0);
    let from = u64::from(std::process::id()) << 32;
    println!("{name}: seeds from {from} on");
    while began.elapsed() < seconds {
        let seed = from + runs;
        run(name, body, &Rng(seed).input(&firsts), &format!("VARVE_SEED={seed}"));
        runs += 1;
        alive.send(()).expect("the watchdog lives");
    }
    drop(alive);
    watchdog.join().expect("the watchdog ends with us");
    println!("{name}: {} first inputs, {runs} random ones", firsts.len());
}

#[test]
fn any_bytes_as_a_segment_are_read_or_refused() {
    target("frames");
}

#[test]
fn any_bytes_as_a_sidecar_or_a_slot_are_read_or_refused() {
    target("sidecar");
}

#[test]
fn a_directory_that_somebody_changed_is_read_or_refused_and_goes_on() {
    target("directory");
}

#[test]
fn any_bytes_as_an_entry_are_read_or_refused() {
    target("entries");
}

#[test]
fn any_bytes_as_what_lies_beside_entries_are_read_or_refused() {
    target("pieces");
}

#[test]
fn in_tables_of_keys_that_somebody_changed_no_message_is_missed() {
    target("keys");
}

#[test]
fn a_log_that_somebody_changed_is_read_or_refused_and_goes_on() {
    target("log");
}
