//! The hash of a key.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a message without a key is hashed as. A key of these very bytes shares its hash, and is told apart as every other is: by the message.
const NO_KEY: &[u8] = b"varve: the key of a message that has none";

/// The hash of a message's key, XXH3 of 64 bits; `None` is the key of messages that have none. `seed` is the log's, so that nobody can
/// prepare keys that all share a hash.
#[inline]
pub fn key_hash(seed: u64, key: Option<&[u8]>) -> u64 {
    xxh3_64_with_seed(key.unwrap_or(NO_KEY), seed)
}

#[cfg(test)]
mod tests {
    use super::key_hash;

    #[test]
    fn hashes_are_those_of_every_other_build() {
        // Vectors of the reference implementation; the tables on disk hang on them.
        assert_eq!(key_hash(0, Some(b"")), 0x2d06_8005_38d3_94c2);
        assert_ne!(key_hash(0, None), key_hash(0, Some(b"")));
        assert_ne!(key_hash(1, Some(b"a")), key_hash(0, Some(b"a")));
    }
}
