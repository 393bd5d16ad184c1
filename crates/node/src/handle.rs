//! What all engines that stand on a log of records have in common, for JavaScript: one handle of one thread, its way to the event loop, its end.

use std::cell::{Ref, RefCell};
use std::ffi::CStr;
use std::ops::Deref;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use napi::{Env, sys};
use varve_io::{Machine, RealMachine};
use varve_wal::{Handle, Pin, Shared, Wal};

use crate::argument::{answer, index, optional_index};
use crate::exit;
use crate::exit::Ends;
use crate::fault::Fault;
use crate::notify::{Notifier, Settler};
use crate::raw::{Answer, Call, Made, SCRATCH, function};
use crate::task::promise;

/// The machine that all engines run on.
pub static MACHINE: LazyLock<Arc<dyn Machine>> = LazyLock::new(|| Arc::new(RealMachine::new()));

/// An engine as this module uses it.
pub trait Engine: Shared<Error: Into<Fault>> + Send + Sync {
    /// What reads from it.
    type Reader: Send + 'static;

    /// What tells of it, and syncs it.
    type Heart: Heart;

    /// What it is, or stands on.
    fn heart(self: &Arc<Self>) -> &Arc<Self::Heart>;

    /// Its users have indexes of records, and not offsets of messages.
    const HAS_INDEXES: bool = false;

    /// Has what is told of its segments ready.
    fn settle_segments(self: &Arc<Self>);
}

/// What tells of an engine, and syncs it.
pub trait Heart {
    /// Has a handle told of what happens; gives a number to take it away with.
    fn listen(self: &Arc<Self>, notifier: Arc<Notifier>) -> u64;
    /// Takes it away.
    fn unlisten(self: &Arc<Self>, listener: u64);
    /// Hands what is buffered to the system.
    fn flush(self: &Arc<Self>) -> Result<(), Fault>;
    /// Asks for a sync of everything so far; gives a ticket.
    fn request_sync(self: &Arc<Self>) -> Result<u64, Fault>;
    /// The last ticket that has been reached.
    fn durable_ticket(self: &Arc<Self>) -> u64;
    /// A listener wants to be asked before segments are removed.
    fn object(self: &Arc<Self>, listener: u64);
    /// It answers question `number`, of a partition where there are some.
    fn answer(self: &Arc<Self>, listener: u64, number: u64, allowed: usize, partition: usize);
}

impl Heart for Wal {
    fn listen(self: &Arc<Self>, notifier: Arc<Notifier>) -> u64 {
        Self::listen(self, Arc::new(move |news| notifier.tell(None, news)))
    }

    fn unlisten(self: &Arc<Self>, listener: u64) {
        Self::unlisten(self, listener);
    }

    fn flush(self: &Arc<Self>) -> Result<(), Fault> {
        Ok(Self::flush(self)?)
    }

    fn request_sync(self: &Arc<Self>) -> Result<u64, Fault> {
        Ok(Self::request_sync(self)?)
    }

    fn durable_ticket(self: &Arc<Self>) -> u64 {
        Self::durable_ticket(self)
    }

    fn object(self: &Arc<Self>, listener: u64) {
        Self::object(self, listener);
    }

    fn answer(self: &Arc<Self>, listener: u64, number: u64, allowed: usize, _: usize) {
        Self::answer(self, listener, number, allowed);
    }
}

/// What a binding holds of its engine.
pub enum Hold<E: Engine> {
    /// As one of its openers.
    Own(Handle<E>),
    /// As a part of a whole, which closes it.
    Part {
        /// The part.
        engine: Arc<E>,
        /// The whole was opened for reading.
        read_only: bool,
    },
}

impl<E: Engine> Deref for Hold<E> {
    type Target = Arc<E>;

    fn deref(&self) -> &Arc<E> {
        match self {
            Self::Own(handle) => handle,
            Self::Part { engine, .. } => engine,
        }
    }
}

impl<E: Engine> Hold<E> {
    fn is_read_only(&self) -> bool {
        match self {
            Self::Own(handle) => handle.is_read_only(),
            Self::Part { read_only, .. } => *read_only,
        }
    }

    fn close(&mut self) -> Result<(), Fault> {
        match self {
            Self::Own(handle) => handle.close().map_err(Into::into),
            Self::Part { .. } => Ok(()),
        }
    }
}

/// A reader. Another thread has it while it reads ahead.
pub type SharedReader<R> = Mutex<Option<R>>;

/// One handle of one thread.
pub struct Binding<E: Engine> {
    handle: RefCell<Option<Hold<E>>>,
    pub settler: Settler,
    pub listener: u64,
    /// Strings on their way.
    pub scratch: RefCell<[Vec<u8>; 2]>,
    /// Its readers: they end with it.
    readers: RefCell<Vec<Weak<SharedReader<E::Reader>>>>,
}

type Property = (&'static CStr, sys::napi_value);

/// Makes a binding of a handle, with the properties that all engines have.
pub fn bind<E: Engine>(env: &Env, handle: Hold<E>, dir: &Path) -> napi::Result<(Rc<Binding<E>>, Vec<Property>)> {
    let raw = env.raw();
    let weak = Arc::downgrade(&*handle);
    let ready = move || {
        if let Some(engine) = Weak::upgrade(&weak) {
            engine.settle_segments();
        }
    };
    let settler = Settler::new(raw, E::HAS_INDEXES, Box::new(ready))?;
    let listener = handle.heart().listen(Arc::clone(settler.notifier()));
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
        (
            c"flush",
            function(raw, &binding, |binding, _| binding.writable()?.heart().flush().map(|()| Answer::Undefined))?,
        ),
        (c"requestSync", function(raw, &binding, request_sync)?),
        (c"onNews", function(raw, &binding, on_news)?),
        (c"wantEvents", function(raw, &binding, want_events)?),
        (c"keepAlive", function(raw, &binding, keep_alive)?),
        (c"object", function(raw, &binding, object)?),
        (c"answer", function(raw, &binding, answer_question)?),
        (c"close", function(raw, &binding, close)?),
        (c"closeSync", function(raw, &binding, |binding, _| binding.close().map(|()| Answer::Undefined))?),
    ];
    Ok((binding, properties))
}

/// [`bind`] of an engine that is a log of records, or stands on one: all but the list of its segments.
pub fn bind_records<E: Engine<Heart = Wal>>(
    env: &Env,
    handle: Hold<E>,
    dir: &Path,
) -> napi::Result<(Rc<Binding<E>>, Vec<Property>)> {
    let (binding, mut properties) = bind(env, handle, dir)?;
    properties.push((c"pin", function(env.raw(), &binding, pin)?));
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

    /// The handle was opened for reading.
    pub fn is_read_only(&self) -> Result<bool, Fault> {
        self.handle.borrow().as_ref().map(Hold::is_read_only).ok_or_else(Fault::closed)
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
    fn take(&self) -> Option<Hold<E>> {
        let handle = self.handle.take()?;
        for reader in self.readers.take().iter().filter_map(Weak::upgrade) {
            // What it stands in is held no longer.
            let ended = reader.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(ended);
        }
        handle.heart().unlisten(self.listener);
        self.settler.release();
        Some(handle)
    }

    fn close(&self) -> Result<(), Fault> {
        self.take().map_or(Ok(()), |mut handle| handle.close())
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
    let heart = engine.heart();
    let ticket = heart.request_sync()?;
    let notifier = binding.settler.notifier();
    notifier.await_ticket(ticket);
    // What was reached before it was awaited is not told.
    Ok(answer(if heart.durable_ticket() >= ticket { 0 } else { ticket }))
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
    binding.engine()?.heart().object(binding.listener);
    Ok(Answer::Undefined)
}

/// `answer(number, allowed, partition?)`.
fn answer_question<E: Engine>(binding: &Rc<Binding<E>>, call: &Call) -> Result<Answer, Fault> {
    let allowed = usize::try_from(index(call, 1)?).unwrap_or(usize::MAX);
    let partition = usize::try_from(optional_index(call, 2)?.unwrap_or(0)).unwrap_or(usize::MAX);
    binding.engine()?.heart().answer(binding.listener, index(call, 0)?, allowed, partition);
    Ok(Answer::Undefined)
}

/// `pin(segment)`: a function that lets go of it.
fn pin<E: Engine<Heart = Wal>>(binding: &Rc<Binding<E>>, call: &Call) -> Result<Answer, Fault> {
    let pin = binding.engine()?.heart().pin(index(call, 0)?)?;
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
    let work = move || handle.map_or(Ok(()), |mut handle| handle.close());
    call.value(promise(work, |env, ()| crate::raw::value(env.raw(), ()).map(Made)))
}

/// What was made, as an answer.
pub fn made(made: napi::Result<Made>) -> Result<Answer, Fault> {
    made.map(|made| Answer::Value(made.0)).map_err(|error| Fault::invalid(error.reason))
}
