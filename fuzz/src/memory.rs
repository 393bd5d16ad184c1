//! What a piece of work asks of the allocator. Counted a thread, since tests run side by side.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn count(change: isize, size: usize) {
    // Fails only while the thread ends, where nothing is counted any more.
    let _ending = LIVE.try_with(|live| {
        live.set(live.get() + change);
        PEAK.set(PEAK.get().max(live.get()));
        LARGEST.set(LARGEST.get().max(size));
    });
}

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed(), layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed(), layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size.cast_signed() - layout.size().cast_signed(), new_size);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(memory, layout, new_size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed(), 0);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Does `work`, and panics if it had more than `most` bytes at a time, or asked for more than that at once.
pub fn bounded<R>(most: usize, what: &str, work: impl FnOnce() -> R) -> R {
    let before = LIVE.get();
    PEAK.set(before);
    LARGEST.set(0);
    let done = work();
    let peak = (PEAK.get() - before).unsigned_abs();
    assert!(peak <= most, "{what} held {peak} bytes at a time; at most {most} are in proportion");
    let largest = LARGEST.get();
    assert!(largest <= most, "{what} asked for {largest} bytes at once; at most {most} are in proportion");
    done
}
