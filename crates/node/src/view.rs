//! Views of files: array buffers over private maps. What JavaScript writes into one stays in its own page; the map lives as long as the buffer.
#![expect(unsafe_code, reason = "the border to N-API")]

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::LazyLock;

use napi::sys;
use varve_io::PrivateMap;
use varve_wal::Pin;

/// `VARVE_NO_EXTERNAL=1` forbids them, as some runtimes do (Electron, by the memory cage of V8): then everything is copied.
static FORBIDDEN: LazyLock<bool> =
    LazyLock::new(|| std::env::var_os("VARVE_NO_EXTERNAL").is_some_and(|value| value == "1"));

/// The status of a runtime that forbids memory of others'.
const NO_EXTERNAL_BUFFERS: sys::napi_status = 22;

/// What a buffer keeps alive.
struct View {
    _map: PrivateMap,
    _pin: Pin,
}

/// False where everything is copied.
pub fn are_allowed() -> bool {
    !*FORBIDDEN
}

/// An array buffer over `map`; `None` where the runtime forbids it. `pin` keeps the file where it is, for as long as the buffer is held.
pub fn of(env: sys::napi_env, map: PrivateMap, pin: Pin) -> napi::Result<Option<sys::napi_value>> {
    let (data, len) = (map.as_ptr(), map.len());
    let view = Box::into_raw(Box::new(View { _map: map, _pin: pin }));
    let mut made = ptr::null_mut();
    // SAFETY: `len` bytes at `data`, readable and writable, alive until the finalizer drops the map, which N-API calls when no view of the buffer is left.
    let status = unsafe {
        sys::napi_create_external_arraybuffer(env, data.cast(), len, Some(drop_view), view.cast(), &mut made)
    };
    if status == sys::Status::napi_ok {
        return Ok(Some(made));
    }
    // SAFETY: nobody has taken it: N-API calls no finalizer of a buffer that it did not make.
    drop(unsafe { Box::from_raw(view) });
    if status == NO_EXTERNAL_BUFFERS {
        return Ok(None);
    }
    napi::check_status!(status)?;
    Ok(None)
}

unsafe extern "C" fn drop_view(_env: sys::napi_env, _data: *mut c_void, view: *mut c_void) {
    // SAFETY: the box made in `of`, and this is its one finalizer.
    let view = unsafe { Box::from_raw(view.cast::<View>()) };
    let _a_panic_in_a_drop_must_not_reach_node = catch_unwind(AssertUnwindSafe(|| drop(view)));
}
