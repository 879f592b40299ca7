//! The end of a server: everyone is told in the words of their kind, one after
//! the other, so that they do not all come back in one moment.
//!
//! First the browsers go, each after a random delay; what they say until then
//! is relayed as ever. When nobody is left, the relay finishes, or puts by what
//! it has for the next process. When it is over is the server's to say. Called
//! by the server.

use crate::base::time::Time;
use crate::transport::contract;
use crate::wire::websocket::close::{GOING_AWAY, SERVICE_RESTART};

use super::conn::{ConnKey, Ending, Phase, Role};
use super::core::Core;
use super::{fanout, polls};

/// How many may come back in a millisecond. Few clients make no storm, and are
/// not kept waiting for one.
const CLIENTS_A_MS: usize = 1;

/// How long a connection without a request stays, in case that one is on its
/// way: it would be lost with it, and its sender could not tell.
const GRACE_MS: u64 = 250;

/// Begins to leave.
pub fn begin(core: &mut Core, now: Time, restart: bool) {
    core.leaving.restart = restart;
    core.callbacks.leave(now);
    let config = &core.config;
    core.drained_by_ms = Some(now.after(config.shutdown_timeout_ms));
    let most_ms = config.drain_timeout_ms.min(config.shutdown_timeout_ms / 2);
    let clients = core.stats.websockets + core.stats.polls;
    let spread_ms = most_ms.min(clients / CLIENTS_A_MS as u64);
    let grace_ms = most_ms.min(GRACE_MS.max(spread_ms));
    let mut queue = Vec::with_capacity(core.conns.len());
    for (key, conn) in core.conns.iter() {
        let delay_ms = match &conn.role {
            Role::WebSocket(_) => core.random.below(spread_ms + 1),
            Role::Http(http) => match http.phase {
                Phase::Polling(_) => core.random.below(spread_ms + 1),
                Phase::Reading(_) if http.input.is_empty() && conn.outbox.is_empty() => grace_ms,
                _ => 0,
            },
            Role::Lane(_) => continue,
        };
        queue.push((now.after(delay_ms), key));
    }
    queue.sort_unstable_by_key(|&(at_ms, key)| std::cmp::Reverse((at_ms, key.to_u64())));
    core.leaving.queue = queue;
}

/// Tells those whose time has come; and the relay when all others are gone.
pub fn go_on(core: &mut Core, now: Time) {
    while core.leaving.next_ms().is_some_and(|at_ms| at_ms <= now.ms) {
        if let Some((_, key)) = core.leaving.queue.pop() {
            take_leave(core, now, key);
        }
    }
    if core.is_draining() && core.conns.len() <= core.lanes.iter().flatten().count() {
        tell_relay(core);
    }
}

/// The time is over: what the relay has not finished is put by, or given up.
pub fn end(core: &mut Core, now: Time) {
    tell_relay(core);
    core.callbacks.abandon(now);
}

fn tell_relay(core: &mut Core) {
    if std::mem::replace(&mut core.leaving.relay_told, true) {
        return;
    }
    match core.keeps_state() {
        true => core.callbacks.keep(),
        false => core.callbacks.drain(),
    }
}

/// Says to the connection that the server stops.
fn take_leave(core: &mut Core, now: Time, key: ConnKey) {
    let restart = core.leaving.restart;
    let Some(conn) = core.conns.get_mut(key) else {
        return;
    };
    match &mut conn.role {
        Role::WebSocket(stream) => {
            if stream.ending == Ending::No {
                let code = if restart { SERVICE_RESTART } else { GOING_AWAY };
                stream.ending = Ending::AfterPending(code);
            }
            core.queue_flush(key);
        }
        Role::Http(http) => {
            let between = matches!(http.phase, Phase::Reading(_));
            let polling = matches!(http.phase, Phase::Polling(_));
            if between && !http.input.is_empty() {
                // A request is on its way in: it is answered, and told that it is the last.
                return;
            }
            conn.closing = true;
            if between && conn.outbox.is_empty() {
                core.close(now, key);
            } else if polling && let Some(mut held) = fanout::take_held(core, now, key) {
                held.context.framing.keep_alive = false;
                let polls_on = held.poll.modern || !held.context.polling.blanks;
                let ending = match restart && core.keeps_state() && polls_on {
                    // Its session will be known: it need only ask again.
                    true => contract::Ending::Held,
                    false => contract::Ending::Stopping,
                };
                polls::end(core, now, key, held, ending);
            }
        }
        Role::Lane(_) => {}
    }
}
