//! The app's side: `POST /send`, a channel's position, and how the server is.
//!
//! A request goes from its reader (`form`, `json`) past `authorize` to
//! `publish`, and back by way of `answer`. Called by the router.

mod answer;
mod publication;
mod form;
mod json;
mod authorize;
mod publish;
mod position;

#[cfg(test)]
mod json_tests;

use crate::base::time::Time;
use crate::transport::contract::Problem;
use crate::wire::http::{Method, Request, Response};
use crate::wire::signature::Accept;

use super::connection::peer::Peer;
use super::core::Core;
use super::core::stats::Picture;
use super::session::idempotency::fingerprint;

use authorize::authorize;
use form::Form;
use publication::Batch;
use publish::{Done, RequestKeys};

pub use answer::{refusal, text};
pub use position::{ALLOWED as POSITION_ALLOWED, PREFIX as POSITION_PREFIX, position};

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
    match read_and_publish(core, now, peer, request) {
        Ok((Done { outcomes, repeated }, list)) => {
            answer::accepted(request, &outcomes, list, repeated)
        }
        Err(problem) => refuse(request, &problem),
    }
}

/// The refusal of a request to `/send`, of which the head is here alone; `None` if its
/// body can make a difference.
pub fn refuse_send(
    core: &mut Core,
    now: Time,
    peer: Peer,
    request: &Request<'_>,
) -> Option<Response<'static>> {
    match request.method {
        Method::Options => None,
        Method::Post => {
            let problem = authorize::by_head(core, peer, request).err()?;
            Some(refuse(request, &problem))
        }
        _ => Some(send(core, now, peer, request)),
    }
}

fn refuse(request: &Request<'_>, problem: &Problem) -> Response<'static> {
    if problem.code == "unauthenticated" && !answer::wants_json(request) {
        // Protocol A.10: the old word, exactly.
        return text(401, "unauthenticated").header("WWW-Authenticate", "Bearer");
    }
    refusal(request, problem)
}

/// Also says whether it was a list.
fn read_and_publish(
    core: &mut Core,
    now: Time,
    peer: Peer,
    request: &Request<'_>,
) -> Result<(Done, bool), Problem> {
    let is_json = answer::is_json(request);
    let form = match is_json {
        true => None,
        false => Some(read_form(request)?),
    };
    let signed = authorize(core, now, peer, request, form.as_ref(), Accept::V1OrChloe1)?;
    refuse_query(request)?;
    let most = core.config.send_publications_max;
    let batch: Batch<'_> = match form {
        Some(form) => form.into_batch()?,
        None => json::read(&request.body, most)?,
    };
    batch.check_size(most)?;
    let chosen = idempotency_key(request)?;
    let kind: &[u8] = if is_json { b"json" } else { b"form" };
    let keys = RequestKeys {
        chosen,
        signed,
        // Of no use without a key, and not for nothing.
        fingerprint: match (chosen, signed) {
            (None, None) => 0,
            _ => fingerprint([kind, &request.body]),
        },
    };
    let done = publish::publish(core, now, &batch, &keys)?;
    Ok((done, batch.list))
}

/// A target in the query would be overlooked, and everyone reached.
fn refuse_query(request: &Request<'_>) -> Result<(), Problem> {
    match request.query() {
        None | Some("") => Ok(()),
        Some(_) => Err(Problem::new(
            400,
            "query",
            "The address has a query, which is not read: send every field in the body.",
        )),
    }
}

fn idempotency_key<'a>(request: &Request<'a>) -> Result<Option<&'a str>, Problem> {
    const NAME: &str = "Idempotency-Key";
    let mut keys = request.headers.get_all(NAME);
    let key = keys.next();
    let raw = request.headers.get_bytes(NAME).unwrap_or_default();
    if keys.next().is_none() && std::str::from_utf8(raw).is_ok() {
        return Ok(key);
    }
    Err(Problem::new(
        400,
        "bad_key",
        "Idempotency-Key must be one text in UTF-8: send a name such as a UUID.",
    ))
}

fn read_form<'a>(request: &'a Request<'_>) -> Result<Form<'a>, Problem> {
    let kind = answer::media_type(request);
    if !kind.is_empty() && !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Problem::new(
            415,
            "content_type",
            "Send a form, with data=... in the body (Content-Type application/x-www-form-urlencoded), or JSON (application/json).",
        ));
    }
    Ok(Form::read(&request.body))
}

/// Answers `GET /chloe/status`, to those who may publish.
pub fn status(core: &Core, now: Time, peer: Peer, request: &Request<'_>) -> Response<'static> {
    if let Err(problem) = authorize(core, now, peer, request, None, Accept::Chloe1) {
        return refusal(request, &problem);
    }
    let webhook = core.webhook.counters();
    let (sessions_let_go, channels_let_go) = core.hub.let_go();
    let picture = Picture {
        uptime_ms: now.ms - core.started_ms,
        connections: core.conns.len(),
        sessions: core.hub.session_count(),
        channels: core.hub.channel_count(),
        sessions_let_go,
        channels_let_go,
        log_bytes: core.hub.log_bytes(),
        outbox_bytes: core.memory.output.total(),
        input_bytes: core.memory.input.total(),
        webhook_queued: core.webhook.queued(),
        webhook_waiting: core.webhook.waiting(),
        webhook_taken: webhook.taken,
        webhook_retried: webhook.retried,
        webhook_given_up: webhook.given_up,
        webhook_refused: webhook.refused,
        draining: core.is_draining(),
    };
    Response::new(200)
        .content_type("application/json")
        .header("Cache-Control", "no-store")
        .header("X-Content-Type-Options", "nosniff")
        .body(core.stats.to_json(&picture).into_bytes())
}
