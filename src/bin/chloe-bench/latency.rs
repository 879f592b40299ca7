//! Latencies as a histogram that is cheap to add to, and that travels.
//!
//! Three digits of a value are kept. Used by `worker`, which records, and by
//! `fleet`, which adds the workers' up.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// An hour, in microseconds: what takes longer counts as that.
const MAX_US: u64 = 3_600_000_000;

/// Latencies in microseconds.
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Latencies(Histogram::new_with_bounds(1, MAX_US, 3).expect("the bounds are good"))
    }
}

impl Latencies {
    /// Counts one.
    pub fn record(&mut self, micros: u64) {
        self.0.saturating_record(micros);
    }

    /// As pairs of value and count.
    pub fn to_pairs(&self) -> Value {
        let recorded = self.0.iter_recorded();
        recorded
            .map(|step| json!([step.value_iterated_to(), step.count_since_last_iteration()]))
            .collect()
    }

    /// Adds what another process has counted.
    pub fn add_pairs(&mut self, pairs: &Value) {
        for pair in pairs.as_array().into_iter().flatten() {
            if let (Some(value), Some(count)) = (pair[0].as_u64(), pair[1].as_u64()) {
                self.0.saturating_record_n(value, count);
            }
        }
    }

    /// The figures of a report.
    pub fn to_json(&self) -> Value {
        let at = |share| self.0.value_at_quantile(share);
        json!({ "p50": at(0.5), "p99": at(0.99), "p99_9": at(0.999), "max": self.0.max() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_processes_counted_adds_up() {
        let (mut one, mut two) = (Latencies::default(), Latencies::default());
        for micros in 1..=1_000 {
            one.record(micros);
            two.record(micros + 1_000);
        }
        one.add_pairs(&two.to_pairs());
        let expected = json!({ "p50": 1_000, "p99": 1_980, "p99_9": 1_998, "max": 2_000 });
        assert_eq!(one.to_json(), expected);
    }
}
