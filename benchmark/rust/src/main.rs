//! The jobs of the benchmark in Rust alone: `varve-benchmark run=append size=138 …` prints one result as JSON.
//! Arguments and loops are those of `child.mjs` and `measure.mjs`.

mod bare;
mod engine;
mod measure;
mod payload;

use std::error::Error;
use std::path::PathBuf;

/// What to run, and what may be spent on it.
pub struct Task {
    /// Name of the job.
    pub run: String,
    /// Bytes of a record.
    pub size: usize,
    /// An empty directory, or the one that `fill` wrote to.
    pub dir: PathBuf,
    /// Nanoseconds at most.
    pub limit: u64,
    /// Records at most; of reading jobs, the records that are there.
    pub records: u64,
    /// Records before the clock starts.
    pub warmup: u64,
    /// Records to read at random, at most.
    pub gets: u64,
    /// Records that share one sync.
    pub outstanding: u64,
}

fn parse() -> Result<Task, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |name: &str| {
        let found = arguments.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='));
        found.ok_or_else(|| format!("{name}=… is missing"))
    };
    let number = |name: &str| -> Result<u64, Box<dyn Error>> { Ok(text(name)?.parse()?) };
    Ok(Task {
        run: text("run")?.to_owned(),
        size: usize::try_from(number("size")?)?,
        dir: PathBuf::from(text("dir")?),
        limit: number("limit")?,
        records: number("records")?,
        warmup: number("warmup")?,
        gets: number("gets")?,
        outstanding: number("outstanding")?,
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let task = parse()?;
    let result = if task.run.starts_with("engine") { engine::run(&task)? } else { bare::run(&task)? };
    println!("{result}");
    Ok(())
}
