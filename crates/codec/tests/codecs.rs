//! What a codec promises: numbers, names, levels, lengths, and what it refuses.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use varve_codec::{Codec, Error, LEAST_SAVING, MAX_RAW_LEN, is_kept};

fn compressed(codec: Codec, level: Option<i32>, input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    codec.compress(level, input, &mut out).unwrap();
    out
}

fn text() -> Vec<u8> {
    (0..400u32).flat_map(|i| format!("{{\"id\":{i},\"name\":\"record {}\"}}\n", i * i % 97).into_bytes()).collect()
}

#[test]
fn numbers_and_names_are_those_of_the_format() {
    let known: Vec<_> = Codec::ALL.iter().map(|codec| (codec.byte(), codec.name())).collect();
    assert_eq!(known, [(0, "none"), (1, "snappy"), (2, "lz4"), (3, "gzip"), (4, "zstd")]);
    for codec in Codec::ALL {
        assert_eq!(Codec::from_byte(codec.byte()), Some(codec));
        assert_eq!(Codec::from_name(codec.name()), Some(codec));
    }
    assert!((5..=u8::MAX).all(|byte| Codec::from_byte(byte).is_none()));
    assert!(["", "None", "ZSTD", "brotli"].iter().all(|name| Codec::from_name(name).is_none()));
}

#[test]
fn every_level_that_is_offered_works_and_no_other() {
    let text = text();
    for codec in Codec::ALL {
        let levels = codec.levels();
        assert!(levels.contains(&codec.default_level()), "{codec:?}");
        for level in levels.clone() {
            let form = compressed(codec, Some(level), &text);
            let mut back = Vec::new();
            codec.decompress(&form, text.len(), &mut back).unwrap();
            assert!(back == text, "{codec:?} at {level}");
        }
        for level in [levels.start() - 1, levels.end() + 1, i32::MIN, i32::MAX] {
            let mut out = b"before".to_vec();
            assert_eq!(codec.compress(Some(level), &text, &mut out), Err(Error::Level { codec, level }));
            assert_eq!(out, b"before");
        }
    }
}

#[test]
fn no_level_is_the_default_level() {
    let text = text();
    for codec in Codec::ALL {
        assert_eq!(compressed(codec, None, &text), compressed(codec, Some(codec.default_level()), &text), "{codec:?}");
    }
}

#[test]
fn greater_levels_make_smaller_forms() {
    let text = text().repeat(4);
    for (codec, low, high) in [(Codec::Gzip, 1, 9), (Codec::Zstd, -7, 1), (Codec::Zstd, 1, 19)] {
        let (low, high) = (compressed(codec, Some(low), &text).len(), compressed(codec, Some(high), &text).len());
        assert!(high < low, "{codec:?}: {high} against {low}");
    }
}

#[test]
fn the_form_is_appended_and_the_bytes_before_it_stay() {
    for codec in Codec::ALL {
        let mut out = b"the head".to_vec();
        codec.compress(None, &text(), &mut out).unwrap();
        assert_eq!(out.split_off(8), compressed(codec, None, &text()), "{codec:?}");
        assert_eq!(out, b"the head");
    }
}

#[test]
fn text_is_worth_to_be_compressed_and_nothing_is_not() {
    let text = text();
    for codec in [Codec::Snappy, Codec::Lz4, Codec::Gzip, Codec::Zstd] {
        assert!(is_kept(text.len(), compressed(codec, None, &text).len()), "{codec:?}");
        assert!(!is_kept(0, compressed(codec, None, &[]).len()), "{codec:?}");
    }
}

#[test]
fn a_form_is_kept_that_saves_a_sixteenth() {
    assert!(is_kept(LEAST_SAVING * 100, (LEAST_SAVING - 1) * 100));
    assert!(!is_kept(LEAST_SAVING * 100, (LEAST_SAVING - 1) * 100 + 1));
    assert!(is_kept(1, 0) && !is_kept(1, 1) && !is_kept(0, 0) && !is_kept(17, 16) && is_kept(17, 15));
    assert!(!is_kept(100, usize::MAX) && is_kept(usize::MAX, 0));
}

/// A vector that has been used is used as it is: nothing is allocated a second time.
#[test]
fn the_same_vector_serves_again() {
    let text = text();
    for codec in Codec::ALL {
        let form = compressed(codec, None, &text);
        let mut out = Vec::new();
        codec.decompress(&form, text.len(), &mut out).unwrap();
        let (place, capacity) = (out.as_ptr(), out.capacity());
        codec.decompress(&compressed(codec, None, b"short"), 5, &mut out).unwrap();
        assert_eq!(out, b"short");
        codec.decompress(&form, text.len(), &mut out).unwrap();
        assert!(out == text && (out.as_ptr(), out.capacity()) == (place, capacity), "{codec:?}");
    }
}

#[test]
fn another_length_than_the_true_one_is_refused() {
    let text = text();
    for codec in Codec::ALL {
        let form = compressed(codec, None, &text);
        for wrong in [0, 1, text.len() - 1, text.len() + 1, text.len() * 2, MAX_RAW_LEN, MAX_RAW_LEN + 1, usize::MAX] {
            let mut out = b"before".to_vec();
            let error = codec.decompress(&form, wrong, &mut out).unwrap_err();
            assert!(out.is_empty(), "{codec:?}");
            let raw_len = wrong as u64;
            let stored_len = form.len() as u64;
            let expected = [
                Error::TooLong { raw_len },
                Error::Implausible { codec, raw_len, stored_len },
                Error::Damaged { codec, raw_len },
            ];
            assert!(expected.contains(&error), "{codec:?} with {wrong}: {error:?}");
            assert_eq!(wrong > MAX_RAW_LEN, error == Error::TooLong { raw_len }, "{codec:?} with {wrong}");
        }
    }
}

/// A bomb is refused by its lengths, before anything is allocated.
#[test]
fn what_an_input_cannot_hold_is_not_allocated() {
    let most = [(Codec::None, 1), (Codec::Snappy, 22), (Codec::Lz4, 255), (Codec::Gzip, 1032), (Codec::Zstd, 32_768)];
    for (codec, ratio) in most {
        let input = [0x55; 40];
        let mut out = Vec::new();
        let raw_len = ratio * input.len() + 1;
        let error = Error::Implausible { codec, raw_len: raw_len as u64, stored_len: 40 };
        assert_eq!(codec.decompress(&input, raw_len, &mut out), Err(error));
        assert_eq!(out.capacity(), 0, "{codec:?}");
    }
    // What the input says of itself counts as well.
    for codec in [Codec::None, Codec::Snappy, Codec::Gzip, Codec::Zstd] {
        let form = compressed(codec, None, &text());
        let mut out = Vec::new();
        assert!(codec.decompress(&form, form.len() + 1, &mut out).is_err());
        assert_eq!(out.capacity(), 0, "{codec:?}");
    }
}

/// The densest input there is for each codec stays below the ratio by which bombs are told.
#[test]
fn the_densest_input_is_still_taken() {
    let zeros = vec![0; MAX_RAW_LEN];
    for codec in Codec::ALL {
        for level in [*codec.levels().start(), codec.default_level(), (*codec.levels().end()).min(9)] {
            let form = compressed(codec, Some(level), &zeros);
            let mut out = Vec::new();
            codec.decompress(&form, zeros.len(), &mut out).unwrap();
            assert!(out == zeros, "{codec:?} at {level}");
        }
    }
}

#[test]
fn more_than_the_cap_is_not_compressed() {
    let input = vec![0; MAX_RAW_LEN + 1];
    for codec in Codec::ALL {
        let mut out = Vec::new();
        let raw_len = input.len() as u64;
        assert_eq!(codec.compress(None, &input, &mut out), Err(Error::TooLong { raw_len }));
        assert_eq!(out.capacity(), 0, "{codec:?}");
    }
}

#[test]
fn bytes_behind_a_form_are_refused() {
    let text = text();
    for codec in Codec::ALL {
        let form = compressed(codec, None, &text);
        // A skippable frame of Zstandard, an empty frame, a second member: what the libraries would go past.
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
        for behind in [&[0][..], &skippable, &compressed(codec, None, &[])] {
            if behind.is_empty() {
                continue;
            }
            let mut out = Vec::new();
            let error = Error::Damaged { codec, raw_len: text.len() as u64 };
            assert_eq!(codec.decompress(&[&form, behind].concat(), text.len(), &mut out), Err(error));
        }
    }
}

#[test]
fn an_error_tells_its_facts() {
    let told = |error: Error| error.to_string();
    assert_eq!(told(Error::Level { codec: Codec::Gzip, level: 10 }), "gzip has the levels 0 to 9, not 10");
    assert_eq!(told(Error::TooLong { raw_len: 40_000_000 }), "40000000 bytes in one block; the most is 34603008");
    let implausible = Error::Implausible { codec: Codec::Lz4, raw_len: 1000, stored_len: 2 };
    assert_eq!(told(implausible), "2 bytes of lz4 cannot hold 1000 bytes");
    let damaged = Error::Damaged { codec: Codec::Zstd, raw_len: 7 };
    assert_eq!(told(damaged), "the bytes are not the zstd form of 7 bytes");
}

/// Bytes that other programs wrote are read: what is on disk is the format, not the library.
#[test]
fn forms_made_elsewhere_are_read() {
    let mut out = Vec::new();
    // A literal of 5 bytes; then 12 times one byte.
    Codec::Snappy.decompress(b"\x05\x10hello", 5, &mut out).unwrap();
    assert_eq!(out, b"hello");
    Codec::Lz4.decompress(b"\x50hello", 5, &mut out).unwrap();
    assert_eq!(out, b"hello");
    // A raw block in a frame of one segment.
    Codec::Zstd.decompress(b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello", 5, &mut out).unwrap();
    assert_eq!(out, b"hello");
    // A stored block.
    let member = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01\x05\0\xfa\xffhello\x86\xa6\x10\x36\x05\0\0\0";
    Codec::Gzip.decompress(member, 5, &mut out).unwrap();
    assert_eq!(out, b"hello");
}
