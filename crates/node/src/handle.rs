//! What all engines that stand on a log of records have in common, for JavaScript: one handle of one thread, its way to the event loop, its end.

use std::cell::{Ref, RefCell};
use std::ffi::CStr;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use napi::{Env, sys};
use varve_io::{Machine, RealMachine};
use varve_wal::{Handle, Pin, Shared, Wal};

use crate::argument::{answer, done, index};
use crate::exit::Ends;
use crate::fault::Fault;
use crate::notify::Settler;
use crate::raw::{Answer, Call, Made, SCRATCH, function};
use crate::task::promise;
use crate::{exit, report};

/// The machine that all engines run on.
pub static MACHINE: LazyLock<Arc<dyn Machine>> = LazyLock::new(|| Arc::new(RealMachine::new()));

/// An engine as this module uses it.
pub trait Engine: Shared<Error: Into<Fault>> + Send + Sync {
    /// What reads from it.
    type Reader: Send + 'static;

    /// The log of records that it is, or stands on.
    fn records(self: &Arc<Self>) -> &Arc<Wal>;
}

/// A reader. Another thread has it while it reads ahead.
pub type SharedReader<R> = Mutex<Option<R>>;

/// One handle of one thread.
pub struct Binding<E: Engine> {
    handle: RefCell<Option<Handle<E>>>,
    pub settler: Settler,
    pub listener: u64,
    /// Strings on their way.
    pub scratch: RefCell<[Vec<u8>; 2]>,
    /// Its readers: they end with it.
    readers: RefCell<Vec<Weak<SharedReader<E::Reader>>>>,
}

type Property = (&'static CStr, sys::napi_value);

/// Makes a binding of a handle, with the properties that all engines have.
pub fn bind<E: Engine>(env: &Env, handle: Handle<E>, dir: &Path) -> napi::Result<(Rc<Binding<E>>, Vec<Property>)> {
    let raw = env.raw();
    let settler = Settler::new(raw)?;
    let notifier = Arc::clone(settler.notifier());
    let listener = handle.records().listen(Arc::new(move |round| notifier.tell(round)));
    let read_only = handle.is_read_only();
    let binding = Rc::new(Binding {
        handle: RefCell::new(Some(handle)),
        settler,
        listener,
        scratch: RefCell::new([Vec::with_capacity(SCRATCH), Vec::new()]),
        readers: RefCell::default(),
    });
    exit::watch(raw, Rc::clone(&binding) as Rc<dyn Ends>);
    let dir = crate::raw::value(raw, dir.display().to_string())?;
    let properties = vec![
        (c"dir", dir),
        (c"readOnly", crate::raw::value(raw, read_only)?),
        (c"flush", function(raw, &binding, |binding, _| done(binding.writable()?.records().flush()))?),
        (c"requestSync", function(raw, &binding, request_sync)?),
        (c"onNews", function(raw, &binding, on_news)?),
        (c"wantEvents", function(raw, &binding, want_events)?),
        (c"keepAlive", function(raw, &binding, keep_alive)?),
        (c"object", function(raw, &binding, object)?),
        (c"answer", function(raw, &binding, answer_question)?),
        (c"segments", function(raw, &binding, segments)?),
        (c"pin", function(raw, &binding, pin)?),
        (c"close", function(raw, &binding, close)?),
        (c"closeSync", function(raw, &binding, |binding, _| binding.close().map(|()| Answer::Undefined))?),
    ];
    Ok((binding, properties))
}

impl<E: Engine> Binding<E> {
    /// The engine, as long as the handle is open.
    #[inline]
    pub fn engine(&self) -> Result<Ref<'_, Arc<E>>, Fault> {
        Ref::filter_map(self.handle.borrow(), |handle| handle.as_deref()).map_err(|_| Fault::closed())
    }

    /// The engine, if this handle may write to it.
    #[inline]
    pub fn writable(&self) -> Result<Ref<'_, Arc<E>>, Fault> {
        let handle = Ref::filter_map(self.handle.borrow(), Option::as_ref).map_err(|_| Fault::closed())?;
        if handle.is_read_only() {
            return Err(varve_wal::Error::ReadOnly.into());
        }
        Ok(Ref::map(handle, |handle| &**handle))
    }

    /// A reader that ends with the handle.
    pub fn share(&self, reader: E::Reader) -> Arc<SharedReader<E::Reader>> {
        let reader = Arc::new(Mutex::new(Some(reader)));
        let mut readers = self.readers.borrow_mut();
        // Now and then those that are gone are dropped: never more than half of the list.
        if readers.len() == readers.capacity() {
            readers.retain(|reader| reader.strong_count() > 0);
        }
        readers.push(Arc::downgrade(&reader));
        reader
    }

    /// The handle, on its way to be closed.
    fn take(&self) -> Option<Handle<E>> {
        let handle = self.handle.take()?;
        for reader in self.readers.take().iter().filter_map(Weak::upgrade) {
            // What it stands in is held no longer.
            let ended = reader.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(ended);
        }
        handle.records().unlisten(self.listener);
        self.settler.release();
        Some(handle)
    }

    fn close(&self) -> Result<(), Fault> {
        self.take().map_or(Ok(()), |mut handle| handle.close().map_err(Into::into))
    }
}

impl<E: Engine> Ends for Binding<E> {
    /// The environment ends. The engine is closed by its last handle; at the end of the process that would only make it wait for the disk.
    fn end(&self) {
        let Some(handle) = self.take() else { return };
        if !handle.is_read_only() {
            handle.hand_over();
        }
        if varve_io::is_main_thread() {
            std::mem::forget(handle);
        }
    }
}

impl<E: Engine> Drop for Binding<E> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

fn on_news<E: Engine>(binding: &Rc<Binding<E>>, call: &Call) -> Result<Answer, Fault> {
    binding.settler.set_callback(call.env, call.argument(0)).map(|()| Answer::Undefined)
}

fn request_sync<E: Engine>(binding: &Rc<Binding<E>>, _: &Call) -> Result<Answer, Fault> {
    let engine = binding.writable()?;
    let wal = engine.records();
    let ticket = wal.request_sync()?;
    let notifier = binding.settler.notifier();
    notifier.await_ticket(ticket);
    // What was reached before it was awaited is not told.
    Ok(answer(if wal.durable_ticket() >= ticket { 0 } else { ticket }))
}

fn keep_alive<E: Engine>(binding: &Rc<Binding<E>>, call: &Call) -> Result<Answer, Fault> {
    binding.settler.keep_alive(call.env, call.boolean(0).unwrap_or(false));
    Ok(Answer::Undefined)
}

fn want_events<E: Engine>(binding: &Rc<Binding<E>>, call: &Call) -> Result<Answer, Fault> {
    binding.settler.notifier().want_events(call.boolean(0).unwrap_or(false));
    Ok(Answer::Undefined)
}

/// The handle wants to be asked before segments are removed.
fn object<E: Engine>(binding: &Rc<Binding<E>>, _: &Call) -> Result<Answer, Fault> {
    binding.settler.notifier().object();
    binding.engine()?.records().object(binding.listener);
    Ok(Answer::Undefined)
}

/// `answer(number, allowed)`.
fn answer_question<E: Engine>(binding: &Rc<Binding<E>>, call: &Call) -> Result<Answer, Fault> {
    let allowed = usize::try_from(index(call, 1)?).unwrap_or(usize::MAX);
    binding.engine()?.records().answer(binding.listener, index(call, 0)?, allowed);
    Ok(Answer::Undefined)
}

fn segments<E: Engine>(binding: &Rc<Binding<E>>, call: &Call) -> Result<Answer, Fault> {
    let engine = binding.engine()?;
    engine.records().check_open()?;
    made(report::segments(&Env::from_raw(call.env), &engine.records().segments()))
}

/// `pin(segment)`: a function that lets go of it.
fn pin<E: Engine>(binding: &Rc<Binding<E>>, call: &Call) -> Result<Answer, Fault> {
    let pin = binding.engine()?.records().pin(index(call, 0)?)?;
    let held: Rc<RefCell<Option<Pin>>> = Rc::new(RefCell::new(Some(pin)));
    let release = function(call.env, &held, |held, _| {
        let released = held.take();
        drop(released);
        Ok(Answer::Undefined)
    });
    release.map(Answer::Value).map_err(|error| Fault::invalid(error.reason))
}

fn close<E: Engine>(binding: &Rc<Binding<E>>, call: &Call) -> Result<Answer, Fault> {
    let handle = binding.take();
    let work = move || handle.map_or(Ok(()), |mut handle| handle.close().map_err(Into::into));
    call.value(promise(work, |env, ()| crate::raw::value(env.raw(), ()).map(Made)))
}

/// What was made, as an answer.
pub fn made(made: napi::Result<Made>) -> Result<Answer, Fault> {
    made.map(|made| Answer::Value(made.0)).map_err(|error| Fault::invalid(error.reason))
}
