//! Zstandard: one frame (RFC 8878) with its content's size and no checksum, since that is the frame's around it.

use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, ResetDirective, compress_bound, find_frame_compressed_size, get_frame_content_size,
};

use crate::kept::{self, Kept};
use crate::{Codec, Error, Row, append};

pub(crate) const ROW: Row = Row {
    codec: Codec::Zstd,
    name: "zstd",
    // Below 0 are the fast ones of the library (`--fast`); 0 is the library's own default, 3.
    levels: -7..=22,
    default_level: 1,
    // A block of 128 KiB that is one byte over and over: 3 bytes of header, and the byte.
    greatest_ratio: (128 << 10) / 4,
    compress,
    announced,
    decompress,
};

/// A context that has grown beyond is not kept: high levels and large inputs take hundreds of MiB.
const MOST_KEPT: usize = 4 << 20;

thread_local! {
    static COMPRESSOR: Kept<CCtx<'static>> = const { Kept::new(None) };
    static DECOMPRESSOR: Kept<DCtx<'static>> = const { Kept::new(None) };
}

fn compress(level: i32, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let mut context = kept::take(&COMPRESSOR).or_else(CCtx::try_create).ok_or(Error::Memory)?;
    context
        .set_parameter(CParameter::CompressionLevel(level))
        .map_err(|_| Error::Level { codec: Codec::Zstd, level })?;
    // All that can fail is the memory of the context: the room is as large as the library says that it must be.
    append(out, compress_bound(input.len()), |room| context.compress2(room, input).map_err(|_| Error::Memory))?;
    if context.sizeof() <= MOST_KEPT {
        kept::keep(&COMPRESSOR, context);
    }
    Ok(())
}

fn announced(input: &[u8]) -> Option<u64> {
    get_frame_content_size(input).ok().flatten()
}

fn decompress(input: &[u8], out: &mut [u8]) -> Option<()> {
    // The library reads frames one behind the other, and skips some; here it is one, to the end.
    if find_frame_compressed_size(input).ok()? != input.len() {
        return None;
    }
    let mut context = kept::take(&DECOMPRESSOR).or_else(DCtx::try_create)?;
    let written = context.decompress(out, input);
    if written.is_ok() || context.reset(ResetDirective::SessionOnly).is_ok() {
        kept::keep(&DECOMPRESSOR, context);
    }
    (written.ok()? == out.len()).then_some(())
}
