//! The one line of JSON that a run ends with.
//!
//! `docs/benchmarks.md` says what each key means. Used by the runs.

use serde_json::{Map, Value, json};

use crate::fleet::Totals;
use crate::kernel::{Cpu, MEMORY};

/// A line in the making: keys in their order of insertion would be nicer, but programs read it.
#[derive(Default)]
pub struct Report(Map<String, Value>);

impl Report {
    /// Sets `key`.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Sets `key`, without the digits that mean nothing. What is no number is null.
    pub fn set_figure(&mut self, key: &str, value: f64) {
        self.set(key, rounded(value));
    }

    /// The memory of the server before and after `connections`, and for each.
    pub fn set_memory(&mut self, key: &str, before: [u64; 4], after: [u64; 4], connections: usize) {
        let mut kinds = Map::new();
        for (place, (name, _)) in MEMORY.iter().enumerate() {
            let more = after[place].saturating_sub(before[place]);
            let each = more as f64 / connections as f64;
            let of = json!({
                "before": before[place], "after": after[place], "each": rounded(each),
            });
            kinds.insert((*name).to_owned(), of);
        }
        self.set(key, kinds);
    }

    /// What the readers got within `seconds`, and what that cost the server, if that is known.
    pub fn set_deliveries(&mut self, totals: &Totals, seconds: f64, server: Option<Cpu>) {
        let delivered = totals.delivered as f64;
        self.set("deliveries", totals.delivered);
        self.set_figure("deliveries_per_second", delivered / seconds);
        self.set_figure("deliveries_per_read", delivered / totals.reads as f64);
        self.set_figure("bytes_per_delivery", totals.bytes as f64 / delivered);
        self.set("latency_us", totals.latencies.to_json());
        if let Some(cpu) = server {
            self.set_figure(
                "deliveries_per_server_cpu_second",
                delivered / cpu.total_us * 1e6,
            );
            self.set_figure("server_cpu_us_per_delivery", cpu.total_us / delivered);
            self.set_figure("server_user_us_per_delivery", cpu.user_us / delivered);
            self.set_figure("server_cpu_share", cpu.total_us / 1e6 / seconds);
        }
    }

    /// What was lost of the `owed` deliveries, and what came wrong.
    pub fn set_faults(&mut self, totals: &Totals, owed: u64) {
        self.set("owed", owed);
        self.set("lost", owed.saturating_sub(totals.delivered_in_all));
        self.set("doubled", totals.doubled_in_all);
        self.set("disordered", totals.disordered_in_all);
    }

    /// Prints it.
    pub fn print(self) {
        println!("{}", Value::Object(self.0));
    }
}

/// Four digits, or the whole part if that has more.
fn rounded(value: f64) -> Value {
    if !value.is_finite() {
        return Value::Null;
    }
    let digits = 3 - (value.abs().max(1e-6).log10().floor() as i32).min(3);
    let scale = 10_f64.powi(digits);
    json!((value * scale).round() / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_four_digits() {
        let rows = [
            (0.0, "0.0"),
            (0.012_345, "0.01235"),
            (1.234_56, "1.235"),
            (999.95, "1000.0"),
            (123_456.7, "123457.0"),
            (-2.000_06, "-2.0"),
        ];
        for (value, expected) in rows {
            assert_eq!(rounded(value).to_string(), expected, "{value}");
        }
        assert_eq!(rounded(f64::NAN), Value::Null);
    }
}
