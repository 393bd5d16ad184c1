use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::pages::{PAGE, Pages, SECTOR, SECTORS};
use super::rng::Rng;

/// A file without a name: what readers see, and what the disk holds.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    current: Pages,
    len: usize,
    durable: Pages,
    durable_len: usize,
    /// Sectors written since the last sync: a bit each, by page. They may be on the disk or not.
    dirty: BTreeMap<usize, u8>,
    /// Unsynced bytes of a dirty sector that were written over. The disk may hold these.
    earlier: BTreeMap<usize, [u8; SECTOR]>,
    /// The length grew since the last sync.
    grown: bool,
    /// A sync failed: clean sectors may differ from the durable ones.
    lost: bool,
    /// Pages that have a block on the disk.
    blocks: BTreeSet<usize>,
    /// Decides which of the bytes written over are remembered.
    coin: Rng,
}

/// How the dirty sectors of one file reach the disk.
enum WriteBack {
    /// Each with this chance, in percent.
    Each(usize),
    /// Those before this one, as a disk that writes in order.
    Before(usize),
    /// Those from this one on, as a disk that does not.
    From(usize),
}

/// The chances that a crash is tried with, in percent.
const CHANCES: [usize; 5] = [0, 20, 50, 80, 100];

pub(super) fn draw_chance(rng: &mut Rng) -> usize {
    CHANCES[rng.below(CHANCES.len())]
}

impl Inode {
    pub(super) fn new(ino: u64) -> Self {
        Self {
            current: Pages::default(),
            len: 0,
            durable: Pages::default(),
            durable_len: 0,
            dirty: BTreeMap::new(),
            earlier: BTreeMap::new(),
            grown: false,
            lost: false,
            blocks: BTreeSet::new(),
            coin: Rng::new(ino),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes taken on the disk.
    pub(super) fn allocated(&self) -> usize {
        self.blocks.len() * PAGE
    }

    /// Fills `buf` as far as the file goes.
    pub(super) fn read(&self, position: usize, buf: &mut [u8]) -> usize {
        let read = buf.len().min(self.len.saturating_sub(position));
        self.current.read(position, &mut buf[..read]);
        read
    }

    /// How many of the first `len` bytes from `position` on fit into `room` bytes of free disk.
    pub(super) fn fitting(&self, position: usize, len: usize, room: usize) -> usize {
        let mut free = room / PAGE;
        for page in page_range(position, len) {
            if !self.blocks.contains(&page) {
                if free == 0 {
                    return (page * PAGE).saturating_sub(position);
                }
                free -= 1;
            }
        }
        len
    }

    pub(super) fn write(&mut self, position: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.soil(position, bytes.len());
        self.blocks.extend(page_range(position, bytes.len()));
        self.current.write(position, bytes);
        self.grow(position + bytes.len());
    }

    pub(super) fn allocate(&mut self, len: usize) {
        self.blocks.extend(page_range(0, len));
        self.grow(len);
    }

    /// `range` ends at the file's end or before it.
    pub(super) fn punch(&mut self, range: Range<usize>) {
        self.soil(range.start, range.len());
        self.current.zero(range.clone());
        let end = if range.end < self.len { range.end / PAGE } else { range.end.div_ceil(PAGE) };
        let whole = range.start.div_ceil(PAGE)..end;
        self.blocks.retain(|page| !whole.contains(page));
    }

    /// The sync that worked.
    pub(super) fn sync(&mut self) {
        if self.grown || !self.dirty.is_empty() {
            self.durable_len = self.len;
        }
        for (page, sectors) in std::mem::take(&mut self.dirty) {
            if sectors == u8::MAX || !self.lost {
                self.durable.share_page(&self.current, page);
            } else {
                for sector in dirty_sectors(page, sectors) {
                    self.durable.write(sector * SECTOR, self.current.sector(sector));
                }
            }
        }
        self.earlier.clear();
        self.grown = false;
    }

    /// The sync that failed: the system takes the sectors for clean, and shows them, but they never reached the disk.
    pub(super) fn lose(&mut self) {
        self.lost |= !self.dirty.is_empty();
        self.dirty.clear();
        self.earlier.clear();
        self.grown = false;
    }

    /// The file as a machine may find it after a crash now, all of it durable. `chance` is that of a dirty sector to be
    /// there, unless this file goes its own way.
    pub(super) fn image(&self, chance: usize, rng: &mut Rng) -> Self {
        let len = self.image_len(rng);
        let mut durable = self.durable.clone();
        if !self.dirty.is_empty() {
            self.write_back(&mut durable, chance, rng);
        }
        // Nothing lies beyond the end of a file.
        durable.zero(len..self.len.max(len).next_multiple_of(PAGE));
        let last = len.div_ceil(PAGE);
        let blocks = (0..last).filter(|page| self.blocks.contains(page) || durable.holds(*page)).collect();
        Self {
            current: durable.clone(),
            len,
            durable,
            durable_len: len,
            dirty: BTreeMap::new(),
            earlier: BTreeMap::new(),
            grown: false,
            lost: false,
            blocks,
            coin: rng.clone(),
        }
    }

    /// The length reaches the disk apart from the data: zeros may lie where data was written, and data may be cut off.
    fn image_len(&self, rng: &mut Rng) -> usize {
        let unsynced = self.len > self.durable_len && (self.grown || !self.dirty.is_empty());
        match rng.below(5) {
            0 | 1 if unsynced => self.len,
            // As a file that grew by several writes.
            2 if unsynced => {
                let grown = rng.below(self.len - self.durable_len);
                ((self.durable_len + grown) / SECTOR * SECTOR).max(self.durable_len)
            }
            _ => self.durable_len,
        }
    }

    fn write_back(&self, durable: &mut Pages, chance: usize, rng: &mut Rng) {
        let sectors: usize = self.dirty.values().map(|sectors| sectors.count_ones() as usize).sum();
        let way = match rng.below(10) {
            0..4 => WriteBack::Each(chance),
            4..7 => WriteBack::Each(draw_chance(rng)),
            7 | 8 => WriteBack::Before(rng.below(sectors + 1)),
            _ => WriteBack::From(rng.below(sectors + 1)),
        };
        let mut rank = 0;
        for (page, sectors) in &self.dirty {
            let first = rank;
            rank += sectors.count_ones() as usize;
            if self.earlier.is_empty() && self.current.same_page(durable, *page) {
                continue;
            }
            for (nth, sector) in dirty_sectors(*page, *sectors).enumerate() {
                let kept = match way {
                    WriteBack::Each(chance) => rng.chance(chance),
                    WriteBack::Before(border) => first + nth < border,
                    WriteBack::From(border) => first + nth >= border,
                };
                let position = sector * SECTOR;
                let new = self.current.sector(sector);
                let earlier = self.earlier.get(&sector);
                // What is written again unchanged cannot be damaged, in halves or whole.
                if earlier.is_none() && new == durable.sector(sector) {
                    continue;
                }
                if rng.chance(1) {
                    // Torn: half of it written.
                    durable.write(position, &new[..SECTOR / 2]);
                } else if kept {
                    durable.write(position, new);
                } else if let Some(earlier) = earlier
                    && rng.chance(50)
                {
                    durable.write(position, earlier);
                }
            }
        }
    }

    fn grow(&mut self, len: usize) {
        if len > self.len {
            self.len = len;
            self.grown = true;
        }
    }

    /// Marks sectors dirty, before they are changed.
    fn soil(&mut self, position: usize, len: usize) {
        if len == 0 {
            return;
        }
        for sector in position / SECTOR..=(position + len - 1) / SECTOR {
            let (page, bit) = (sector / SECTORS, 1 << (sector % SECTORS));
            let sectors = self.dirty.entry(page).or_default();
            let old = self.current.sector(sector);
            // The system may have written a dirty sector back at any time, so what it held before this write counts too.
            // One such state a sector is enough; which one is left to chance.
            if *sectors & bit != 0 && old != self.durable.sector(sector) {
                let replace = self.coin.chance(50);
                let remembered = self.earlier.entry(sector);
                if replace || matches!(remembered, std::collections::btree_map::Entry::Vacant(_)) {
                    remembered.or_insert([0; SECTOR]).copy_from_slice(old);
                }
            }
            *sectors |= bit;
        }
    }
}

fn page_range(position: usize, len: usize) -> Range<usize> {
    if len == 0 { 0..0 } else { position / PAGE..(position + len).div_ceil(PAGE) }
}

fn dirty_sectors(page: usize, sectors: u8) -> impl Iterator<Item = usize> {
    (0..SECTORS).filter(move |sector| sectors & (1 << sector) != 0).map(move |sector| page * SECTORS + sector)
}
