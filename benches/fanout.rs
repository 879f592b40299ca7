//! How fast publications reach many readers without sockets, and what that costs.
//!
//! 10,000 and 100,000 subscribers of the pure server, so what is counted is Chloe alone. With
//! sockets it is `chloe-bench fanout` that measures. Run by `cargo bench --bench
//! fanout`; `docs/benchmarks.md` explains the figures.

mod support;

use std::time::Duration;

use serde_json::{Value, json};

use support::figures::{grouped, median, print_json, print_table, rounded};
use support::in_memory::{InMemory, Run};
use support::payload::PAYLOAD_BYTES;

const SUBSCRIBERS: [usize; 2] = [10_000, 100_000];
/// Each number of publications a turn is measured so often, in turn with the others.
const ROUNDS: usize = 3;
const MEMORY_ROUND: Duration = Duration::from_millis(700);

fn main() {
    let in_flight = [1, 4, 32];
    let mut wholes = SUBSCRIBERS.map(|subscribers| InMemory::new(subscribers, 32));
    let cases = |number: usize| (0..SUBSCRIBERS.len()).map(move |whole| (whole, number));
    let cases: Vec<(usize, usize)> = in_flight.into_iter().flat_map(cases).collect();
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); cases.len()];
    for _ in 0..ROUNDS {
        for ((whole, number), runs) in cases.iter().zip(&mut runs) {
            runs.push(wholes[*whole].run(*number, MEMORY_ROUND));
        }
    }
    let heading = "subscribers, publications|publications/s|deliveries/s|ns CPU/delivery|ns CPU/write|deliveries/write";
    let mut table = vec![heading.split('|').map(str::to_owned).collect()];
    let mut figures = Vec::new();
    for ((whole, number), runs) in cases.iter().zip(&runs) {
        let (row, figure) = show_turns(SUBSCRIBERS[*whole], *number, runs);
        table.push(row);
        figures.push(figure);
    }
    println!(
        "The pure server, all subscribers on one channel, {PAYLOAD_BYTES} bytes, medians of {ROUNDS}\n"
    );
    print_table(&table);
    print_json(
        "fanout_memory",
        json!({ "payload_bytes": PAYLOAD_BYTES, "runs": figures }),
    );
    println!();
}

fn show_turns(subscribers: usize, number: usize, runs: &[Run]) -> (Vec<String>, Value) {
    let of = |figure: fn(&Run) -> f64| median(runs.iter().map(figure));
    let publications = of(|run| run.publications as f64 / run.elapsed.as_secs_f64());
    let deliveries = of(|run| run.deliveries as f64 / run.elapsed.as_secs_f64());
    let delivery_ns = of(|run| run.cpu.as_nanos() as f64 / run.deliveries as f64);
    let write_ns = of(|run| run.cpu.as_nanos() as f64 / run.writes as f64);
    let coalesced = of(|run| run.deliveries as f64 / run.writes as f64);
    let row = vec![
        format!("{}, {number} a turn", grouped(subscribers as f64)),
        grouped(publications),
        grouped(deliveries),
        format!("{delivery_ns:.1}"),
        format!("{write_ns:.0}"),
        format!("{coalesced:.1}"),
    ];
    let figure = json!({
        "subscribers": subscribers,
        "publications_a_turn": number,
        "publications_per_second": publications.round(),
        "deliveries_per_second": deliveries.round(),
        "cpu_ns_per_delivery": rounded(delivery_ns),
        "cpu_ns_per_write": rounded(write_ns),
        "deliveries_per_write": rounded(coalesced),
    });
    (row, figure)
}
