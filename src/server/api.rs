//! The app's side: `POST /send`, and the pages that tell how the server is.
//!
//! It checks who asks, reads forms, publishes and answers. Called by the router.

use std::borrow::Cow;

use serde_json::json;

use crate::base::names::{ALL_CHANNEL, Epoch, Offset};
use crate::base::time::Time;
use crate::hub::Published;
use crate::transport::contract::Problem;
use crate::wire::envelope::{self, DataRef};
use crate::wire::http::{Method, Request, Response};
use crate::wire::signature::WebhookHeaders;
use crate::wire::urlencoded::form_pairs;
use crate::wire::websocket::encode_text_header;

use super::conn::Peer;
use super::core::Core;
use super::stats::Picture;

/// What `/send` was given.
#[derive(Default)]
struct Form<'a> {
    data: Option<Cow<'a, str>>,
    channels: Vec<Cow<'a, str>>,
    session: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
}

/// Answers `POST /send`.
pub fn send(core: &mut Core, now: Time, peer: Peer, request: &Request<'_>) -> Response<'static> {
    if request.method != Method::Post {
        let problem = Problem::new(
            405,
            "method",
            "Publishing is a POST: curl -d data=... does that.",
        );
        return refusal(request, &problem).header("Allow", "POST, OPTIONS");
    }
    match read(request).and_then(|form| {
        authorize(core, now, peer, request, &form)?;
        publish(core, now, form)
    }) {
        Ok(published) => accepted(request, &published),
        Err(problem) if problem.code == "unauthenticated" && !wants_json(request) => {
            // Protocol A.10: the old word, exactly.
            text(401, "unauthenticated")
        }
        Err(problem) => refusal(request, &problem),
    }
}

/// Answers `GET /chloe/status`, to those who may publish.
pub fn status(core: &Core, now: Time, peer: Peer, request: &Request<'_>) -> Response<'static> {
    if let Err(problem) = authorize(core, now, peer, request, &Form::default()) {
        return refusal(request, &problem);
    }
    let relay = core.callbacks.counters();
    let picture = Picture {
        uptime_ms: now.ms - core.started_ms,
        connections: core.conns.len(),
        sessions: core.hub.session_count(),
        channels: core.hub.channel_count(),
        log_bytes: core.hub.log_bytes(),
        relay_queued: core.callbacks.queued(),
        relay_taken: relay.taken,
        relay_retried: relay.retried,
        relay_given_up: relay.given_up,
        relay_refused: relay.refused,
        draining: core.is_draining(),
    };
    Response::new(200)
        .content_type("application/json")
        .header("Cache-Control", "no-store")
        .body(core.stats.to_json(&picture).into_bytes())
}

fn read<'a>(request: &'a Request<'_>) -> Result<Form<'a>, Problem> {
    let kind = request.headers.get("Content-Type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.is_empty() && !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Problem::new(
            415,
            "content_type",
            "Send a form: Content-Type application/x-www-form-urlencoded, with data=... in the body.",
        ));
    }
    let mut form = Form::default();
    for (name, value) in form_pairs(&request.body) {
        match &*name {
            "data" => form.data = Some(value),
            // Protocol A.3: without a channel it is for everybody.
            "channel" if !value.is_empty() => form.channels.push(value),
            "session" => form.session = Some(value),
            "sig" => form.signature = Some(value),
            _ => {}
        }
    }
    Ok(form)
}

/// Who may publish: with a secret, who knows it; without one, this machine only.
fn authorize(
    core: &Core,
    now: Time,
    peer: Peer,
    request: &Request<'_>,
    form: &Form<'_>,
) -> Result<(), Problem> {
    let Some(secret) = &core.secret else {
        return local_only(core, peer, request);
    };
    let data = form.data.as_deref().unwrap_or_default();
    let field = |name| request.headers.get(name);
    let bearer = field("Authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let known = if let Some(signature) = &form.signature {
        form.data.is_some() && secret.verify_md5(data.as_bytes(), signature)
    } else if let Some(token) = bearer {
        secret.verify_bearer(token)
    } else if let (Some(id), Some(timestamp), Some(signature)) = (
        field("webhook-id"),
        field("webhook-timestamp"),
        field("webhook-signature"),
    ) {
        let headers = WebhookHeaders {
            id,
            timestamp,
            signature,
        };
        secret
            .verify_webhook(&headers, &request.body, now)
            .map_err(|error| Problem::new(401, "signature", error.to_string()))?;
        true
    } else {
        false
    };
    if known {
        Ok(())
    } else {
        Err(Problem::new(
            401,
            "unauthenticated",
            "The request is not signed with the secret: add sig, the lower-case hex MD5 of data and secret, or Authorization: Bearer and the secret.",
        ))
    }
}

/// What proxies add to requests that they pass on.
const FORWARDED: [&str; 6] = [
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "Via",
];

/// Protocol B, "Who may /send": a proxy on the same host, or a page in a
/// browser on it, must not open it to the world.
fn local_only(core: &Core, peer: Peer, request: &Request<'_>) -> Result<(), Problem> {
    let reason = if !peer.is_loopback() {
        "Without a secret only this machine may publish, by a loopback address: set secret in the configuration, and sign."
    } else if FORWARDED
        .iter()
        .any(|name| request.headers.get(name).is_some())
    {
        "Without a secret nothing may publish through a proxy: set secret in the configuration, and sign."
    } else if !core.origins.may_publish(request) {
        "Without a secret no foreign page may publish: set secret in the configuration, and sign on your server."
    } else {
        return Ok(());
    };
    Err(Problem::new(403, "forbidden", reason))
}

fn publish(
    core: &mut Core,
    now: Time,
    form: Form<'_>,
) -> Result<Vec<(String, Published)>, Problem> {
    let data = form.data.ok_or_else(|| {
        Problem::new(
            400,
            "no_data",
            "The form has no data: add data=..., which may be empty.",
        )
    })?;
    let mut channels = form.channels;
    if channels.is_empty() {
        channels.push(ALL_CHANNEL.into());
    }
    let mut published = Vec::with_capacity(channels.len());
    if let Some(session) = form.session {
        let key = session.parse().ok().and_then(|id| core.hub.find(id));
        let key = key.ok_or_else(|| {
            Problem::new(
                404,
                "unknown_session",
                "There is no such session: its browser has left.",
            )
        })?;
        let label = &channels[0];
        let scratch = &mut core.scratch;
        let encode = |out: &mut Vec<u8>, offset: Offset, epoch: Option<Epoch>| {
            frame(scratch, out, &data, label, offset, epoch, true);
        };
        let done = core.hub.publish_to(now, key, encode);
        let done = done.ok_or_else(Problem::unknown_session)?;
        core.stats.publications += 1;
        published.push((label.to_string(), done));
        return Ok(published);
    }
    for channel in &channels {
        let scratch = &mut core.scratch;
        let encode = |out: &mut Vec<u8>, offset: Offset, epoch: Option<Epoch>| {
            frame(scratch, out, &data, channel, offset, epoch, false);
        };
        let done = core.hub.publish(now, channel, encode)?;
        core.stats.publications += 1;
        published.push((channel.to_string(), done));
    }
    Ok(published)
}

/// Appends the frame of a delivery: the header needs the length, so the JSON is written aside first.
fn frame(
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
    data: &str,
    channel: &str,
    offset: Offset,
    epoch: Option<Epoch>,
    direct: bool,
) {
    scratch.clear();
    scratch.push(b'{');
    envelope::encode_delivery(scratch, DataRef::Str(data), channel, offset, epoch, direct);
    let (header, length) = encode_text_header(scratch.len());
    out.reserve(length + scratch.len());
    out.extend_from_slice(&header[..length]);
    out.extend_from_slice(scratch);
}

fn accepted(request: &Request<'_>, published: &[(String, Published)]) -> Response<'static> {
    if !wants_json(request) {
        return text(200, "success");
    }
    let channels: serde_json::Map<String, serde_json::Value> = published
        .iter()
        .map(|(channel, done)| {
            let value = json!({
                "epoch": done.position.epoch.to_string(),
                "offset": done.position.offset,
                "subscribers": done.readers,
            });
            (channel.clone(), value)
        })
        .collect();
    let body = json!({ "ok": true, "channels": channels }).to_string();
    Response::new(200)
        .content_type("application/json")
        .header("X-Content-Type-Options", "nosniff")
        .body(body.into_bytes())
}

fn wants_json(request: &Request<'_>) -> bool {
    let accept = request.headers.get("Accept");
    accept.is_some_and(|accept| accept.contains("application/json"))
}

/// A refusal in one sentence, or as JSON if that was asked for.
pub fn refusal(request: &Request<'_>, problem: &Problem) -> Response<'static> {
    let response = if wants_json(request) {
        let error = json!({
            "code": problem.code,
            "message": problem.message,
            "temporary": problem.temporary,
        });
        Response::new(problem.status)
            .content_type("application/json")
            .header("X-Content-Type-Options", "nosniff")
            .body(
                json!({ "ok": false, "error": error })
                    .to_string()
                    .into_bytes(),
            )
    } else {
        text(problem.status, &problem.message)
    };
    match problem.status {
        401 => response.header("WWW-Authenticate", "Bearer"),
        503 => response.header("Retry-After", "1"),
        _ => response,
    }
}

/// A line of plain text.
pub fn text(status: u16, line: &str) -> Response<'static> {
    Response::new(status)
        .content_type("text/plain")
        .header("X-Content-Type-Options", "nosniff")
        .body(line.as_bytes().to_vec())
}
