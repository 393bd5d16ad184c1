use std::collections::BTreeMap;

use super::rng::Rng;

/// What a name stands for: the number of a file, or of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    File(u64),
    Dir(u64),
}

/// A change of names that no sync of the directory has made durable yet.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Link { name: String, node: Node },
    Unlink { name: String },
    Rename { node: Node, to: String },
}

type Names = BTreeMap<String, Node>;

/// The names in a directory: those that are seen, those that the disk holds, and the way from these to those.
#[derive(Debug, Clone, Default)]
pub(super) struct Directory {
    current: Names,
    durable: Names,
    pending: Vec<Change>,
}

impl Directory {
    /// A directory found after a crash.
    pub(super) fn found(names: Names) -> Self {
        Self { current: names.clone(), durable: names, pending: Vec::new() }
    }

    pub(super) fn get(&self, name: &str) -> Option<Node> {
        self.current.get(name).copied()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = (&String, &Node)> {
        self.current.iter()
    }

    pub(super) fn change(&mut self, change: Change) {
        apply(&mut self.current, &change);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    /// True where a crash may bring the node back under some name.
    pub(super) fn may_return(&self, node: Node) -> bool {
        let links = |change: &Change| match change {
            Change::Link { node: linked, .. } | Change::Rename { node: linked, .. } => *linked == node,
            Change::Unlink { .. } => false,
        };
        self.durable.values().any(|held| *held == node) || self.pending.iter().any(links)
    }

    /// The names after a crash: of the pending changes, each is there with this chance (in percent), in the order they were made.
    pub(super) fn image(&self, chance: usize, rng: &mut Rng) -> Names {
        let mut names = self.durable.clone();
        for change in &self.pending {
            if rng.chance(chance) {
                apply(&mut names, change);
            }
        }
        names
    }
}

fn apply(names: &mut Names, change: &Change) {
    match change {
        Change::Link { name, node } => {
            names.insert(name.clone(), *node);
        }
        Change::Unlink { name } => {
            names.remove(name);
        }
        // Moves the node from wherever it is: a node never has two names, whatever was lost before.
        Change::Rename { node, to } => {
            names.retain(|_, named| named != node);
            names.insert(to.clone(), *node);
        }
    }
}
