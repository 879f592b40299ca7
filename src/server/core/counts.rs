//! What the server holds of others, as numbers for tests.
//!
//! A leak of any kind shows here: whatever grows with peers, and with what they send, has
//! a row. What is of a fixed size has none: counters, the proxies that the log has told
//! of, and the last sixteen who had no answer of the app. Called by the server
//! for tests, which assert that all is zero when everybody is gone.

use std::collections::HashSet;

use super::parts::Core;

/// Each thing by name, and how much of it is held.
pub fn counts(core: &Core) -> Vec<(&'static str, usize)> {
    let [input, output] = core.memory.entries();
    let [acks_under_way, acks_done] = core.acks.entries();
    let mut counts = vec![
        ("connections", core.conns.len()),
        ("publishers_waiting", core.publishers.len()),
        ("connection_shares", core.addresses.entries()),
        ("connection_timers", core.timers.len()),
        ("websockets", core.stats.websockets as usize),
        ("polls", core.stats.polls as usize),
        ("upstreams", core.upstreams.iter().flatten().count()),
        ("behind", core.behind.len()),
        ("input_bytes", core.memory.input.total()),
        ("input_shares", input),
        ("output_bytes", core.memory.output.total()),
        ("output_shares", output),
        ("acks_under_way", acks_under_way),
        ("acks_done", acks_done),
        ("paces", core.paces.entries()),
        ("paced_streams", core.paces.waiting.len()),
        ("paced_twice", paced_twice(core)),
        ("idempotency_keys", core.idempotency.len()),
        ("actions", core.actions.len()),
        ("to_flush", core.flush.len()),
        ("to_supersede", core.superseded.len()),
        ("to_rewind", core.rewound.len()),
    ];
    counts.extend(core.hub.counts());
    counts.extend(core.webhook.counts());
    counts
}

/// Streams that are to be read on at two times: one of them is too many at any time.
fn paced_twice(core: &Core) -> usize {
    let mut seen = HashSet::new();
    let waiting = core.paces.waiting.keys();
    waiting.filter(|key| !seen.insert(**key)).count()
}
