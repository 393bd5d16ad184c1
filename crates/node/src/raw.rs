//! Plain N-API callbacks: what every hot call goes through. A function made here costs 8 ns a call, one made by `#[napi]` 80 to 300.
//!
//! This module, `notify` and `exit` hold all `unsafe` of the addon. The rules that make it sound: everything here runs on the one thread of its
//! environment; a function holds its state by a counted reference that its finalizer gives back; a pointer into a JavaScript
//! buffer is used within the call that brought it, before any JavaScript can run; no panic leaves a callback.
#![expect(unsafe_code, reason = "the border to N-API")]

use std::borrow::Cow;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::slice;

use napi::sys;

use crate::fault::{Fault, throw};

/// Capacity that a scratch for strings keeps: longer strings grow it for their call.
pub const SCRATCH: usize = 64 << 10;

/// Most arguments that a plain function looks at.
const MAX_ARGUMENTS: usize = 5;

/// What a plain function gives back.
pub enum Answer {
    /// A number.
    Number(f64),
    /// Nothing.
    Undefined,
    /// A value made by other means.
    Value(sys::napi_value),
}

/// A call under way.
pub struct Call {
    pub(crate) env: sys::napi_env,
    arguments: [sys::napi_value; MAX_ARGUMENTS],
    count: usize,
}

struct Bound<T, F> {
    state: Rc<T>,
    body: F,
}

/// Makes a function of JavaScript that calls `body` with `state`. Each body gets a trampoline of its own, so that it is compiled into it.
pub fn function<T, F>(env: sys::napi_env, state: &Rc<T>, body: F) -> napi::Result<sys::napi_value>
where
    T: 'static,
    F: Fn(&Rc<T>, &Call) -> Result<Answer, Fault> + 'static,
{
    let bound = Box::into_raw(Box::new(Bound { state: Rc::clone(state), body }));
    let mut made = ptr::null_mut();
    // SAFETY: `bound` lives until the finalizer, which N-API calls when the function can no more be called. A function is an object, so
    // it takes a finalizer.
    unsafe {
        napi::check_status!(sys::napi_create_function(
            env,
            ptr::null(),
            0,
            Some(trampoline::<T, F>),
            bound.cast(),
            &mut made
        ))?;
        napi::check_status!(sys::napi_add_finalizer(
            env,
            made,
            bound.cast(),
            Some(drop_bound::<T, F>),
            ptr::null_mut(),
            ptr::null_mut()
        ))?;
    }
    Ok(made)
}

unsafe extern "C" fn drop_bound<T, F>(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `data` is the box of `function`, and this is its one finalizer.
    let bound = unsafe { Box::from_raw(data.cast::<Bound<T, F>>()) };
    let _a_panic_in_a_drop_must_not_reach_node = catch_unwind(AssertUnwindSafe(|| drop(bound)));
}

unsafe extern "C" fn trampoline<T, F>(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value
where
    T: 'static,
    F: Fn(&Rc<T>, &Call) -> Result<Answer, Fault> + 'static,
{
    // Filled in place: moving what has just been written word by word in larger units costs more than the call itself.
    let mut call = Call { env, arguments: [ptr::null_mut(); MAX_ARGUMENTS], count: MAX_ARGUMENTS };
    let mut data = ptr::null_mut();
    // SAFETY: the array has room for `count` values; N-API fills all of it, with `undefined` where no argument was given.
    let status = unsafe {
        sys::napi_get_cb_info(env, info, &mut call.count, call.arguments.as_mut_ptr(), ptr::null_mut(), &mut data)
    };
    if status != sys::Status::napi_ok {
        return ptr::null_mut();
    }
    // SAFETY: `data` is the box of `function`, alive as long as the function is.
    let bound = unsafe { &*data.cast::<Bound<T, F>>() };
    catch_unwind(AssertUnwindSafe(|| match (bound.body)(&bound.state, &call) {
        Ok(answer) => call.answer(answer),
        Err(fault) => throw(env, &fault),
    }))
    .unwrap_or_else(|_| throw(env, &Fault::panicked()))
}

impl Call {
    #[inline]
    fn answer(&self, answer: Answer) -> sys::napi_value {
        let mut value = ptr::null_mut();
        // SAFETY: plain constructors of values; an error leaves null, which is `undefined`.
        unsafe {
            match answer {
                Answer::Number(number) => {
                    // A small integer needs no heap number.
                    #[expect(clippy::cast_possible_truncation, reason = "compared with what it came from")]
                    let small = number as i32;
                    if f64::from(small) == number {
                        sys::napi_create_int32(self.env, small, &mut value)
                    } else {
                        sys::napi_create_double(self.env, number, &mut value)
                    }
                }
                Answer::Undefined => sys::napi_get_undefined(self.env, &mut value),
                Answer::Value(made) => {
                    value = made;
                    sys::Status::napi_ok
                }
            };
        }
        value
    }

    /// Argument `at` as it is.
    #[inline]
    pub fn argument(&self, at: usize) -> sys::napi_value {
        self.arguments.get(at).copied().unwrap_or(ptr::null_mut())
    }

    /// Argument `at`, if it is a number.
    #[inline]
    pub fn number(&self, at: usize) -> Option<f64> {
        let mut number = 0.0;
        // SAFETY: writes a double, or fails.
        let status = unsafe { sys::napi_get_value_double(self.env, self.argument(at), &mut number) };
        (status == sys::Status::napi_ok).then_some(number)
    }

    /// Argument `at`, if it is a boolean.
    pub fn boolean(&self, at: usize) -> Option<bool> {
        let mut value = false;
        // SAFETY: writes a bool, or fails.
        let status = unsafe { sys::napi_get_value_bool(self.env, self.argument(at), &mut value) };
        (status == sys::Status::napi_ok).then_some(value)
    }

    /// Argument `at` as bytes: `None` if it is no `Uint8Array`, an error if its memory is gone.
    #[inline]
    pub fn bytes(&self, at: usize) -> Result<Option<Cow<'_, [u8]>>, Fault> {
        self.lent(at, sys::TypedarrayType::uint8_array)
    }

    /// Argument `at` as 32-bit words: `None` if it is no `Uint32Array`, an error if its memory is gone.
    #[inline]
    pub fn words(&self, at: usize) -> Result<Option<Cow<'_, [u32]>>, Fault> {
        self.lent(at, sys::TypedarrayType::uint32_array)
    }

    /// Argument `at` as doubles: `None` if it is no `Float64Array`, an error if its memory is gone.
    #[inline]
    pub fn numbers(&self, at: usize) -> Result<Option<Cow<'_, [f64]>>, Fault> {
        self.lent(at, sys::TypedarrayType::float64_array)
    }

    /// Elements that JavaScript lends for the call: borrowed where they are, or copied where another thread may be writing to them.
    /// `kind` is the typed array of `T`s.
    #[inline]
    fn lent<T: Copy>(&self, at: usize, kind: i32) -> Result<Option<Cow<'_, [T]>>, Fault> {
        let Some((_, data, len, buffer)) = self.typed_array(at).filter(|array| array.0 == kind) else {
            return Ok(None);
        };
        if len == 0 {
            self.refuse_detached(buffer)?;
            return Ok(Some(Cow::Borrowed(&[])));
        }
        let mut private = false;
        // SAFETY: looks at a value. Shared memory is no `ArrayBuffer`.
        unsafe { sys::napi_is_arraybuffer(self.env, buffer, &mut private) };
        if private {
            // SAFETY: `len` elements at `data`, aligned as typed arrays are, are alive and unchanged until JavaScript runs again, which is after
            // this call. Two arguments may overlap: both are only read.
            return Ok(Some(Cow::Borrowed(unsafe { slice::from_raw_parts(data.cast(), len) })));
        }
        let mut copy = Vec::<T>::new();
        copy.try_reserve_exact(len).map_err(|_| Fault::invalid("the elements do not fit in memory".into()))?;
        // SAFETY: `len` elements at `data` are alive, for shared memory is never freed under a view. Another thread may write to them
        // meanwhile: they are copied as they are, without a reference to them, and looked at only then; any bits are a `u8`, a `u32` or an `f64`.
        unsafe {
            ptr::copy_nonoverlapping(data.cast(), copy.as_mut_ptr(), len);
            copy.set_len(len);
        }
        Ok(Some(Cow::Owned(copy)))
    }

    /// Argument `at` as bytes to write to. Empty if it is no `Uint8Array` or its memory is gone.
    #[inline]
    pub fn slab(&self, at: usize) -> &mut [u8] {
        self.writable(at, sys::TypedarrayType::uint8_array).unwrap_or_default()
    }

    /// Argument `at` as 32-bit words to write to: a table of the facade's. `None` if it is no `Uint32Array`.
    #[inline]
    pub fn table(&self, at: usize) -> Option<&mut [u32]> {
        self.writable(at, sys::TypedarrayType::uint32_array)
    }

    /// Argument `at` as doubles to write to. `None` if it is no `Float64Array`.
    pub fn doubles(&self, at: usize) -> Option<&mut [f64]> {
        self.writable(at, sys::TypedarrayType::float64_array)
    }

    /// Elements that the facade made to be written to. `kind` is the typed array of `T`s.
    #[inline]
    #[expect(
        clippy::mut_from_ref,
        reason = "the memory belongs to JavaScript, which stands still; each argument is asked for once"
    )]
    fn writable<T>(&self, at: usize, kind: i32) -> Option<&mut [T]> {
        let (_, data, len, _) = self.typed_array(at).filter(|(found, _, len, _)| *found == kind && *len > 0)?;
        // SAFETY: as in `lent`: `len` elements, aligned as typed arrays are, and alive for the call; they are made by the facade, of private
        // memory, and no two arguments of a call share one.
        Some(unsafe { slice::from_raw_parts_mut(data.cast(), len) })
    }

    #[inline]
    fn typed_array(&self, at: usize) -> Option<(i32, *mut u8, usize, sys::napi_value)> {
        let (mut kind, mut len, mut data, mut buffer) = (0, 0, ptr::null_mut(), ptr::null_mut());
        // SAFETY: writes its four results, or fails where the argument is no typed array.
        let status = unsafe {
            sys::napi_get_typedarray_info(
                self.env,
                self.argument(at),
                &mut kind,
                &mut len,
                &mut data,
                &mut buffer,
                ptr::null_mut(),
            )
        };
        (status == sys::Status::napi_ok && (len == 0 || !data.is_null())).then_some((kind, data.cast(), len, buffer))
    }

    #[cold]
    fn refuse_detached(&self, buffer: sys::napi_value) -> Result<(), Fault> {
        let mut detached = false;
        // SAFETY: looks at a value.
        unsafe { sys::napi_is_detached_arraybuffer(self.env, buffer, &mut detached) };
        if detached {
            Err(Fault::invalid("the buffer is detached: its bytes have been transferred elsewhere".into()))
        } else {
            Ok(())
        }
    }

    /// Hands argument `at`, if it is a string, to `read` as UTF-8. `scratch` is grown to its length.
    #[inline]
    pub fn utf8<R>(&self, at: usize, scratch: &mut Vec<u8>, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let answer = read(self.text(at, scratch)?);
        scratch.shrink_to(SCRATCH);
        Some(answer)
    }

    /// Argument `at`, if it is a string, as UTF-8 in `scratch`, which is grown to its length and left so.
    #[inline]
    pub fn text<'s>(&self, at: usize, scratch: &'s mut Vec<u8>) -> Option<&'s [u8]> {
        let mut len = 0;
        let text = self.argument(at);
        scratch.clear();
        // SAFETY: N-API writes at most the capacity given, its closing zero included, and says how much it wrote.
        unsafe {
            let status = sys::napi_get_value_string_utf8(
                self.env,
                text,
                scratch.as_mut_ptr().cast(),
                scratch.capacity(),
                &mut len,
            );
            if status != sys::Status::napi_ok {
                return None;
            }
            // It stops before a character that does not fit: up to 3 bytes and the zero may be left.
            if len + 4 >= scratch.capacity() {
                sys::napi_get_value_string_utf8(self.env, text, ptr::null_mut(), 0, &mut len);
                scratch.try_reserve_exact(len + 8).ok()?;
                sys::napi_get_value_string_utf8(
                    self.env,
                    text,
                    scratch.as_mut_ptr().cast(),
                    scratch.capacity(),
                    &mut len,
                );
            }
            scratch.set_len(len);
        }
        Some(scratch)
    }

    /// Argument `at`: bytes, a string in `scratch`, or `None` for null and undefined. `what` it is, for the error of all else.
    #[inline]
    pub fn part<'s>(&'s self, at: usize, scratch: &'s mut Vec<u8>, what: &str) -> Result<Option<Cow<'s, [u8]>>, Fault> {
        if at >= self.count {
            return Ok(None);
        }
        if let Some(bytes) = self.bytes(at)? {
            return Ok(Some(bytes));
        }
        if let Some(text) = self.text(at, scratch) {
            return Ok(Some(Cow::Borrowed(text)));
        }
        match self.kind(at) {
            sys::ValueType::napi_null | sys::ValueType::napi_undefined => Ok(None),
            _ => Err(Fault::invalid(format!("{what} is a Uint8Array, a string or null"))),
        }
    }
}

/// An object with these properties.
pub fn object(env: sys::napi_env, properties: &[(&std::ffi::CStr, sys::napi_value)]) -> napi::Result<sys::napi_value> {
    let mut made = ptr::null_mut();
    // SAFETY: makes an object, and sets properties of it to live values.
    unsafe {
        napi::check_status!(sys::napi_create_object(env, &mut made))?;
        for (name, value) in properties {
            napi::check_status!(sys::napi_set_named_property(env, made, name.as_ptr(), *value))?;
        }
    }
    Ok(made)
}

/// A value made by these means, for what `#[napi]` returns.
pub struct Made(pub sys::napi_value);

impl napi::bindgen_prelude::TypeName for Made {
    fn type_name() -> &'static str {
        "unknown"
    }

    fn value_type() -> napi::ValueType {
        napi::ValueType::Unknown
    }
}

impl napi::bindgen_prelude::ToNapiValue for Made {
    unsafe fn to_napi_value(_env: sys::napi_env, value: Self) -> napi::Result<sys::napi_value> {
        Ok(value.0)
    }
}

/// A value out of anything that N-API's library makes one of.
pub fn value<T: napi::bindgen_prelude::ToNapiValue>(env: sys::napi_env, from: T) -> napi::Result<sys::napi_value> {
    // SAFETY: `env` is the environment of this thread, and a callback of it is running.
    unsafe { T::to_napi_value(env, from) }
}

impl Call {
    /// `from` as an answer.
    pub fn value<T: napi::bindgen_prelude::ToNapiValue>(&self, from: T) -> Result<Answer, Fault> {
        value(self.env, from).map(Answer::Value).map_err(|error| Fault::invalid(error.reason))
    }

    /// True if argument `at` was not given.
    #[inline]
    pub fn is_undefined(&self, at: usize) -> bool {
        if at >= self.count {
            return true;
        }
        self.kind(at) == sys::ValueType::napi_undefined
    }

    /// The type of argument `at`.
    fn kind(&self, at: usize) -> sys::napi_valuetype {
        let mut kind = 0;
        // SAFETY: looks at a value.
        unsafe { sys::napi_typeof(self.env, self.argument(at), &mut kind) };
        kind
    }
}
