//! The records that every contender writes and reads; the same bytes as `payload.mjs` makes.

/// Records of one batch.
pub const BATCH: u64 = 64;

const AREA: usize = 2 << 20;
const FEWEST: usize = 256;

/// A ring of records, one behind the other; their first four bytes are a sequence number.
pub struct Payloads {
    area: Vec<u8>,
    size: usize,
    mask: u64,
}

impl Payloads {
    /// Pseudo-random records of `size` bytes.
    pub fn new(size: usize) -> Self {
        let mut count = 1024;
        while count > FEWEST && count * size > AREA {
            count /= 2;
        }
        let mut state = size as u32;
        let area = (0..count * size).map(|_| {
            state = state.wrapping_add(0x6d2b_79f5);
            let mut t = (state ^ (state >> 15)).wrapping_mul(1 | state);
            t = t.wrapping_add((t ^ (t >> 7)).wrapping_mul(61 | t)) ^ t;
            (t ^ (t >> 14)) as u8
        });
        Self { area: area.collect(), size, mask: count as u64 - 1 }
    }

    /// Writes the sequence number into record `i`, and returns its bytes.
    #[inline]
    pub fn stamp(&mut self, i: u64) -> &[u8] {
        let at = (i & self.mask) as usize * self.size;
        let record = &mut self.area[at..at + self.size];
        record[..4].copy_from_slice(&(i as u32).to_le_bytes());
        record
    }

    /// The batch that begins with record `i`, a multiple of [`BATCH`], packed.
    #[inline]
    pub fn stamp_batch(&mut self, i: u64) -> &[u8] {
        for k in i..i + BATCH {
            self.stamp(k);
        }
        let at = (i & self.mask) as usize * self.size;
        &self.area[at..at + BATCH as usize * self.size]
    }

    /// Whether `data` is record `i`: its length, its sequence number and its last byte, as the JavaScript side checks it.
    #[inline]
    pub fn check(&self, data: &[u8], i: u64) -> Result<(), String> {
        let last = self.area[(i & self.mask) as usize * self.size + self.size - 1];
        if data.len() == self.size && data[..4] == (i as u32).to_le_bytes() && data[self.size - 1] == last {
            return Ok(());
        }
        Err(format!("record {i} came back as another: length {}", data.len()))
    }
}

/// Numbers below `count` in an order that no read-ahead guesses.
pub fn shuffle(count: u64) -> impl FnMut() -> u64 {
    let mut state = 1u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (u64::from(state) * count) >> 32
    }
}
