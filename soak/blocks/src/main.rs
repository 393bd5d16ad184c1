//! A disk whose every write is recorded, and the disks that a loss of power at any moment may leave. What it is used by is `soak/blocks.mjs`.
//!
//!   varve-blocks serve <mount point> <base image> <record>        until it is unmounted
//!   varve-blocks write <directory> <seq file> <journal> <seed> <steps>
//!   varve-blocks images <base image> <record> <journal> <seed> <count> <out image>   one image for each line on standard input
//!   varve-blocks look <directory> <journal> <writes> <seed>

mod history;
mod image;
mod look;
mod record;
mod serve;
mod write;

use std::path::Path;
use std::process::ExitCode;

/// What a command comes to: a line for its caller, or why it failed.
pub type Outcome = Result<String, Box<dyn std::error::Error>>;

fn run(arguments: &[String]) -> Outcome {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", mount, base, record] => serve::serve(Path::new(mount), Path::new(base), Path::new(record)),
        ["write", dir, seq, journal, seed, steps] => {
            write::write(Path::new(dir), Path::new(seq), Path::new(journal), seed.parse()?, steps.parse()?)
        }
        ["images", base, record, journal, seed, count, out] => image::images(
            &image::Recorded { base: Path::new(base), record: Path::new(record), journal: Path::new(journal) },
            seed.parse()?,
            count.parse()?,
            Path::new(out),
        ),
        ["look", dir, journal, writes, seed] => {
            look::look(Path::new(dir), Path::new(journal), writes.parse()?, seed.parse()?)
        }
        _ => Err("serve, write, images or look; the first lines of src/main.rs say how".into()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}
