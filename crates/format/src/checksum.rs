//! The one checksum.

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `bytes`. Why this one: `docs/decisions/0002-crc-32c.md`.
#[inline]
pub fn checksum(bytes: &[u8]) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "a 32-bit checksum is returned in the low half of the u64")]
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32;
    crc
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn is_crc_32c() {
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
        assert_eq!(checksum(b""), 0);
        assert_eq!(checksum(&[0; 32]), 0x8a91_36aa);
    }
}
