//! The second room with `unsafe`: what happens when a page of a map cannot be read.
//!
//! The system then sends SIGBUS, which would end the process for a bad block of the disk, or for a file that someone else
//! has cut. The handler here puts a page of zeros in the place of the one that is missing, and flags the map: the reader goes on, fails at the
//! checksum, and finds the flag. Faults outside of our maps go to the handler that was there before.
//!
//! The handler allocates nothing and takes no lock. It finds the maps in a table of slots that are never freed, and that
//! are filled and emptied under a lock that the handler does not know.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, Once, OnceLock, PoisonError};

/// Slots that are made together.
const SLAB: usize = 64;

/// One map, or none.
#[derive(Debug)]
struct Slot {
    /// Odd while the fields below change, and another one afterwards: the handler passes over a slot whose version moves. The map in
    /// which it was called is in use, so its slot stands still.
    version: AtomicUsize,
    start: AtomicUsize,
    /// The end of the last page; equal to `start` where the slot is free.
    end: AtomicUsize,
    writable: AtomicBool,
    faulted: AtomicBool,
}

struct Slab {
    slots: [Slot; SLAB],
    next: *const Slab,
}

/// The newest slab; each leads to the one before.
static SLABS: AtomicPtr<Slab> = AtomicPtr::new(ptr::null_mut());

/// The slots without a map. Never touched by the handler.
static FREE: Mutex<Vec<&'static Slot>> = Mutex::new(Vec::new());

static INSTALLED: Once = Once::new();

/// What was to be done about SIGBUS before.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// The system's page size, known before the handler is installed.
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// A map that the handler knows, until this is dropped: that must be before it is unmapped.
#[derive(Debug)]
pub(super) struct Guard {
    slot: &'static Slot,
}

impl Guard {
    /// Guards the map of `len` bytes at `base`, to which may be written if it is `writable`.
    pub(super) fn new(base: *const u8, len: usize, writable: bool) -> Self {
        INSTALLED.call_once(install);
        let slot = take_slot();
        // A reader by words may touch what lies behind the last byte, in the same page.
        let end = base.addr().saturating_add(len).checked_next_multiple_of(PAGE.load(Ordering::Relaxed));
        slot.set(base.addr(), end.unwrap_or(usize::MAX), writable);
        Self { slot }
    }

    /// True once a page of the map could not be read.
    pub(super) fn is_faulted(&self) -> bool {
        self.slot.faulted.load(Ordering::SeqCst)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.slot.set(0, 0, false);
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self.slot);
    }
}

fn take_slot() -> &'static Slot {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(slot) = free.pop() {
            return slot;
        }
        let slab = Box::new(Slab { slots: [const { Slot::new() }; SLAB], next: SLABS.load(Ordering::SeqCst) });
        let slab: &'static mut Slab = Box::leak(slab);
        let raw: *mut Slab = slab;
        SLABS.store(raw, Ordering::SeqCst);
        // SAFETY: the slab is leaked, and nothing changes it from now on but through the atomics in it.
        free.extend(unsafe { &(*raw).slots }.iter().rev());
    }
}

impl Slot {
    const fn new() -> Self {
        Self {
            version: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            writable: AtomicBool::new(false),
            faulted: AtomicBool::new(false),
        }
    }

    /// Called by the one owner of the slot.
    fn set(&self, start: usize, end: usize, writable: bool) {
        self.version.fetch_add(1, Ordering::SeqCst);
        self.start.store(start, Ordering::SeqCst);
        self.end.store(end, Ordering::SeqCst);
        self.writable.store(writable, Ordering::SeqCst);
        self.faulted.store(false, Ordering::SeqCst);
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    fn holds(&self, address: usize) -> bool {
        let version = self.version.load(Ordering::SeqCst);
        let range = self.start.load(Ordering::SeqCst)..self.end.load(Ordering::SeqCst);
        range.contains(&address) && version.is_multiple_of(2) && self.version.load(Ordering::SeqCst) == version
    }

    /// Puts a page of zeros where `address` lies; false where the system refuses.
    fn cover(&self, address: usize) -> bool {
        // Before the zeros: who sees them sees the flag.
        self.faulted.store(true, Ordering::SeqCst);
        let writable = if self.writable.load(Ordering::SeqCst) { libc::PROT_WRITE } else { 0 };
        let size = PAGE.load(Ordering::Relaxed);
        let page = ptr::without_provenance_mut(address - address % size);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
        // SAFETY: the page lies in a map that is registered, so it is mapped, and ours; the thread that faulted uses the
        // map, so it stays mapped until the handler returns. No byte of the page could be read through it.
        unsafe { libc::mmap(page, size, libc::PROT_READ | writable, flags, -1, 0) == page }
    }
}

fn find(address: usize) -> Option<&'static Slot> {
    let mut slab: *const Slab = SLABS.load(Ordering::SeqCst);
    // SAFETY: each pointer is null or leads to a slab that was complete before the pointer could be seen, and is never freed.
    while let Some(here) = unsafe { slab.as_ref() } {
        if let Some(slot) = here.slots.iter().find(|slot| slot.holds(address)) {
            return Some(slot);
        }
        slab = here.next;
    }
    None
}

fn install() {
    PAGE.store(rustix::param::page_size(), Ordering::Relaxed);
    // SAFETY: zeros are a valid value of this plain structure of the system: no flags, an empty mask, the default action.
    let (mut previous, mut ours): (libc::sigaction, libc::sigaction) = unsafe { std::mem::zeroed() };
    // SAFETY: asks only; `previous` is valid for writing.
    if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut previous) } != 0 {
        return;
    }
    // Known before it can be needed.
    let _ = PREVIOUS.set(previous);
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_bus_error;
    ours.sa_sigaction = handler as *const () as usize;
    // Not deferred: a second fault inside of the handler before ours must end the process, not hang it.
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for, and does only what a handler may do. Where the
    // system refuses, the maps go without a guard.
    unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut()) };
}

extern "C" fn on_bus_error(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes what describes the signal; the address is one where the signal is a fault.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    let fault = is_fault(code);
    if fault && find(address).is_some_and(|slot| slot.cover(address)) {
        return;
    }
    let previous = PREVIOUS.get();
    match previous.map_or(libc::SIG_DFL, |previous| previous.sa_sigaction) {
        // Somebody sent it, and nobody minds.
        libc::SIG_IGN if !fault => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: both calls are allowed in a handler. A fault happens again as soon as the handler returns, and what
            // was sent is sent again; either ends the process.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                if !fault {
                    libc::raise(signal);
                }
            }
        }
        handler if previous.is_some_and(|previous| previous.sa_flags & libc::SA_SIGINFO != 0) => {
            // SAFETY: whoever installed it said by the flag that it takes these three.
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without the flag, a handler takes the number alone.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}

/// True where an access to memory raised the signal, for want of the page; false where it was sent, or the address was crooked.
fn is_fault(code: c_int) -> bool {
    #[cfg(target_os = "linux")]
    return matches!(code, libc::BUS_ADRERR | libc::BUS_MCEERR_AR);
    // There, the codes of faults are 1 to 3, and say less.
    #[cfg(not(target_os = "linux"))]
    return matches!(code, 1..=3);
}
