//! Errors on their way to JavaScript. The facade makes the objects: a factory that it sets gets code, message and facts, so that what
//! is thrown is a `VarveError` with the caller's own stack.

use std::cell::RefCell;
use std::error::Error as _;

use napi::bindgen_prelude::{FnArgs, Function, FunctionRef, Unknown};
use napi::{Env, sys};
use varve_io::Error as IoError;
use varve_wal::{Error, ErrorCode};

thread_local! {
    /// Of this thread's environment: N-API has one a thread.
    static FACTORY: RefCell<Option<Factory>> = const { RefCell::new(None) };
}

type Arguments = FnArgs<(String, String, Details)>;
type Factory = FunctionRef<Arguments, Unknown<'static>>;

/// The facts of an error, as far as there are some.
#[napi(object)]
#[derive(Debug, Default, Clone)]
pub struct Details {
    /// The file or directory concerned.
    pub path: Option<String>,
    /// Byte position in it.
    pub position: Option<f64>,
    /// Index of the record concerned.
    pub index: Option<f64>,
    /// Process that holds the lock.
    pub pid: Option<f64>,
    /// The limit that was passed.
    pub limit: Option<f64>,
    /// The system's code, like ENOSPC.
    pub cause_code: Option<String>,
    /// The system's message.
    pub cause_message: Option<String>,
    /// True where a number is out of range: a `RangeError`.
    pub range: Option<bool>,
    /// What had been written to partitions before.
    pub written: Option<Vec<WrittenPart>>,
}

/// What was written to a partition.
#[napi(object)]
#[derive(Debug, Default, Clone)]
pub struct WrittenPart {
    /// The partition.
    pub partition: f64,
    /// Offset of the first message there.
    pub offset: f64,
    /// How many.
    pub count: f64,
}

/// An error that is to be thrown, or to reject a promise.
#[derive(Debug, Clone)]
pub struct Fault {
    code: ErrorCode,
    message: String,
    details: Box<Details>,
}

impl Fault {
    /// A wrong argument.
    #[cold]
    pub fn invalid(message: String) -> Self {
        Self { code: ErrorCode::InvalidArgument, message, details: Box::default() }
    }

    /// A number that is none of those that would do.
    #[cold]
    pub fn out_of_bounds(message: String) -> Self {
        let details = Box::new(Details { range: Some(true), ..Details::default() });
        Self { code: ErrorCode::InvalidArgument, message, details }
    }

    /// A call after close.
    #[cold]
    pub fn closed() -> Self {
        Error::Closed.into()
    }

    /// A caught panic.
    #[cold]
    pub fn panicked() -> Self {
        Self {
            code: ErrorCode::Io,
            message: "a call failed inside varve, a defect; please report it".into(),
            details: Box::default(),
        }
    }

    /// The object to throw.
    pub fn to_js(&self, env: &Env) -> napi::Result<Unknown<'static>> {
        FACTORY.with_borrow(|factory| match factory {
            Some(factory) => {
                let arguments =
                    FnArgs::from((self.code.name().to_owned(), self.message.clone(), (*self.details).clone()));
                factory.borrow_back(env)?.call(arguments)
            }
            None => Err(napi::Error::from_reason(format!("{}: {}", self.code.name(), self.message))),
        })
    }

    /// For a promise or a `#[napi]` function.
    pub fn to_napi(&self, env: &Env) -> napi::Error {
        self.to_js(env).map_or_else(|error| error, napi::Error::from)
    }
}

fn number(value: u64) -> Option<f64> {
    Some(value as f64)
}

impl From<Error> for Fault {
    #[cold]
    fn from(error: Error) -> Self {
        use varve_wal::SegmentError as Segment;
        let mut details = Details::default();
        let caused = |details: &mut Details, error: &IoError| {
            details.path = Some(error.path().display().to_string());
            details.cause_code = error.os_code().map(str::to_owned);
            details.cause_message = error.source().map(ToString::to_string);
        };
        match &error {
            Error::OutOfRange { index, .. } => details.index = number(*index),
            Error::Conflict { next, .. } => details.index = number(*next),
            Error::Busy { index } => details.index = number(*index),
            Error::Segment(error) => match error {
                Segment::Io(error) | Segment::NoSpace(error) | Segment::SyncFailed(error) => {
                    caused(&mut details, error)
                }
                Segment::Corrupt { path, position, index, .. } => {
                    details.path = Some(path.display().to_string());
                    details.position = number(*position);
                    details.index = index.and_then(number);
                }
                Segment::Unsupported { path, .. } => details.path = Some(path.display().to_string()),
                Segment::Locked { path, pid } => {
                    details.path = Some(path.display().to_string());
                    details.pid = pid.map(f64::from);
                }
                Segment::TooLarge { limit, .. } => details.limit = number(*limit),
                _ => {}
            },
            _ => {}
        }
        Self { code: error.code(), message: error.to_string(), details: Box::new(details) }
    }
}

impl From<varve_log::Error> for Fault {
    #[cold]
    fn from(error: varve_log::Error) -> Self {
        use varve_log::Error as Log;
        let message = error.to_string();
        let fault = match error {
            // Of an entry: it says nothing to who has offsets.
            Log::Wal(error @ Error::OutOfRange { .. }) => {
                let details = Box::default();
                Self { details, ..Self::from(error) }
            }
            Log::Wal(error) => Self::from(error),
            Log::Partial { written, cause } => {
                let part = |part: &varve_log::Written| WrittenPart {
                    partition: part.partition as f64,
                    offset: part.offset as f64,
                    count: part.count as f64,
                };
                let mut fault = Self::from(*cause);
                fault.details.written = Some(written.iter().map(part).collect());
                fault
            }
            error => {
                let index = match &error {
                    Log::OutOfRange { offset, .. } => number(*offset),
                    Log::Conflict { next, .. } => number(*next),
                    _ => None,
                };
                let details = Box::new(Details { index, ..Details::default() });
                Self { code: error.code(), message: String::new(), details }
            }
        };
        Self { message, ..fault }
    }
}

/// Throws `fault` in the plain function that is running.
#[cold]
pub(crate) fn throw(env: sys::napi_env, fault: &Fault) -> sys::napi_value {
    let env = Env::from_raw(env);
    let _thrown = match fault.to_js(&env) {
        Ok(error) => env.throw(error),
        Err(error) => env.throw_error(&error.reason, None),
    };
    std::ptr::null_mut()
}

/// Sets what makes the error objects of this thread: `factory(code, message, details)`.
#[napi(ts_args_type = "factory: (code: string, message: string, details: Details) => Error")]
pub fn set_error_factory(factory: Function<'_, Arguments, Unknown<'static>>) -> napi::Result<()> {
    let factory = factory.create_ref()?;
    FACTORY.set(Some(factory));
    Ok(())
}

/// The code of every error that native code throws.
#[napi]
pub fn error_codes() -> Vec<&'static str> {
    ErrorCode::ALL.iter().map(|code| code.name()).collect()
}
