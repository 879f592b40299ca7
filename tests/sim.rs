//! The whole server in a world made of byte queues, with a shadow that knows
//! what everybody must see.
//!
//! A run is made of one number, its seed: browsers of each kind that subscribe,
//! send, stumble and come back, programs that publish, an app that errs, pipes
//! that are narrow, time that jumps. No sockets, no clock. A run that fails
//! names its seed: `CHLOE_SEED=n cargo test --test sim` plays it again with a
//! trace, `CHLOE_SEEDS=n` sets how many are played.

#[path = "sim/dice.rs"]
mod dice;
#[path = "sim/network.rs"]
mod network;
#[path = "sim/shadow.rs"]
mod shadow;
#[path = "sim/reader.rs"]
mod reader;
#[path = "sim/ledger.rs"]
mod ledger;
#[path = "sim/turn.rs"]
mod turn;
#[path = "sim/http.rs"]
mod http;
#[path = "sim/app.rs"]
mod app;
#[path = "sim/publisher.rs"]
mod publisher;
#[path = "sim/flooder.rs"]
mod flooder;
#[path = "sim/browser.rs"]
mod browser;
#[path = "sim/stream.rs"]
mod stream;
#[path = "sim/polling.rs"]
mod polling;
#[path = "sim/run.rs"]
mod run;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many runs are played when nobody says.
const SEEDS: u64 = 300;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")),
    )
}

#[test]
fn nothing_is_lost_doubled_or_out_of_order_whatever_breaks() {
    if let Some(seed) = number("CHLOE_SEED") {
        simple_logger::init_with_level(log::Level::Debug).expect("the first logger");
        return println!("seed {seed}: {:?}", run::play(seed, true));
    }
    let mut sum = run::Report::default();
    for seed in 0..number("CHLOE_SEEDS").unwrap_or(SEEDS) {
        match catch_unwind(AssertUnwindSafe(|| run::play(seed, false))) {
            Ok(report) => sum.add(&report),
            Err(_) => panic!("seed {seed} fails: CHLOE_SEED={seed} cargo test --test sim"),
        }
    }
    println!("{sum:?}");
    sum.check();
}
