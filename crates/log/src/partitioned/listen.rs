//! Who wants to know what happens to any of the partitions.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use varve_wal::{Listener, News, Wal};

use super::{PartitionedLog, lock};

/// Told of what happens in which partition; in none, where it is of all. As [`Listener`], it must be quick, and must not call the log.
pub type PartitionListener = Arc<dyn Fn(Option<usize>, &News) + Send + Sync>;

struct One {
    id: u64,
    listener: PartitionListener,
    /// It objects to the removal of segments.
    objects: bool,
    /// Its number in each partition that is there.
    of: Vec<(usize, u64)>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Listeners {
    list: Mutex<Vec<One>>,
    next: AtomicU64,
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").field("listening", &lock(&self.list).len()).finish_non_exhaustive()
    }
}

impl One {
    fn attach(&mut self, partition: usize, wal: &Wal) {
        let listener = Arc::clone(&self.listener);
        let forward: Listener = Arc::new(move |news| listener(Some(partition), news));
        let id = wal.listen(forward);
        self.of.push((partition, id));
        if self.objects {
            wal.object(id);
        }
    }
}

impl Listeners {
    /// Has all listen to `partition`, if it is `put` where it belongs.
    pub(super) fn attach(&self, partition: usize, wal: &Wal, put: impl FnOnce() -> bool) -> bool {
        let mut list = lock(&self.list);
        let is_new = put();
        if is_new {
            list.iter_mut().for_each(|one| one.attach(partition, wal));
        }
        is_new
    }

    pub(super) fn tell(&self, partition: Option<usize>, news: &News) {
        let listeners: Vec<_> = lock(&self.list).iter().map(|one| Arc::clone(&one.listener)).collect();
        listeners.iter().for_each(|listener| listener(partition, news));
    }
}

impl PartitionedLog {
    /// Has `listener` told of what happens, in all partitions. Returns a number to take it away with.
    pub fn listen(&self, listener: PartitionListener) -> u64 {
        let id = self.listeners.next.fetch_add(1, Ordering::Relaxed);
        let mut list = lock(&self.listeners.list);
        let mut one = One { id, listener, objects: false, of: Vec::new() };
        self.there().for_each(|(partition, log)| one.attach(partition, log.wal()));
        list.push(one);
        id
    }

    /// Takes a listener away. It may be told once more, of what is under way.
    pub fn unlisten(&self, id: u64) {
        let mut list = lock(&self.listeners.list);
        let Some(at) = list.iter().position(|one| one.id == id) else { return };
        let one = list.swap_remove(at);
        drop(list);
        for (partition, number) in one.of {
            if let Some(log) = self.logs.get(partition).and_then(|log| log.get()) {
                log.wal().unlisten(number);
            }
        }
    }

    /// Has a listener asked before segments are removed, in all partitions. It answers by [`PartitionedLog::answer`]; as long as it has not, they stay.
    pub fn object(&self, id: u64) {
        let mut list = lock(&self.listeners.list);
        if let Some(one) = list.iter_mut().find(|one| one.id == id) {
            one.objects = true;
            for (partition, number) in &one.of {
                if let Some(log) = self.logs.get(*partition).and_then(|log| log.get()) {
                    log.wal().object(*number);
                }
            }
        }
    }

    /// Answers question `number` of a partition: the first `allowed` of its segments may go. Who answers last removes them.
    pub fn answer(&self, id: u64, partition: usize, number: u64, allowed: usize) {
        let list = lock(&self.listeners.list);
        let found = list.iter().find(|one| one.id == id).and_then(|one| one.of.iter().find(|(at, _)| *at == partition));
        let listener = found.map(|(_, listener)| *listener);
        drop(list);
        if let Some((listener, log)) = listener.zip(self.logs.get(partition).and_then(|log| log.get())) {
            log.wal().answer(listener, number, allowed);
        }
    }

    /// Asks that listeners be told, once, when a partition has moved on from `seen`: see [`crate::Log::wake_at`]. True of one that is not there yet, if
    /// nothing of it was seen: they are told when it is.
    pub fn wake_at(&self, partition: usize, seen: u64, gated: bool) -> bool {
        match self.find(partition) {
            Ok(Some(log)) => log.wake_at(seen, gated),
            Ok(None) => seen == 0,
            Err(_) => false,
        }
    }
}
