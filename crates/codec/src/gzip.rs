//! gzip: one member (RFC 1952), without a name, whose head is always the same. The head and the trailer are made here, so that the
//! state of the compressor can be used again.

use crc_fast::{CrcAlgorithm, checksum};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::kept::{self, Kept};
use crate::{Codec, Error, Row, append};

pub(crate) const ROW: Row = Row {
    codec: Codec::Gzip,
    name: "gzip",
    levels: 0..=9,
    default_level: 6,
    // A match of 258 bytes in two codes of one bit.
    greatest_ratio: 1032,
    compress,
    announced,
    decompress,
};

/// Magic, deflate, no flags, no time, nothing about the effort, an unknown system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// CRC-32 and length of what is compressed.
const TRAILER_LEN: usize = 8;

thread_local! {
    /// With its level.
    static COMPRESSOR: Kept<(i32, Compress)> = const { Kept::new(None) };
    static DECOMPRESSOR: Kept<Decompress> = const { Kept::new(None) };
}

#[expect(clippy::cast_possible_truncation, reason = "a 32-bit checksum is returned in the low half of the u64")]
fn crc(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32IsoHdlc, bytes) as u32
}

/// The most that deflate makes of `len` bytes, by any strategy: stored blocks, or 9 bits a byte, and ends.
const fn most(len: usize) -> usize {
    len + len / 8 + len / 64 + 64
}

fn compress(level: i32, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let new = || (level, Compress::new(Compression::new(level.unsigned_abs()), false));
    let (_, mut compressor) = kept::take(&COMPRESSOR).filter(|(kept, _)| *kept == level).unwrap_or_else(new);
    let length = u32::try_from(input.len()).map_err(|_| Error::TooLong { raw_len: input.len() as u64 })?;
    out.extend_from_slice(&HEAD);
    append(out, most(input.len()), |room| match compressor.compress(input, room, FlushCompress::Finish) {
        Ok(Status::StreamEnd) => usize::try_from(compressor.total_out()).map_err(|_| Error::Memory),
        Ok(Status::Ok | Status::BufError) | Err(_) => Err(Error::Memory),
    })?;
    out.extend_from_slice(&crc(input).to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    compressor.reset();
    kept::keep(&COMPRESSOR, (level, compressor));
    Ok(())
}

fn announced(input: &[u8]) -> Option<u64> {
    input.last_chunk().map(|length| u64::from(u32::from_le_bytes(*length)))
}

fn decompress(input: &[u8], out: &mut [u8]) -> Option<()> {
    let (body, trailer) = input.strip_prefix(&HEAD)?.split_last_chunk::<TRAILER_LEN>()?;
    let (sum, length) = trailer.split_first_chunk::<4>()?;
    let mut state = kept::take(&DECOMPRESSOR).unwrap_or_else(|| Decompress::new(false));
    state.reset(false);
    let status = state.decompress(body, out, FlushDecompress::Finish);
    let whole = matches!(status, Ok(Status::StreamEnd))
        && state.total_in() == body.len() as u64
        && state.total_out() == out.len() as u64
        && length == u32::try_from(out.len()).ok()?.to_le_bytes()
        && *sum == crc(out).to_le_bytes();
    kept::keep(&DECOMPRESSOR, state);
    whole.then_some(())
}
