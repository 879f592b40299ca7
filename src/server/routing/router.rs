//! From a request to the one who answers it: one match with all paths in sight.
//!
//! It reads requests off an HTTP connection one after the other, and hands each
//! to the transports, the app's side or the files. Called by the server when
//! bytes come, or when an answer is out and more requests wait.

use std::collections::VecDeque;

use crate::base::time::Time;
use crate::transport::{self, Way};
use crate::wire::http::{
    CONTINUE, Decoded, Framing, HttpError, Method, Request, Response, Version, Waiting, peek,
};
use crate::wire::websocket::accept;

use super::head;
use crate::server::api;
use crate::server::browser::{polls, stream};
use crate::server::commands::sessions;
use crate::server::connection::conn::{
    ConnKey, HttpConn, Phase, Role, Sending, Turn, WebSocketConn,
};
use crate::server::connection::peer::Peer;
use crate::server::core::admission;
use crate::server::core::{Action, Core};
use crate::server::files::{FileAnswer, Files};
use crate::server::limits::visitors;

/// Reads what came for an HTTP connection. What cannot be used yet is kept.
pub fn received(core: &mut Core, now: Time, key: ConnKey, bytes: &mut [u8]) {
    let Some(http) = http_mut(core, key) else {
        return;
    };
    if http.input.is_empty() {
        let used = read(core, now, key, bytes);
        keep(core, now, key, &mut bytes[used..]);
    } else {
        let mut whole = http.input.take();
        whole.extend_from_slice(bytes);
        let used = read(core, now, key, &mut whole);
        match http_mut(core, key) {
            Some(http) => http.input.restore(whole, used),
            None => stream::received(core, now, key, &mut whole[used..]),
        }
        bound(core, now, key);
    }
    core.settle(key);
    core.arm(key);
}

/// Reads on in what is kept, after an answer went out.
pub fn resume(core: &mut Core, now: Time, key: ConnKey) {
    let Some(http) = http_mut(core, key) else {
        return;
    };
    if http.takes_requests() {
        // It was not waited for, and perhaps not read, until its answer was taken.
        http.since_ms = now.ms;
    }
    if http.finished || !http.input.is_empty() {
        received(core, now, key, &mut []);
    } else {
        core.arm(key);
    }
}

/// The peer sends no more: what is here is answered, and then the connection closed.
pub fn finished(core: &mut Core, now: Time, key: ConnKey) {
    let Some(http) = http_mut(core, key) else {
        return;
    };
    http.finished = true;
    match http.phase {
        // A browser that closes is gone; what waits for it is kept for its next poll.
        Phase::Polling(_) => core.close(now, key),
        Phase::Reading(_) => resume(core, now, key),
        Phase::Asking | Phase::AwaitingRoom(_) | Phase::Sending(_) => {}
    }
}

fn http_mut(core: &mut Core, key: ConnKey) -> Option<&mut HttpConn> {
    match &mut core.conns.get_mut(key)?.role {
        Role::Http(http) => Some(http),
        _ => None,
    }
}

fn keep(core: &mut Core, now: Time, key: ConnKey, rest: &mut [u8]) {
    match http_mut(core, key) {
        Some(http) => {
            // The limits of a request were checked when it was decoded.
            let unlimited = http.input.push(rest, usize::MAX);
            debug_assert!(unlimited.is_ok());
            bound(core, now, key);
        }
        None => stream::received(core, now, key, rest),
    }
}

/// A peer that sends on while its request is being answered is let wait: its
/// bytes stay in its socket (see `wants_read`). This is the last resort.
fn bound(core: &mut Core, now: Time, key: ConnKey) {
    let most = core.http_limits.message_bytes() + core.config.turn_read_bytes;
    if http_mut(core, key).is_some_and(|http| http.input.len() > most) {
        log::warn!("event=input_full action=close limit_bytes={most}");
        core.close(now, key);
    }
}

/// Answers the requests in `bytes`, in order; returns how many bytes are used up.
fn read(core: &mut Core, now: Time, key: ConnKey, bytes: &mut [u8]) -> usize {
    let mut used = 0;
    loop {
        let limits = core.http_limits;
        let Some(conn) = core.conns.get_mut(key) else {
            return bytes.len();
        };
        if conn.closing {
            return bytes.len();
        }
        let full = !conn.takes_answers(&core.config, core.flush.len());
        let Role::Http(http) = &mut conn.role else {
            return used;
        };
        if full || !http.takes_requests() {
            return used;
        }
        match http.decoder.decode(&bytes[used..], &limits) {
            Ok(Decoded::NeedMore {
                state,
                send_continue,
            }) => {
                let head_came = wait(http, now, state) && state == Waiting::Body;
                if http.finished {
                    // What is missing will not come.
                    conn.closing = true;
                    core.queue_flush(key);
                    return bytes.len();
                }
                if head_came && !head::admit(core, now, key, &bytes[used..]) {
                    return bytes.len();
                }
                if send_continue && let Some(conn) = core.conns.get_mut(key) {
                    conn.outbox.push(CONTINUE);
                    core.queue_flush(key);
                }
                return used;
            }
            Ok(Decoded::Request { request, .. }) if core.hub.is_ahead() && publishes(&request) => {
                // It is read once more when the readers have caught up.
                http.publishes = true;
                http.since_ms = now.ms;
                match std::mem::replace(&mut http.turn, Turn::Waits) {
                    // Too much was published again before it was made.
                    Turn::Called => core.publishers.push_front(key),
                    Turn::Free | Turn::Waits => core.publishers.push_back(key),
                }
                return used;
            }
            Ok(Decoded::Request { request, consumed }) => {
                used += consumed;
                let peer = http.peer;
                http.phase = Phase::Reading(Waiting::NothingYet);
                http.since_ms = now.ms;
                http.publishes = false;
                http.turn = Turn::Free;
                core.stats.requests += 1;
                let framing = Framing {
                    version: request.version,
                    keep_alive: request.keep_alive && !core.leaving.is_near(),
                    head_only: request.method == Method::Head,
                    date_unix_ms: now.unix_ms,
                };
                route(core, now, key, peer, &request, framing);
            }
            Err(error) => {
                refuse(core, now, key, error, &bytes[used..]);
                return bytes.len();
            }
        }
    }
}

/// Whether the request is to publish something.
fn publishes(request: &Request<'_>) -> bool {
    request.method == Method::Post && request.path() == "/send"
}

/// Reads the requests to publish that waited for the readers to catch up, in their
/// order, until too much is published again.
pub fn publish_on(core: &mut Core, now: Time) {
    for _ in 0..core.publishers.len() {
        if core.hub.is_ahead() {
            return;
        }
        let Some(key) = core.publishers.pop_front() else {
            return;
        };
        if let Some(http) = http_mut(core, key) {
            http.turn = Turn::Called;
            core.actions.push_back(Action::ResumeRead { key });
            received(core, now, key, &mut []);
        }
    }
    if core.publishers.is_empty() {
        core.publishers = VecDeque::new();
    }
}

/// Takes note of what is waited for. A part's time begins with the part, not
/// with each byte of it: trickling does not help. True if a part begins.
fn wait(http: &mut HttpConn, now: Time, state: Waiting) -> bool {
    let begins = matches!(http.phase, Phase::Reading(before) if before != state);
    if begins {
        http.since_ms = now.ms;
        http.phase = Phase::Reading(state);
    }
    begins
}

/// What is no request is answered, and the connection closed: where the next
/// one begins cannot be known.
fn refuse(core: &mut Core, now: Time, key: ConnKey, error: HttpError, bytes: &[u8]) {
    log::debug!(
        "event=bad_request status={} reason=\"{error}\"",
        error.status()
    );
    let response = api::text(error.status(), error.sentence());
    last_word(core, now, key, response, bytes);
}

/// Answers what did not come to be a request, of which `bytes` are here, and
/// closes. A page may read even this, where it could read an answer: else its
/// script would not know that what it sent is too large, or came too slowly.
fn last_word(core: &mut Core, now: Time, key: ConnKey, response: Response<'_>, bytes: &[u8]) {
    let framing = Framing {
        version: Version::Http11,
        keep_alive: false,
        head_only: false,
        date_unix_ms: now.unix_ms,
    };
    let asked = peek(bytes, &core.http_limits);
    let way = asked.as_ref().and_then(|asked| transport::at(asked.path()));
    let response = match (&asked, way.map(|row| &row.way)) {
        (Some(asked), Some(Way::Polling(polling))) if polling.cors => {
            let origin = core.origins.check(asked).ok().flatten();
            core.cors_fields(response, origin)
        }
        _ => response,
    };
    core.respond(now, key, &response, &framing);
}

/// Every path that Chloe answers.
fn route(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    peer: Peer,
    request: &Request<'_>,
    framing: Framing,
) {
    let path = request.path();
    if core.echo {
        return upgrade(core, now, key, peer, request, framing);
    }
    if request.body.len() > head::BODY_BYTES && !head::fits(core, now, key, request, framing) {
        return;
    }
    visitors::note_proxy(&mut core.unbelieved, &core.addresses, peer, request);
    let way = transport::at(path).map(|row| &row.way);
    if let Some(Way::Polling(polling)) = way {
        return polls::handle(core, now, key, peer, polling, request, framing);
    }
    if let Err(problem) = admission::admit(core, key, request) {
        let response = api::refusal(request, &problem);
        return core.respond(now, key, &response, &framing);
    }
    if let Some(Way::Stream) = way {
        return upgrade(core, now, key, peer, request, framing);
    }
    let response = match path {
        "/send" if request.method == Method::Options => options("POST, OPTIONS"),
        "/send" => {
            if let Some(http) = http_mut(core, key) {
                http.publishes = true;
            }
            api::send(core, now, peer, request)
        }
        _ if let Some(name) = path.strip_prefix(api::POSITION_PREFIX) => match request.method {
            Method::Options => options(api::POSITION_ALLOWED),
            _ => api::position(core, now, peer, request, name),
        },
        "/chloe/status" => api::status(core, now, peer, request),
        "/chloe/ping" => api::text(200, "pong"),
        "*" if request.method == Method::Options => options("GET, HEAD, POST, OPTIONS"),
        // What is in every Chloe is no secret, and tells a page why it is refused.
        _ if Files::is_built_in(path) => return file(core, now, key, request, framing),
        _ => match visitors::check_visitor(&core.hosts, &core.addresses, peer, request) {
            Err(problem) => api::refusal(request, &problem),
            Ok(()) => return file(core, now, key, request, framing),
        },
    };
    core.respond(now, key, &response, &framing);
}

fn options(allowed: &'static str) -> Response<'static> {
    Response::new(204)
        .header("Allow", allowed)
        .header("X-Content-Type-Options", "nosniff")
}

fn file(core: &mut Core, now: Time, key: ConnKey, request: &Request<'_>, framing: Framing) {
    match core.files.respond(request, now) {
        FileAnswer::Whole(response) => core.respond(now, key, &response, &framing),
        FileAnswer::Streamed {
            response,
            length,
            body,
        } => {
            if let Some(conn) = core.conns.get_mut(key) {
                response.encode_head_with_length(conn.outbox.tail(), &framing, length);
                conn.closing |= !framing.keep_alive;
            }
            if let Some(body) = body {
                core.set_phase(now, key, Phase::Sending(Sending::File(body)));
            }
            core.queue_flush(key);
        }
    }
}

/// A browser asks for a WebSocket (RFC 6455, 4.2).
fn upgrade(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    peer: Peer,
    request: &Request<'_>,
    framing: Framing,
) {
    let accepted = match accept(request) {
        Ok(accepted) => accepted,
        Err(error) => return core.respond(now, key, &head::no_handshake(error), &framing),
    };
    let opener = match core.origins.check(request) {
        Ok(origin) => {
            let opener = core.openers.of(origin);
            visitors::check_page(&core.hosts, &core.addresses, peer, request).map(|()| opener)
        }
        Err(foreign) => Err(visitors::foreign("websocket", foreign)),
    };
    let opener = match opener {
        Ok(opener) => opener,
        Err(problem) => {
            let response = api::refusal(request, &problem);
            return core.respond(now, key, &response, &framing);
        }
    };
    let opened = if core.is_draining() {
        Err(transport::xhr::stopping())
    } else {
        sessions::open(core, now, key, opener, Some(key.to_u64()))
    };
    let session = match opened {
        Ok(session) => session,
        Err(problem) => {
            let response = api::refusal(request, &problem);
            return core.respond(now, key, &response, &framing);
        }
    };
    if let Some(conn) = core.conns.get_mut(key) {
        accepted.encode_response(conn.outbox.tail());
    }
    core.queue_flush(key);
    core.stats.websockets += 1;
    let stream = WebSocketConn::new(now, session, &core.config);
    if let Some(conn) = core.conns.get_mut(key) {
        conn.role = Role::WebSocket(Box::new(stream));
    }
    core.arm(key);
}

/// Between two requests.
pub const READY: Phase = Phase::Reading(Waiting::NothingYet);

/// Another process goes on, and the request is not here as a whole: it is
/// answered, and made there.
pub fn interrupt(core: &mut Core, now: Time, key: ConnKey) {
    if let Some(http) = http_mut(core, key) {
        let bytes = http.input.take();
        let sentence = "The server has restarted: send the request again.";
        let response = api::text(503, sentence).header("Retry-After", "1");
        last_word(core, now, key, response, &bytes);
        core.settle(key);
    }
}

/// A connection took too long: what it was in the middle of says how it ends.
pub fn late(core: &mut Core, now: Time, key: ConnKey) {
    let Some(http) = http_mut(core, key) else {
        return;
    };
    match http.phase {
        // RFC 9110, 15.5.9: 408 to a request that does not come to its end.
        Phase::Reading(Waiting::Head | Waiting::Body) => {
            let sentence = "The request did not come to its end in time: send it at once.";
            let whole = http.input.take();
            last_word(core, now, key, api::text(408, sentence), &whole);
        }
        _ => core.close(now, key),
    }
}

/// Gives up the request that is on its way in, since there is too much unfinished in
/// memory. What came of it is dropped, and the connection closed.
pub fn drop_request(core: &mut Core, now: Time, key: ConnKey) {
    let Some(http) = http_mut(core, key) else {
        return;
    };
    let whole = http.input.take();
    let sentence = "Too much that is not finished has come from your address: send it again, with fewer requests at a time.";
    let response = api::text(503, sentence).header("Retry-After", "1");
    last_word(core, now, key, response, &whole);
    core.settle(key);
}
