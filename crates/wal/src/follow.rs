//! A log that another process writes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use varve_io::{Change, Machine, Wake};
use varve_segment::{Directory, Failure, Followed, Follower};

use crate::error::Result;
use crate::listen::{Listeners, News};
use crate::options::WalOptions;
use crate::place::Places;
use crate::retention::Retainer;
use crate::role::{Following, Role, Wakes};
use crate::stats::RecoveryReport;
use crate::writer::Wal;

impl Wal {
    /// Opens the log at `dir` for reading: takes no lock, writes nothing, and follows whoever writes it.
    pub fn follow(machine: Arc<dyn Machine>, dir: &Path, options: &WalOptions) -> Result<Arc<Self>> {
        let options = options.resolve()?;
        let directory = Directory::for_reading(machine, dir);
        let began = directory.machine().now_micros();
        let follower = Follower::open(&directory, &options)?;
        let micros = u64::try_from(directory.machine().now_micros() - began).unwrap_or(0);
        let recovery = RecoveryReport { torn: Vec::new(), gaps: follower.gaps().to_vec(), micros };
        let wal = Arc::new(Self {
            max_record: options.segment_size.saturating_sub(varve_segment::RECORD_OVERHEAD),
            set: Arc::clone(follower.set()),
            failure: Arc::new(Failure::default()),
            next_index: AtomicU64::new(follower.visible()),
            first_index: AtomicU64::new(follower.first_index()),
            committed: AtomicU64::new(follower.commit()),
            exchanges: AtomicU64::new(0),
            wakes: Wakes::default(),
            places: Places::default(),
            retainer: Retainer::default(),
            listeners: Arc::new(Listeners::default()),
            recovery,
            closed: AtomicBool::new(false),
            owner: None,
            role: Role::Following(Following {
                durable_index: AtomicU64::new(follower.durable_index()),
                follower: Mutex::new(follower),
                watch: Mutex::default(),
            }),
            directory,
            options,
        });
        let follows = Arc::downgrade(&wal);
        let wake: Wake = Arc::new(move |change| {
            if let Some(wal) = follows.upgrade() {
                wal.refresh(change);
            }
        });
        let watch = wal.directory.machine().watch(wal.directory.path(), wake)?;
        if let Role::Following(following) = &wal.role {
            *following.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
        }
        // What was written between the look and the watch.
        wal.refresh(Change::Names);
        Ok(wal)
    }

    /// Looks at what the writer has done. Damage, or an error of the disk, ends the following: it is told once, and what is known stays readable.
    pub fn refresh(&self, change: Change) {
        let Role::Following(following) = &self.role else { return };
        if self.is_closed() || self.failure.get().is_some() {
            return;
        }
        let mut follower = following.follower();
        let mut exchange = None;
        let mut begin = || {
            exchange.get_or_insert_with(|| self.exchange());
        };
        let followed = match follower.refresh(change, &mut begin) {
            Ok(followed) => followed,
            Err(error) => {
                let error = self.failure.set(error);
                drop(exchange);
                drop(follower);
                self.listeners.tell(&News::Failed(error));
                return;
            }
        };
        self.take_over(following, &follower, followed);
        drop(exchange);
        let woken = followed != Followed::default() && self.wakes.take_all();
        drop(follower);
        if woken {
            self.listeners.tell(&News::Moved);
        }
    }

    fn take_over(&self, following: &Following, follower: &Follower, followed: Followed) {
        let before = self.first_index();
        following.durable_index.store(follower.durable_index(), Ordering::Release);
        self.first_index.store(follower.first_index(), Ordering::Release);
        self.next_index.store(follower.visible(), Ordering::Release);
        self.committed.store(follower.commit(), Ordering::Release);
        if let Some(cut) = followed.cut {
            self.places.cut(cut);
        } else if follower.first_index() != before {
            self.places.trimmed();
        }
    }
}
