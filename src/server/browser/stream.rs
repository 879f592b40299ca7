//! A browser's WebSocket: its messages, its life and its end.
//!
//! Frames are read by `wire/websocket`, messages understood by
//! `transport/websocket`; deliveries are written by `delivery`. Called by the
//! server when bytes come or a deadline passes.

use crate::base::time::Time;
use crate::hub::SessionKey;
use crate::transport::contract::{Call, Command, Reply};
use crate::transport::websocket;
use crate::wire::websocket::{
    Event, MessageDecoder, Opcode, Role as Side, close as codes, encode_close_frame, encode_frame,
};

use super::echo;
use crate::server::commands::messages::{self, Said};
use crate::server::commands::sessions;
use crate::server::connection::conn::{ConnKey, Ending, Owed, Role, WebSocketConn, next_ping_ms};
use crate::server::core::{Action, Core};
use crate::server::delivery::batches;
use crate::server::session::acks::Waiter;
use crate::server::session::behind::Item;

/// Reads what came for a WebSocket.
pub fn received(core: &mut Core, now: Time, key: ConnKey, bytes: &mut [u8]) {
    let Some(conn) = core.conns.get_mut(key) else {
        return;
    };
    core.paces.turn.received(now, conn.address, bytes.len());
    let Role::WebSocket(stream) = &mut conn.role else {
        return;
    };
    stream.hear(now);
    if stream.input.is_empty() {
        let used = read(core, now, key, bytes);
        keep(core, now, key, &bytes[used..]);
    } else {
        let mut whole = stream.input.take();
        whole.extend_from_slice(bytes);
        let used = read(core, now, key, &mut whole);
        if let Some(stream) = stream_mut(core, key) {
            stream.input.restore(whole, used);
        }
    }
    core.settle(key);
    core.arm(key);
}

/// The WebSocket of `key`. Whatever is done on the way can close the connection,
/// so each step looks it up anew, and nobody holds one of its parts meanwhile.
fn stream_mut(core: &mut Core, key: ConnKey) -> Option<&mut WebSocketConn> {
    match &mut core.conns.get_mut(key)?.role {
        Role::WebSocket(stream) => Some(stream),
        _ => None,
    }
}

/// Reads on where a stream was paused.
pub fn go_on(core: &mut Core, now: Time, key: ConnKey) {
    if let Some(conn) = core.conns.get_mut(key) {
        conn.paused = false;
        received(core, now, key, &mut []);
        core.actions.push_back(Action::ResumeRead { key });
    }
}

/// The session sends too fast: its stream is read on when it has a token again.
fn slow_down(core: &mut Core, now: Time, key: ConnKey, session: SessionKey, wait_ms: u64) {
    // Not for each token, or many who send too fast would keep us busy.
    let at_ms = now.after(wait_ms.max(50));
    if let Some(conn) = core.conns.get_mut(key)
        && !std::mem::replace(&mut conn.paused, true)
    {
        core.paces.wait_until(at_ms, key);
    }
    let modern = stream_mut(core, key).is_some_and(|stream| stream.modern);
    // A legacy client would take it for a message (protocol A.5).
    if let Some(problem) = core.paces.hold(now, session)
        && modern
    {
        say(core, now, key, &Reply::Refused(problem), None);
    }
}

/// Keeps the beginning of a frame whose rest is still to come.
fn keep(core: &mut Core, now: Time, key: ConnKey, rest: &[u8]) {
    let most = core.config.turn_read_bytes + core.config.message_bytes_max;
    let Some(stream) = stream_mut(core, key) else {
        return;
    };
    if stream.input.push(rest, most).is_err() {
        close(core, now, key, codes::MESSAGE_TOO_BIG, "too much at once");
    }
}

/// Reads events until the bytes, or the patience of the webhook, are used up.
fn read(core: &mut Core, now: Time, key: ConnKey, bytes: &mut [u8]) -> usize {
    let limits = core.websocket_limits;
    let mut used = 0;
    let address = core.conns.get(key).and_then(|conn| conn.address);
    while used < bytes.len() {
        let full = core.behind.is_full(key);
        let unpaced = core.echo || core.is_draining();
        let Some(stream) = stream_mut(core, key) else {
            // It was closed while it was read: nobody is there for the rest.
            return bytes.len();
        };
        if stream.ending == Ending::Over {
            return bytes.len();
        }
        let session = stream.session;
        let paced = !unpaced && !stream.ending.has_begun();
        if full {
            // The browser feels it as a slow connection.
            if let Some(conn) = core.conns.get_mut(key) {
                conn.paused = true;
            }
            return used;
        }
        let wait_ms = core.paces.wait_ms(now, session, address);
        if paced && wait_ms > 0 {
            slow_down(core, now, key, session, wait_ms);
            return used;
        }
        let Some(stream) = stream_mut(core, key) else {
            return bytes.len();
        };
        // Taken out while its bytes are handled: an event borrows from it.
        let fresh = MessageDecoder::new(Side::Server);
        let mut decoder = std::mem::replace(&mut stream.decoder, fresh);
        let decoded = decoder.decode(&mut bytes[used..], &limits);
        match decoded {
            Ok((consumed, event)) => {
                used += consumed;
                let waits = consumed == 0 && event.is_none();
                if let Some(event) = event {
                    if paced {
                        core.paces.take(now, session, address);
                    }
                    handle(core, now, key, event);
                }
                if let Some(stream) = stream_mut(core, key) {
                    stream.decoder = decoder;
                }
                if waits {
                    return used;
                }
            }
            Err(error) => {
                log::debug!(
                    "event=websocket_error code={} reason=\"{error}\"",
                    error.close_code()
                );
                let reason = error.to_string();
                close(core, now, key, error.close_code(), &reason);
                over(core, now, key);
                return bytes.len();
            }
        }
    }
    used
}

fn handle(core: &mut Core, now: Time, key: ConnKey, event: Event<'_>) {
    let begun = stream_mut(core, key).is_none_or(|stream| stream.ending.has_begun());
    match event {
        // What came before it is still to be done; pings do not wait.
        Event::Close { code, .. } if core.behind.keeps(key) => {
            core.behind.push(key, Item::Close(code));
        }
        // RFC 6455, 5.5.1: after a Close of ours, only the peer's Close counts.
        Event::Close { code, .. } => closed_by_peer(core, now, key, code),
        _ if begun || core.leaving.is_handed_over() => {}
        Event::Text(_) | Event::Binary(_) if core.echo => echo::answer(core, now, key, &event),
        Event::Text(text) if core.behind.keeps(key) => {
            core.behind.push(key, Item::Text((*text).into()));
        }
        Event::Text(text) => understand(core, now, key, &text),
        Event::Binary(_) if core.behind.keeps(key) => core.behind.push(key, Item::Binary),
        Event::Binary(_) => refuse_binary(core, now, key),
        Event::Ping(payload) => {
            let limit = core.config.outbox_bytes_max;
            if let Some(conn) = core.conns.get_mut(key)
                && conn.outbox.len() + payload.len() < limit
            {
                encode_frame(conn.outbox.tail(), Opcode::Pong, true, payload);
            }
            core.queue_flush(key);
        }
        Event::Pong(_) => {}
    }
}

fn understand(core: &mut Core, now: Time, key: ConnKey, text: &str) {
    match websocket::read(text) {
        Ok(call) => obey(core, now, key, call),
        Err(unusable) => {
            let (refused, id) = (Reply::Refused(unusable.problem), unusable.id);
            say(core, now, key, &refused, id.as_deref());
        }
    }
}

fn refuse_binary(core: &mut Core, now: Time, key: ConnKey) {
    let reason = "send text: Chloe takes no binary messages";
    close(core, now, key, codes::UNSUPPORTED_DATA, reason);
}

/// The webhook has queued the message that the stream waited with: what came behind
/// it is done, until one has to wait again.
pub fn message_queued(core: &mut Core, now: Time, key: ConnKey) {
    core.behind.go_on(key);
    while let Some(item) = core.behind.next(key) {
        let begun = stream_mut(core, key).is_none_or(|stream| stream.ending.has_begun());
        match item {
            Item::Close(code) => closed_by_peer(core, now, key, code),
            Item::Finished => return core.close(now, key),
            _ if begun => {}
            Item::Text(text) => understand(core, now, key, &text),
            Item::Binary => refuse_binary(core, now, key),
        }
    }
    core.settle(key);
    let paused = core.conns.get(key).is_some_and(|conn| conn.paused);
    if paused && !core.behind.is_full(key) {
        go_on(core, now, key);
    }
}

fn obey(core: &mut Core, now: Time, key: ConnKey, call: Call<'_>) {
    let Some(session) = stream_mut(core, key).map(|stream| stream.session) else {
        return;
    };
    let id = call.id.as_deref();
    let reply = match call.command {
        Command::Connect { session, positions } => {
            let positions = positions.unwrap_or_default();
            let Some(reply) = connect(core, key, session, &positions) else {
                return;
            };
            reply
        }
        Command::Subscribe { channel, since } => {
            let reply = sessions::subscribe(core, session, &channel, since);
            batches::deliver(core, now, session);
            reply
        }
        Command::Unsubscribe { channel } => sessions::unsubscribe(core, session, &channel),
        Command::Message { data } => {
            let asked = id.map(|id| (id, Waiter::Stream));
            match messages::message(core, now, session, &data, asked, Some(key)) {
                Said::Now(reply) => reply,
                Said::Later => return,
                Said::Waits => return core.behind.begin(key, data.len()),
            }
        }
        // Not read as one over a stream.
        Command::Poll(_) => return,
    };
    // Protocol A.5: nothing unasked. A refusal is said even without an id: the
    // alternative is silence.
    let refused = matches!(reply, Reply::Refused(_));
    let connected = matches!(reply, Reply::Connected { .. });
    let before = core.conns.get(key).map_or(0, |conn| conn.outbox.len());
    if id.is_some() || refused || connected {
        say(core, now, key, &reply, id);
    }
    charge(core, now, key, before, sessions::cost_bytes(&reply));
}

/// Counts what was just said to a command, behind `before` bytes in the outbox.
fn charge(core: &mut Core, now: Time, key: ConnKey, before: usize, again: usize) {
    if let Some(conn) = core.conns.get(key)
        && let Role::WebSocket(stream) = &conn.role
    {
        let session = stream.session;
        let (address, said) = (conn.address, conn.outbox.len().saturating_sub(before));
        core.paces.charge(now, session, address, said + again);
    }
}

/// A current client goes on with its session of before, if that lives
/// and no page of another origin opened it. `None`: the connection is gone.
fn connect(
    core: &mut Core,
    key: ConnKey,
    wanted: Option<crate::base::names::SessionId>,
    positions: &sessions::Positions<'_>,
) -> Option<Reply> {
    let stream = stream_mut(core, key)?;
    stream.modern = true;
    let own = stream.session;
    let opener = core.hub.session(own).and_then(|s| s.opener);
    let found = sessions::find(core, wanted, opener).ok();
    let other = found.filter(|found| *found != own);
    if let Some(session) = other {
        core.hub.close(own);
        stream_mut(core, key)?.session = session;
        sessions::came_over(core, session, key);
        if let Some(before) = core.hub.attach(session, key.to_u64()) {
            core.superseded.push(Core::conn_of(before));
        }
    }
    let session = other.unwrap_or(own);
    let reply = sessions::connect(core, session, found.is_some(), positions);
    core.queue_flush(key);
    Some(reply)
}

/// Writes a reply on the stream of `key`.
pub fn say(core: &mut Core, now: Time, key: ConnKey, reply: &Reply, id: Option<&str>) {
    let limit = core.config.outbox_bytes_max;
    let Some(conn) = core.conns.get_mut(key) else {
        return;
    };
    // RFC 6455, 5.5.1: no data frame after a Close.
    if matches!(&conn.role, Role::WebSocket(stream) if stream.ending.has_begun()) {
        return;
    }
    websocket::reply(conn.outbox.tail(), reply, id);
    if conn.outbox.len() > limit {
        // It asks and does not read: there is no one to be told.
        log::warn!("event=outbox_full action=close limit_bytes={limit}");
        return core.close(now, key);
    }
    core.queue_flush(key);
}

/// Begins the closing handshake from our side.
pub fn close(core: &mut Core, now: Time, key: ConnKey, code: u16, reason: &str) {
    let until_ms = now.after(core.config.close_timeout_ms);
    let Some(conn) = core.conns.get_mut(key) else {
        return;
    };
    let Role::WebSocket(stream) = &mut conn.role else {
        return;
    };
    if stream.ending.has_begun() {
        return;
    }
    stream.end(Ending::Begun, until_ms);
    let (session, modern) = (stream.session, stream.modern);
    encode_close_frame(conn.outbox.tail(), code, reason);
    core.leave_stream(now, key, session, modern);
    core.queue_flush(key);
    core.settle(key);
    core.arm(key);
}

/// RFC 6455, 5.5.1: a Close is answered with a Close, and the server is the one
/// that then closes the connection (7.1.1).
fn closed_by_peer(core: &mut Core, now: Time, key: ConnKey, code: Option<u16>) {
    let Some(conn) = core.conns.get_mut(key) else {
        return;
    };
    let Role::WebSocket(stream) = &conn.role else {
        return;
    };
    let (session, modern) = (stream.session, stream.modern);
    if !stream.ending.has_begun() {
        match code {
            Some(code) => encode_close_frame(conn.outbox.tail(), code, ""),
            None => encode_frame(conn.outbox.tail(), Opcode::Close, true, &[]),
        }
    }
    core.leave_stream(now, key, session, modern);
    over(core, now, key);
}

/// Nothing more is read; what is to be written is, and then the connection is closed.
fn over(core: &mut Core, now: Time, key: ConnKey) {
    let until_ms = now.after(core.config.close_timeout_ms);
    if let Some(conn) = core.conns.get_mut(key)
        && let Role::WebSocket(stream) = &mut conn.role
    {
        stream.end(Ending::Over, until_ms);
        conn.closing = true;
    }
    core.queue_flush(key);
}

/// A deadline of the stream passed: the peer is asked for a sign of life, or given up.
pub fn due(core: &mut Core, now: Time, key: ConnKey) {
    let config = &core.config;
    let Some(conn) = core.conns.get_mut(key) else {
        return;
    };
    let Role::WebSocket(stream) = &mut conn.role else {
        return;
    };
    if stream.ending.has_begun() {
        return core.close(now, key);
    }
    // What we do not read cannot tell us that its sender lives; nor can who has
    // not come to our ping yet, for whom `slow_consumer_timeout_ms` is there.
    if stream.pinged && !conn.paused && !conn.blocked {
        let silent_ms = now.ms - stream.heard_ms;
        log::info!("event=websocket_silent action=close silent_ms={silent_ms}");
        return core.close(now, key);
    }
    let quiet = now.ms - stream.heard_ms >= config.ping_interval_ms / 2;
    // What is in the outbox of one that is not blocked is about to go out.
    let idle = !conn.blocked;
    stream.pinged = quiet && idle;
    stream.due_ms = match stream.pinged {
        true => now.after(config.ping_timeout_ms).next_multiple_of(1_000),
        false => next_ping_ms(now, config),
    };
    stream.owed = match (stream.pinged, stream.modern && idle) {
        (true, true) => Owed::PingAndHeartbeat,
        (true, false) => Owed::Ping,
        (false, true) => Owed::Heartbeat,
        (false, false) => Owed::Nothing,
    };
    core.queue_flush(key);
    core.arm(key);
}
