//! Disks after a loss of power: all that was flushed, and of the rest any subset, in any order.

use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::Outcome;
use crate::history::{self, Step};
use crate::record::{Told, read};
use varve_testkit::Rng;

const PAGE: usize = 4096;

/// What a recording left.
pub struct Recorded<'a> {
    pub base: &'a Path,
    pub record: &'a Path,
    pub journal: &'a Path,
}

/// Copies a file, and makes holes of its zeros.
pub fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    Pages::read(from)?.write(to)
}

/// A disk in memory; pages of zeros are left out.
struct Pages {
    pages: Vec<Option<Box<[u8; PAGE]>>>,
}

impl Pages {
    fn read(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let mut pages = Vec::with_capacity(len / PAGE);
        let mut page = [0; PAGE];
        for at in (0..len).step_by(PAGE) {
            let wanted = PAGE.min(len - at);
            file.read_exact_at(&mut page[..wanted], at as u64)?;
            pages.push((page[..wanted] != [0; PAGE][..wanted]).then(|| Box::new(page)));
        }
        Ok(Self { pages })
    }

    fn put(&mut self, position: u64, bytes: &[u8]) {
        let mut at = usize::try_from(position).unwrap_or(usize::MAX);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (page, within) = (at / PAGE, at % PAGE);
            let len = rest.len().min(PAGE - within);
            if let Some(slot) = self.pages.get_mut(page) {
                slot.get_or_insert_with(|| Box::new([0; PAGE]))[within..within + len].copy_from_slice(&rest[..len]);
            }
            (at, rest) = (at + len, &rest[len..]);
        }
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let _missing = fs::remove_file(path);
        let file = File::create(path)?;
        file.set_len((self.pages.len() * PAGE) as u64)?;
        for (at, page) in self.pages.iter().enumerate() {
            if let Some(bytes) = page {
                file.write_all_at(&bytes[..], (at * PAGE) as u64)?;
            }
        }
        Ok(())
    }
}

/// For each line on standard input writes the next image to `out`, and answers with how much the disk had been told; `end` after the last.
pub fn images(from: &Recorded<'_>, seed: u64, count: usize, out: &Path) -> Outcome {
    let told = read(from.record)?;
    // Before the first acknowledgement nothing is promised; behind the last one there is the writer's end.
    let synced = history::read(from.journal)?.into_iter().filter_map(|step| match step {
        Step::Synced(told) => Some(told),
        _ => None,
    });
    let first = synced.min().unwrap_or(0);
    let mut rng = Rng::new(seed);
    let mut moments: Vec<u64> = (0..count).map(|_| first + rng.below(told.len() as u64 + 1 - first)).collect();
    moments.sort_unstable();
    let mut flushed = Pages::read(from.base)?;
    let mut done = 0;
    let mut lines = io::stdin().lock().lines();
    for moment in moments {
        if lines.next().is_none() {
            break;
        }
        let moment = usize::try_from(moment)?;
        let kept = told[..moment].iter().rposition(|told| matches!(told, Told::Flush)).unwrap_or(0).max(done);
        for told in &told[done..kept] {
            if let Told::Write { position, bytes } = told {
                flushed.put(*position, bytes);
            }
        }
        done = kept;
        let (used, lost) = image(&flushed, &told[kept..moment], &mut rng, out)?;
        println!("{moment} {used} {lost}");
        io::stdout().flush()?;
    }
    Ok("end".into())
}

/// Of what was not flushed, each block of 4 KiB of each write is there with some chance, in any order: a later write may be overtaken by an earlier one.
fn image(flushed: &Pages, unflushed: &[Told], rng: &mut Rng, out: &Path) -> io::Result<(usize, usize)> {
    let chance = [0, 20, 50, 80, 100][usize::try_from(rng.below(5)).unwrap_or(0)];
    let mut blocks = Vec::new();
    let mut lost = 0;
    for told in unflushed {
        let Told::Write { position, bytes } = told else { continue };
        for (i, block) in bytes.chunks(PAGE).enumerate() {
            if rng.chance(chance) {
                blocks.push((position + (i * PAGE) as u64, block));
            } else {
                lost += 1;
            }
        }
    }
    if chance < 100 && rng.chance(50) {
        for at in (1..blocks.len()).rev() {
            blocks.swap(at, usize::try_from(rng.below(at as u64 + 1)).unwrap_or(0));
        }
    }
    let mut disk = Pages { pages: flushed.pages.clone() };
    let used = blocks.len();
    for (position, block) in blocks {
        disk.put(position, block);
    }
    disk.write(out)?;
    Ok((used, lost))
}
