//! The end of a worker, and of the process: what is buffered is handed over, whatever ends them but a signal.
#![expect(unsafe_code, reason = "the border to N-API and to the C library")]

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::panic::catch_unwind;
use std::ptr;
use std::rc::{Rc, Weak};
use std::sync::Once;

use napi::sys;

/// What lets go of its log when its environment ends.
pub trait Ends {
    /// The environment ends.
    fn end(&self);
}

thread_local! {
    static OPEN: RefCell<Vec<Weak<dyn Ends>>> = const { RefCell::new(Vec::new()) };
    static HOOKED: Cell<bool> = const { Cell::new(false) };
}

static AT_EXIT: Once = Once::new();

unsafe extern "C" {
    fn atexit(callback: extern "C" fn()) -> i32;
    #[cfg(target_os = "linux")]
    fn at_quick_exit(callback: extern "C" fn()) -> i32;
}

/// `process.exit()` and an uncaught exception end the main thread without its clean-up hooks, but not without these.
extern "C" fn flush_at_exit() {
    let _too_late_for_a_panic = catch_unwind(varve_wal::flush_all);
    let _nor_for_this_one = catch_unwind(varve_log::flush_all);
    let _nor_for_that = catch_unwind(varve_log::flush_all_partitioned);
}

/// Has `binding` let go of its log when its environment ends.
pub fn watch(env: sys::napi_env, binding: Rc<dyn Ends>) {
    AT_EXIT.call_once(|| {
        // SAFETY: registers a function that lives as long as the process: the addon is never unloaded.
        unsafe { atexit(flush_at_exit) };
        // Bun ends by `quick_exit`, which runs these and not those.
        // SAFETY: as above.
        #[cfg(target_os = "linux")]
        unsafe {
            at_quick_exit(flush_at_exit)
        };
    });
    OPEN.with_borrow_mut(|open| {
        open.retain(|binding| binding.strong_count() > 0);
        open.push(Rc::downgrade(&binding));
    });
    if !HOOKED.replace(true) {
        // SAFETY: the hook runs on this thread, once, when the environment ends.
        unsafe { sys::napi_add_env_cleanup_hook(env, Some(environment_ends), ptr::null_mut()) };
    }
}

unsafe extern "C" fn environment_ends(_data: *mut c_void) {
    let _nobody_to_tell = catch_unwind(|| {
        HOOKED.set(false);
        let open = OPEN.take();
        open.iter().filter_map(Weak::upgrade).for_each(|binding| binding.end());
    });
}
