//! Memory of JavaScript that is used beyond the call that brought it: kept alive by references, and never touched after they are given up.
#![expect(unsafe_code, reason = "the border to N-API")]

use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use napi::sys;
use varve_wal::Mirror;

use crate::fault::Fault;
use crate::raw::Call;

/// Counted references to values, of one environment. Given up on its thread.
pub struct References {
    env: sys::napi_env,
    held: Vec<sys::napi_ref>,
}

// SAFETY: a job carries them to another thread and back, where nothing touches them: jobs are made and dropped on the thread of the environment.
unsafe impl Send for References {}

impl References {
    /// Keeps arguments of a call alive.
    pub fn to(call: &Call, arguments: &[usize]) -> Self {
        let mut references = Self { env: call.env, held: Vec::new() };
        for at in arguments {
            let mut held = ptr::null_mut();
            // SAFETY: takes a reference to a live value of the environment whose callback is running.
            let status = unsafe { sys::napi_create_reference(call.env, call.argument(*at), 1, &mut held) };
            if status == sys::Status::napi_ok {
                references.held.push(held);
            }
        }
        references
    }
}

impl Drop for References {
    fn drop(&mut self) {
        for held in self.held.drain(..) {
            // SAFETY: given up once, on the thread of its environment: all that own a `References` stay on it.
            unsafe { sys::napi_delete_reference(self.env, held) };
        }
    }
}

/// Three doubles of the facade's, in which a reader of JavaScript keeps its place: the index of the next record it returns, whether it has returned the
/// one before (0 or 1), and whether what it has ahead is to be read again (set here, cleared there). `None` once they are given up.
#[derive(Debug)]
pub struct LentPlace(Mutex<Option<NonNull<AtomicU64>>>);

// SAFETY: the doubles are read and written as atomics, and only under the lock, which the thread that owns them takes to give them up.
unsafe impl Send for LentPlace {}
// SAFETY: as above.
unsafe impl Sync for LentPlace {}

const NEXT: usize = 0;
const RETURNED: usize = 1;
const INTERRUPTED: usize = 2;

impl LentPlace {
    /// Argument `at`, a `Float64Array` of three on a buffer of its own. The caller keeps it alive until [`LentPlace::give_up`].
    pub fn new(call: &Call, at: usize) -> Result<Arc<Self>, Fault> {
        let place = call.doubles(at).filter(|place| place.len() == 3);
        let place = place.and_then(|place| NonNull::new(place.as_mut_ptr().cast::<AtomicU64>()));
        let place = place.ok_or_else(|| Fault::invalid("a place is a Float64Array of 3".into()))?;
        Ok(Arc::new(Self(Mutex::new(Some(place)))))
    }

    fn with<R>(&self, use_it: impl FnOnce(&[AtomicU64]) -> R) -> Option<R> {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: three doubles, aligned as typed arrays are, alive until they are given up under this lock. Another thread may be writing them: they
        // are never read but as atomics, of the same size.
        place.map(|place| use_it(unsafe { slice::from_raw_parts(place.as_ptr(), 3) }))
    }

    /// From now on nobody looks at the memory.
    pub fn give_up(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// A place, for the log.
#[derive(Debug)]
pub struct PlaceOf(pub Arc<LentPlace>);

impl Mirror for PlaceOf {
    fn place(&self) -> Option<(u64, bool)> {
        self.0.with(|place| {
            let number = |at: usize| f64::from_bits(place[at].load(Ordering::Acquire));
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "an index that the facade wrote"
            )]
            let next = number(NEXT) as u64;
            (next, number(RETURNED) != 0.0)
        })
    }

    fn interrupt(&self) {
        let _gone = self.0.with(|place| place[INTERRUPTED].store(1.0_f64.to_bits(), Ordering::Release));
    }
}

/// A slab and its tables, lent to another thread for one job. The facade does not look at them before the job is done.
pub struct LentSlab {
    slab: (NonNull<u8>, usize),
    words: (NonNull<u32>, usize),
}

// SAFETY: one thread at a time has it, and JavaScript does not touch the memory meanwhile.
unsafe impl Send for LentSlab {}

impl LentSlab {
    /// Arguments 0 and 1: a `Uint8Array` and a `Uint32Array`. The caller keeps them alive until the job is done.
    pub fn new(call: &Call) -> Result<Self, Fault> {
        let bad = || Fault::invalid("reading ahead takes a Uint8Array and a Uint32Array".into());
        let words = call.table(1).ok_or_else(bad)?;
        let slab = call.slab(0);
        if slab.is_empty() {
            return Err(bad());
        }
        let (slab_len, words_len) = (slab.len(), words.len());
        Ok(Self {
            slab: (NonNull::new(slab.as_mut_ptr()).ok_or_else(bad)?, slab_len),
            words: (NonNull::new(words.as_mut_ptr()).ok_or_else(bad)?, words_len),
        })
    }

    /// The memory.
    pub fn parts(&mut self) -> (&mut [u8], &mut [u32]) {
        // SAFETY: private memory of the facade's, kept alive by references for the time of the job, of these lengths, aligned as typed arrays are; the
        // two do not overlap; `&mut self` makes this the only use.
        unsafe {
            (
                slice::from_raw_parts_mut(self.slab.0.as_ptr(), self.slab.1),
                slice::from_raw_parts_mut(self.words.0.as_ptr(), self.words.1),
            )
        }
    }
}
