//! The relay within the server: its lanes are connections, its outcomes answers.
//!
//! What is sent when and how often is `callback`'s, which knows lanes by their
//! numbers and messages by their tags; who waits for a tag is `dispatch`'s. This
//! does what the relay asks for, and passes on what it has to tell. Called by
//! the server.

use std::io;

use crate::base::time::Time;

use super::browser::{polls, stream};
use super::commands::dispatch;
use super::connection::conn::{Conn, ConnKey, Phase, Role};
use super::core::{Action, Core};
use super::routing::router;
use super::session::acks::Finished;
use super::webhook::Event;

/// Does what the relay asks for, until it asks for nothing more.
pub fn serve(core: &mut Core, now: Time) {
    while let Some(event) = core.callbacks.poll_event() {
        match event {
            Event::Resolve { host, port } => {
                core.actions.push_back(Action::Resolve { host, port });
            }
            Event::Connect { lane, address } => {
                let key = core.conns.insert(Conn::lane(lane));
                if core.lanes.len() <= lane {
                    core.lanes.resize(lane + 1, None);
                }
                core.lanes[lane] = Some(key);
                core.actions.push_back(Action::Connect { key, address });
            }
            Event::Close { lane } => {
                if let Some(key) = core.lanes[lane].take() {
                    core.close(now, key);
                }
            }
            Event::Transmit { lane } => {
                if let Some(key) = core.lanes[lane] {
                    core.queue_flush(key);
                }
            }
            Event::Outcome { tag, result, .. } => {
                if let Some(finished) = dispatch::outcome(core, tag, result) {
                    tell(core, now, &finished);
                }
            }
            Event::Dropped { tag } => {
                if let Some(finished) = dispatch::dropped(core, tag) {
                    tell(core, now, &finished);
                }
            }
            Event::Queued { place } => {
                let key = Core::conn_of(place);
                match core.conns.get(key).map(|conn| &conn.role) {
                    Some(Role::WebSocket(_)) => stream::relayed(core, now, key),
                    Some(Role::Http(_)) => polls::relayed(core, now, key),
                    _ => {}
                }
            }
        }
    }
}

/// What became of a lane that was to be connected. After an error its socket is gone.
pub fn connected(core: &mut Core, now: Time, key: ConnKey, result: Result<(), io::ErrorKind>) {
    let Some(conn) = core.conns.get_mut(key) else {
        return;
    };
    let Role::Lane(lane) = conn.role else {
        return;
    };
    conn.blocked = false;
    if result.is_err() {
        core.lanes[lane] = None;
        core.forget(now, key);
    }
    core.callbacks.handle_connected(now, lane, result);
}

/// The connection of `lane` is broken.
pub fn closed(core: &mut Core, now: Time, lane: usize) {
    core.lanes[lane] = None;
    core.callbacks.handle_closed(now, lane);
}

/// Tells those who wait for a message what became of it.
fn tell(core: &mut Core, now: Time, finished: &Finished) {
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
