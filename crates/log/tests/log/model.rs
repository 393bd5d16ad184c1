//! Logs to test, what they should hold, and everything that can be read from one compared with that.

use std::path::Path;
use std::sync::Arc;

use varve_codec::Codec;
use varve_io::sim::SimMachine;
use varve_log::{Compression, Conditions, Fill, Input, Log, LogOptions, LogReader, ROW_WORDS, ReaderOptions, Result};
use varve_testkit::Rng;

pub const DIR: &str = "/data/log";

/// What decides everything that is random.
pub fn seed() -> u64 {
    let seed = std::env::var("VARVE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("VARVE_SEED={seed}");
    seed
}

/// A message as a test knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub offset: u64,
    pub time: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<u8>,
}

impl Known {
    pub fn of(message: &varve_log::Message<'_>) -> Self {
        Self {
            offset: message.offset,
            time: message.time,
            key: message.key.map(<[u8]>::to_vec),
            value: message.value.map(<[u8]>::to_vec),
            headers: message.headers.as_bytes().to_vec(),
        }
    }

    pub fn input(&self) -> Input<'_> {
        Input { key: self.key.as_deref(), value: self.value.as_deref(), headers: &self.headers, time: self.time }
    }

    /// Any message: null and empty parts, times that go back, few keys.
    pub fn random(rng: &mut Rng, offset: u64) -> Self {
        let mut bytes = |most: usize| {
            let len = rng.pick(most);
            (0..len).map(|_| u8::try_from(rng.below(4)).unwrap()).collect::<Vec<u8>>()
        };
        let (key, value, header) = (bytes(3), bytes(200), bytes(9));
        let mut headers = Vec::new();
        if rng.chance(20) {
            varve_format::put_header(&mut headers, "name", &header);
        }
        Self {
            offset,
            time: i64::try_from(offset * 1000).unwrap() + i64::try_from(rng.below(40_000)).unwrap() - 20_000,
            key: (!rng.chance(15)).then_some(key),
            value: (!rng.chance(10)).then_some(value),
            headers,
        }
    }
}

pub fn options(key_index: bool) -> LogOptions {
    LogOptions {
        key_index: Some(key_index),
        segment_size: Some(64 << 10),
        codec: "bytes,bytes".into(),
        time_index: Some(true),
        ..LogOptions::default()
    }
}

pub fn open(machine: &SimMachine) -> Result<Arc<Log>> {
    open_with(machine, &options(true))
}

pub fn open_with(machine: &SimMachine, options: &LogOptions) -> Result<Arc<Log>> {
    Log::open(Arc::new(machine.clone()), Path::new(DIR), options)
}

pub fn compression(rng: &mut Rng) -> Compression {
    let codecs = [Codec::None, Codec::None, Codec::Snappy, Codec::Lz4, Codec::Gzip, Codec::Zstd];
    Compression { codec: codecs[rng.pick(codecs.len())], level: None }
}

pub fn batch(log: &Log, messages: &[Known], compression: Compression) -> Result<u64> {
    let inputs: Vec<_> = messages.iter().map(Known::input).collect();
    log.append_batch(&inputs, &Conditions { compression, ..Conditions::default() })
}

/// What a reader gives from where it stands, through a slab that grows as it must.
pub fn rest(reader: &mut LogReader, slab: usize) -> Result<Vec<Known>> {
    let (mut slab, mut words, mut found) = (vec![0; slab], vec![0; 256 * ROW_WORDS], Vec::new());
    loop {
        let count = match reader.fill(&mut slab, &mut words)? {
            Fill::Messages(0) => return Ok(found),
            Fill::Messages(count) => count,
            Fill::Needs(bytes) => {
                assert!(bytes > slab.len(), "a slab of {} bytes does for {bytes}", slab.len());
                slab.resize(bytes, 0);
                continue;
            }
        };
        for row in words.as_chunks::<ROW_WORDS>().0.iter().take(count) {
            let wide = |at: usize| u64::from(row[at]) | u64::from(row[at + 1]) << 32;
            let part = |at: usize| slab[row[at] as usize..row[at + 1] as usize].to_vec();
            found.push(Known {
                offset: wide(0),
                time: wide(2).cast_signed(),
                key: (row[8] & 1 != 0).then(|| part(4)),
                headers: part(5),
                value: (row[8] & 2 != 0).then(|| part(6)),
            });
        }
    }
}

pub fn all(log: &Arc<Log>) -> Vec<Known> {
    let options = ReaderOptions { from: log.start_offset(), ..ReaderOptions::default() };
    rest(&mut log.reader(options).unwrap(), 4096).unwrap()
}

/// Compares everything that can be read with `expected`, which holds all messages from the start offset on.
pub fn check(log: &Arc<Log>, expected: &[Known], rng: &mut Rng) {
    assert_eq!(all(log), expected);
    let (start, next) = (log.start_offset(), log.next_offset());
    for _ in 0..30 {
        let offset = start + rng.below((next - start).max(1));
        if offset < next {
            let known = expected.iter().find(|known| known.offset == offset);
            assert_eq!(log.get(offset, Known::of).unwrap().as_ref(), known, "get {offset}");
            let from = rest(&mut log.reader(ReaderOptions { from: offset, ..ReaderOptions::default() }).unwrap(), 300);
            let behind: Vec<_> = expected.iter().filter(|known| known.offset >= offset).cloned().collect();
            assert_eq!(from.unwrap(), behind, "from {offset}");
        }
        let time = i64::try_from(offset * 1000).unwrap() + i64::try_from(rng.below(50_000)).unwrap() - 25_000;
        let at = expected.iter().find(|known| known.time >= time);
        assert_eq!(log.get_by_time(time, Known::of).unwrap().as_ref(), at, "time {time}");
    }
    for key in [None, Some(vec![]), Some(vec![1]), Some(vec![1, 2])] {
        let options = ReaderOptions { from: start, key: Some(key.clone()), ..ReaderOptions::default() };
        let of_key: Vec<_> = expected.iter().filter(|known| known.key == key).cloned().collect();
        assert_eq!(rest(&mut log.reader(options).unwrap(), 500).unwrap(), of_key, "key {key:?}");
        let last = log.get_by_key(key.as_deref(), Known::of);
        match last {
            Ok(last) => assert_eq!(last.as_ref(), of_key.last(), "last of {key:?}"),
            Err(error) => assert_eq!(error.code(), varve_log::ErrorCode::NoIndex),
        }
    }
    assert_eq!(log.first(Known::of).unwrap().as_ref(), expected.first());
    assert_eq!(log.last(Known::of).unwrap().as_ref(), expected.last());
    for outside in [next, next + 1] {
        assert!(log.get(outside, |_| ()).is_err());
    }
}
