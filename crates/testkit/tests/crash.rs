//! The crash explorer over the log as it is: no image may break a promise. `VARVE_SEED` runs one seed, `VARVE_IMAGES` sets how many images.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use varve_testkit::explore::explore;

/// What continuous integration looks at. A longer run sets `VARVE_IMAGES`.
const IMAGES: u64 = 100_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn no_crash_breaks_a_promise() {
    if let Some(seed) = number("VARVE_SEED") {
        let images = explore(seed, &|_| ()).unwrap_or_else(|failure| panic!("{failure}"));
        println!("seed {seed}: {images} images");
        return;
    }
    let (wanted, began) = (number("VARVE_IMAGES").unwrap_or(IMAGES), Instant::now());
    let (images, seeds) = (AtomicU64::new(0), AtomicU64::new(number("VARVE_FIRST_SEED").unwrap_or(0)));
    let work = || {
        while images.load(Ordering::Relaxed) < wanted {
            let seed = seeds.fetch_add(1, Ordering::Relaxed);
            let looked = explore(seed, &|_| ()).unwrap_or_else(|failure| panic!("{failure}"));
            images.fetch_add(looked, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    println!("{} images of {} seeds in {:?}", images.into_inner(), seeds.into_inner(), began.elapsed());
}
