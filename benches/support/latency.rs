//! Latencies in buckets, each at most 1/32 wide of its value.
//!
//! Counting one is an addition: it must not slow the load down. Not a record of
//! single values. Used by `load`.

/// Buckets a power of two is split into.
const STEPS: u64 = 32;
/// Powers of two above the first [`STEPS`] values: up to some 38 hours in microseconds.
const POWERS: usize = 32;

/// A histogram of microseconds.
#[derive(Clone)]
pub struct Latencies {
    buckets: Vec<u64>,
    count: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies {
            buckets: vec![0; STEPS as usize * (POWERS + 1)],
            count: 0,
        }
    }
}

impl Latencies {
    /// Counts one.
    pub fn record(&mut self, micros: u64) {
        let last = self.buckets.len() - 1;
        self.buckets[bucket_of(micros).min(last)] += 1;
        self.count += 1;
    }

    /// The value in microseconds that `share` (0 to 1) of all are not above, to a bucket's width.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (share * self.count as f64).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return upper_end(bucket);
            }
        }
        0
    }
}

fn bucket_of(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let power = micros.ilog2() - STEPS.ilog2();
    let step = (micros >> power) - STEPS;
    (u64::from(power + 1) * STEPS + step) as usize
}

fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let power = bucket / STEPS - 1;
    ((STEPS + bucket % STEPS + 1) << power) - 1
}
