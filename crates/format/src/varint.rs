//! Varints: seven bits a byte, the low ones first, the upper bit set on all bytes but the last (LEB128). Only the shortest form of a
//! number is one, so that equal messages are equal bytes.

/// Most bytes that a varint takes.
pub(crate) const MOST_VARINT: usize = 10;

/// Takes the varint that `bytes` begin with. `None`: there is none, it is not the shortest form, or it is beyond 64 bits.
#[inline]
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        *bytes = rest;
        return Some(u64::from(*first));
    }
    take_long(bytes)
}

fn take_long(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (i, byte) in bytes.iter().take(MOST_VARINT).enumerate() {
        let bits = u64::from(byte & 0x7f) << (7 * i);
        value |= bits;
        if *byte < 0x80 {
            // A last byte of 0 says nothing; of the tenth byte only one bit has room.
            let shortest = *byte != 0 && (i < MOST_VARINT - 1 || *byte == 1);
            *bytes = bytes.get(i + 1..)?;
            return shortest.then_some(value);
        }
    }
    None
}

/// Takes a varint that is a length in memory.
#[inline]
pub(crate) fn take_len(bytes: &mut &[u8]) -> Option<usize> {
    take(bytes).and_then(|len| usize::try_from(len).ok())
}

/// A few varints in a row, on the stack. `N` is a multiple of [`MOST_VARINT`] at least their number times as much.
pub(crate) struct Varints<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Varints<N> {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// Adds a byte as it is.
    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
        debug_assert!(self.len <= N, "more than there is room for");
    }

    /// Adds a varint.
    #[inline]
    pub(crate) fn put(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.byte(value.to_le_bytes()[0]);
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Signed numbers as unsigned ones, small where they are near 0: 0, -1, 1, -2, …
#[inline]
pub(crate) const fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// The number that [`zigzag`] makes this of.
#[inline]
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::{MOST_VARINT, Varints, take, unzigzag, zigzag};

    fn put(value: u64) -> Vec<u8> {
        let mut varint = Varints::<MOST_VARINT>::new();
        varint.put(value);
        varint.as_slice().to_vec()
    }

    #[test]
    fn numbers_of_every_length_come_back() {
        for bits in 0..=64 {
            let power = 1u64.checked_shl(bits).unwrap_or(0);
            for value in [power.wrapping_sub(1), power, power.wrapping_add(1)] {
                let bytes = [put(value), vec![7]].concat();
                let mut rest = bytes.as_slice();
                assert_eq!(take(&mut rest), Some(value));
                assert_eq!(rest, [7]);
                for len in 0..bytes.len() - 1 {
                    assert_eq!(take(&mut &bytes[..len]), None, "{value} cut to {len}");
                }
            }
        }
        assert_eq!(put(300), [0xac, 2]);
        assert_eq!(put(u64::MAX).len(), MOST_VARINT);
    }

    #[test]
    fn only_the_shortest_form_is_taken() {
        for long in [&[0x80, 0][..], &[0x81, 0], &[0xff, 0x80, 0], &[0x80; 10], &[0x80; 11]] {
            assert_eq!(take(&mut &*long), None, "{long:x?}");
        }
        let mut beyond = put(u64::MAX);
        beyond[9] = 2;
        assert_eq!(take(&mut beyond.as_slice()), None);
        beyond[9] = 0x81;
        beyond.push(0);
        assert_eq!(take(&mut beyond.as_slice()), None);
    }

    #[test]
    fn zigzag_goes_both_ways() {
        assert_eq!([0, -1, 1, -2, i64::MAX, i64::MIN].map(zigzag), [0, 1, 2, 3, u64::MAX - 1, u64::MAX]);
        assert!([0, -1, 1, 77, -78, i64::MAX, i64::MIN].iter().all(|value| unzigzag(zigzag(*value)) == *value));
    }
}
