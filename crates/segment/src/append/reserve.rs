//! Making sure, before anything is written, that there are segments for what is to be written.

use varve_format::{DATA_START, frame_len};

use super::Appender;
use crate::error::Result;
use crate::options::room;

impl Appender {
    /// Makes sure that records of these lengths fit, in this order, so that a batch is refused before its first frame, if the disk is full.
    pub fn reserve(&mut self, payloads: impl Iterator<Item = usize>) -> Result<()> {
        self.failure.check()?;
        self.wake()?;
        let reserved = self.make_ready(payloads);
        if reserved.is_err() {
            self.ready.drain(..).for_each(|ready| ready.discard(&self.directory));
        }
        reserved
    }

    fn make_ready(&mut self, payloads: impl Iterator<Item = usize>) -> Result<()> {
        let state = self.state_frame_len();
        let (mut left, mut capacity, mut used) = (self.limit - self.position(), self.active.header.capacity, 0);
        for payload in payloads {
            let len = frame_len(payload) as u64;
            if len > left {
                capacity = loop {
                    match self.ready.get(used).map(|ready| ready.capacity) {
                        Some(capacity) if room(capacity, state) >= len => break capacity,
                        Some(_) => self.ready.remove(used).into_iter().for_each(|small| small.discard(&self.directory)),
                        None => {
                            let wanted = self.options.capacity_after(capacity, len, state);
                            let least = len + (wanted - room(wanted, state));
                            self.ready.push_back(self.preparer.take(least, wanted)?);
                        }
                    }
                };
                used += 1;
                left = room(capacity, state);
            }
            left -= len;
        }
        Ok(())
    }

    /// When the active segment is half full, or three quarters of a thrifty one, the next one is made ready.
    pub(super) fn ask_ahead(&self) {
        if self.options.prepares_at(self.start, self.limit) && self.ready.is_empty() {
            let capacity = self.options.capacity_after(self.active.header.capacity, 0, self.state_frame_len());
            // Zeros are synced ahead only for those who sync: for others it would double what the disk has to take.
            let durable = self.durable.get();
            self.preparer.ask(capacity, durable.segment == self.active.header.id && durable.position > DATA_START);
        }
    }
}
