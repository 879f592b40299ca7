//! A browser's WebSocket: its messages, its life and its end.
//!
//! Frames are read by `wire/websocket`, messages understood by
//! `transport/websocket`; deliveries are written by `fanout`. Called by the
//! server when bytes come or a deadline passes.

use crate::base::time::Time;
use crate::hub::SessionKey;
use crate::transport::contract::{Call, Command, Reply};
use crate::transport::websocket;
use crate::wire::websocket::{
    Event, MessageDecoder, Opcode, Role as Side, close as codes, encode_close_frame, encode_frame,
};

use super::acks::Waiter;
use super::conn::{ConnKey, Ending, Owed, Role, WebSocketConn, next_ping_ms};
use super::core::{Action, Core};
use super::{dispatch, echo, fanout};

/// Reads what came for a WebSocket.
pub fn received(core: &mut Core, now: Time, key: ConnKey, bytes: &mut [u8]) {
    let Some(mut stream) = take(core, key) else {
        return;
    };
    stream.hear(now);
    if stream.input.is_empty() {
        let used = read(core, now, key, &mut stream, bytes);
        keep(core, now, key, &mut stream, &bytes[used..]);
    } else {
        let mut whole = stream.input.take();
        whole.extend_from_slice(bytes);
        let used = read(core, now, key, &mut stream, &mut whole);
        stream.input.restore(whole, used);
    }
    put_back(core, key, stream);
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
fn slow_down(core: &mut Core, now: Time, key: ConnKey, stream: &WebSocketConn, wait_ms: u64) {
    // Not for each token, or many who send too fast would keep us busy.
    let at_ms = now.after(wait_ms.max(50));
    if let Some(conn) = core.conns.get_mut(key)
        && !std::mem::replace(&mut conn.paused, true)
    {
        core.paces.waiting.set(at_ms, key);
    }
    // An old client would take it for a message (protocol A.5).
    if let Some(problem) = core.paces.hold(now, stream.session)
        && stream.modern
    {
        say(core, now, key, &Reply::Refused(problem), None);
    }
}

/// Keeps the beginning of a frame whose rest is still to come.
fn keep(core: &mut Core, now: Time, key: ConnKey, stream: &mut WebSocketConn, rest: &[u8]) {
    let most = core.config.turn_read_bytes + core.config.message_bytes_max;
    if stream.input.push(rest, most).is_err() {
        close_taken(
            core,
            now,
            key,
            stream,
            codes::MESSAGE_TOO_BIG,
            "too much at once",
        );
    }
}

/// Takes the stream out of its connection, so that its bytes can be read while
/// the rest of the server is worked on.
fn take(core: &mut Core, key: ConnKey) -> Option<Box<WebSocketConn>> {
    let conn = core.conns.get_mut(key)?;
    match std::mem::replace(&mut conn.role, Role::Reading) {
        Role::WebSocket(stream) => Some(stream),
        other => {
            conn.role = other;
            None
        }
    }
}

fn put_back(core: &mut Core, key: ConnKey, stream: Box<WebSocketConn>) {
    if let Some(conn) = core.conns.get_mut(key) {
        conn.role = Role::WebSocket(stream);
        core.memory.settle(key, conn);
    }
    core.arm(key);
}

/// Reads events until the bytes, or the patience of the relay, are used up.
fn read(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    stream: &mut WebSocketConn,
    bytes: &mut [u8],
) -> usize {
    let mut used = 0;
    let address = core.conns.get(key).and_then(|conn| conn.address);
    while used < bytes.len() {
        if core.callbacks.is_full() && !core.is_draining() {
            // The browser feels it as a slow connection.
            core.let_wait(key);
            return used;
        }
        let paced = !core.echo && !core.is_draining() && !stream.ending.has_begun();
        let wait_ms = core.paces.wait_ms(now, stream.session, address);
        if paced && wait_ms > 0 {
            slow_down(core, now, key, stream, wait_ms);
            return used;
        }
        let limits = core.websocket_limits;
        let fresh = MessageDecoder::new(Side::Server);
        let mut decoder = std::mem::replace(&mut stream.decoder, fresh);
        let decoded = decoder.decode(&mut bytes[used..], &limits);
        match decoded {
            Ok((consumed, event)) => {
                used += consumed;
                let waits = consumed == 0 && event.is_none();
                if let Some(event) = event {
                    if paced {
                        core.paces.take(now, stream.session);
                    }
                    handle(core, now, key, stream, event);
                }
                stream.decoder = decoder;
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
                close_taken(core, now, key, stream, error.close_code(), &reason);
                over(core, now, key, stream);
                return bytes.len();
            }
        }
        if stream.ending == Ending::Over {
            return bytes.len();
        }
    }
    used
}

fn handle(core: &mut Core, now: Time, key: ConnKey, stream: &mut WebSocketConn, event: Event<'_>) {
    match event {
        // RFC 6455, 5.5.1: after a Close of ours, only the peer's Close counts.
        Event::Close { code, .. } => closed_by_peer(core, now, key, stream, code),
        _ if stream.ending.has_begun() => {}
        Event::Text(_) | Event::Binary(_) if core.echo => echo::answer(core, now, key, &event),
        Event::Text(text) => match websocket::read(&text) {
            Ok(call) => obey(core, now, key, stream, call),
            Err(unusable) => {
                let (refused, id) = (Reply::Refused(unusable.problem), unusable.id);
                say(core, now, key, &refused, id.as_deref());
            }
        },
        Event::Binary(_) => close_taken(
            core,
            now,
            key,
            stream,
            codes::UNSUPPORTED_DATA,
            "send text: Chloe takes no binary messages",
        ),
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

fn obey(core: &mut Core, now: Time, key: ConnKey, stream: &mut WebSocketConn, call: Call<'_>) {
    let id = call.id.as_deref();
    let session = stream.session;
    let reply = match call.command {
        Command::Connect { session, positions } => {
            let positions = positions.unwrap_or_default();
            connect(core, now, key, stream, session, &positions)
        }
        Command::Subscribe { channel, since } => {
            let reply = dispatch::subscribe(core, session, &channel, since);
            fanout::deliver(core, now, session);
            reply
        }
        Command::Unsubscribe { channel } => dispatch::unsubscribe(core, session, &channel),
        Command::Message { data } => {
            let asked = id.map(|id| (id, Waiter::Stream));
            match dispatch::message(core, now, session, &data, asked) {
                Some(reply) => reply,
                None => return,
            }
        }
        // Not read as one over a stream.
        Command::Poll(_) => return,
    };
    // Protocol A.5: nothing unasked. A refusal is said even without an id: the
    // alternative is silence.
    let refused = matches!(reply, Reply::Refused(_));
    let connected = matches!(reply, Reply::Connected { .. });
    if id.is_some() || refused || connected {
        let before = core.conns.get(key).map_or(0, |conn| conn.outbox.len());
        say(core, now, key, &reply, id);
        charge(core, now, key, stream.session, before);
    }
}

/// Counts what was just said to a command, behind `before` bytes in the outbox.
fn charge(core: &mut Core, now: Time, key: ConnKey, session: SessionKey, before: usize) {
    if let Some(conn) = core.conns.get(key) {
        let (address, bytes) = (conn.address, conn.outbox.len().saturating_sub(before));
        core.paces.charge(now, session, address, bytes);
    }
}

/// A client of the new kind goes on with its session of before, if that lives
/// and no page of another origin opened it.
fn connect(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    stream: &mut WebSocketConn,
    wanted: Option<crate::base::names::SessionId>,
    positions: &dispatch::Positions<'_>,
) -> Reply {
    stream.modern = true;
    let opener = core.hub.session(stream.session).and_then(|s| s.opener);
    let found = dispatch::find(core, now, wanted, opener).ok();
    if let Some(session) = found.filter(|found| *found != stream.session) {
        core.hub.close(stream.session);
        stream.session = session;
        if let Some(before) = core.hub.attach(session, key.to_u64()) {
            core.superseded.push(Core::conn_of(before));
        }
    }
    let reply = dispatch::connect(core, stream.session, found.is_some(), positions);
    core.queue_flush(key);
    reply
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
        if core.may_log(now) {
            log::warn!("event=outbox_full action=close limit_bytes={limit}");
        }
        return core.close(now, key);
    }
    core.queue_flush(key);
}

/// Begins the closing handshake from our side.
pub fn close(core: &mut Core, now: Time, key: ConnKey, code: u16, reason: &str) {
    if let Some(mut stream) = take(core, key) {
        close_taken(core, now, key, &mut stream, code, reason);
        put_back(core, key, stream);
    }
}

fn close_taken(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    stream: &mut WebSocketConn,
    code: u16,
    reason: &str,
) {
    if stream.ending.has_begun() {
        return;
    }
    stream.end(Ending::Begun, now.after(core.config.close_timeout_ms));
    if let Some(conn) = core.conns.get_mut(key) {
        encode_close_frame(conn.outbox.tail(), code, reason);
    }
    core.leave_stream(now, key, stream.session, stream.modern);
    core.queue_flush(key);
}

/// RFC 6455, 5.5.1: a Close is answered with a Close, and the server is the one
/// that then closes the connection (7.1.1).
fn closed_by_peer(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    stream: &mut WebSocketConn,
    code: Option<u16>,
) {
    if !stream.ending.has_begun()
        && let Some(conn) = core.conns.get_mut(key)
    {
        match code {
            Some(code) => encode_close_frame(conn.outbox.tail(), code, ""),
            None => encode_frame(conn.outbox.tail(), Opcode::Close, true, &[]),
        }
    }
    core.leave_stream(now, key, stream.session, stream.modern);
    over(core, now, key, stream);
}

/// Nothing more is read; what is to be written is, and then the connection is closed.
fn over(core: &mut Core, now: Time, key: ConnKey, stream: &mut WebSocketConn) {
    stream.end(Ending::Over, now.after(core.config.close_timeout_ms));
    if let Some(conn) = core.conns.get_mut(key) {
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
        if core.may_log(now) {
            log::info!("event=websocket_silent action=close silent_ms={silent_ms}");
        }
        return core.close(now, key);
    }
    let quiet = now.ms - stream.heard_ms >= config.ping_interval_ms / 2;
    let idle = conn.outbox.is_empty() && !conn.blocked;
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
