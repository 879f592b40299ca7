//! Who has to go when there is too much in memory: the largest of whoever has too much.
//!
//! It is closed, rather than not read: what is not finished would stay where it is
//! until its time is over, and the rest of its address would wait for it. Whoever has
//! little is never the largest. Called by the server when bytes came or could not be
//! written.

use crate::base::holdings::Excess;
use crate::base::slots::Key;
use crate::base::time::Time;

use crate::server::connection::conn::{ConnKey, Phase, Role};
use crate::server::core::Core;
use crate::server::delivery::batches;
use crate::server::routing::router;

/// Closes connections until nobody has too much.
pub fn shed(core: &mut Core, now: Time) {
    while close_largest(core, now) {
        // A newer poll may wait for what the one that was closed did not take.
        while let Some(session) = core.rewound.pop() {
            batches::deliver(core, now, session);
        }
    }
}

/// Closes the one that has to go first; false if none has to.
fn close_largest(core: &mut Core, now: Time) -> bool {
    if let Some(excess) = core.memory.output.excess() {
        let key = note(core, "output_total_bytes", excess);
        core.memory.output.set(excess.holder, None, 0);
        core.close(now, key);
    } else if let Some(excess) = core.memory.input.excess() {
        let key = note(core, "input_total_bytes", excess);
        core.memory.input.set(excess.holder, None, 0);
        match core.conns.get(key).map(|conn| &conn.role) {
            Some(Role::Http(http)) if matches!(http.phase, Phase::Reading(_)) => {
                router::drop_request(core, now, key);
            }
            _ => core.close(now, key),
        }
    } else {
        return false;
    }
    true
}

fn note(core: &mut Core, limit: &str, excess: Excess) -> ConnKey {
    let key = Key::from_u64(excess.holder);
    core.stats.shed += 1;
    let address = core.conns.get(key).and_then(|conn| conn.address);
    let address = address.map_or("none".to_owned(), |address| address.to_string());
    log::warn!(
        "event=memory_full action=close limit={limit} limit_bytes={} address={address}",
        excess.limit_bytes
    );
    key
}
