//! A message as a test knows it.

use varve_format::{Headers, Message, put_header};
use varve_log::Input as Given;

use crate::input::Input;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub offset: u64,
    pub time: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<u8>,
}

impl Known {
    /// Any message, of few keys.
    pub fn take(input: &mut Input<'_>, offset: u64, time: i64) -> Self {
        let flags = input.byte();
        let mut part = |most: usize| {
            let len = input.pick(most);
            let mut bytes = input.take(len).to_vec();
            // Past the end of the input bytes are alike: what a codec makes little of.
            bytes.resize(len, flags);
            bytes
        };
        let mut headers = Vec::new();
        for name in ["", "name", "ä"].into_iter().take(usize::from(flags >> 2 & 3)) {
            put_header(&mut headers, name, &part(5));
        }
        let (key, value) = ((flags & 1 != 0).then(|| part(9)), (flags & 2 != 0).then(|| part(80)));
        let time = if flags & 0xc0 == 0xc0 { input.number(time.cast_unsigned()).cast_signed() } else { time };
        Self { offset, time, key, value, headers }
    }

    /// One that was read.
    pub fn of(message: &Message<'_>) -> Self {
        Self {
            offset: message.offset,
            time: message.time,
            key: message.key.map(<[u8]>::to_vec),
            value: message.value.map(<[u8]>::to_vec),
            headers: message.headers.as_bytes().to_vec(),
        }
    }

    pub fn message(&self) -> Message<'_> {
        Message {
            offset: self.offset,
            time: self.time,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: Headers::from_bytes(&self.headers),
        }
    }

    /// To append it.
    pub fn given(&self) -> Given<'_> {
        Given { key: self.key.as_deref(), value: self.value.as_deref(), headers: &self.headers, time: self.time }
    }
}
