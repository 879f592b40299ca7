//! What the head of a request decides, before its body comes.
//!
//! A body that changes nothing about the answer is not waited for, and the others may
//! be as long as their path can use: so memory is taken only for what is wanted. It is
//! asked only for requests that do not come whole. Called by the router.

use crate::base::time::Time;
use crate::transport::{self, Way};
use crate::wire::http::{Framing, Method, Request, Response};
use crate::wire::websocket::{HandshakeError, accept};

use crate::server::api;
use crate::server::browser::polls;
use crate::server::connection::conn::{ConnKey, Role};
use crate::server::connection::peer::Peer;
use crate::server::core::Core;
use crate::server::core::admission;
use crate::server::files::FileAnswer;

/// The most bytes of a body where none is of use.
pub const BODY_BYTES: usize = 64 * 1024;

/// How much longer than its longest message a request of a polling transport may be:
/// escaped in JSON and again in a form, a byte can take eight.
const ESCAPED: usize = 8;

/// Whether the body may come of the request whose head begins `bytes`. If not, it is
/// answered already, and the connection closes behind the answer.
pub fn admit(core: &mut Core, now: Time, key: ConnKey, bytes: &[u8]) -> bool {
    let Some(Role::Http(http)) = core.conns.get(key).map(|conn| &conn.role) else {
        return false;
    };
    // It was parsed a moment ago.
    let Ok(Some(request)) = http.decoder.head(bytes) else {
        return true;
    };
    if core.echo {
        return true;
    }
    let framing = Framing {
        version: request.version,
        keep_alive: false,
        head_only: request.method == Method::Head,
        date_unix_ms: now.unix_ms,
    };
    let peer = http.peer;
    if is_answered(core, now, key, peer, &request, framing) {
        core.stats.requests += 1;
        return false;
    }
    let most = most_bytes(core, request.path());
    let fits = match core.conns.get_mut(key).map(|conn| &mut conn.role) {
        Some(Role::Http(http)) => http.decoder.limit_body(most).is_ok(),
        _ => false,
    };
    if !fits {
        core.stats.requests += 1;
        refuse_body(core, now, key, &request, framing, most);
    }
    fits
}

/// Whether a body that came whole is no longer than its path takes. If not, it is
/// answered already.
pub fn fits(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    request: &Request<'_>,
    framing: Framing,
) -> bool {
    let most = most_bytes(core, request.path());
    let fits = request.body.len() <= most;
    if !fits {
        refuse_body(core, now, key, request, framing, most);
    }
    fits
}

/// The most bytes of a body for `path`.
fn most_bytes(core: &Core, path: &str) -> usize {
    let way = transport::at(path).map(|row| &row.way);
    let useful = match way {
        Some(Way::Polling(_)) => {
            let message = core.config.message_bytes_max;
            message.saturating_mul(ESCAPED).saturating_add(BODY_BYTES)
        }
        None if path == "/send" => usize::MAX,
        Some(Way::Stream) | None => BODY_BYTES,
    };
    useful.min(core.config.body_bytes_max)
}

/// Answers what is known of the head alone; true if it did.
fn is_answered(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    peer: Peer,
    request: &Request<'_>,
    framing: Framing,
) -> bool {
    let path = request.path();
    let way = transport::at(path).map(|row| &row.way);
    if let Some(Way::Polling(polling)) = way {
        return polls::refuse_head(core, now, key, peer, polling, request, framing);
    }
    let refused = match admission::admit(core, key, request) {
        Err(problem) => Some(api::refusal(request, &problem)),
        Ok(()) if matches!(way, Some(Way::Stream)) => accept(request).err().map(no_handshake),
        Ok(()) => refuse_path(core, now, key, request, path),
    };
    if let Some(response) = &refused {
        core.respond(now, key, response, &framing);
    }
    refused.is_some()
}

/// The refusal of a request to a path that is no transport's.
fn refuse_path(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    request: &Request<'_>,
    path: &str,
) -> Option<Response<'static>> {
    let Some(Role::Http(http)) = core.conns.get(key).map(|conn| &conn.role) else {
        return None;
    };
    let peer = http.peer;
    let asks = matches!(request.method, Method::Get | Method::Head | Method::Options);
    match path {
        "/send" => api::refuse_send(core, now, peer, request),
        "/chloe/status" | "/chloe/ping" => None,
        "*" if request.method == Method::Options => None,
        _ if let Some(name) = path.strip_prefix(api::POSITION_PREFIX) => match asks {
            true => None,
            false => Some(api::position(core, now, peer, request, name)),
        },
        _ => match core.files.respond(request, now) {
            FileAnswer::Whole(response) if response.status >= 400 => Some(response),
            FileAnswer::Whole(_) | FileAnswer::Streamed { .. } => None,
        },
    }
}

/// 413 (RFC 9110, 15.5.14), and which setting says so.
fn refuse_body(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    request: &Request<'_>,
    framing: Framing,
    most: usize,
) {
    let path = request.path();
    let way = transport::at(path).map(|row| &row.way);
    let hint = match way {
        Some(Way::Polling(_)) if most < core.config.body_bytes_max => {
            "send less at once, or raise message_bytes_max"
        }
        Some(Way::Polling(_)) => "send less at once, or raise body_bytes_max",
        _ => "send none",
    };
    let sentence = format!("A body here has at most {most} bytes: {hint}.");
    let response = api::text(413, &sentence);
    let response = match way {
        Some(Way::Polling(polling)) if polling.cors => {
            let origin = core.origins.check(request).ok().flatten();
            core.cors_fields(response, origin)
        }
        _ => response,
    };
    core.respond(now, key, &response, &framing);
}

/// The refusal of a request for a WebSocket.
pub fn no_handshake(error: HandshakeError) -> Response<'static> {
    let response = api::text(error.status(), &error.to_string());
    let fields = error.headers().iter();
    fields.fold(response, |response, (name, value)| {
        response.header(name, *value)
    })
}
