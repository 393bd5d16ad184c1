//! Reads what is to be done out of a fuzzer's bytes. Past their end everything is zero, so every input means something.

/// The bytes that are left.
#[derive(Clone)]
pub struct Input<'a>(&'a [u8]);

/// Numbers that are borders of something: of 8, 16, 26, 32 and 53 bits, of the layouts, of the segments' sizes.
const BORDERS: [u64; 16] = [
    0,
    1,
    7,
    8,
    128,
    1023,
    1024,
    65_408,
    65_536,
    (1 << 26) - 1,
    1 << 30,
    u32::MAX as u64,
    (1 << 53) - 1,
    1 << 53,
    i64::MAX as u64,
    u64::MAX,
];

impl<'a> Input<'a> {
    /// Of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// True where nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `len` bytes, or what is left of them.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// Two bytes.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Below `limit`, which is at most 256; 0 if that is 0.
    pub fn pick(&mut self, limit: usize) -> usize {
        usize::from(self.byte()).checked_rem(limit).unwrap_or(0)
    }

    /// A number: one of the borders, `near` and its neighbours, a small one, or any.
    pub fn number(&mut self, near: u64) -> u64 {
        let kind = self.byte();
        match kind {
            0..64 => BORDERS[usize::from(kind) % BORDERS.len()],
            64..144 => near.wrapping_add(u64::from(kind % 16)).wrapping_sub(8),
            144..200 => u64::from(self.byte()),
            200..230 => near.wrapping_add(u64::from(self.short()) * 8),
            _ => {
                let mut bytes = [0; 8];
                bytes.iter_mut().for_each(|byte| *byte = self.byte());
                u64::from_le_bytes(bytes)
            }
        }
    }
}
