//! Who may publish: with a secret, who knows it; without one, this machine only.
//!
//! It judges who asks, never what for. Called by all of the app's side.

use crate::base::time::Time;
use crate::transport::contract::Problem;
use crate::wire::http::Request;
use crate::wire::signature::{Secret, WebhookHeaders};

use super::super::addresses::Peer;
use super::super::core::Core;
use super::super::proxies;
use super::answer::is_json;
use super::form::Form;

/// A request that was signed by Standard Webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// `webhook-id`, which is part of what was signed.
    pub id: &'a str,
    /// `webhook-timestamp`, in seconds since 1970.
    pub signed_s: u64,
}

/// Lets the request through, or says why not. A form may bear a signature of its
/// own. What comes back is the signature that a replay would bear again, if it
/// was by one.
///
/// # Errors
/// 401 with a secret, 403 without one.
pub fn authorize<'a>(
    core: &Core,
    now: Time,
    peer: Peer,
    request: &Request<'a>,
    form: Option<&Form<'_>>,
) -> Result<Option<Signed<'a>>, Problem> {
    let Some(secret) = &core.secret else {
        return local_only(core, peer, request).map(|()| None);
    };
    let field = |name| request.headers.get(name);
    let old = form.and_then(|form| Some((form.data.as_deref(), form.signature.as_deref()?)));
    if let Some((data, signature)) = old.filter(|_| core.config.allow_md5) {
        let known = data.is_some_and(|data| secret.verify_md5(data.as_bytes(), signature));
        return if known { Ok(None) } else { Err(unknown()) };
    }
    if let Some(token) = bearer(request) {
        return if secret.verify_bearer(token) {
            Ok(None)
        } else {
            Err(unknown())
        };
    }
    let webhook = (
        field("webhook-id"),
        field("webhook-timestamp"),
        field("webhook-signature"),
    );
    match webhook {
        (Some(id), Some(timestamp), Some(signature)) => {
            let headers = WebhookHeaders {
                id,
                timestamp,
                signature,
            };
            verify(secret, &headers, &request.body, now).map(Some)
        }
        _ if old.is_some() => Err(md5_refused()),
        _ => Err(unknown()),
    }
}

fn bearer<'a>(request: &Request<'a>) -> Option<&'a str> {
    let (scheme, token) = request.headers.get("Authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What the head alone says about who asks, so that no body is waited for that could
/// not change it.
///
/// # Errors
/// The refusal that stands whatever the body is.
pub fn by_head(core: &Core, peer: Peer, request: &Request<'_>) -> Result<(), Problem> {
    let Some(secret) = &core.secret else {
        return local_only(core, peer, request);
    };
    let is_form = !is_json(request);
    let is_signed = WEBHOOK
        .iter()
        .all(|name| request.headers.get(name).is_some());
    match bearer(request) {
        // A form may be signed by itself.
        _ if is_form && core.config.allow_md5 => Ok(()),
        Some(token) if secret.verify_bearer(token) => Ok(()),
        None if is_signed => Ok(()),
        None if is_form => Err(md5_refused()),
        _ => Err(unknown()),
    }
}

fn md5_refused() -> Problem {
    Problem::new(
        401,
        "md5_refused",
        "The MD5 signature sig is not taken here: sign with the webhook headers, send Authorization: Bearer and the secret, or set allow_md5 = true.",
    )
}

/// The fields of Standard Webhooks.
const WEBHOOK: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

fn verify<'a>(
    secret: &Secret,
    headers: &WebhookHeaders<'a>,
    body: &[u8],
    now: Time,
) -> Result<Signed<'a>, Problem> {
    secret
        .verify_webhook(headers, body, now)
        .map_err(|error| Problem::new(error.status(), "signature", error.to_string()))?;
    Ok(Signed {
        id: headers.id,
        // It was read by the verification.
        signed_s: headers.timestamp.parse().unwrap_or_default(),
    })
}

fn unknown() -> Problem {
    Problem::new(
        401,
        "unauthenticated",
        "The request is not signed with the secret: send the webhook headers, or Authorization: Bearer and the secret, or in a form sig, the lower-case hex MD5 of data and secret.",
    )
}

/// Protocol B, "Who may /send": a proxy on the same host, or a page in a
/// browser on it, must not open it to the world.
fn local_only(core: &Core, peer: Peer, request: &Request<'_>) -> Result<(), Problem> {
    let reason = if !peer.is_loopback() {
        "Without a secret only this machine may publish, by a loopback address: set secret in the configuration, and sign."
    } else if proxies::passed_on(request) {
        "Without a secret nothing may publish through a proxy: set secret in the configuration, and sign."
    } else if !core.hosts.knows(request) {
        "Without a secret Chloe answers this only under a host name that it knows: add the name to server_names in the configuration, call Chloe as localhost, or set secret and sign."
    } else if !core.origins.may_publish(request) {
        "Without a secret no foreign page may publish: set secret in the configuration, and sign on your server."
    } else {
        return Ok(());
    };
    Err(Problem::new(403, "forbidden", reason))
}
