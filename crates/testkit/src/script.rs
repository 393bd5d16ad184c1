//! What is done to a log: operations drawn at random.

use varve_io::Operation;
use varve_wal::Retention;

use crate::payload::Content;
use crate::rng::Rng;

/// One thing to do.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Append {
        content: Content,
        len: usize,
    },
    Batch {
        content: Content,
        lens: Vec<usize>,
    },
    Flush,
    Sync,
    Rotate,
    Read,
    Job,
    Close,
    Kill,
    FailSync {
        operation: Operation,
        passing: u64,
    },
    FailWrite,
    TruncateAfter(Spot),
    TruncateBefore(Spot),
    Reset(Spot),
    Commit(Spot),
    /// Retention is asked to do its work, after so many microseconds.
    Retain {
        later: i64,
    },
    /// A reader begins, and reads a little.
    Reader {
        from: Spot,
        waits: bool,
    },
    /// All readers go on.
    ReadOn,
    /// A segment is pinned.
    Pin(u64),
    /// The oldest reader or pin is given up.
    LetGo,
    /// Another process begins to follow.
    Follow,
    /// Somebody begins to be asked before retention removes anything.
    Object,
    /// Who is asked allows so many of the segments in question.
    Answer(usize),
}

/// A place in the log, wherever that is by then.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spot {
    /// So many thousandths of the way from the first to the next index.
    Part(u64),
    /// So many records before the end.
    Back(u64),
    /// Where a segment begins.
    Segment(u64),
    /// Anywhere, inside or outside.
    Anywhere(u64),
}

/// Which operations a seed draws from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// The log only grows.
    Growing,
    /// All of them.
    All,
}

/// Operations for one life.
pub(crate) fn script(rng: &mut Rng, max_record: u64, range: Range) -> Vec<Op> {
    let count = 4 + rng.pick(10);
    let max = usize::try_from(max_record).unwrap_or(usize::MAX);
    let one = |rng: &mut Rng| if range == Range::All && rng.chance(45) { managing(rng) } else { op(rng, max) };
    let mut ops: Vec<_> = (0..count).map(|_| one(rng)).collect();
    if range == Range::All && rng.chance(30) {
        let at = rng.pick(ops.len());
        let story = if rng.chance(50) { cut_under_a_follower(rng, max) } else { asked_before_it_goes(rng) };
        ops.splice(at..at, story);
    }
    ops
}

/// Retention has something to remove, and has to ask; what comes between the question and the answer changes what may go.
fn asked_before_it_goes(rng: &mut Rng) -> Vec<Op> {
    let one = |rng: &mut Rng| Op::Append { content: content(rng), len: rng.pick(3000) };
    let mut ops = vec![Op::Object; 1 + rng.pick(2)];
    for _ in 0..2 + rng.pick(3) {
        ops.extend([one(rng), Op::Rotate]);
    }
    ops.extend([one(rng), Op::Retain { later: 2000 }]);
    if rng.chance(50) {
        ops.push(managing(rng));
    }
    ops.extend([Op::Answer(1 + rng.pick(4)), Op::Answer(1 + rng.pick(4))]);
    ops
}

/// Records are durable, are cut, and others take their place that are not: what told of the first says nothing of those. Seldom drawn in a row.
fn cut_under_a_follower(rng: &mut Rng, max: usize) -> Vec<Op> {
    let few = |rng: &mut Rng| Op::Batch {
        content: content(rng),
        lens: (0..1 + rng.pick(4)).map(|_| rng.pick(300).min(max)).collect(),
    };
    let (before, after) = (few(rng), few(rng));
    vec![Op::Follow, before, Op::Sync, Op::TruncateAfter(Spot::Back(1 + rng.below(4))), after, Op::Flush]
}

/// What is kept, for a log that is to drop its oldest segments by itself.
pub(crate) fn retention(rng: &mut Rng) -> Retention {
    let mut rules = Retention { min_segments: Some(rng.pick(3)), ..Retention::default() };
    match rng.below(3) {
        0 => rules.max_segments = Some(rules.min_segments.unwrap_or(1).max(1) + rng.pick(4)),
        1 => rules.max_bytes = Some(rng.below(300 << 10)),
        _ => rules.max_age_micros = Some(1000),
    }
    rules
}

fn spot(rng: &mut Rng) -> Spot {
    match rng.below(100) {
        0..30 => Spot::Part(rng.below(1001)),
        30..60 => Spot::Back(rng.below(4)),
        _ => Spot::Segment(rng.below(6)),
    }
}

fn managing(rng: &mut Rng) -> Op {
    match rng.below(100) {
        0..25 => Op::TruncateAfter(spot(rng)),
        25..45 => Op::TruncateBefore(spot(rng)),
        45..50 => Op::Reset(if rng.chance(70) { Spot::Anywhere(rng.below(1 << 41)) } else { spot(rng) }),
        50..62 => Op::Commit(spot(rng)),
        62..70 => Op::Retain { later: 2000 * i64::from(rng.chance(50)) },
        70..76 => Op::Reader { from: spot(rng), waits: rng.chance(50) },
        76..82 => Op::ReadOn,
        82..88 => Op::Pin(rng.below(6)),
        88..90 => Op::LetGo,
        90..93 => Op::Object,
        93..96 => Op::Answer(rng.pick(4)),
        _ => Op::Follow,
    }
}

fn op(rng: &mut Rng, max: usize) -> Op {
    match rng.below(100) {
        0..34 => Op::Append { content: content(rng), len: len(rng, max) },
        34..52 => Op::Batch { content: content(rng), lens: lens(rng, max) },
        52..60 => Op::Flush,
        60..75 => Op::Sync,
        75..80 => Op::Rotate,
        80..84 => Op::Read,
        84..91 => Op::Job,
        91..94 => Op::Close,
        94..96 => Op::Kill,
        96..98 => Op::FailSync {
            operation: if rng.chance(70) { Operation::Sync } else { Operation::SyncDir },
            passing: rng.below(3),
        },
        _ => Op::FailWrite,
    }
}

fn content(rng: &mut Rng) -> Content {
    match rng.below(100) {
        0..5 => Content::Zeros,
        5..15 => Content::Frames,
        15..25 => Content::SamePlace,
        _ => Content::Noise,
    }
}

fn len(rng: &mut Rng, max: usize) -> usize {
    let drawn = match rng.below(100) {
        0..5 => 0,
        5..45 => rng.pick(300),
        45..80 => rng.pick(3000),
        80..85 => 512 * (1 + rng.pick(8)) - rng.pick(40),
        85..92 => max / 4 + rng.pick(max / 4),
        92..97 => max - rng.pick(50),
        // Past the group buffer, where the segment is large enough.
        _ => (300 << 10) + rng.pick(60 << 10),
    };
    drawn.min(max)
}

fn lens(rng: &mut Rng, max: usize) -> Vec<usize> {
    match rng.below(10) {
        0..5 => (0..1 + rng.pick(8)).map(|_| rng.pick(600)).collect(),
        5..8 => (0..1 + rng.pick(20)).map(|_| len(rng, max) / 4).collect(),
        // Over rotations.
        _ => (0..2 + rng.pick(4)).map(|_| max / 2 + rng.pick(max / 2)).collect(),
    }
}
