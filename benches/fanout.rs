//! How fast publications reach many readers without sockets, and what that costs.
//!
//! 10,000 subscribers of the pure server, so what is counted is Chloe alone. With
//! sockets it is `chloe-bench fanout` that measures. Run by `cargo bench --bench
//! fanout`; `docs/benchmarks.md` explains the figures.

mod support;

use std::time::Duration;

use serde_json::{Value, json};

use support::figures::{grouped, median, print_json, print_table, rounded};
use support::in_memory::{InMemory, Run};
use support::payload::PAYLOAD_BYTES;

const MEMORY_SUBSCRIBERS: usize = 10_000;
/// Each number of publications a turn is measured so often, in turn with the others.
const ROUNDS: usize = 3;
const MEMORY_ROUND: Duration = Duration::from_millis(700);

fn main() {
    let in_flight = [1, 4, 32];
    let mut whole = InMemory::new(MEMORY_SUBSCRIBERS, 32);
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); in_flight.len()];
    for _ in 0..ROUNDS {
        for (number, runs) in in_flight.iter().zip(&mut runs) {
            runs.push(whole.run(*number, MEMORY_ROUND));
        }
    }
    let heading =
        "in memory|publications/s|deliveries/s|ns CPU/delivery|ns CPU/write|deliveries/write";
    let mut table = vec![heading.split('|').map(str::to_owned).collect()];
    let mut figures = Vec::new();
    for (number, runs) in in_flight.iter().zip(&runs) {
        let (row, figure) = show_turns(*number, runs);
        table.push(row);
        figures.push(figure);
    }
    println!(
        "The pure server, {} subscribers of one channel, {PAYLOAD_BYTES} bytes, medians of {ROUNDS}\n",
        grouped(MEMORY_SUBSCRIBERS as f64)
    );
    print_table(&table);
    let subscribers = MEMORY_SUBSCRIBERS;
    print_json(
        "fanout_memory",
        json!({ "subscribers": subscribers, "payload_bytes": PAYLOAD_BYTES, "runs": figures }),
    );
    println!();
}

fn show_turns(number: usize, runs: &[Run]) -> (Vec<String>, Value) {
    let of = |figure: fn(&Run) -> f64| median(runs.iter().map(figure));
    let publications = of(|run| run.publications as f64 / run.elapsed.as_secs_f64());
    let deliveries = of(|run| run.deliveries as f64 / run.elapsed.as_secs_f64());
    let delivery_ns = of(|run| run.cpu.as_nanos() as f64 / run.deliveries as f64);
    let write_ns = of(|run| run.cpu.as_nanos() as f64 / run.writes as f64);
    let coalesced = of(|run| run.deliveries as f64 / run.writes as f64);
    let row = vec![
        format!("{number} a turn"),
        grouped(publications),
        grouped(deliveries),
        format!("{delivery_ns:.1}"),
        format!("{write_ns:.0}"),
        format!("{coalesced:.1}"),
    ];
    let figure = json!({
        "publications_a_turn": number,
        "publications_per_second": publications.round(),
        "deliveries_per_second": deliveries.round(),
        "cpu_ns_per_delivery": rounded(delivery_ns),
        "cpu_ns_per_write": rounded(write_ns),
        "deliveries_per_write": rounded(coalesced),
    });
    (row, figure)
}
