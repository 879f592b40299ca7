//! What an idle WebSocket costs the server: memory, the work to open it, the
//! work to keep it.
//!
//! Opens them on the program `chloe` in a process of its own, subscribes each
//! to a channel beside `/all`, and looks on for longer than a round of pings.
//! Run by `cargo bench --bench footprint`, with `-- NUMBER` for another number
//! than 10,000; `docs/benchmarks.md` explains the figures.

mod support;

use std::io::{Error, Result};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use support::figures::{arguments, grouped, print_json, print_table, rounded};
use support::load::Load;
use support::process::{Cpu, Memory, ServerProcess, raise_open_files};

const CONNECTIONS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// Files of the load generator that are not connections.
const SPARE_FILES: u64 = 128;
/// A way to count memory, and its name in the JSON line and in the table.
type Kind = fn(Memory) -> u64;
const KINDS: [(&str, &str, Kind); 3] = [
    ("resident", "resident (VmRSS)", |memory| memory.resident),
    ("anonymous", "heap and stack (RssAnon)", |memory| {
        memory.anonymous
    }),
    (
        "private_dirty",
        "written, its own (Private_Dirty)",
        |memory| memory.private_dirty,
    ),
];
/// Longer than `ping_interval_ms`, so that every connection was pinged once.
const IDLE: Duration = Duration::from_secs(30);

/// What was measured.
struct Footprint {
    connections: NonZeroUsize,
    /// Before the first connection, with all of them, and after [`IDLE`].
    empty: Memory,
    opened: Memory,
    later: Memory,
    opening: Cpu,
    opening_seconds: f64,
    idle: Cpu,
    wake_ups: u64,
}

fn main() -> Result<()> {
    let connections = match arguments().first() {
        None => CONNECTIONS,
        Some(text) => text.parse().map_err(Error::other)?,
    };
    let footprint = measure(connections)?;
    println!(
        "The program, {} idle WebSockets, each subscribed to /all and one more channel\n",
        grouped(connections.get() as f64)
    );
    footprint.show_memory();
    footprint.show_cpu();
    print_json("footprint", footprint.to_json());
    Ok(())
}

fn measure(connections: NonZeroUsize) -> Result<Footprint> {
    raise_open_files(connections.get() as u64 + SPARE_FILES)?;
    let server = ServerProcess::start()?;
    let (empty, cpu, begun) = (server.memory(), server.cpu(), Instant::now());
    let mut load = Load::open(server.address, connections.get())?;
    let opening_seconds = begun.elapsed().as_secs_f64();
    let (opened, opening) = (server.memory(), server.cpu().since(cpu));
    let (cpu, sleeps) = (server.cpu(), server.sleeps());
    load.run(IDLE)?;
    Ok(Footprint {
        connections,
        empty,
        opened,
        later: server.memory(),
        opening,
        opening_seconds,
        idle: server.cpu().since(cpu),
        wake_ups: server.sleeps() - sleeps,
    })
}

impl Footprint {
    /// What `memory` has more than the empty server, for each connection, in bytes.
    fn each(&self, memory: Memory, kind: Kind) -> u64 {
        kind(memory).saturating_sub(kind(self.empty)) / self.connections.get() as u64
    }

    fn micros_each(&self, time: Duration) -> f64 {
        rounded(time.as_secs_f64() * 1e6 / self.connections.get() as f64)
    }

    fn show_memory(&self) {
        let heading = "memory of the server|empty, KiB|opened, KiB|after pings, KiB|each, bytes|each after pings";
        let mut table = vec![heading.split('|').map(str::to_owned).collect()];
        for (_, name, kind) in KINDS {
            let mut row = vec![name.to_owned()];
            for memory in [self.empty, self.opened, self.later] {
                row.push(grouped(kind(memory) as f64 / 1_024.0));
            }
            for memory in [self.opened, self.later] {
                row.push(grouped(self.each(memory, kind) as f64));
            }
            table.push(row);
        }
        print_table(&table);
    }

    fn show_cpu(&self) {
        println!(
            "opening: {:.1} s, {:.0} us of CPU each, of it {:.0} in user space",
            self.opening_seconds,
            self.micros_each(self.opening.total()),
            self.micros_each(self.opening.user),
        );
        println!(
            "idle for {} s: {} ms of CPU, {} wake-ups\n",
            IDLE.as_secs(),
            self.idle.total().as_millis(),
            self.wake_ups,
        );
    }

    fn to_json(&self) -> Value {
        let memory = KINDS.map(|(key, _, kind)| {
            let figures = json!({
                "empty": kind(self.empty),
                "opened": kind(self.opened),
                "after_pings": kind(self.later),
                "each": self.each(self.opened, kind),
                "each_after_pings": self.each(self.later, kind),
            });
            (key.to_owned(), figures)
        });
        json!({
            "connections": self.connections,
            "memory_bytes": Map::from_iter(memory),
            "opening_seconds": rounded(self.opening_seconds),
            "opening_cpu_us_each": self.micros_each(self.opening.total()),
            "opening_user_us_each": self.micros_each(self.opening.user),
            "idle_seconds": IDLE.as_secs(),
            "idle_cpu_ms": self.idle.total().as_millis() as u64,
            "idle_wake_ups": self.wake_ups,
        })
    }
}
