//! The webhook within the server: its upstream connections are connections, its outcomes answers.
//!
//! What is sent when and how often is `webhook`'s, which knows upstream connections by their
//! numbers and messages by their tags; who waits for a tag is `commands`'s. This
//! does what the webhook asks for, and passes on what it has to tell. Called by
//! the server.

use std::io;

use crate::base::time::Time;

use super::browser::{polls, stream};
use super::commands::messages;
use super::connection::conn::{Conn, ConnKey, Phase, Role};
use super::core::{Action, Core};
use super::routing::router;
use super::session::acks::Finished;
use super::webhook::Event;

/// Does what the webhook asks for, until it asks for nothing more.
pub fn serve(core: &mut Core, now: Time) {
    while let Some(event) = core.webhook.poll_event() {
        match event {
            Event::Resolve { host, port } => {
                core.actions.push_back(Action::Resolve { host, port });
            }
            Event::Connect { upstream, address } => {
                let key = core.conns.insert(Conn::upstream(upstream));
                if core.upstreams.len() <= upstream {
                    core.upstreams.resize(upstream + 1, None);
                }
                core.upstreams[upstream] = Some(key);
                core.actions.push_back(Action::Connect { key, address });
            }
            Event::Close { upstream } => {
                if let Some(key) = core.upstreams[upstream].take() {
                    core.close(now, key);
                }
            }
            Event::Transmit { upstream } => {
                if let Some(key) = core.upstreams[upstream] {
                    core.queue_flush(key);
                }
            }
            Event::Completed { tag, result, .. } => {
                if let Some(finished) = messages::completed(core, tag, result) {
                    notify(core, now, &finished);
                }
            }
            Event::Dropped { tag } => {
                if let Some(finished) = messages::dropped(core, tag) {
                    notify(core, now, &finished);
                }
            }
            Event::Queued { place } => {
                let key = Core::conn_of(place);
                match core.conns.get(key).map(|conn| &conn.role) {
                    Some(Role::WebSocket(_)) => stream::message_queued(core, now, key),
                    Some(Role::Http(_)) => polls::message_queued(core, now, key),
                    _ => {}
                }
            }
        }
    }
}

/// What became of an upstream connection that was to be connected. After an error its socket is
/// gone.
pub fn connected(core: &mut Core, now: Time, key: ConnKey, result: Result<(), io::ErrorKind>) {
    let Some(conn) = core.conns.get_mut(key) else {
        return;
    };
    let Role::Upstream(upstream) = conn.role else {
        return;
    };
    conn.blocked = false;
    if result.is_err() {
        core.upstreams[upstream] = None;
        core.forget(now, key);
    }
    core.webhook.handle_connected(now, upstream, result);
}

/// The connection of `upstream` is broken.
pub fn closed(core: &mut Core, now: Time, upstream: usize) {
    core.upstreams[upstream] = None;
    core.webhook.handle_closed(now, upstream);
}

/// Tells those who wait for a message what became of it.
fn notify(core: &mut Core, now: Time, finished: &Finished) {
    let (reply, id) = (&finished.reply, Some(&*finished.id));
    if finished.stream
        && let Some(stream) = core.hub.session(finished.session).and_then(|s| s.stream())
        && let key = Core::conn_of(stream)
        && matches!(
            core.conns.get(key).map(|conn| &conn.role),
            Some(Role::WebSocket(_))
        )
    {
        // A client that is on no stream now asks again when it is back.
        stream::say(core, now, key, reply, id);
    }
    for (conn, context) in &finished.requests {
        let asking = matches!(
            core.conns.get(*conn).map(|conn| &conn.role),
            Some(Role::Http(http)) if matches!(http.phase, Phase::Asking)
        );
        if asking {
            let said = (context.polling.reply)(reply, id);
            core.set_phase(now, *conn, router::READY);
            core.answer(now, *conn, context, &said);
        }
    }
}
