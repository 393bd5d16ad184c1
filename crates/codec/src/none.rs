//! No compression: the bytes as they are.

use crate::{Codec, Error, Row};

pub(crate) const ROW: Row = Row {
    codec: Codec::None,
    name: "none",
    levels: 0..=0,
    default_level: 0,
    greatest_ratio: 1,
    compress,
    announced,
    decompress,
};

fn compress(_level: i32, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    out.try_reserve(input.len()).map_err(|_| Error::Memory)?;
    out.extend_from_slice(input);
    Ok(())
}

fn announced(input: &[u8]) -> Option<u64> {
    Some(input.len() as u64)
}

fn decompress(input: &[u8], out: &mut [u8]) -> Option<()> {
    (input.len() == out.len()).then(|| out.copy_from_slice(input))
}
