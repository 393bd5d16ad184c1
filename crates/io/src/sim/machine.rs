use std::io;
use std::path::Path;
use std::sync::Arc;

use super::directory::Node;
use super::handle::{SimFile, SimLock};
use super::watch::SimWatch;
use super::{PID, SimMachine, State};
use crate::{
    Access, DirEntry, DirIdentity, EntryKind, Error, File, Job, LockAttempt, Machine, Operation, Result, Wake, Watch,
};

/// Names an operation and a path in what the disk says.
fn named<T>(operation: Operation, path: &Path, outcome: io::Result<T>) -> Result<T> {
    outcome.map_err(|error| Error::new(operation, path, error))
}

impl State {
    fn sync_dir(&mut self, dir: &Path) -> Result<()> {
        self.plan.require(Operation::SyncDir, dir)?;
        if self.mutants.ignore_sync_dir.as_ref().is_some_and(|ignored| ignored(dir)) {
            return Ok(());
        }
        named(Operation::SyncDir, dir, self.disk.sync_directory(dir))
    }
}

impl Machine for SimMachine {
    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        let mut state = self.state();
        let mut missing = Vec::new();
        let mut existing = dir;
        loop {
            match state.disk.directory_number(existing) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(existing),
                found => {
                    named(Operation::CreateDir, existing, found)?;
                    break;
                }
            }
            existing = existing.parent().unwrap_or(Path::new(""));
        }
        if let Some(above) = existing.parent() {
            state.sync_dir(above)?;
        }
        for new in missing.into_iter().rev() {
            state.plan.require(Operation::CreateDir, new)?;
            named(Operation::CreateDir, new, state.disk.make_directory(new))?;
            state.names_changed(new);
            state.sync_dir(new.parent().unwrap_or(Path::new("")))?;
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>> {
        let mut state = self.state();
        state.plan.require(Operation::List, dir)?;
        let directory = named(Operation::List, dir, state.disk.directory(dir))?;
        let entry = |(name, node): (&String, &Node)| {
            let kind = match node {
                Node::File(_) => EntryKind::File,
                Node::Dir(_) => EntryKind::Dir,
            };
            DirEntry { name: name.clone(), kind }
        };
        Ok(directory.names().map(entry).collect())
    }

    fn identity(&self, dir: &Path) -> Result<DirIdentity> {
        let mut state = self.state();
        state.plan.require(Operation::Stat, dir)?;
        let inode = named(Operation::Stat, dir, state.disk.directory_number(dir))?;
        Ok(DirIdentity { device: self.shared.device, inode })
    }

    fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn File>> {
        let mut state = self.state();
        state.plan.require(Operation::Open, path)?;
        let number = named(Operation::Open, path, state.disk.file_number(path))?;
        Ok(Arc::new(SimFile::new(&self.shared, &mut state, number, path, access)))
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        let mut state = self.state();
        state.plan.require(Operation::Create, path)?;
        let number = named(Operation::Create, path, state.disk.create(path))?;
        state.names_changed(path);
        Ok(Arc::new(SimFile::new(&self.shared, &mut state, number, path, Access::Write)))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut state = self.state();
        state.plan.require(Operation::Rename, from)?;
        named(Operation::Rename, from, state.disk.rename(from, to))?;
        state.names_changed(to);
        Ok(())
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        let mut state = self.state();
        state.plan.require(Operation::Unlink, path)?;
        named(Operation::Unlink, path, state.disk.unlink(path))?;
        state.names_changed(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.state().sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<LockAttempt> {
        let mut state = self.state();
        state.plan.require(Operation::Lock, path)?;
        let number = match state.disk.file_number(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let created = state.disk.create(path);
                state.names_changed(path);
                created
            }
            found => found,
        };
        let number = named(Operation::Lock, path, number)?;
        if !state.locked.insert(number) {
            return Ok(LockAttempt::Busy(Some(PID)));
        }
        let text = format!("{PID}\n");
        // On a full disk the lock holds without it.
        let room = state.disk.room();
        if state.disk.inode(number).fitting(0, text.len(), room) == text.len() {
            state.disk.inode(number).write(0, text.as_bytes());
            state.contents_changed(number);
        }
        Ok(LockAttempt::Held(Box::new(SimLock::new(&self.shared, &mut state, number))))
    }

    fn now_micros(&self) -> i64 {
        self.state().now
    }

    fn random(&self) -> u64 {
        self.state().rng.next()
    }

    fn spawn(&self, job: Job) {
        self.shared.jobs().push_back(job);
    }

    fn watch(&self, dir: &Path, wake: Wake) -> Result<Box<dyn Watch>> {
        let mut state = self.state();
        state.plan.require(Operation::Watch, dir)?;
        let number = named(Operation::Watch, dir, state.disk.directory_number(dir))?;
        Ok(Box::new(SimWatch::new(&self.shared, &mut state, number, wake)))
    }
}
