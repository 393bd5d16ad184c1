//! What is appended: mostly noise, and sometimes what a log could take for its own frames.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_format::{DATA_START, FRAME_HEADER_LEN, Frame, read_header_block};
use varve_io::Machine;
use varve_io::sim::SimMachine;

use crate::open::DIR;
use crate::rng::Rng;

/// What a record's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Noise, never the same twice.
    Noise,
    /// Zeros.
    Zeros,
    /// One of the log's own frames, over and over.
    Frames,
    /// Frames of another segment, where they would lie in this one. As many bytes as there are.
    SamePlace,
}

/// A payload of `len` bytes, or up to `max` where the content decides.
pub fn payload(content: Content, len: usize, max: usize, rng: &mut Rng, machine: &SimMachine) -> Arc<[u8]> {
    let copied = match content {
        Content::Noise => None,
        Content::Zeros => return vec![0; len].into(),
        Content::Frames => frames(len, machine),
        Content::SamePlace => same_place(max, rng, machine),
    };
    copied.unwrap_or_else(|| noise(len, rng))
}

fn noise(len: usize, rng: &mut Rng) -> Arc<[u8]> {
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&rng.bits().to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

/// The segment files, in order.
fn segments(machine: &SimMachine) -> Vec<PathBuf> {
    let mut names: Vec<_> = machine.list(Path::new(DIR)).into_iter().flatten().map(|entry| entry.name).collect();
    names.retain(|name| name.ends_with(".seg"));
    names.sort_unstable();
    names.into_iter().map(|name| Path::new(DIR).join(name)).collect()
}

/// The frames of a segment, and where they lie.
fn walk(bytes: &[u8]) -> Vec<(u64, Frame<'_>)> {
    let mut found = Vec::new();
    let Ok(block) = read_header_block(bytes) else { return found };
    let mut position = DATA_START;
    while let Some(rest) = usize::try_from(position).ok().and_then(|at| bytes.get(at..))
        && let Ok(frame) = Frame::read(rest, block.header.salt, position)
    {
        found.push((position, frame));
        position += frame.len() as u64;
    }
    found
}

/// The frame of the active segment that claims most to be durable, over and over.
fn frames(len: usize, machine: &SimMachine) -> Option<Arc<[u8]>> {
    let bytes = machine.contents(segments(machine).last()?).ok()?;
    let frames = walk(&bytes);
    let fitting = frames.iter().filter(|(_, frame)| frame.len() <= len);
    let distance =
        |(position, frame): &&(u64, Frame<'_>)| frame.durable_position.map_or(u64::MAX, |durable| position - durable);
    let (position, frame) = fitting.min_by_key(distance)?;
    let at = usize::try_from(*position).ok()?;
    let copy = bytes.get(at..at + frame.len())?;
    Some(copy.iter().copied().cycle().take(len).collect())
}

/// What lies behind the same place in another segment, up to the end of its frames.
fn same_place(max: usize, rng: &mut Rng, machine: &SimMachine) -> Option<Arc<[u8]>> {
    let segments = segments(machine);
    let (active, others) = segments.split_last()?;
    let end = |bytes: &[u8]| walk(bytes).last().map(|(position, frame)| position + frame.len() as u64);
    let start = end(&machine.contents(active).ok()?)?;
    let other = machine.contents(others.get(rng.pick(others.len()))?).ok()?;
    let start = usize::try_from(start).ok()? + FRAME_HEADER_LEN;
    let end = usize::try_from(end(&other)?).ok()?.min(start + max);
    other.get(start..end).filter(|bytes| !bytes.is_empty()).map(Arc::from)
}
