//! A directory on a machine, and the names in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_io::{Access, EntryKind, File, Job, Machine};

use crate::error::{Error, Result};
use crate::name::FileName;

/// A directory of segments. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory {
    machine: Arc<dyn Machine>,
    path: Arc<Path>,
}

impl Directory {
    /// The directory at `path`; nothing is looked at.
    pub fn new(machine: Arc<dyn Machine>, path: &Path) -> Self {
        Self { machine, path: Arc::from(path) }
    }

    /// The machine it lies on.
    pub fn machine(&self) -> &Arc<dyn Machine> {
        &self.machine
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of one of its files.
    pub fn file(&self, name: FileName) -> PathBuf {
        self.path.join(name.to_string())
    }

    /// The names in it that are ours. Anything but a regular file under such a name is refused: opening a pipe would wait for ever, and a link leads elsewhere.
    pub fn names(&self) -> Result<Vec<FileName>> {
        let mut names = Vec::new();
        for entry in self.machine.list(&self.path)? {
            let Some(name) = FileName::parse(&entry.name) else { continue };
            if entry.kind != EntryKind::File {
                let path = self.path.join(&entry.name);
                return Err(Error::Unsupported { path, what: "no regular file; move it out of the directory".into() });
            }
            names.push(name);
        }
        Ok(names)
    }

    pub(crate) fn open(&self, name: FileName, access: Access) -> Result<Arc<dyn File>> {
        Ok(self.machine.open(&self.file(name), access)?)
    }

    pub(crate) fn create(&self, name: FileName) -> Result<Arc<dyn File>> {
        Ok(self.machine.create(&self.file(name))?)
    }

    pub(crate) fn rename(&self, from: FileName, to: FileName) -> Result<()> {
        Ok(self.machine.rename(&self.file(from), &self.file(to))?)
    }

    pub(crate) fn unlink(&self, name: FileName) -> Result<()> {
        Ok(self.machine.unlink(&self.file(name))?)
    }

    pub(crate) fn sync(&self) -> Result<()> {
        Ok(self.machine.sync_dir(&self.path)?)
    }

    pub(crate) fn spawn(&self, job: Job) {
        self.machine.spawn(job);
    }
}
