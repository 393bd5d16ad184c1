//! The settings of a directory of partitions: how many there are. Written twice, so that one flipped bit does not lose them.

use crate::checksum::checksum;
use crate::layout::layout;

const MAGIC: u64 = u64::from_le_bytes(*b"VARVEPAR");
const VERSION: u16 = 1;
const CHECKED: usize = Partitions::LEN - 4;

/// Positions of the two copies: in different sectors.
pub const PARTITIONS_COPIES: [usize; 2] = [0, 512];

/// Length of the file.
pub const PARTITIONS_LEN: usize = PARTITIONS_COPIES[1] + Partitions::LEN;

/// Most partitions of a log: their directories are named by four digits.
pub const MAX_PARTITIONS: u32 = 4096;

layout! {
    /// A copy in the file `partitions`.
    Partitions, 32 bytes {
        0 magic: u64 => "`VARVEPAR`",
        8 version: u16 => "format version, 1",
        12 count: u32 => "partitions, 1 to 4096",
        16 log: u64 => "random number: tells one log of partitions from another",
        28 checksum: u32 => "CRC-32C of bytes 0 to 28",
    }
}

/// Why settings are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPartitions {
    /// They are not intact.
    Damaged,
    /// They are of a format version that this build does not know.
    Version(u16),
}

impl Partitions {
    /// The fields for `count` partitions of the log with the number `log`.
    pub fn of(count: u32, log: u64) -> Self {
        let mut fields = Self { magic: MAGIC, version: VERSION, count, log, checksum: 0 };
        fields.checksum = checksum(&fields.encode()[..CHECKED]);
        fields
    }

    /// The file.
    pub fn file(&self) -> [u8; PARTITIONS_LEN] {
        let mut file = [0; PARTITIONS_LEN];
        for at in PARTITIONS_COPIES {
            file[at..at + Self::LEN].copy_from_slice(&self.encode());
        }
        file
    }

    /// Reads the file: what its first intact copy says, and whether both are intact.
    pub fn read(file: &[u8]) -> Result<(Self, bool), BadPartitions> {
        let [first, second] = PARTITIONS_COPIES.map(|at| Self::read_copy(file.get(at..).unwrap_or_default()));
        let whole = first.is_ok() && first == second && file.len() == PARTITIONS_LEN;
        match (first, second) {
            (Ok(found), _) | (Err(_), Ok(found)) => Ok((found, whole)),
            (Err(BadPartitions::Damaged), Err(second)) => Err(second),
            (Err(first), Err(_)) => Err(first),
        }
    }

    fn read_copy(bytes: &[u8]) -> Result<Self, BadPartitions> {
        let bytes = bytes.first_chunk::<{ Self::LEN }>().ok_or(BadPartitions::Damaged)?;
        let fields = Self::decode(bytes);
        if fields.magic != MAGIC || fields.checksum != checksum(&bytes[..CHECKED]) {
            return Err(BadPartitions::Damaged);
        }
        if fields.version != VERSION {
            return Err(BadPartitions::Version(fields.version));
        }
        // The bytes between are for later: what sets them has another version.
        let known = fields.encode() == *bytes && (1..=MAX_PARTITIONS).contains(&fields.count);
        if known { Ok(fields) } else { Err(BadPartitions::Damaged) }
    }
}

#[cfg(test)]
mod tests {
    use super::{BadPartitions, CHECKED, MAX_PARTITIONS, PARTITIONS_COPIES, PARTITIONS_LEN, Partitions, checksum};

    #[test]
    fn settings_are_read_as_they_were_written_and_one_copy_may_be_damaged() {
        for count in [1, 7, 1024, MAX_PARTITIONS] {
            let settings = Partitions::of(count, 99);
            let file = settings.file();
            assert_eq!(Partitions::read(&file), Ok((settings, true)));
            for copy in PARTITIONS_COPIES {
                for bit in 0..Partitions::LEN * 8 {
                    let mut damaged = file;
                    damaged[copy + bit / 8] ^= 1 << (bit % 8);
                    assert_eq!(Partitions::read(&damaged), Ok((settings, false)), "copy {copy} bit {bit}");
                    damaged[512 - copy + 3] ^= 1;
                    assert_eq!(Partitions::read(&damaged), Err(BadPartitions::Damaged), "copy {copy} bit {bit}");
                }
            }
            for len in 0..PARTITIONS_LEN {
                let expected = if len < Partitions::LEN { Err(BadPartitions::Damaged) } else { Ok((settings, false)) };
                assert_eq!(Partitions::read(&file[..len]), expected);
            }
        }
        for count in [0, MAX_PARTITIONS + 1, u32::MAX] {
            assert_eq!(Partitions::read(&Partitions::of(count, 1).file()), Err(BadPartitions::Damaged));
        }
        let mut newer = Partitions { version: 2, ..Partitions::of(3, 1) };
        newer.checksum = checksum(&newer.encode()[..CHECKED]);
        assert_eq!(Partitions::read(&newer.file()), Err(BadPartitions::Version(2)));
    }
}
