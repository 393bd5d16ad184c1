use std::ops::Range;
use std::sync::Arc;

/// Bytes that are stored, shared and allocated together.
pub(super) const PAGE: usize = 4096;

/// Bytes that a disk writes together.
pub(super) const SECTOR: usize = 512;

/// Sectors in a page.
pub(super) const SECTORS: usize = PAGE / SECTOR;

static ZEROS: [u8; SECTOR] = [0; SECTOR];

/// The bytes of a file, without its length: pages shared between copies until one is written to. A page that is missing is zeros,
/// so that a copy of a preallocated file costs next to nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages(Vec<Option<Arc<[u8; PAGE]>>>);

impl Pages {
    pub(super) fn read(&self, position: usize, buf: &mut [u8]) {
        for (page, within, at) in pieces(position, buf.len()) {
            match self.0.get(page) {
                Some(Some(bytes)) => buf[at].copy_from_slice(&bytes[within]),
                _ => buf[at].fill(0),
            }
        }
    }

    pub(super) fn write(&mut self, position: usize, bytes: &[u8]) {
        for (page, within, at) in pieces(position, bytes.len()) {
            let new = &bytes[at];
            if self.0.get(page).is_none_or(Option::is_none) && new.iter().all(|byte| *byte == 0) {
                continue;
            }
            self.page_mut(page)[within].copy_from_slice(new);
        }
    }

    pub(super) fn zero(&mut self, range: Range<usize>) {
        for (page, within, _) in pieces(range.start, range.len()) {
            let Some(slot) = self.0.get_mut(page) else { break };
            if within.len() == PAGE {
                *slot = None;
            } else if let Some(bytes) = slot {
                Arc::make_mut(bytes)[within].fill(0);
            }
        }
    }

    pub(super) fn sector(&self, number: usize) -> &[u8] {
        match self.0.get(number / SECTORS) {
            Some(Some(bytes)) => &bytes[number % SECTORS * SECTOR..][..SECTOR],
            _ => &ZEROS,
        }
    }

    /// True where both hold the page in the same memory, or neither holds it.
    pub(super) fn same_page(&self, other: &Self, page: usize) -> bool {
        match (self.page(page), other.page(page)) {
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
            (None, None) => true,
            _ => false,
        }
    }

    /// Takes the whole page over from `other`.
    pub(super) fn share_page(&mut self, other: &Self, page: usize) {
        match other.page(page) {
            Some(bytes) => *self.slot(page) = Some(Arc::clone(bytes)),
            None => {
                if let Some(slot) = self.0.get_mut(page) {
                    *slot = None;
                }
            }
        }
    }

    /// True where the page is more than zeros by omission.
    pub(super) fn holds(&self, page: usize) -> bool {
        self.page(page).is_some()
    }

    fn page(&self, page: usize) -> Option<&Arc<[u8; PAGE]>> {
        self.0.get(page).and_then(Option::as_ref)
    }

    fn slot(&mut self, page: usize) -> &mut Option<Arc<[u8; PAGE]>> {
        if self.0.len() <= page {
            self.0.resize(page + 1, None);
        }
        &mut self.0[page]
    }

    fn page_mut(&mut self, page: usize) -> &mut [u8; PAGE] {
        Arc::make_mut(self.slot(page).get_or_insert_with(|| Arc::new([0; PAGE])))
    }
}

/// Cuts `len` bytes from `position` on at page borders: the page, the range in it, and the range in the caller's bytes.
fn pieces(position: usize, len: usize) -> impl Iterator<Item = (usize, Range<usize>, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let (page, start) = ((position + done) / PAGE, (position + done) % PAGE);
        let size = (PAGE - start).min(len - done);
        done += size;
        (size > 0).then(|| (page, start..start + size, done - size..done))
    })
}
