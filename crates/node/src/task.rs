//! Rare work that waits for the disk: on the threads of libuv, as a promise.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Task};
use varve_wal::{Care, Progress};

use crate::fault::Fault;
use crate::lent::References;
use crate::raw::{Answer, Call, Made, function, object};

type Work<T> = Box<dyn FnOnce() -> Result<T, Fault> + Send>;
/// Makes a value of a result.
pub type Finish<T> = fn(Env, T) -> napi::Result<Made>;

/// Work, and how its result becomes a value.
pub struct Job<T> {
    work: Option<Work<T>>,
    finish: Finish<T>,
    /// What the work uses of JavaScript, until it is done.
    _held: Option<References>,
}

/// A promise of what `work` gives, made a value by `finish` on the event loop.
pub fn promise<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    finish: Finish<T>,
) -> AsyncTask<Job<T>> {
    AsyncTask::new(Job { work: Some(Box::new(work)), finish, _held: None })
}

/// The same of work that uses memory of JavaScript, which `held` keeps alive.
pub fn promise_holding<T: Send + 'static>(
    held: References,
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    finish: Finish<T>,
) -> AsyncTask<Job<T>> {
    AsyncTask::new(Job { work: Some(Box::new(work)), finish, _held: Some(held) })
}

/// Long work on a thread of libuv's pool. Gives the promise, and the means to watch and to end it: `{ done, progress(table), abort() }`.
pub fn watched<T: Send + 'static>(
    env: Env,
    work: impl FnOnce(&Care) -> Result<T, Fault> + Send + 'static,
    finish: Finish<T>,
) -> napi::Result<Made> {
    let (raw, care) = (env.raw(), Rc::new(Arc::new(Care::default())));
    let watched = Arc::clone(&care);
    let done = promise(move || work(&watched), finish);
    let progress = |care: &Rc<Arc<Care>>, call: &Call| {
        let Progress { bytes, total_bytes, segments, total_segments } = care.progress();
        if let Some(table) = call.doubles(0).and_then(|table| table.first_chunk_mut()) {
            *table = [bytes as f64, total_bytes as f64, segments as f64, total_segments as f64];
        }
        Ok(Answer::Undefined)
    };
    let abort = |care: &Rc<Arc<Care>>, _: &Call| {
        care.abort();
        Ok(Answer::Undefined)
    };
    object(
        raw,
        &[
            (c"done", crate::raw::value(raw, done)?),
            (c"progress", function(raw, &care, progress)?),
            (c"abort", function(raw, &care, abort)?),
        ],
    )
    .map(Made)
}

impl<T: Send + 'static> Task for Job<T> {
    type Output = Result<T, Fault>;
    type JsValue = Made;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        let work = self.work.take();
        // A panic here would end the process.
        Ok(catch_unwind(AssertUnwindSafe(|| work.map_or_else(|| Err(Fault::panicked()), |work| work())))
            .unwrap_or_else(|_| Err(Fault::panicked())))
    }

    fn resolve(&mut self, env: Env, output: Self::Output) -> napi::Result<Made> {
        match output {
            Ok(value) => catch_unwind(AssertUnwindSafe(|| (self.finish)(env, value)))
                .unwrap_or_else(|_| Err(Fault::panicked().to_napi(&env))),
            Err(fault) => Err(fault.to_napi(&env)),
        }
    }
}
