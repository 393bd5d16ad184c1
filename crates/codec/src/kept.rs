//! What a codec works with, kept a thread: to allocate and clear it costs more than a small block.

use std::cell::Cell;
use std::thread::LocalKey;

/// A place a thread for one of a codec's working states.
pub(crate) type Kept<T> = Cell<Option<T>>;

/// The one that is kept, or none while the thread ends or on its first call. It is taken out, so that nothing is borrowed.
pub(crate) fn take<T>(place: &'static LocalKey<Kept<T>>) -> Option<T> {
    place.try_with(Cell::take).ok().flatten()
}

/// Keeps it for the next call.
pub(crate) fn keep<T>(place: &'static LocalKey<Kept<T>>, state: T) {
    // A thread that ends has no place any more; the state is dropped then.
    let _ = place.try_with(|place| place.set(Some(state)));
}
