//! What the disk was told, in order: writes with their bytes, and flushes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// One thing that the disk was told.
pub enum Told {
    /// Write these bytes at this position.
    Write { position: u64, bytes: Vec<u8> },
    /// What is written is to survive.
    Flush,
}

impl Told {
    /// Appends it to a record.
    pub fn put(position: u64, bytes: Option<&[u8]>, to: &mut impl Write) -> io::Result<()> {
        let len = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
        to.write_all(&position.to_le_bytes())?;
        to.write_all(&len.to_le_bytes())?;
        to.write_all(bytes.unwrap_or_default())
    }
}

/// A whole record. Its last entry may be cut short, where the recorder was ended.
pub fn read(path: &Path) -> io::Result<Vec<Told>> {
    let mut file = io::BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut told = Vec::new();
    let mut head = [0; 16];
    while file.read_exact(&mut head).is_ok() {
        let [position, len] = [0, 8].map(|at| {
            let mut number = [0; 8];
            number.copy_from_slice(&head[at..at + 8]);
            u64::from_le_bytes(number)
        });
        if len == u64::MAX {
            told.push(Told::Flush);
            continue;
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        if file.read_exact(&mut bytes).is_err() {
            break;
        }
        told.push(Told::Write { position, bytes });
    }
    Ok(told)
}
