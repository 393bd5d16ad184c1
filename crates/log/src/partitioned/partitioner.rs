//! Which partition a message goes to.

const SEED: u32 = 0x9747_b28c;
const FACTOR: u32 = 0x5bd1_e995;

/// The hash that Kafka's clients place messages by: MurmurHash2 (Appleby) of 32 bits, byte for byte theirs.
pub fn murmur2(bytes: &[u8]) -> i32 {
    // Theirs is the length as a 32-bit number: no key is longer.
    let mut hash = SEED ^ u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(FACTOR);
        word ^= word >> 24;
        hash = hash.wrapping_mul(FACTOR) ^ word.wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mixed = rest.iter().rev().fold(0, |mixed, byte| mixed << 8 | u32::from(*byte));
        hash = (hash ^ mixed).wrapping_mul(FACTOR);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(FACTOR);
    (hash ^ hash >> 15).cast_signed()
}

/// The partition of `count`, at least one, that a key goes to.
pub(super) fn of_key(key: &[u8], count: usize) -> usize {
    let positive = murmur2(key).cast_unsigned() & 0x7fff_ffff;
    usize::try_from(positive).unwrap_or(0) % count
}

#[cfg(test)]
mod tests {
    use super::{murmur2, of_key};

    /// Of the tests of Kafka's own clients.
    #[test]
    fn it_is_kafkas() {
        let known: [(&[u8], i32); 7] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
            (b"", 275_646_681),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key), hash, "{:?}", String::from_utf8_lossy(key));
        }
        // The sign is masked away: that is not the absolute value.
        assert_eq!(of_key(b"21", 1000), 340);
        assert_eq!(of_key(b"abc", 7), 479_470_107 % 7);
    }
}
