//! Another process that follows the log while it is written.

use std::path::Path;
use std::sync::Arc;

use varve_io::sim::SimMachine;
use varve_wal::{ReaderOptions, Wal, WalOptions, WalReader};

use crate::failure::Failure;
use crate::model::Model;
use crate::open::DIR;
use crate::verify::{read_on, same, verify_at};

/// The follower, if there is one, and its reader.
#[derive(Default)]
pub(crate) struct Beside(Option<Following>);

struct Following {
    wal: Arc<Wal>,
    reader: Option<WalReader>,
    /// The log was cut before this index since it was last looked at.
    cut: Option<u64>,
}

/// Follows the log on `machine`.
pub(crate) fn follow(machine: &SimMachine, options: &WalOptions) -> varve_wal::Result<Arc<Wal>> {
    let options = WalOptions { retention: None, ..options.clone() };
    Wal::follow(Arc::new(machine.clone()), Path::new(DIR), &options)
}

impl Beside {
    /// Begins to follow, unless somebody does.
    pub(crate) fn follow(&mut self, machine: &SimMachine, options: &WalOptions) -> Result<(), Failure> {
        if self.0.is_none() {
            let wal = follow(machine, options)?;
            let reader =
                wal.reader_with(ReaderOptions { from: wal.first_index(), waits: true, ..Default::default() })?;
            self.0 = Some(Following { wal, reader: Some(reader), cut: None });
        }
        Ok(())
    }

    /// An error unless the follower shows what the system has: the log in state `handed`.
    pub(crate) fn look(
        &mut self,
        machine: &SimMachine,
        model: &Model,
        handed: usize,
        durable: u64,
    ) -> Result<(), Failure> {
        let Some(following) = &mut self.0 else { return Ok(()) };
        machine.run_watches();
        let wal = &following.wal;
        if let Some(error) = wal.failed() {
            return Err(Failure::new(format!("the follower has failed: {error}")));
        }
        let told = |failure: Failure| Failure::new(format!("the follower: {}", failure.what));
        let found = (wal.first_index(), wal.next_index(), wal.committed());
        let at = model.find(&model.exactly(handed), found, |point| verify_at(wal, point, true)).map_err(told)?;
        if wal.durable_index() > durable {
            return Err(Failure::new(format!(
                "the follower says that {} is durable, the writer {durable}",
                wal.durable_index()
            )));
        }
        let (point, cut) = (model.point(at), following.cut.take());
        if let Some(reader) = &mut following.reader {
            let index = reader.index();
            let must_fail = index < point.first() || cut.is_some_and(|cut| cut < index);
            let mut expected = index;
            let read = read_on(reader, 4000, usize::MAX, |index, bytes| {
                expected += 1;
                if index + 1 == expected {
                    same(point, index, bytes, "its reader")
                } else {
                    Err(Failure::new("it hops"))
                }
            });
            match read {
                Ok(()) if must_fail => return Err(Failure::new(format!("its reader stays at {index}"))),
                Err(failure) if !must_fail && cut.is_none() => return Err(told(failure)),
                Ok(()) => {}
                Err(_) => following.reader = None,
            }
        }
        if following.reader.is_none() {
            let from = wal.first_index();
            following.reader = Some(wal.reader_with(ReaderOptions { from, waits: true, ..Default::default() })?);
        }
        Ok(())
    }

    /// The log was cut before `next`.
    pub(crate) fn cut(&mut self, next: u64) {
        if let Some(following) = &mut self.0 {
            following.cut = Some(following.cut.map_or(next, |cut| cut.min(next)));
        }
    }
}
