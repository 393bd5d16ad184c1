//! Any bytes as what a log keeps beside its entries: its state with the cursors, digests, producers' snapshots, the settings of partitions, tables of the
//! key index. As they are, with the right checksums, and made of the input and then changed.

use varve_format::{
    BadPartitions, Digest, DigestHeader, Field, KEY_BLOCK_LEN, KEY_BUCKET_BITS, KeyTableHeader, LogCursor, LogState,
    LogStateFields, MAX_CURSOR_NAME, MAX_PARTITIONS, MOST, PARTITIONS_COPIES, Partitions, Point, ProducerRecord,
    ProducerSnapshot, ProducersHeader, SegmentHeader, checksum,
};

use crate::forge::{change, seal};
use crate::input::Input;
use crate::memory::bounded;

/// The first byte says whether the rest are bytes as they are, or what pieces are made of.
pub fn pieces(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    if input.pick(2) == 0 {
        raw(input.take(usize::MAX));
    } else {
        made(&mut input);
    }
}

/// The segment whose digest it is to be.
fn segment() -> SegmentHeader {
    SegmentHeader::decode(&[7; SegmentHeader::LEN]).sealed()
}

/// Memory for what is decoded of so many bytes: a producer without a batch is 16 of them, and 40 in memory, twice while a `Vec` grows.
fn most(bytes: &[u8]) -> usize {
    8 * bytes.len() + (4 << 10)
}

fn raw(bytes: &[u8]) {
    decode(bytes);
    let mut sealed = bytes.to_vec();
    for head in [Partitions::LEN, ProducersHeader::LEN, KeyTableHeader::LEN, DigestHeader::LEN] {
        if let Some(head) = sealed.get_mut(..head) {
            seal(head);
        }
        decode(&sealed);
    }
}

/// All decoders. What one takes for intact is written as the same bytes.
fn decode(bytes: &[u8]) {
    if let Some(state) = bounded(most(bytes), "a state", || LogState::decode(bytes)) {
        assert_eq!(state.encode(), bytes, "a state that was read is written otherwise");
        assert!([state.start_offset, state.next_offset, state.high_water].iter().all(|offset| *offset < MOST));
        for cursor in &state.cursors {
            assert!(cursor.offset < MOST && cursor.name.len() <= MAX_CURSOR_NAME);
        }
    }
    for whole in [false, true] {
        let read = bounded(most(bytes), "a digest", || Digest::decode(bytes, &segment(), whole));
        let Some(digest) = read else { continue };
        assert!(digest.base <= digest.end);
        let again = digest.encode(&segment());
        assert_eq!(Digest::decode(&again, &segment(), true), Some(digest));
        assert!(!whole || again.len() == bytes.len(), "a digest that was read has another length");
    }
    if let Some(snapshot) = bounded(most(bytes), "a snapshot", || ProducerSnapshot::decode(bytes)) {
        assert!(snapshot.offset < MOST);
        assert_eq!(ProducerSnapshot::decode(&snapshot.encode()), Some(snapshot));
    }
    match Partitions::read(bytes) {
        Ok((found, whole)) => {
            assert!((1..=MAX_PARTITIONS).contains(&found.count));
            assert_eq!(Partitions::of(found.count, found.log), found);
            assert!(!whole || Partitions::read(&found.file()) == Ok((found, true)));
        }
        Err(BadPartitions::Damaged | BadPartitions::Version(_)) => {}
    }
    if let Some(header) = KeyTableHeader::read(bytes) {
        // Bytes between its fields say nothing.
        assert_eq!(KeyTableHeader::read(&header.sealed().encode()), Some(header.sealed()));
        assert!(KEY_BUCKET_BITS.contains(&u32::from(header.bucket_bits)));
        assert!(header.first_entry_block() > 1 && header.blocks() >= header.first_entry_block());
        assert!(header.blocks().checked_mul(KEY_BLOCK_LEN as u64).is_some(), "a table that no file can hold");
        assert!(header.bucket((1 << 40) - 1) < 1 << header.bucket_bits);
    }
    if let Some(block) = bytes.get(..KEY_BLOCK_LEN.min(bytes.len())) {
        let header = KeyTableHeader::decode(&[9; KeyTableHeader::LEN]);
        assert!(!header.is_intact(1, block) || block.len() == KEY_BLOCK_LEN);
    }
}

/// A piece of each kind is read as it was made; and then with something else in it.
fn made(input: &mut Input<'_>) {
    let kind = input.pick(5);
    match kind {
        0 => {
            let state = state(input);
            let bytes = state.encode();
            assert_eq!(LogState::decode(&bytes), Some(state));
            changed(bytes, LogStateFields::FIELDS, 0, None, input);
        }
        1 => {
            let digest = digest(input);
            let bytes = digest.encode(&segment());
            assert_eq!(Digest::decode(&bytes, &segment(), true), Some(digest));
            changed(bytes, DigestHeader::FIELDS, DigestHeader::LEN, Some(88), input);
        }
        2 => {
            let snapshot = snapshot(input);
            let bytes = snapshot.encode();
            assert_eq!(ProducerSnapshot::decode(&bytes), Some(snapshot));
            changed(bytes, ProducersHeader::FIELDS, ProducersHeader::LEN, Some(56), input);
        }
        3 => {
            let settings = Partitions::of(1 + u32::from(input.short()) % MAX_PARTITIONS, input.number(9));
            assert_eq!(Partitions::read(&settings.file()), Ok((settings, true)));
            let mut bytes = settings.file().to_vec();
            // One copy is changed, and the other tells.
            let one = input.pick(2);
            let copy = PARTITIONS_COPIES[one];
            for byte in bytes.iter_mut().skip(copy + input.pick(Partitions::LEN)).take(1 + input.pick(9)) {
                *byte ^= 1 | input.byte();
            }
            let other = Partitions::read(&bytes).map(|(found, _)| found);
            let damaged = bytes.get(copy..copy + Partitions::LEN) != Some(&settings.encode());
            assert!(!damaged || other == Ok(settings), "one intact copy does");
            changed(bytes, Partitions::FIELDS, Partitions::LEN, None, input);
        }
        _ => {
            let from = input.number(100) % (MOST / 4);
            let base = from + u64::from(input.byte());
            let span = u64::from(input.short());
            let header = KeyTableHeader {
                magic: 0,
                version: 0,
                bucket_bits: 8 + u8::try_from(input.pick(21)).unwrap_or(0),
                log: 7,
                seed: 9,
                from,
                to: base + span + 1,
                base,
                count: u32::try_from(span).unwrap_or(0),
                salt: 77,
                checksum: 0,
            }
            .sealed();
            assert_eq!(KeyTableHeader::read(&header.encode()), Some(header));
            changed(header.encode().to_vec(), KeyTableHeader::FIELDS, KeyTableHeader::LEN, None, input);
        }
    }
}

/// Fields, or bytes, are changed; and the checksums made right again, that of the body too, where `body` says where it stands.
fn changed(mut bytes: Vec<u8>, fields: &[Field], head: usize, body: Option<usize>, input: &mut Input<'_>) {
    while !input.is_empty() {
        match input.pick(6) {
            0..=2 => change(&mut bytes, fields, input),
            3 => {
                let len = bytes.len();
                bytes.truncate(len.saturating_sub(1 + input.pick(30)));
            }
            4 => {
                let len = input.pick(30);
                bytes.extend_from_slice(input.take(len));
            }
            _ => {
                let at = usize::from(input.short()).checked_rem(bytes.len()).unwrap_or(0);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = input.byte());
            }
        }
        decode(&bytes);
        let mut sealed = bytes.clone();
        if let Some(at) = body
            && let Some((front, behind)) = sealed.split_at_mut_checked(head)
        {
            front[at..at + 4].copy_from_slice(&checksum(behind).to_le_bytes());
        }
        if let Some(front) = sealed.get_mut(..head).filter(|front| !front.is_empty()) {
            seal(front);
        }
        decode(&sealed);
    }
}

fn state(input: &mut Input<'_>) -> LogState {
    let mut offset = || input.number(300) % MOST;
    let (start_offset, next_offset, high_water) = (offset(), offset(), offset());
    let flags = input.byte();
    let cursors = (0..flags >> 5).map(|_| LogCursor {
        name: "ü".repeat(input.pick(100)),
        offset: input.number(20) % MOST,
        holds: input.pick(2) == 1,
    });
    let cursors = cursors.collect();
    LogState {
        key_index: flags & 1 != 0,
        time_index: flags & 2 != 0,
        start_offset,
        next_offset,
        high_water,
        leader_epoch: (flags & 4 != 0).then(|| input.number(3) % MOST),
        producers: (flags & 8 != 0).then(|| input.number(3) % MOST),
        key_seed: input.number(0),
        cursors,
    }
}

fn digest(input: &mut Input<'_>) -> Digest {
    let base = input.number(1000) % MOST;
    let points = (0..input.pick(20)).map(|_| Point {
        entry: u32::from(input.short()),
        offset: u32::from(input.short()),
        span: u32::from(input.byte()),
        max_time: i64::from(input.short()),
    });
    let points = points.collect();
    Digest {
        entries: input.number(100),
        base,
        end: base + u64::from(input.short()),
        messages: input.number(100),
        max_time: input.number(5).cast_signed(),
        saved: input.number(10),
        points,
        steps: (0..input.pick(20)).map(|_| input.number(9).cast_signed()).collect(),
    }
}

fn snapshot(input: &mut Input<'_>) -> ProducerSnapshot {
    let producers = (0..input.pick(20)).map(|_| ProducerRecord {
        id: input.number(9),
        epoch: u32::from(input.byte()),
        batches: (0..input.pick(7)).map(|_| (input.number(4), input.number(100))).collect(),
    });
    let producers = producers.collect();
    ProducerSnapshot { log: 7, segment: (input.number(3), 9), offset: input.number(100) % MOST, producers }
}
