//! What the benchmarks share: a server in a process of its own, and the load on it.
//!
//! The load generator is one thread on mio, made to cost far less than what it
//! measures. Nothing here is part of Chloe. Used by the files in `benches`.
#![allow(dead_code, reason = "each benchmark uses its part")]

pub mod figures;
pub mod latency;
pub mod payload;
pub mod process;
pub mod tally;

pub mod publisher;
pub mod reader;

pub mod load;

pub mod in_memory;
