//! What the benchmarks share: the pure server in memory, the program in a process of
//! its own, and how figures are shown.
//!
//! The load generator is `chloe-bench`, a program of its own. Nothing here is part of Chloe. Used by the files in `benches`.
#![allow(dead_code, reason = "each benchmark uses its part")]

#[path = "../../tests/testkit/mod.rs"]
pub mod testkit;

pub mod figures;
pub mod payload;
pub mod process;

pub mod in_memory;
