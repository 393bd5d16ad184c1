//! From the threads of a log to the event loop of a handle: one threadsafe function a handle, which keeps no process alive unless it is told to.
#![expect(unsafe_code, reason = "the border to N-API")]

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use napi::{Env, sys};
use varve_wal::{News, SegmentError};

use crate::fault::Fault;
use crate::report;

/// What the event loop is to be told: of numbers the last word counts, so calls that come close together are one.
#[derive(Default)]
struct Waiting {
    durable: AtomicU64,
    ticket: AtomicU64,
    moved: AtomicBool,
    events: Mutex<Vec<(Option<usize>, News)>>,
    failed: Mutex<Option<SegmentError>>,
}

/// A pointer that N-API allows to be used from any thread.
struct Threadsafe(sys::napi_threadsafe_function);

// SAFETY: `napi_call_threadsafe_function` and `napi_release_threadsafe_function` may be called from any thread.
unsafe impl Send for Threadsafe {}

/// The way to one handle's event loop.
pub struct Notifier {
    /// `None` once the function is released, or its environment gone: its finalizer takes it away under this lock, so nobody calls what is freed.
    function: Mutex<Option<Threadsafe>>,
    news: Waiting,
    /// A call is on its way, and has not looked at the news yet.
    scheduled: AtomicBool,
    /// The handle waits for this ticket.
    wanted_ticket: AtomicU64,
    /// The handle waits for the log to move.
    wants_move: AtomicBool,
    /// Somebody listens to events of the handle.
    wants_events: AtomicBool,
    /// The handle has an objection to make, perhaps, when segments are removed.
    objects: AtomicBool,
}

/// What the threadsafe function carries: the notifier, and the callback of the handle's thread.
struct Context {
    notifier: Arc<Notifier>,
    callback: RefCell<Option<sys::napi_ref>>,
    /// The reference to the callback keeps it from being collected.
    held: Cell<bool>,
    /// Its users have indexes of records.
    has_indexes: bool,
    /// Has what is told of segments ready.
    ready: Box<dyn Fn()>,
}

/// The side of a notifier that stays on the handle's thread.
pub struct Settler {
    notifier: Arc<Notifier>,
    context: *const Context,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Notifier {
    /// Has the event loop called, if it waits for this. What happens in a partition is told with it.
    pub fn tell(&self, partition: Option<usize>, news: &News) {
        match news {
            News::Durable { index, ticket } => {
                self.news.durable.store(*index, Ordering::Release);
                if self.news.ticket.fetch_max(*ticket, Ordering::AcqRel) >= self.wanted_ticket.load(Ordering::Acquire) {
                    return;
                }
            }
            News::Moved => {
                if !self.wants_move.swap(false, Ordering::AcqRel) {
                    return;
                }
                self.news.moved.store(true, Ordering::Release);
            }
            News::MayDelete(_) => {
                if !self.objects.load(Ordering::Acquire) {
                    return;
                }
                lock(&self.news.events).push((partition, news.clone()));
            }
            News::Rotated(_) | News::Deleted(_) => {
                if !self.wants_events.load(Ordering::Acquire) {
                    return;
                }
                lock(&self.news.events).push((partition, news.clone()));
            }
            News::Failed(error) => {
                lock(&self.news.failed).get_or_insert_with(|| error.clone());
            }
        }
        if self.scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(function) = lock(&self.function).as_ref() {
            // SAFETY: the function is not released while the lock is held. The queue has no bound, so this does not wait.
            unsafe {
                sys::napi_call_threadsafe_function(
                    function.0,
                    ptr::null_mut(),
                    sys::ThreadsafeFunctionCallMode::nonblocking,
                )
            };
        }
    }

    /// The handle wants to be told when `ticket` is reached.
    pub fn await_ticket(&self, ticket: u64) {
        self.wanted_ticket.fetch_max(ticket, Ordering::AcqRel);
    }

    /// The handle wants to be told, once, when the log has moved.
    pub fn await_move(&self) {
        self.wants_move.store(true, Ordering::Release);
    }

    /// Whether the handle wants to be told of segments.
    pub fn want_events(&self, on: bool) {
        self.wants_events.store(on, Ordering::Release);
    }

    /// The handle wants to be asked before segments are removed.
    pub fn object(&self) {
        self.objects.store(true, Ordering::Release);
    }
}

impl Settler {
    /// A way to the event loop of `env`, the environment of this thread. `has_indexes`: its users know indexes of records. `ready` is called on that
    /// loop before segments are told of.
    pub fn new(env: sys::napi_env, has_indexes: bool, ready: Box<dyn Fn()>) -> napi::Result<Self> {
        let notifier = Arc::new(Notifier {
            function: Mutex::default(),
            news: Waiting::default(),
            scheduled: AtomicBool::new(false),
            wanted_ticket: AtomicU64::new(0),
            wants_move: AtomicBool::new(false),
            wants_events: AtomicBool::new(false),
            objects: AtomicBool::new(false),
        });
        let context = Box::into_raw(Box::new(Context {
            notifier: Arc::clone(&notifier),
            callback: RefCell::default(),
            held: Cell::default(),
            has_indexes,
            ready,
        }));
        let (mut name, mut function) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the context lives until the function's finalizer, which N-API calls once, when the function is released or its environment ends.
        unsafe {
            napi::check_status!(sys::napi_create_string_utf8(env, c"varve".as_ptr(), 5, &mut name))?;
            napi::check_status!(sys::napi_create_threadsafe_function(
                env,
                ptr::null_mut(),
                ptr::null_mut(),
                name,
                0,
                1,
                context.cast(),
                Some(finalize),
                context.cast(),
                Some(call),
                &mut function,
            ))?;
            napi::check_status!(sys::napi_unref_threadsafe_function(env, function))?;
        }
        *notifier.function.lock().unwrap_or_else(PoisonError::into_inner) = Some(Threadsafe(function));
        Ok(Self { notifier, context })
    }

    /// What other threads use.
    pub fn notifier(&self) -> &Arc<Notifier> {
        &self.notifier
    }

    /// Sets the function `(durableIndex, ticket, moved, events?, error?)` that is called. Held weakly, so that a log that is forgotten can be collected; the facade holds it
    /// as long as the log, and [`Settler::keep_alive`] as long as something is waited for.
    pub fn set_callback(&self, env: sys::napi_env, callback: sys::napi_value) -> Result<(), Fault> {
        let function = self.notifier.function.lock().unwrap_or_else(PoisonError::into_inner);
        if function.is_none() {
            return Err(Fault::closed());
        }
        let (mut kind, mut reference) = (0, ptr::null_mut());
        // SAFETY: looks at a value, and takes a reference to it. The context is alive as long as the function is not released.
        unsafe {
            sys::napi_typeof(env, callback, &mut kind);
            if kind != sys::ValueType::napi_function {
                return Err(Fault::invalid("onNews takes a function".into()));
            }
            sys::napi_create_reference(env, callback, 0, &mut reference);
            if let Some(old) = (*self.context).callback.replace(Some(reference)) {
                sys::napi_delete_reference(env, old);
            }
        }
        Ok(())
    }

    /// Whether the process has to stay alive for the next call.
    pub fn keep_alive(&self, env: sys::napi_env, on: bool) {
        if let Some(function) = self.notifier.function.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            // SAFETY: called on the environment's own thread, while the function is not released.
            unsafe {
                if on {
                    sys::napi_ref_threadsafe_function(env, function.0);
                } else {
                    sys::napi_unref_threadsafe_function(env, function.0);
                }
            }
            // SAFETY: the context is alive as long as the function is not released.
            let callback = unsafe { &*self.context };
            if let Some(reference) = *callback.callback.borrow()
                && callback.held.replace(on) != on
            {
                let mut count = 0;
                // SAFETY: a live reference of this environment; its count is 1 while it is held, and 0 while it is not.
                unsafe {
                    if on {
                        sys::napi_reference_ref(env, reference, &mut count);
                    } else {
                        sys::napi_reference_unref(env, reference, &mut count);
                    }
                }
            }
        }
    }

    /// Ends it. What is on its way is still delivered.
    pub fn release(&self) {
        let function = self.notifier.function.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(function) = function {
            // SAFETY: taken out under the lock, so it is released once, and used by nobody after.
            unsafe { sys::napi_release_threadsafe_function(function.0, sys::ThreadsafeFunctionReleaseMode::release) };
        }
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.release();
    }
}

unsafe extern "C" fn finalize(env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `data` is the box made in `new`, and this is its one finalizer.
    let context = unsafe { Box::from_raw(data.cast::<Context>()) };
    // Threads that are just calling hold this lock; those that come later find nothing.
    context.notifier.function.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(reference) = context.callback.take() {
        // SAFETY: the reference was made in this environment, and is given up once.
        unsafe { sys::napi_delete_reference(env, reference) };
    }
}

/// On the event loop.
unsafe extern "C" fn call(env: sys::napi_env, _function: sys::napi_value, context: *mut c_void, _data: *mut c_void) {
    if env.is_null() {
        return;
    }
    // SAFETY: the context is alive until the finalizer, which comes after the last call.
    let context = unsafe { &*context.cast::<Context>() };
    let _a_panic_must_not_reach_node = catch_unwind(AssertUnwindSafe(|| deliver(env, context)));
}

fn deliver(env: sys::napi_env, context: &Context) {
    let Some(reference) = *context.callback.borrow() else { return };
    let news = &context.notifier.news;
    // First: what comes from here on needs a call of its own.
    context.notifier.scheduled.store(false, Ordering::Release);
    let failed = lock(&news.failed).clone();
    let fault = failed
        .map(varve_wal::Error::from)
        .map(|error| if context.has_indexes { Fault::from(error) } else { Fault::from(varve_log::Error::from(error)) });
    let error = fault.and_then(|fault| fault.to_js(&Env::from_raw(env)).ok());
    let happened = std::mem::take(&mut *lock(&news.events));
    if !happened.is_empty() {
        (context.ready)();
    }
    let events = if happened.is_empty() { None } else { report::events(&Env::from_raw(env), &happened).ok() };
    let (mut callback, mut receiver) = (ptr::null_mut(), ptr::null_mut());
    let mut arguments = [ptr::null_mut(); 5];
    let numbers = [&news.durable, &news.ticket].map(|number| number.load(Ordering::Acquire) as f64);
    let moved = news.moved.swap(false, Ordering::AcqRel);
    // SAFETY: plain calls on live values of this environment; an exception thrown by the callback is handed to the process, as Node does with its own.
    unsafe {
        sys::napi_get_reference_value(env, reference, &mut callback);
        sys::napi_get_undefined(env, &mut receiver);
        sys::napi_create_double(env, numbers[0], &mut arguments[0]);
        sys::napi_create_double(env, numbers[1], &mut arguments[1]);
        sys::napi_get_boolean(env, moved, &mut arguments[2]);
        arguments[3] = events.map_or(receiver, |events| events.0);
        arguments[4] = error.map_or(receiver, |error| napi::JsValue::raw(&error));
        if callback.is_null() {
            return;
        }
        let status =
            sys::napi_call_function(env, receiver, callback, arguments.len(), arguments.as_ptr(), ptr::null_mut());
        if status == sys::Status::napi_pending_exception {
            let mut exception = ptr::null_mut();
            sys::napi_get_and_clear_last_exception(env, &mut exception);
            sys::napi_fatal_exception(env, exception);
        }
    }
}
