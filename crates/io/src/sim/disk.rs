use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};

use super::directory::{Change, Directory, Node};
use super::inode::{Inode, draw_chance};
use super::rng::Rng;
use crate::errno::Errno;

/// Number of the root directory.
const ROOT: u64 = 1;

/// Directories, files and free space: what outlives a process.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    files: BTreeMap<u64, Stored>,
    directories: BTreeMap<u64, Directory>,
    next_number: u64,
    /// Bytes that may be allocated; no limit where it is missing.
    pub(super) capacity: Option<usize>,
}

/// A file and who holds on to it.
#[derive(Debug, Clone)]
struct Stored {
    inode: Inode,
    named: bool,
    /// Open files and maps.
    holders: usize,
}

impl Disk {
    pub(super) fn new() -> Self {
        Self {
            files: BTreeMap::new(),
            directories: BTreeMap::from([(ROOT, Directory::default())]),
            next_number: ROOT + 1,
            capacity: None,
        }
    }

    /// Number of a directory. The working directory is the root.
    pub(super) fn directory_number(&self, path: &Path) -> io::Result<u64> {
        let mut above = vec![ROOT];
        for component in path.components() {
            let here = above.last().copied().unwrap_or(ROOT);
            match component {
                Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
                Component::ParentDir => {
                    above.pop();
                }
                Component::Normal(name) => match self.directories[&here].get(&name.to_string_lossy()) {
                    Some(Node::Dir(number)) => above.push(number),
                    Some(Node::File(_)) => return Err(Errno::NOTDIR.into()),
                    None => return Err(Errno::NOENT.into()),
                },
            }
        }
        Ok(above.last().copied().unwrap_or(ROOT))
    }

    /// The directory that holds a path's last name, and that name.
    fn place<'a>(&mut self, path: &'a Path) -> io::Result<(&mut Directory, std::borrow::Cow<'a, str>)> {
        let name = path.file_name().ok_or(io::Error::from(Errno::INVAL))?.to_string_lossy();
        let number = self.directory_number(path.parent().unwrap_or(Path::new("")))?;
        Ok((self.directories.entry(number).or_default(), name))
    }

    /// Number of the directory that holds a file's name, if it has one.
    pub(super) fn directory_of(&self, file: u64) -> Option<u64> {
        let holds = |directory: &Directory| directory.names().any(|(_, node)| *node == Node::File(file));
        self.directories.iter().find(|(_, directory)| holds(directory)).map(|(number, _)| *number)
    }

    pub(super) fn directory(&mut self, path: &Path) -> io::Result<&mut Directory> {
        let number = self.directory_number(path)?;
        Ok(self.directories.entry(number).or_default())
    }

    pub(super) fn make_directory(&mut self, path: &Path) -> io::Result<()> {
        let number = self.next_number;
        let (directory, name) = self.place(path)?;
        if directory.get(&name).is_some() {
            return Err(Errno::EXIST.into());
        }
        directory.change(Change::Link { name: name.into_owned(), node: Node::Dir(number) });
        self.directories.insert(number, Directory::default());
        self.next_number += 1;
        Ok(())
    }

    /// Number of a file that exists.
    pub(super) fn file_number(&mut self, path: &Path) -> io::Result<u64> {
        let (directory, name) = self.place(path)?;
        match directory.get(&name) {
            Some(Node::File(number)) => Ok(number),
            Some(Node::Dir(_)) => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a directory, not a regular file"))
            }
            None => Err(Errno::NOENT.into()),
        }
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<u64> {
        let number = self.next_number;
        let (directory, name) = self.place(path)?;
        if directory.get(&name).is_some() {
            return Err(Errno::EXIST.into());
        }
        directory.change(Change::Link { name: name.into_owned(), node: Node::File(number) });
        self.files.insert(number, Stored { inode: Inode::new(number), named: true, holders: 0 });
        self.next_number += 1;
        Ok(number)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let moved = self.file_number(from)?;
        if self.directory_number(from.parent().unwrap_or(Path::new("")))?
            != self.directory_number(to.parent().unwrap_or(Path::new("")))?
        {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a rename stays in its directory"));
        }
        let (directory, name) = self.place(to)?;
        let replaced = match directory.get(&name) {
            Some(Node::Dir(_)) => return Err(Errno::ISDIR.into()),
            Some(Node::File(number)) if number == moved => return Ok(()),
            Some(Node::File(number)) => Some(number),
            None => None,
        };
        directory.change(Change::Rename { node: Node::File(moved), to: name.into_owned() });
        if let Some(number) = replaced {
            self.lose_name(number);
        }
        Ok(())
    }

    pub(super) fn unlink(&mut self, path: &Path) -> io::Result<()> {
        let number = match self.file_number(path) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(Errno::ISDIR.into()),
            found => found?,
        };
        let (directory, name) = self.place(path)?;
        directory.change(Change::Unlink { name: name.into_owned() });
        self.lose_name(number);
        Ok(())
    }

    fn lose_name(&mut self, number: u64) {
        if let Some(stored) = self.files.get_mut(&number) {
            stored.named = false;
        }
        self.forget_unreachable();
    }

    pub(super) fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        self.directory(path)?.sync();
        self.forget_unreachable();
        Ok(())
    }

    pub(super) fn hold(&mut self, number: u64) {
        if let Some(stored) = self.files.get_mut(&number) {
            stored.holders += 1;
        }
    }

    pub(super) fn release(&mut self, number: u64) {
        if let Some(stored) = self.files.get_mut(&number) {
            stored.holders -= 1;
            if stored.holders == 0 && !stored.named {
                self.forget_unreachable();
            }
        }
    }

    /// Drops the files that have no name, no holder, and no crash to bring them back.
    fn forget_unreachable(&mut self) {
        let directories = &self.directories;
        self.files.retain(|number, stored| {
            stored.named
                || stored.holders > 0
                || directories.values().any(|directory| directory.may_return(Node::File(*number)))
        });
    }

    /// The file of a holder, which therefore exists.
    pub(super) fn inode(&mut self, number: u64) -> &mut Inode {
        let missing = || Stored { inode: Inode::new(number), named: false, holders: 0 };
        &mut self.files.entry(number).or_insert_with(missing).inode
    }

    /// Bytes taken by files that have a name or a holder.
    pub(super) fn used(&self) -> usize {
        let taken = self.files.values().filter(|stored| stored.named || stored.holders > 0);
        taken.map(|stored| stored.inode.allocated()).sum()
    }

    /// Bytes that can still be allocated.
    pub(super) fn room(&self) -> usize {
        self.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(self.used()))
    }

    /// The disk as the next process finds it when this one ends now.
    pub(super) fn survivor(&self) -> Self {
        let mut disk = self.clone();
        for stored in disk.files.values_mut() {
            stored.holders = 0;
        }
        disk.forget_unreachable();
        disk
    }

    /// One disk that the machine may come up with after losing power now.
    pub(super) fn image(&self, rng: &mut Rng) -> Self {
        let mut disk =
            Self { files: BTreeMap::new(), directories: BTreeMap::new(), next_number: self.next_number, ..*self };
        let (names_chance, data_chance) = (draw_chance(rng), draw_chance(rng));
        let mut reached = vec![ROOT];
        while let Some(number) = reached.pop() {
            let names = self.directories[&number].image(names_chance, rng);
            for node in names.values() {
                match node {
                    Node::Dir(below) => reached.push(*below),
                    Node::File(number) => {
                        let inode = self.files[number].inode.image(data_chance, rng);
                        disk.files.insert(*number, Stored { inode, named: true, holders: 0 });
                    }
                }
            }
            disk.directories.insert(number, Directory::found(names));
        }
        disk
    }
}
