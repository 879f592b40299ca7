//! What is done because it is time: deadlines of connections, ages, the end.
//!
//! What each of them leads to is said by the file that knows the connection.
//! Called by the server's `handle_timeout` and `poll_timeout`.

use crate::base::time::Time;
use crate::base::timers::BATCH;

use super::leave;
use crate::server::browser::{polls, stream};
use crate::server::connection::conn::{ConnKey, Phase, Role};
use crate::server::core::Core;
use crate::server::delivery::transmit;
use crate::server::routing::router;

/// About how many connections are late in a turn, as when all are to be pinged at once.
const LATE_MAX: usize = 4 * BATCH;

/// Does what is due.
pub fn handle(core: &mut Core, now: Time) {
    // What is due beyond that has its turn at once: the loop asks again.
    let mut count = 0;
    while count < LATE_MAX
        && let Some(due) = core.timers.take_due(now.ms)
    {
        count += due.len();
        due.into_iter().for_each(|key| late(core, now, key));
    }
    while let Some(due) = core.paces.take_due(now) {
        for key in due {
            match core.has_had_its_turn(now, key) {
                true => core.paces.wait_until(now.after(1), key),
                false => stream::go_on(core, now, key),
            }
        }
    }
    core.paces.expire(now);
    leave::look(core, now);
    // Else sessions, history and messages are the next process's.
    if !core.leaving.is_handed_over() {
        age(core, now);
    }
}

/// When [`handle`] has something to do, on the monotonic clock.
pub fn next_ms(core: &Core, now_ms: u64) -> Option<u64> {
    let handed_over = core.leaving.is_handed_over();
    let ages = [hub_ms(core), keys_ms(core), core.webhook.poll_timeout()];
    let ages = ages.into_iter().flatten().filter(|_| !handed_over);
    [
        core.timers.next_ms(),
        core.paces.waiting.next_ms(),
        core.paces.next_ms(),
        ages.min(),
        core.drained_by_ms.filter(|by_ms| *by_ms > now_ms),
        core.leaving.next_ms(),
    ]
    .into_iter()
    .flatten()
    .min()
}

/// What is too old goes, and what the webhook waits for is over.
fn age(core: &mut Core, now: Time) {
    if hub_ms(core).is_some_and(|at_ms| at_ms <= now.ms) {
        core.hub.expire(now);
    }
    if keys_ms(core).is_some_and(|at_ms| at_ms <= now.ms) {
        core.idempotency.expire(now);
    }
    let hub = &core.hub;
    core.acks.forget_ended(hub.session_count(), |session| {
        hub.session(session).is_some()
    });
    if core.drained_by_ms.is_some_and(|by_ms| by_ms <= now.ms) {
        leave::end(core, now);
    }
    let webhook_ms = core.webhook.poll_timeout();
    if webhook_ms.is_some_and(|at_ms| at_ms <= now.ms) {
        core.webhook.handle_timeout(now);
    }
}

/// Logs sleep in whole seconds: what is too old may be so a little longer.
fn hub_ms(core: &Core) -> Option<u64> {
    let due_ms = core.hub.poll_timeout()?;
    Some(due_ms.next_multiple_of(1_000))
}

/// So do the keys of publications.
fn keys_ms(core: &Core) -> Option<u64> {
    Some(core.idempotency.next_ms()?.next_multiple_of(1_000))
}

/// A timer of the connection fired; its deadline may have moved since.
fn late(core: &mut Core, now: Time, key: ConnKey) {
    let Some(conn) = core.conns.get_mut(key) else {
        return;
    };
    if !conn.alarm.take(now.ms) {
        return;
    }
    if conn
        .deadline_ms(&core.config)
        .is_none_or(|at_ms| at_ms > now.ms)
    {
        return core.arm(key);
    }
    let stuck_at_ms = conn.stuck_at_ms(&core.config);
    if stuck_at_ms.is_some_and(|at_ms| at_ms <= now.ms) {
        return transmit::cut(core, now, key);
    }
    match &conn.role {
        Role::Http(http) if matches!(http.phase, Phase::Polling(_)) => polls::due(core, now, key),
        Role::Http(_) => router::late(core, now, key),
        Role::WebSocket(_) => stream::due(core, now, key),
        Role::Upstream(_) => {}
    }
    // What was just said may have to wait for the peer, and that has a limit too.
    core.arm(key);
}
