//! Long work that is done a segment a step, so that who asked for it may pause between them.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::sys;
use varve_wal::{Care, Progress};

use crate::fault::Fault;
use crate::raw::{Answer, Call, Made, function, object};
use crate::task::promise;

/// Work that is under way. Another thread has it while it does a step.
pub struct Steps<W> {
    work: Arc<Mutex<W>>,
    care: Arc<Care>,
}

/// Work that is begun, and done, a step at a time.
pub trait Step: Send + 'static {
    /// Does the next step; false when all is done.
    fn step(&mut self, care: &Care) -> Result<bool, Fault>;
}

type Property = (&'static std::ffi::CStr, sys::napi_value);

impl<W: Step> Steps<W> {
    /// Of work that is still to begin.
    pub fn new(work: W) -> Rc<Self> {
        Rc::new(Self { work: Arc::new(Mutex::new(work)), care: Arc::default() })
    }

    /// The work, between two steps.
    pub fn work(&self) -> MutexGuard<'_, W> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `{ step(), progress(table), abort() }`, and what is in `more`.
    pub fn bind(self: &Rc<Self>, env: sys::napi_env, more: Vec<Property>) -> napi::Result<Made> {
        let mut properties = more;
        properties.extend([
            (c"step", function(env, self, step)?),
            (c"progress", function(env, self, progress)?),
            (c"abort", function(env, self, abort)?),
        ]);
        object(env, &properties).map(Made)
    }
}

/// Does the next step on another thread.
fn step<W: Step>(steps: &Rc<Steps<W>>, call: &Call) -> Result<Answer, Fault> {
    let (work, care) = (Arc::clone(&steps.work), Arc::clone(&steps.care));
    let step = move || work.lock().unwrap_or_else(PoisonError::into_inner).step(&care);
    call.value(promise(step, |env, more: bool| crate::raw::value(env.raw(), more).map(Made)))
}

fn progress<W: Step>(steps: &Rc<Steps<W>>, call: &Call) -> Result<Answer, Fault> {
    let Progress { bytes, total_bytes, segments, total_segments } = steps.care.progress();
    if let Some(table) = call.doubles(0).and_then(|table| table.first_chunk_mut()) {
        *table = [bytes as f64, total_bytes as f64, segments as f64, total_segments as f64];
    }
    Ok(Answer::Undefined)
}

fn abort<W: Step>(steps: &Rc<Steps<W>>, _: &Call) -> Result<Answer, Fault> {
    steps.care.abort();
    Ok(Answer::Undefined)
}
