//! Snappy, the raw format: a varint of the length, then literals and copies.

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use crate::kept::{self, Kept};
use crate::{Codec, Error, Row, append};

pub(crate) const ROW: Row = Row {
    codec: Codec::Snappy,
    name: "snappy",
    levels: 0..=0,
    default_level: 0,
    // The densest element is a copy of 64 bytes in 3.
    greatest_ratio: 22,
    compress,
    announced,
    decompress,
};

thread_local! {
    /// Its table of 32 KiB, once an input was large enough to need it.
    static ENCODER: Kept<Encoder> = const { Kept::new(None) };
}

fn compress(_level: i32, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let mut encoder = kept::take(&ENCODER).unwrap_or_else(Encoder::new);
    let too_long = Error::TooLong { raw_len: input.len() as u64 };
    let done = append(out, max_compress_len(input.len()), |room| encoder.compress(input, room).map_err(|_| too_long));
    kept::keep(&ENCODER, encoder);
    done
}

fn announced(input: &[u8]) -> Option<u64> {
    decompress_len(input).ok().map(|len| len as u64)
}

fn decompress(input: &[u8], out: &mut [u8]) -> Option<()> {
    // The library takes no bytes at all for the form of none; it is one byte, the length.
    if input.is_empty() {
        return None;
    }
    let written = Decoder::new().decompress(input, out).ok()?;
    (written == out.len()).then_some(())
}
