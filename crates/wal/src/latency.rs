//! How long syncs took.

/// A histogram of microseconds in a fixed space: four buckets an octave, so a quantile is at most a quarter too high.
#[derive(Debug, Clone)]
pub(crate) struct Latency {
    counts: [u64; BUCKETS],
    max: u64,
}

const PER_OCTAVE: u64 = 4;
// 40 octaves: the last bucket takes what took more than twelve days.
const BUCKETS: usize = 160;

/// Quantiles in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quantiles {
    /// Half took less.
    pub p50: u64,
    /// One in a hundred took longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], max: 0 }
    }
}

fn bucket(micros: u64) -> usize {
    let micros = micros.max(PER_OCTAVE);
    let octave = u64::from(micros.ilog2());
    let within = (micros >> (octave - 2)) & (PER_OCTAVE - 1);
    usize::try_from((octave - 2) * PER_OCTAVE + within).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// Least value above a bucket.
fn above(bucket: usize) -> u64 {
    let (octave, within) = (bucket as u64 / PER_OCTAVE, bucket as u64 % PER_OCTAVE);
    (PER_OCTAVE + within + 1) << octave
}

impl Latency {
    pub(crate) fn record(&mut self, micros: u64) {
        self.counts[bucket(micros)] += 1;
        self.max = self.max.max(micros);
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(crate) fn quantiles(&self) -> Quantiles {
        let at = |hundredths: u64| {
            let rank = (self.count() * hundredths).div_ceil(100);
            let mut seen = 0;
            let found = self.counts.iter().position(|count| {
                seen += count;
                seen >= rank.max(1)
            });
            found.map_or(0, |found| above(found).min(self.max))
        };
        Quantiles { p50: at(50), p99: at(99), max: self.max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_at_most_a_quarter_too_high() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantiles(), Quantiles::default());
        (1..=1000).for_each(|micros| latency.record(micros));
        let Quantiles { p50, p99, max } = latency.quantiles();
        assert!((500..=625).contains(&p50), "{p50}");
        assert!((990..=1000).contains(&p99), "{p99}");
        assert_eq!(max, 1000);
        latency.record(u64::MAX);
        assert_eq!(latency.quantiles().max, u64::MAX);
    }
}
