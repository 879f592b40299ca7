//! What the app is answered: a line of text, or JSON to those who speak it.
//!
//! It knows how to say things, not when. Called by the rest of the app's side,
//! and by the router for refusals of its own.

use serde_json::{Value, json};

use crate::transport::contract::Problem;
use crate::wire::http::{Request, Response};

use crate::server::session::idempotency::{Outcome, Receipt};

/// What the answer to a repeated request is marked with, beside being the same.
const REPLAYED: &str = "Idempotency-Replayed";

/// Whether the request's body is JSON.
pub fn is_json(request: &Request<'_>) -> bool {
    media_type(request).eq_ignore_ascii_case("application/json")
}

/// The media type of the request's body, without its parameters (RFC 9110, 8.3.1).
pub fn media_type<'a>(request: &Request<'a>) -> &'a str {
    let kind = request.headers.get("Content-Type").unwrap_or_default();
    let (kind, _) = kind.split_once(';').unwrap_or((kind, ""));
    kind.trim_ascii()
}

/// Whether to answer with JSON: it was asked for, or spoken.
pub fn wants_json(request: &Request<'_>) -> bool {
    let accept = request.headers.get("Accept");
    is_json(request) || accept.is_some_and(|accept| accept.contains("application/json"))
}

/// Says that everything was published. `list`: the request was a batch.
pub fn accepted(
    request: &Request<'_>,
    outcomes: &[Outcome],
    list: bool,
    repeated: bool,
) -> Response<'static> {
    let response = if !wants_json(request) {
        text(200, "success")
    } else if list {
        let results = outcomes.iter().map(|outcome| channels(outcome));
        let results: Vec<Value> = results.map(|map| json!({ "channels": map })).collect();
        json_response(200, &json!({ "ok": true, "results": results }))
    } else {
        let channels = outcomes.first().map(|outcome| channels(outcome));
        json_response(200, &json!({ "ok": true, "channels": channels }))
    };
    match repeated {
        true => response.header(REPLAYED, "true"),
        false => response,
    }
}

fn channels(receipts: &[Receipt]) -> Value {
    let entry = |receipt: &Receipt| {
        let done = &receipt.published;
        let value = json!({
            "epoch": done.position.epoch.to_string(),
            "offset": done.position.offset,
            "subscribers": done.readers,
        });
        (receipt.channel.to_string(), value)
    };
    Value::Object(receipts.iter().map(entry).collect())
}

/// A refusal in one sentence, or as JSON if that was asked for.
pub fn refusal(request: &Request<'_>, problem: &Problem) -> Response<'static> {
    let response = if wants_json(request) {
        let error = json!({
            "code": problem.code,
            "message": problem.message,
            "temporary": problem.temporary,
        });
        json_response(problem.status, &json!({ "ok": false, "error": error }))
    } else {
        text(problem.status, &problem.message)
    };
    match problem.status {
        401 => response.header("WWW-Authenticate", "Bearer"),
        429 | 503 => response.header("Retry-After", "1"),
        _ => response,
    }
}

/// An answer in JSON.
pub fn json_response(status: u16, value: &Value) -> Response<'static> {
    Response::new(status)
        .content_type("application/json")
        .header("X-Content-Type-Options", "nosniff")
        .body(value.to_string().into_bytes())
}

/// A line of plain text.
pub fn text(status: u16, line: &str) -> Response<'static> {
    Response::new(status)
        .content_type("text/plain")
        .header("X-Content-Type-Options", "nosniff")
        .body(line.as_bytes().to_vec())
}
