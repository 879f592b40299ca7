//! The end of a server: everyone is told in the words of their kind.
//!
//! A server that stops sends the browsers away one after the other, so that they
//! do not all come back in one moment; what they say until then is sent to the app as
//! ever. When nobody is left, the webhook finishes, or puts by what it has for the
//! next process. When it is over is the server's to say.
//!
//! A server that hands over lets nobody wait for that. It settles while it
//! serves everyone: idle connections are closed, the webhook finishes what is out
//! and begins nothing. Then the doors are closed, the state is saved, and the
//! next process goes on; only behind that is anyone told, and nothing is taken
//! any more that the next process would not know. Called by the server.

use crate::base::time::Time;
use crate::transport::contract;
use crate::wire::http::Waiting;
use crate::wire::websocket::close::{GOING_AWAY, SERVICE_RESTART};

use crate::server::browser::{polls, stream};
use crate::server::connection::conn::{Conn, ConnKey, Ending, HttpConn, Phase, Role, Sending};
use crate::server::core::leaving::Stage;
use crate::server::core::{Action, Core};
use crate::server::delivery::batches;
use crate::server::routing::router;

/// How many may come back in a millisecond. Few clients make no storm, and are
/// not kept waiting for one.
const CLIENTS_A_MS: usize = 1;

/// How long a connection without a request stays, in case that one is on its
/// way: it would be lost with it, and its sender could not tell.
const GRACE_MS: u64 = 250;

/// How often it is looked how far the settling is.
const LOOK_MS: u64 = 10;

/// The most that the way to the end may take, before and behind the state.
fn most_ms(core: &Core) -> u64 {
    let config = &core.config;
    config.drain_timeout_ms.min(config.shutdown_timeout_ms / 2)
}

/// Begins to hand over, while everyone is served on.
pub fn settle(core: &mut Core, now: Time) {
    let most_ms = most_ms(core);
    core.leaving.stage = Stage::Settling {
        idle_at_ms: now.after(most_ms.min(GRACE_MS)),
        until_ms: now.after(most_ms),
        look_ms: now.after(LOOK_MS.min(most_ms)),
    };
    if core.keeps_state() {
        core.webhook.pause();
    }
}

/// Looks how far the settling is, when that is due.
pub fn look(core: &mut Core, now: Time) {
    let Stage::Settling {
        idle_at_ms,
        until_ms,
        look_ms,
    } = core.leaving.stage
    else {
        return;
    };
    if now.ms < look_ms {
        return;
    }
    if now.ms >= idle_at_ms {
        close_idle(core, now);
    }
    let waits = now.ms < idle_at_ms || is_anything_under_way(core, now);
    core.leaving.stage = match waits && now.ms < until_ms {
        true => Stage::Settling {
            idle_at_ms,
            until_ms,
            look_ms: now.after(LOOK_MS),
        },
        false => Stage::Settled,
    };
}

/// Nobody listens any more.
pub fn close_doors(core: &mut Core, now: Time) {
    let until_ms = now.after(most_ms(core).min(GRACE_MS));
    core.leaving.stage = Stage::DoorsClosed { until_ms };
    // What waits for a share is saved with the rest.
    core.webhook.leave(now);
}

/// Whether nothing is waited for any more, once the doors are closed.
pub fn may_hand_over(core: &Core, now: Time) -> bool {
    let Stage::DoorsClosed { until_ms } = core.leaving.stage else {
        return false;
    };
    let waits = |conn: &Conn| match &conn.role {
        // Its client has been let in, and may be about to ask.
        Role::Http(http) => {
            now.ms < http.since_ms + GRACE_MS
                && !conn.closing
                && (http.is_idle() || is_half_here(http))
        }
        _ => false,
    };
    now.ms >= until_ms || !core.conns.iter().any(|(_, conn)| waits(conn))
}

/// Closes the connections on which nothing was asked for a while: their clients
/// come back to a door that is open.
fn close_idle(core: &mut Core, now: Time) {
    let is_idle = |conn: &Conn| match &conn.role {
        Role::Http(http) => {
            http.is_idle()
                && http.input.is_empty()
                && conn.outbox.is_empty()
                && http.since_ms + GRACE_MS <= now.ms
        }
        _ => false,
    };
    let idle = core.conns.iter().filter(|(_, conn)| is_idle(conn));
    let idle: Vec<ConnKey> = idle.map(|(key, _)| key).collect();
    idle.into_iter().for_each(|key| core.close(now, key));
}

/// Whether something is under way that would be cut off or done once more.
fn is_anything_under_way(core: &Core, now: Time) -> bool {
    let is_out = core.keeps_state() && !core.webhook.is_idle();
    is_out
        || core.conns.iter().any(|(_, conn)| match &conn.role {
            Role::Http(http) => {
                let delivers = matches!(http.phase, Phase::Sending(Sending::Deliveries(_)));
                is_half_here(http)
                    // A word on this connection is its last: who has asked nothing yet may.
                    || (http.is_idle() && http.since_ms + GRACE_MS > now.ms)
                    || (delivers && !conn.blocked)
            }
            _ => false,
        })
}

/// Whether a part of a request is here, and it is not answered.
fn is_half_here(http: &HttpConn) -> bool {
    match http.phase {
        Phase::Reading(waiting) => waiting != Waiting::NothingYet || !http.input.is_empty(),
        _ => false,
    }
}

/// Streams that were not read are read to their end: nothing else would tell the loop so.
fn resume_streams(core: &mut Core) {
    let paused = |conn: &Conn| conn.paused && matches!(conn.role, Role::WebSocket(_));
    let conns = core.conns.iter().filter(|(_, conn)| paused(conn));
    let resumed = conns.map(|(key, _)| Action::ResumeRead { key });
    core.actions.extend(resumed);
}

/// The next process has what was saved: tells everyone to go there, and lets go
/// of what nobody here needs any more.
pub fn go_over(core: &mut Core, now: Time) {
    core.drained_by_ms = Some(now.after(core.config.shutdown_timeout_ms));
    core.leaving.stage = Stage::HandedOver;
    resume_streams(core);
    core.leaving.webhook_told = true;
    let keys: Vec<ConnKey> = core.conns.iter().map(|(key, _)| key).collect();
    for key in keys {
        send_over(core, now, key);
    }
    core.forget_saved();
}

/// Sends the peer of a connection to the next process.
fn send_over(core: &mut Core, now: Time, key: ConnKey) {
    let Some(conn) = core.conns.get_mut(key) else {
        return;
    };
    let http = match &mut conn.role {
        Role::Http(http) => http,
        // What it has not been written, its client gets there.
        Role::WebSocket(stream) if stream.modern => {
            return stream::close(core, now, key, SERVICE_RESTART, "");
        }
        // It cannot come back to its session: it gets all that was published here.
        Role::WebSocket(stream) => {
            if stream.ending == Ending::No {
                stream.ending = Ending::AfterPending(SERVICE_RESTART);
            }
            return core.queue_flush(key);
        }
        Role::Upstream(_) => return,
    };
    let half = is_half_here(http);
    match &http.phase {
        Phase::Polling(_) => end_poll(core, now, key, contract::Ending::Held),
        Phase::Reading(_) if half && !conn.closing => router::interrupt(core, now, key),
        Phase::Reading(_) | Phase::Sending(Sending::File(_)) => {
            conn.closing = true;
            core.queue_flush(key);
            close_if_done(core, now, key);
        }
        // The next process delivers it once more: half of it is no answer. And
        // what becomes of a message is told there to who asks again.
        Phase::Sending(Sending::Deliveries(_)) | Phase::Asking | Phase::AwaitingRoom(_) => {
            core.close(now, key);
        }
    }
}

fn close_if_done(core: &mut Core, now: Time, key: ConnKey) {
    let done = core.conns.get(key).is_some_and(|conn| {
        matches!(&conn.role, Role::Http(http) if http.is_idle()) && conn.outbox.is_empty()
    });
    if done {
        core.close(now, key);
    }
}

/// Answers a held poll for the last time.
fn end_poll(core: &mut Core, now: Time, key: ConnKey, ending: contract::Ending) {
    if let Some(mut held) = batches::take_held(core, now, key) {
        held.context.framing.keep_alive = false;
        let ending = match ending {
            // A legacy page whose poll is kept open by padding takes an empty answer for the end.
            contract::Ending::Held if !held.poll.modern && held.context.polling.blanks => {
                contract::Ending::Stopping
            }
            ending => ending,
        };
        polls::end(core, now, key, held, ending);
    }
}

/// Begins to stop. With `restart` another process takes over at once, and knows
/// nothing of this one.
pub fn begin(core: &mut Core, now: Time, restart: bool) {
    core.leaving.stage = Stage::Stopping { restart };
    core.webhook.leave(now);
    core.drained_by_ms = Some(now.after(core.config.shutdown_timeout_ms));
    resume_streams(core);
    let most_ms = most_ms(core);
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
            Role::Upstream(_) => continue,
        };
        queue.push((now.after(delay_ms), key));
    }
    queue.sort_unstable_by_key(|&(at_ms, key)| std::cmp::Reverse((at_ms, key.to_u64())));
    core.leaving.queue = queue;
}

/// Tells those whose time has come; and the webhook when all others are gone.
pub fn go_on(core: &mut Core, now: Time) {
    while let Some(key) = core.leaving.take_next(now) {
        take_leave(core, now, key);
    }
    if core.is_draining() && core.conns.len() <= core.upstreams.iter().flatten().count() {
        tell_webhook(core);
    }
}

/// The time is over: what the webhook has not finished is put by, or given up.
pub fn end(core: &mut Core, now: Time) {
    tell_webhook(core);
    core.webhook.abandon(now);
}

fn tell_webhook(core: &mut Core) {
    if std::mem::replace(&mut core.leaving.webhook_told, true) {
        return;
    }
    match core.keeps_state() {
        true => core.webhook.keep(),
        false => core.webhook.drain(),
    }
}

/// Says to the connection that the server stops.
fn take_leave(core: &mut Core, now: Time, key: ConnKey) {
    let restart = core.leaving.stage == Stage::Stopping { restart: true };
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
            } else if polling {
                end_poll(core, now, key, contract::Ending::Stopping);
            }
        }
        Role::Upstream(_) => {}
    }
}
