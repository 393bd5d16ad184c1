//! Rare work that waits for the disk: on the threads of libuv, as a promise.

use std::panic::{AssertUnwindSafe, catch_unwind};

use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Task};

use crate::fault::Fault;
use crate::lent::References;
use crate::raw::Made;

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
