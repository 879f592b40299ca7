//! The whole server in a world made of byte queues, with a shadow that knows
//! what everybody must see.
//!
//! A run is made of one number, its seed: browsers of each kind that subscribe,
//! send, stumble and come back, programs that publish, an app that errs, pipes
//! that are narrow, time that jumps. No sockets, no clock. A run that fails
//! names its seed: `CHLOE_SEED=n cargo test --test sim` plays it again with a
//! trace, `CHLOE_SEEDS=n` or `CHLOE_SEEDS=n..m` sets which are played. Beside the fixed
//! seeds some are played that nobody has played before; `CHLOE_FRESH=n` sets how many.

#[path = "testkit/mod.rs"]
mod testkit;

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
#[path = "sim/reads.rs"]
mod reads;
#[path = "sim/process.rs"]
mod process;
#[path = "sim/http.rs"]
mod http;
#[path = "sim/mood.rs"]
mod mood;
#[path = "sim/app.rs"]
mod app;
#[path = "sim/publisher.rs"]
mod publisher;
#[path = "sim/moments.rs"]
mod moments;
#[path = "sim/flooder.rs"]
mod flooder;
#[path = "sim/insults.rs"]
mod insults;
#[path = "sim/rude.rs"]
mod rude;
#[path = "sim/browser.rs"]
mod browser;
#[path = "sim/stream.rs"]
mod stream;
#[path = "sim/polling.rs"]
mod polling;
#[path = "sim/leave.rs"]
mod leave;
#[path = "sim/run.rs"]
mod run;

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// How many runs are played when nobody says.
const SEEDS: u64 = 300;

/// How many runs are played beside them, of seeds that are new each time.
const FRESH: u64 = 100;

/// After so many failures the rest is not played.
const FAILURES_MAX: usize = 10;

fn variable<T>(name: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(read(&text).unwrap_or_else(|| panic!("{name} is a number, not {text:?}")))
}

/// `n` is the first so many seeds, `n..m` those from `n` to before `m`.
fn range(text: &str) -> Option<Range<u64>> {
    let (from, to) = text.split_once("..").unwrap_or(("0", text));
    Some(from.parse().ok()?..to.parse().ok()?)
}

#[test]
fn nothing_is_lost_doubled_or_out_of_order_whatever_breaks() {
    if let Some(seed) = variable("CHLOE_SEED", |text| text.parse().ok()) {
        simple_logger::init_with_level(log::Level::Debug).expect("the first logger");
        return println!("seed {seed}: {:?}", run::play(seed, true));
    }
    let asked = variable("CHLOE_SEEDS", range);
    let fresh = if asked.is_some() { 0 } else { FRESH };
    let fresh = variable("CHLOE_FRESH", |text| text.parse().ok()).unwrap_or(fresh);
    let seeds = asked.unwrap_or(0..SEEDS);
    let fixed = seeds.end - seeds.start;
    // Each process has other keys for its tables, and so another number.
    let first = RandomState::new().hash_one(std::process::id()) >> 1;
    let next = AtomicU64::new(0);
    let (sum, failed) = (Mutex::new(run::Report::default()), Mutex::new(Vec::new()));
    let play = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let seed = match number < fixed {
                true => seeds.start + number,
                false => first + number,
            };
            if number >= fixed + fresh || failed.lock().unwrap().len() >= FAILURES_MAX {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| run::play(seed, false))) {
                Ok(report) => sum.lock().unwrap().add(&report),
                Err(_) => {
                    println!("seed {seed} fails: CHLOE_SEED={seed} cargo test --test sim");
                    failed.lock().unwrap().push(seed);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(play);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "these seeds fail: {failed:?}");
    let sum = sum.into_inner().unwrap();
    println!("{sum:?}");
    sum.check();
    if fixed >= SEEDS {
        sum.check_faults();
    }
}
