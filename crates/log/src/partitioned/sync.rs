//! All partitions at once: handed over, and made durable.

use std::sync::Arc;

use varve_wal::News;

use super::{PartitionedLog, lock};
use crate::error::Result;
use crate::writer::Log;

/// Rounds of syncs that were asked for by [`PartitionedLog::request_sync`], by number.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    asked: u64,
    begun: u64,
    done: u64,
}

impl PartitionedLog {
    /// Hands what is buffered to the system. Cost: 20 ns a partition, and a write for each that has something.
    pub fn flush(&self) -> Result<()> {
        self.check_writable()?;
        self.of_all(|log| !log.wal().is_settled(), Log::flush)
    }

    /// Makes everything so far durable, on this thread: of partitions that have something that is not.
    pub fn sync(&self) -> Result<()> {
        // All is written before the first sync, so that the disk has something to do.
        self.flush()?;
        self.of_all(|log| !log.wal().is_durable(), |log| log.sync().map(drop))
    }

    /// Asks for a sync of everything so far on a thread that all partitions share. Gives a ticket: listeners are told when it, or a later one, is
    /// reached ([`News::Durable`] of no partition), or that it will not be ([`News::Failed`] of no partition).
    pub fn request_sync(&self) -> Result<u64> {
        self.flush()?;
        let mut rounds = lock(&self.rounds);
        if rounds.asked > rounds.begun {
            return Ok(rounds.asked);
        }
        rounds.asked += 1;
        let ticket = rounds.asked;
        drop(rounds);
        let whole = std::sync::Weak::clone(&self.me);
        if let Some(owner) = &self.owner {
            owner.spawn(Box::new(move || {
                if let Some(whole) = whole.upgrade() {
                    whole.lead_round();
                }
            }));
        }
        Ok(ticket)
    }

    /// The last ticket of [`PartitionedLog::request_sync`] that has been reached.
    pub fn durable_ticket(&self) -> u64 {
        lock(&self.rounds).done
    }

    fn lead_round(&self) {
        let mut rounds = lock(&self.rounds);
        rounds.begun = rounds.asked;
        let ticket = rounds.begun;
        drop(rounds);
        match self.of_all(|log| !log.wal().is_durable(), |log| log.sync().map(drop)) {
            Ok(()) => {
                let mut rounds = lock(&self.rounds);
                rounds.done = rounds.done.max(ticket);
                drop(rounds);
                self.listeners.tell(None, &News::Durable { index: 0, ticket });
            }
            Err(error) => self.listeners.tell(None, &News::Failed(error.into_segment())),
        }
    }

    /// Does something with all partitions that need it, also where one fails: then with the first error.
    fn of_all(&self, needs: impl Fn(&Arc<Log>) -> bool, act: impl Fn(&Log) -> Result<()>) -> Result<()> {
        let mut outcome = Ok(());
        for (_, log) in self.there().filter(|(_, log)| needs(log)) {
            let done = act(log);
            outcome = outcome.and(done);
        }
        outcome
    }
}
