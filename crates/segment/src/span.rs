//! What an engine counts in a segment, where it counts otherwise than by records.

/// Of a segment that takes no more records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Number of the first.
    pub first: u64,
    /// Number after the last.
    pub next: u64,
    /// How many there are.
    pub entries: u64,
}
