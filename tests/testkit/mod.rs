//! The one driver of the pure server that tests, fuzzing and benchmarks share.
//!
//! `turn` has the steps of a turn of the event loop, for whoever has sockets of his own
//! (`Sockets`): the benchmark's counters, the simulated network, the writer of one test. `kit` is a whole
//! loop around pipes in memory, edge-triggered, on a clock moved by hand; what is
//! around the pipes (how much they take, whether the app is there) is its `Around`.
//!
//! It judges nothing but the loop: that no step of it goes on for ever. Who uses it: `tests/pure`, `tests/driven`, `tests/noise.rs`,
//! `fuzz/entries/server.rs`, `benches/support/in_memory.rs`, `tests/sim/turn.rs`.
#![allow(dead_code, unused_imports, reason = "each program uses its part")]

mod kit;
mod turn;

pub use kit::{Around, End, Kit};
pub use turn::{STEPS_MAX, Sockets, act, flush, run_timers};
