//! Opening a log.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use varve_io::Machine;
use varve_segment::{Appender, Directory, Failure, SegmentOptions, SegmentSet, begin_later, is_to_come, recover};

use crate::appender_lock::AppenderLock;
use crate::error::Result;
use crate::group_commit::GroupCommit;
use crate::listen::Listeners;
use crate::options::WalOptions;
use crate::owner::Owner;
use crate::place::Places;
use crate::retention::{Retainer, Retention};
use crate::role::{Role, Wakes, Writer};
use crate::stats::RecoveryReport;
use crate::writer::Wal;

impl Wal {
    /// Opens the log at `dir` for writing, and takes its lock. For one opener a process; [`crate::open_shared`] is for several.
    pub fn open(machine: Arc<dyn Machine>, dir: &Path, options: &WalOptions) -> Result<Arc<Self>> {
        let (retention, owner) = (options.retention, options.owner.clone());
        let options = options.resolve()?;
        if let Some(owner) = owner {
            let directory = owner.directory().beside(dir);
            return Self::open_locked(directory, options, None, retention, Some(owner));
        }
        if options.create {
            machine.create_dir_all(dir)?;
        }
        let directory = Directory::new(machine, dir);
        directory.names()?;
        let lock = directory.lock()?;
        Self::open_locked(directory, options, Some(lock), retention, None)
    }

    fn open_locked(
        directory: Directory,
        options: SegmentOptions,
        lock: Option<Box<dyn varve_io::Lock>>,
        retention: Option<Retention>,
        owner: Option<Arc<Owner>>,
    ) -> Result<Arc<Self>> {
        let began = directory.machine().now_micros();
        let found = if owner.is_some() && is_to_come(&directory)? {
            begin_later(&directory, &options)
        } else {
            recover(&directory, &options)?
        };
        let committed = found.commit().clamp(found.first_index, found.resume.next_index);
        let listeners = Arc::new(Listeners::default());
        let micros = u64::try_from(directory.machine().now_micros() - began).unwrap_or(0);
        let recovery = RecoveryReport { torn: found.torn, gaps: found.gaps, micros };
        let failure = Arc::new(Failure::default());
        let set = Arc::new(SegmentSet::new(found.segments));
        let next_index = found.resume.next_index;
        let appender = Appender::new(
            &directory,
            options.clone(),
            Arc::clone(&set),
            Arc::clone(&failure),
            found.resume,
            found.sealed_payload_bytes,
        );
        let commit = GroupCommit::new(
            &directory,
            Arc::clone(appender.durable()),
            next_index,
            found.durable_file,
            Arc::clone(&failure),
            Arc::clone(&listeners),
            owner.clone(),
        );
        Ok(Arc::new(Self {
            max_record: appender.max_record(),
            directory,
            options,
            role: Role::Writer(Writer {
                appender: AppenderLock::new(appender),
                commit: Arc::new(commit),
                lock: Mutex::new(lock),
                rewrites: Mutex::default(),
            }),
            set,
            failure,
            next_index: AtomicU64::new(next_index),
            first_index: AtomicU64::new(found.first_index),
            committed: AtomicU64::new(committed),
            exchanges: AtomicU64::new(0),
            wakes: Wakes::default(),
            places: Places::default(),
            retainer: Retainer::new(retention),
            listeners,
            recovery,
            closed: AtomicBool::new(false),
            owner,
        }))
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        // Never closed: what was accepted is still written and synced. Nobody is left to be told of an error.
        let _nobody_to_tell: Result<()> = self.close();
    }
}
