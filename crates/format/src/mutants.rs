//! Defects on purpose, to show that the crash explorer notices them. Built with the feature `mutants` alone, and then off until a
//! test turns one on for its own thread.

use std::cell::Cell;

/// A defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The salt does not go into the checks of a frame.
    NoSalt,
    /// The position does not go into the checks of a frame.
    NoPosition,
    /// A batch need not be whole.
    HalfBatches,
    /// A torn tail is written over, where it is.
    WriteOverTail,
    /// Recovery does not write again what is not known to be durable; it only syncs.
    NoRewrite,
    /// A sync takes the active segment only.
    ActiveOnly,
    /// Files that a truncation drops are removed before it is durable.
    EarlyUnlink,
    /// A sync does not write the state.
    NoStateAtSync,
    /// A truncation does not begin a generation.
    SameGeneration,
    /// Recovery leaves the files where they are that are no part of the log.
    KeepHidden,
    /// A follower believes what a slot from before a truncation says of the records behind it.
    OldSlotCounts,
    /// A backup replaces segments under a bound that says that they are durable.
    CopyKeepsBound,
    /// A backup does not say that what it has made is durable.
    CopyLeavesBound,
    /// The record behind a gap may be in the segment of the gap.
    GapWithin,
    /// Retention does not wait for all answers.
    NoAnswers,
}

thread_local! {
    static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
}

impl Mutant {
    /// Turns a defect on for this thread, or all off.
    pub fn set(mutant: Option<Self>) {
        ACTIVE.set(mutant);
    }

    /// True if this one is on.
    pub fn is_on(self) -> bool {
        ACTIVE.get() == Some(self)
    }
}
