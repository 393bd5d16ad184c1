//! Compression of what lies in a frame: a codec by its byte on disk or by its name, bytes in, bytes out.
//!
//! A codec is one file and one row of [`TABLE`]; nothing else names a particular one. The length of what comes out is always known
//! from elsewhere (a header under a checksum), so that nothing is allocated on the word of compressed bytes, and a block that yields
//! one byte more or less is damage. What a codec needs to work with is kept a thread, up to a bound.
//!
//! Dictionaries are to come in here: a `dictionary.rs` that holds a trained one with its prepared forms, and a parameter more in the
//! functions of a [`Row`]; codecs that know none refuse it.

#![forbid(unsafe_code)]

mod error;
mod gzip;
mod kept;
mod lz4;
mod none;
mod snappy;
mod zstd;

use std::ops::RangeInclusive;

pub use error::Error;

/// Most bytes that are compressed at once, or come out of one block: a batch of 32 MiB, and its directories.
pub const MAX_RAW_LEN: usize = 33 << 20;

/// A compressed form is kept if it saves at least one part in so many.
pub const LEAST_SAVING: usize = 16;

/// How bytes are compressed. Numbers are bytes on disk, and are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Codec {
    /// As they are.
    #[default]
    None = 0,
    /// Snappy, the raw format.
    Snappy = 1,
    /// LZ4, the block format.
    Lz4 = 2,
    /// One gzip member (RFC 1952).
    Gzip = 3,
    /// One Zstandard frame (RFC 8878).
    Zstd = 4,
}

/// Appends the form that an input has at a level.
type Compress = fn(i32, &[u8], &mut Vec<u8>) -> Result<(), Error>;

/// What is to be known of a codec.
struct Row {
    codec: Codec,
    name: &'static str,
    levels: RangeInclusive<i32>,
    default_level: i32,
    /// No input yields more than so many times its own length.
    greatest_ratio: u64,
    /// Appends the compressed form. The level is one of `levels`.
    compress: Compress,
    /// Length that the compressed form itself says it has uncompressed, where it does.
    announced: fn(&[u8]) -> Option<u64>,
    /// Fills the slice, or `None`: the input does not yield exactly so much.
    decompress: fn(&[u8], &mut [u8]) -> Option<()>,
}

const TABLE: [Row; 5] = [none::ROW, snappy::ROW, lz4::ROW, gzip::ROW, zstd::ROW];

const _: () = {
    let mut i = 0;
    while i < TABLE.len() {
        assert!(TABLE[i].codec as usize == i, "a row is not at the place of its number");
        i += 1;
    }
};

impl Codec {
    /// All codecs, in the order of their numbers.
    pub const ALL: [Self; TABLE.len()] = {
        let mut all = [Self::None; TABLE.len()];
        let mut i = 0;
        while i < TABLE.len() {
            all[i] = TABLE[i].codec;
            i += 1;
        }
        all
    };

    fn row(self) -> &'static Row {
        static ROWS: [Row; TABLE.len()] = TABLE;
        &ROWS[self as usize]
    }

    /// The byte on disk.
    #[inline]
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// The codec with this byte; `None` for one that this build does not know.
    #[inline]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }

    /// Its name in options and reports.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The codec with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Levels it takes: the greater, the slower and smaller. One alone: it knows no levels.
    pub fn levels(self) -> RangeInclusive<i32> {
        self.row().levels.clone()
    }

    /// The level it works at when none is given.
    pub fn default_level(self) -> i32 {
        self.row().default_level
    }

    /// Appends the compressed form of `input`, which may be longer than it; see [`is_kept`]. With an error `out` is as it was.
    ///
    /// # Errors
    /// A level that is none of its [`levels`](Self::levels), an input of more than [`MAX_RAW_LEN`] bytes, no memory.
    pub fn compress(self, level: Option<i32>, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let row = self.row();
        let level = level.unwrap_or(row.default_level);
        if !row.levels.contains(&level) {
            return Err(Error::Level { codec: self, level });
        }
        if input.len() > MAX_RAW_LEN {
            return Err(Error::TooLong { raw_len: input.len() as u64 });
        }
        let before = out.len();
        (row.compress)(level, input, out).inspect_err(|_| out.truncate(before))
    }

    /// Replaces what is in `out` by the `raw_len` bytes that `input` is the compressed form of. Give the same `Vec` again: what it
    /// has grown to is used as it is, neither allocated nor cleared anew. With an error it is empty.
    ///
    /// # Errors
    /// A `raw_len` beyond [`MAX_RAW_LEN`], or more than this codec can make of so short an input, or another than the input itself
    /// says: all three before anything is allocated. An input that does not yield exactly `raw_len` bytes. No memory.
    pub fn decompress(self, input: &[u8], raw_len: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let done = self.check(input, raw_len).and_then(|()| {
            if let Some(more) = raw_len.checked_sub(out.len()) {
                out.try_reserve_exact(more).map_err(|_| Error::Memory)?;
            }
            out.resize(raw_len, 0);
            self.fill(input, out)
        });
        done.inspect_err(|_| out.clear())
    }

    /// Fills `out` with the bytes that `input` is the compressed form of. With an error `out` holds anything.
    ///
    /// # Errors
    /// As those of [`decompress`](Self::decompress), where `raw_len` is the length of `out`.
    pub fn decompress_into(self, input: &[u8], out: &mut [u8]) -> Result<(), Error> {
        self.check(input, out.len())?;
        self.fill(input, out)
    }

    fn fill(self, input: &[u8], out: &mut [u8]) -> Result<(), Error> {
        (self.row().decompress)(input, out).ok_or(Error::Damaged { codec: self, raw_len: out.len() as u64 })
    }

    /// Refuses what cannot be right, by looking at lengths alone.
    fn check(self, input: &[u8], raw_len: usize) -> Result<(), Error> {
        let row = self.row();
        let (stored_len, raw_len) = (input.len() as u64, raw_len as u64);
        if raw_len > MAX_RAW_LEN as u64 {
            return Err(Error::TooLong { raw_len });
        }
        if raw_len > stored_len.saturating_mul(row.greatest_ratio) {
            return Err(Error::Implausible { codec: self, raw_len, stored_len });
        }
        if (row.announced)(input).is_some_and(|announced| announced != raw_len) {
            return Err(Error::Damaged { codec: self, raw_len });
        }
        Ok(())
    }
}

/// True if a compressed form is worth to be kept, since every read pays for it: it saves at least a sixteenth.
#[inline]
pub fn is_kept(raw_len: usize, stored_len: usize) -> bool {
    raw_len > 0 && stored_len <= raw_len - raw_len.div_ceil(LEAST_SAVING)
}

/// Makes room for `most` bytes behind those in `out`, lets `write` fill it from the front, and cuts `out` to what it has written.
fn append(out: &mut Vec<u8>, most: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, Error>) -> Result<(), Error> {
    let before = out.len();
    out.try_reserve(most).map_err(|_| Error::Memory)?;
    out.resize(before + most, 0);
    let written = write(out.get_mut(before..).unwrap_or_default())?;
    out.truncate(before + written);
    Ok(())
}
