//! How fast publications reach many readers, and what that costs the server.
//!
//! Two parts. Without sockets: 10,000 subscribers of the pure server, so what
//! is counted is Chloe alone. With sockets: 1,000 WebSockets on the program
//! `chloe` in a process of its own, so what is counted is mostly the kernel's
//! work. Run by `cargo bench --bench fanout`, with `-- memory` or `-- sockets`
//! for one part; `docs/benchmarks.md` explains the figures.

mod support;

use std::io::Result;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::figures::{arguments, grouped, median, print_json, print_table, rounded};
use support::in_memory::{InMemory, Run};
use support::latency::Latencies;
use support::load::{Load, Progress};
use support::payload::PAYLOAD_BYTES;
use support::process::{Cpu, ServerProcess, own_cpu, raise_open_files};

const MEMORY_SUBSCRIBERS: usize = 10_000;
const SOCKETS: usize = 1_000;
/// Each way of publishing is measured so often, in turn with the others.
const ROUNDS: usize = 3;
const MEMORY_ROUND: Duration = Duration::from_millis(700);
const SOCKETS_WARM_UP: Duration = Duration::from_millis(400);
const SOCKETS_ROUND: Duration = Duration::from_millis(2_400);

/// A way of publishing: its name, connections, and publications in flight on each.
const WAYS: [(&str, usize, usize); 4] = [
    ("1 in flight", 1, 1),
    ("4 in flight", 4, 1),
    ("32 in flight", 32, 1),
    ("32 in flight, pipelined", 1, 32),
];

fn main() -> Result<()> {
    let parts = arguments();
    let is_asked = |part: &str| parts.is_empty() || parts.iter().any(|asked| asked == part);
    if is_asked("memory") {
        without_sockets();
    }
    if is_asked("sockets") {
        with_sockets()?;
    }
    Ok(())
}

fn without_sockets() {
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

/// One round of one way of publishing.
struct Round {
    elapsed: Duration,
    progress: Progress,
    server: Cpu,
    generator: Cpu,
    latencies: Latencies,
}

fn with_sockets() -> Result<()> {
    raise_open_files(SOCKETS as u64 + 128)?;
    let server = ServerProcess::start()?;
    let mut load = Load::open(server.address, SOCKETS)?;
    let mut rounds: Vec<Vec<Round>> = WAYS.iter().map(|_| Vec::new()).collect();
    let mut owed = 0;
    for _ in 0..ROUNDS {
        for ((_, connections, depth), rounds) in WAYS.iter().zip(&mut rounds) {
            load.publish(*connections, *depth)?;
            load.run(SOCKETS_WARM_UP)?;
            rounds.push(measure(&server, &mut load)?);
            owed = load.settle()?;
        }
    }
    show(&rounds, &load, owed);
    Ok(())
}

fn measure(server: &ServerProcess, load: &mut Load) -> Result<Round> {
    load.latencies = Latencies::default();
    let (progress, begun) = (load.progress(), Instant::now());
    let (server_cpu, own) = (server.cpu(), own_cpu());
    load.run(SOCKETS_ROUND)?;
    Ok(Round {
        elapsed: begun.elapsed(),
        progress: load.progress().since(progress),
        server: server.cpu().since(server_cpu),
        generator: own_cpu().since(own),
        latencies: load.latencies.clone(),
    })
}

fn show(rounds: &[Vec<Round>], load: &Load, owed: u64) {
    let heading = "sockets|publications/s|deliveries/s|deliveries/CPU s|us CPU/delivery|of it user|deliveries/read|p50 ms|p99 ms|generator's CPU";
    let mut table = vec![heading.split('|').map(str::to_owned).collect()];
    let mut figures = Vec::new();
    for ((name, connections, depth), rounds) in WAYS.iter().zip(rounds) {
        let (row, figure) = show_way(name, rounds);
        table.push(row);
        figures.push(json!({ "connections": connections, "depth": depth, "median": figure }));
    }
    let lost = owed.saturating_sub(load.tally.delivered);
    let (doubled, disordered) = (load.tally.doubled, load.tally.disordered);
    println!(
        "The program, {} WebSockets on one channel, {PAYLOAD_BYTES} bytes, medians of {ROUNDS}\n",
        grouped(SOCKETS as f64)
    );
    print_table(&table);
    println!(
        "{} deliveries: {lost} lost, {doubled} doubled, {disordered} out of order\n",
        grouped(owed as f64)
    );
    print_json(
        "fanout_sockets",
        json!({
            "websockets": SOCKETS, "payload_bytes": PAYLOAD_BYTES, "runs": figures,
            "deliveries": owed, "lost": lost, "doubled": doubled, "disordered": disordered,
        }),
    );
}

fn show_way(name: &str, rounds: &[Round]) -> (Vec<String>, Value) {
    let of = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure));
    let seconds = |round: &Round| round.elapsed.as_secs_f64();
    let delivered = |round: &Round| round.progress.delivered as f64;
    let server_seconds = |round: &Round| round.server.total().as_secs_f64();
    let publications = of(&|round| round.progress.published as f64 / seconds(round));
    let deliveries = of(&|round| delivered(round) / seconds(round));
    let per_cpu = of(&|round| delivered(round) / server_seconds(round));
    let cost_us = of(&|round| server_seconds(round) * 1e6 / delivered(round));
    let user_us = of(&|round| round.server.user.as_secs_f64() * 1e6 / delivered(round));
    let coalesced = of(&|round| delivered(round) / round.progress.reads as f64);
    let p50_ms = of(&|round| round.latencies.quantile(0.5) as f64 / 1e3);
    let p99_ms = of(&|round| round.latencies.quantile(0.99) as f64 / 1e3);
    let generator = of(&|round| round.generator.total().as_secs_f64() / server_seconds(round));
    let row = vec![
        name.to_owned(),
        grouped(publications),
        grouped(deliveries),
        grouped(per_cpu),
        format!("{cost_us:.2}"),
        format!("{user_us:.2}"),
        format!("{coalesced:.1}"),
        format!("{p50_ms:.1}"),
        format!("{p99_ms:.1}"),
        format!("{:.0}%", generator * 100.0),
    ];
    let figure = json!({
        "publications_per_second": publications.round(),
        "deliveries_per_second": deliveries.round(),
        "deliveries_per_server_cpu_second": per_cpu.round(),
        "server_cpu_us_per_delivery": rounded(cost_us),
        "server_user_us_per_delivery": rounded(user_us),
        "deliveries_per_read": rounded(coalesced),
        "latency_p50_ms": rounded(p50_ms),
        "latency_p99_ms": rounded(p99_ms),
        "generator_cpu_to_server_cpu": rounded(generator),
    });
    (row, figure)
}
