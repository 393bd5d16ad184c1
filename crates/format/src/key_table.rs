//! A table of a log's key index: prefixes of hashes, each with the offset of a message. Derived, so never trusted before it is checked.

use crate::checksum::checksum;
use crate::durable::MOST;
use crate::header::FORMAT_VERSION;
use crate::layout::layout;

const MAGIC: u64 = u64::from_le_bytes(*b"VARVEKEY");
const CHECKED: usize = KeyTableHeader::LEN - 4;

/// Bytes of a block: what is checked, and read from the disk, together. The header has the first one.
pub const KEY_BLOCK_LEN: usize = 4096;

/// Bytes of a block before its checksum.
pub const KEY_BLOCK_BODY: usize = KEY_BLOCK_LEN - 4;

/// Bits of a hash that a table keeps, the upper ones.
pub const KEY_PREFIX_BITS: u32 = 40;

/// Bits of a prefix that name its bucket, at least and at most.
pub const KEY_BUCKET_BITS: std::ops::RangeInclusive<u32> = 8..=28;

/// Starts of buckets in a block of the directory; one more number says where the last of them ends.
pub const KEY_BUCKETS_A_BLOCK: u64 = 1022;

/// Entries in a block.
pub const KEY_ENTRIES_A_BLOCK: u64 = 511;

layout! {
    /// Opens a table.
    KeyTableHeader, 72 bytes {
        0 magic: u64 => "`VARVEKEY`",
        8 version: u16 => "format version, 1",
        10 bucket_bits: u8 => "upper bits of a hash that name its bucket, 8 to 28",
        16 log: u64 => "the log it belongs to",
        24 seed: u64 => "seed of the hashes",
        32 from: u64 => "it stands for the messages from this offset on",
        40 to: u64 => "up to this one, which is not included",
        48 base: u64 => "offsets of entries are counted from here; `to` is at most 2^32 more",
        56 count: u32 => "entries",
        60 salt: u64 => "random; part of every block's check",
        68 checksum: u32 => "CRC-32C of bytes 0 to 68",
    }
}

layout! {
    /// One message.
    KeyTableEntry, 8 bytes {
        0 tag: u32 => "bits 8 to 40 of the hash, counted from the top",
        4 offset: u32 => "offset of the message less `base`",
    }
}

impl KeyTableHeader {
    /// The header with `magic`, `version` and `checksum` filled in.
    pub fn sealed(mut self) -> Self {
        self.magic = MAGIC;
        self.version = FORMAT_VERSION;
        self.checksum = checksum(&self.encode()[..CHECKED]);
        self
    }

    /// Reads a header; `None` unless it is intact, of this version, and says nothing impossible.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<{ Self::LEN }>()?;
        let header = Self::decode(bytes);
        let intact = header.magic == MAGIC
            && header.version == FORMAT_VERSION
            && header.checksum == checksum(&bytes[..CHECKED])
            && KEY_BUCKET_BITS.contains(&u32::from(header.bucket_bits));
        let possible = header.from <= header.base
            && header.from < header.to
            && header.base <= header.to
            && header.to < MOST
            && u64::from(header.count) <= header.to - header.base
            && header.to - header.base <= 1 << 32;
        (intact && possible).then_some(header)
    }

    /// Blocks of the directory, which lie behind the header's.
    pub fn directory_blocks(&self) -> u64 {
        (1u64 << self.bucket_bits).div_ceil(KEY_BUCKETS_A_BLOCK)
    }

    /// Number of the first block of entries.
    pub fn first_entry_block(&self) -> u64 {
        1 + self.directory_blocks()
    }

    /// Blocks of the file.
    pub fn blocks(&self) -> u64 {
        self.first_entry_block() + u64::from(self.count).div_ceil(KEY_ENTRIES_A_BLOCK)
    }

    /// The bucket of a prefix.
    #[inline]
    pub fn bucket(&self, prefix: u64) -> u64 {
        prefix >> (KEY_PREFIX_BITS - u32::from(self.bucket_bits))
    }

    /// What stands at the end of block `number` with this body: CRC-32C of the body, bound to the place and to the table.
    #[inline]
    pub fn block_checksum(&self, number: u64, body: &[u8]) -> u32 {
        let mixed = self.salt.wrapping_add(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let [_, _, _, _, upper @ ..] = mixed.to_le_bytes();
        checksum(body) ^ u32::from_le_bytes(upper)
    }

    /// True if the whole `block`, number `number` of the file, is as it was written.
    #[inline]
    pub fn is_intact(&self, number: u64, block: &[u8]) -> bool {
        block
            .split_last_chunk::<4>()
            .filter(|(body, _)| body.len() == KEY_BLOCK_BODY)
            .is_some_and(|(body, sum)| u32::from_le_bytes(*sum) == self.block_checksum(number, body))
    }
}

/// How many bits name the bucket in a table of up to `count` entries: 8 to 16 entries a bucket, where there are many.
pub fn key_bucket_bits(count: u64) -> u8 {
    let bits = (count / 16).checked_ilog2().map_or(0, |bits| bits + 1);
    u8::try_from(bits.clamp(*KEY_BUCKET_BITS.start(), *KEY_BUCKET_BITS.end())).unwrap_or(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> KeyTableHeader {
        KeyTableHeader {
            magic: 0,
            version: 0,
            bucket_bits: 8,
            log: 7,
            seed: 9,
            from: 10,
            to: 110,
            base: 20,
            count: 90,
            salt: 77,
            checksum: 0,
        }
        .sealed()
    }

    #[test]
    fn a_header_is_read_as_it_was_written_and_with_no_bit_changed() {
        let mut bytes = header().encode();
        assert_eq!(KeyTableHeader::read(&bytes), Some(header()));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(KeyTableHeader::read(&bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(KeyTableHeader::read(&bytes[..KeyTableHeader::LEN - 1]), None);
    }

    #[test]
    fn what_no_table_can_be_is_no_header() {
        let changes: [fn(&mut KeyTableHeader); 8] = [
            |header| header.from = 110,
            |header| header.from = 21,
            |header| header.base = 111,
            |header| header.count = 91,
            |header| header.to = MOST,
            |header| header.to = header.base + (1 << 32) + 1,
            |header| header.bucket_bits = 7,
            |header| header.bucket_bits = 29,
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut header = header();
            change(&mut header);
            assert_eq!(KeyTableHeader::read(&header.sealed().encode()), None, "{at}");
        }
    }

    #[test]
    fn buckets_hold_eight_to_sixteen_entries() {
        for (count, bits) in [(0, 8), (16, 8), (4095, 8), (8191, 9), (8192, 10), (1 << 20, 17), (u64::MAX, 28)] {
            assert_eq!(key_bucket_bits(count), bits, "{count}");
        }
    }
}
