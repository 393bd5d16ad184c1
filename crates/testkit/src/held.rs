//! Readers and pins that are held while the log changes under them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use varve_io::sim::SimMachine;
use varve_io::{Access, Machine};
use varve_wal::{ErrorCode, Pin, ReaderOptions, Wal, WalReader};

use crate::failure::Failure;
use crate::model::Model;
use crate::verify::{read_on, same};

/// Who holds something, oldest first.
#[derive(Default)]
pub(crate) struct Held(VecDeque<Holder>);

enum Holder {
    Reader(Reader),
    Pin { _pin: Pin, path: PathBuf },
}

struct Reader {
    reader: WalReader,
    waits: bool,
    /// Records that it has returned were cut.
    overtaken: bool,
}

impl Reader {
    /// Reads on, as far as `fills` go.
    fn read(&mut self, model: &Model, fills: usize) -> Result<(), Failure> {
        let mut expected = self.reader.index();
        read_on(&mut self.reader, 2000, fills, |index, bytes| {
            if index != expected {
                return Err(Failure::new(format!("a reader hops from {expected} to {index}")));
            }
            expected += 1;
            same(model.now(), index, bytes, "a reader that was held")
        })
    }
}

impl Held {
    /// Begins a reader at `from`.
    pub(crate) fn read(&mut self, wal: &Arc<Wal>, model: &Model, from: u64, waits: bool) -> Result<(), Failure> {
        let reader = wal.reader_with(ReaderOptions { from, waits, ..ReaderOptions::default() })?;
        let mut reader = Reader { reader, waits, overtaken: false };
        reader.read(model, 1)?;
        self.0.push_back(Holder::Reader(reader));
        Ok(())
    }

    /// Pins a segment.
    pub(crate) fn pin(&mut self, wal: &Arc<Wal>, number: u64) -> Result<(), Failure> {
        let segments = wal.segments();
        let chosen = usize::try_from(number).ok().and_then(|number| segments.get(number % segments.len().max(1)));
        if let Some(segment) = chosen {
            self.0.push_back(Holder::Pin { _pin: wal.pin(segment.id)?, path: segment.path.clone() });
        }
        Ok(())
    }

    /// The oldest goes.
    pub(crate) fn let_go(&mut self) {
        self.0.pop_front();
    }

    /// All go.
    pub(crate) fn let_all_go(&mut self) {
        self.0.clear();
    }

    /// Greatest index that a reader stands at which a truncation may not overtake.
    pub(crate) fn blocks(&self) -> u64 {
        let stands = self.0.iter().filter_map(|holder| match holder {
            Holder::Reader(reader) if !reader.waits => Some(reader.reader.index()),
            _ => None,
        });
        stands.max().unwrap_or(0)
    }

    /// The log was cut before `next`.
    pub(crate) fn cut(&mut self, next: u64) {
        for holder in &mut self.0 {
            if let Holder::Reader(reader) = holder {
                reader.overtaken |= reader.reader.index() > next;
            }
        }
    }

    /// All readers go on. Those that were overtaken must say so; they are given up.
    pub(crate) fn read_on(&mut self, model: &Model) -> Result<(), Failure> {
        let mut outcome = Ok(());
        self.0.retain_mut(|holder| {
            let Holder::Reader(reader) = holder else { return true };
            let index = reader.reader.index();
            let overtaken = reader.overtaken || index < model.first();
            let read = reader.read(model, 3);
            let out_of_range = ErrorCode::OutOfRange.name();
            match read {
                Err(_) if overtaken => return false,
                Ok(()) if overtaken => {
                    outcome = Err(Failure::new(format!("a reader at {index} does not say {out_of_range}")));
                }
                Err(failure) => outcome = Err(failure),
                Ok(()) => {}
            }
            true
        });
        outcome
    }

    /// An error if the file of a pinned segment is gone.
    pub(crate) fn stands(&self, machine: &SimMachine) -> Result<(), Failure> {
        for holder in &self.0 {
            if let Holder::Pin { path, .. } = holder
                && machine.open(path, Access::Read).is_err()
            {
                return Err(Failure::new(format!("{} is pinned, and gone", path.display())));
            }
        }
        Ok(())
    }
}
