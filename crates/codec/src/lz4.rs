//! LZ4, the block format: no header, no length, no checksum.

use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};

use crate::kept::{self, Kept};
use crate::{Codec, Error, Row, append};

pub(crate) const ROW: Row = Row {
    codec: Codec::Lz4,
    name: "lz4",
    levels: 0..=0,
    default_level: 0,
    // A byte more of a match's length stands for 255 bytes at the most.
    greatest_ratio: 255,
    compress,
    announced,
    decompress,
};

/// Inputs from this length on need the table with wide entries.
const LARGE: usize = u16::MAX as usize;

thread_local! {
    // Two, so that equal inputs have equal forms, whatever the thread has compressed before. 8 and 16 KiB.
    static SMALL_TABLE: Kept<CompressTable> = const { Kept::new(None) };
    static LARGE_TABLE: Kept<CompressTable> = const { Kept::new(None) };
}

fn compress(_level: i32, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let (place, new): (_, fn() -> _) =
        if input.len() < LARGE { (&SMALL_TABLE, CompressTable::small) } else { (&LARGE_TABLE, CompressTable::large) };
    let mut table = kept::take(place).unwrap_or_else(new);
    let too_long = Error::TooLong { raw_len: input.len() as u64 };
    let most = get_maximum_output_size(input.len());
    let done = append(out, most, |room| compress_into_with_table(input, room, &mut table).map_err(|_| too_long));
    kept::keep(place, table);
    done
}

fn announced(_input: &[u8]) -> Option<u64> {
    None
}

fn decompress(input: &[u8], out: &mut [u8]) -> Option<()> {
    let written = decompress_into(input, out).ok()?;
    (written == out.len()).then_some(())
}
