//! What the key index costs: `cargo run --release --example key_index -- [entries]`. Keys are hashed already; every key comes once, or, for the inserts, again
//! and again. Times are of the processor (Linux alone tells them), on this machine; only their ratios carry over.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use varve_io::{Machine, RealMachine};
use varve_log::index::{IndexError, IndexOptions, KeyIndex, Refused, Role};

/// The hash of key `number`.
fn hash(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn nanos(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}

/// Processor time of this process so far: what others run at the same time does not count.
fn now() -> Duration {
    let told = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    Duration::from_nanos(told.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// Memory of this process that no file backs, in KiB.
fn anonymous() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

struct Filled {
    index: KeyIndex,
    inserts: Duration,
    jobs: Duration,
    memory: usize,
}

/// Inserts `messages`, of `keys` keys, and does what work there is when the index asks for it.
fn fill(dir: &Path, messages: u64, keys: u64) -> Result<Filled, IndexError> {
    let machine: Arc<dyn Machine> = Arc::new(RealMachine);
    machine.create_dir_all(dir)?;
    let options = IndexOptions { log: 1, seed: 2, start: 0, end: 0, role: Role::Scratch, tail: None };
    let (mut index, _) = KeyIndex::open(machine, dir, &options)?;
    let (mut inserts, mut jobs, mut memory) = (Duration::ZERO, Duration::ZERO, 0);
    let never = AtomicBool::new(false);
    let mut offset = 0;
    let mut key = 0;
    while offset < messages {
        let began = now();
        while offset < messages {
            match index.insert(hash(key), offset) {
                Ok(()) => offset += 1,
                Err(Refused::Full) => break,
                Err(refused) => panic!("{refused}"),
            }
            key += 1;
            if key == keys {
                key = 0;
            }
        }
        inserts += now() - began;
        memory = memory.max(index.memory());
        let began = now();
        while let Some(job) = index.take_job(u64::MAX) {
            index.install(job.run(&|_| true, &never))?;
        }
        jobs += now() - began;
    }
    Ok(Filled { index, inserts, jobs, memory })
}

fn lookups(index: &KeyIndex, count: u64, key: impl Fn(u64) -> u64) -> Result<(f64, u64), IndexError> {
    let mut found = 0;
    let began = now();
    for at in 0..count {
        found += u64::from(black_box(index.newest(hash(key(at)))?).is_some());
    }
    Ok((nanos(now() - began, count), found))
}

fn main() -> Result<(), IndexError> {
    let asked = std::env::args().nth(1).and_then(|entries| entries.parse().ok());
    let dir = std::env::temp_dir().join(format!("varve-key-index-{}", std::process::id()));
    for (messages, keys, rounds) in [(10_000, 10_000, 500), (1_000_000, 10_000, 4), (1_000_000, 1_000_000, 4)] {
        let (mut inserts, mut jobs) = (Duration::ZERO, Duration::ZERO);
        for round in 0..rounds {
            let filled = fill(&dir.join(format!("insert-{messages}-{keys}-{round}")), messages, keys)?;
            (inserts, jobs) = (inserts + filled.inserts / rounds, jobs + filled.jobs / rounds);
        }
        let (insert, job) = (nanos(inserts, messages), nanos(jobs, messages));
        println!("insert: {messages} messages of {keys} keys: {insert:.1} ns; jobs {job:.1} ns a message");
    }
    for entries in asked.map_or(vec![100_000, 1_000_000, 10_000_000], |entries: u64| vec![entries]) {
        let Filled { index, inserts, jobs, memory } = fill(&dir.join(format!("lookup-{entries}")), entries, entries)?;
        let (insert, job) = (nanos(inserts, entries), nanos(jobs, entries));
        let (_, tables) = index.counts();
        println!(
            "{entries} entries: insert {insert:.1} ns, jobs {job:.1} ns; {tables} tables; counted memory at most {memory}, anonymous {} KiB",
            anonymous()
        );
        let count = 1_000_000;
        let random = |at: u64| hash(at ^ 0x5555) % entries;
        let (cold, _) = lookups(&index, count, random)?;
        let (hit, found) = lookups(&index, count, random)?;
        assert_eq!(found, count);
        let (miss, found) = lookups(&index, count, |at| entries + at)?;
        println!("  hit, blocks not verified yet {cold:.0} ns; hit {hit:.0} ns; miss {miss:.0} ns ({found} found)");
    }
    let _left = std::fs::remove_dir_all(&dir);
    Ok(())
}
