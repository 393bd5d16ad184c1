//! Bytes that are written down, one file each beside this one.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use varve_format::Field;

/// Bytes as text: a line a field, and lines of 16 for what has none.
fn annotated(bytes: &[u8], fields: &[(&str, usize, usize)]) -> String {
    let mut text = String::new();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let mut at = 0;
    let plain = |text: &mut String, from: usize, to: usize| {
        for (i, line) in bytes[from..to].chunks(16).enumerate() {
            writeln!(text, "{:<48} # {}", hex(line), from + 16 * i).unwrap();
        }
    };
    for (name, offset, len) in fields {
        plain(&mut text, at, *offset);
        writeln!(text, "{:<48} # {offset} {name}", hex(&bytes[*offset..offset + len])).unwrap();
        at = offset + len;
    }
    plain(&mut text, at, bytes.len());
    text
}

pub fn named(fields: &'static [Field], base: usize) -> Vec<(&'static str, usize, usize)> {
    fields.iter().map(|field| (field.name, base + field.offset, field.len)).collect()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"))
}

/// The bytes that are written down under `name`, which must be `bytes`.
pub fn held(name: &str, bytes: &[u8], fields: &[(&str, usize, usize)]) -> Vec<u8> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden(name), annotated(bytes, fields)).unwrap();
    }
    let text = std::fs::read_to_string(golden(name)).unwrap();
    assert_eq!(text, annotated(bytes, fields), "{name} is not written as it was");
    let words = text.lines().flat_map(|line| line.split('#').next().unwrap().split_whitespace());
    words.map(|word| u8::from_str_radix(word, 16).unwrap()).collect()
}
