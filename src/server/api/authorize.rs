//! Who may publish: with a secret, who knows it; without one, this machine only.
//!
//! It judges who asks, never what for. Called by all of the app's side.

use crate::base::time::Time;
use crate::transport::contract::Problem;
use crate::wire::http::Request;
use crate::wire::signature::{
    Accept, Covered, OWN_ID_PREFIX, Secret, SignatureError, WebhookHeaders,
};

use super::answer::is_json;
use super::form::Form;
use crate::server::connection::peer::Peer;
use crate::server::core::Core;
use crate::server::limits::proxies;

/// A request with a webhook signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// `webhook-id`, which is part of what was signed.
    pub id: &'a str,
    /// `webhook-timestamp`, in seconds since 1970.
    pub signed_s: u64,
}

/// Lets a request of the app through, or says why not. `form` is the body of a
/// form to `/send`, which may hold a signature of its own. `accept` says which
/// webhook signatures are enough. Returns the webhook signature, if that is what
/// let the request through: a replay would have the same.
///
/// # Errors
/// 401 with a secret, 403 without one.
pub fn authorize<'a>(
    core: &Core,
    now: Time,
    peer: Peer,
    request: &Request<'a>,
    form: Option<&Form<'_>>,
    accept: Accept,
) -> Result<Option<Signed<'a>>, Problem> {
    let Some(secret) = &core.secret else {
        return local_only(core, peer, request).map(|()| None);
    };
    refuse_own_id(request)?;
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
    match webhook_headers(request) {
        Some(headers) => verify(secret, &headers, request, now, accept).map(Some),
        None if old.is_some() => Err(md5_refused()),
        None => Err(unknown()),
    }
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
    refuse_own_id(request)?;
    let is_form = !is_json(request);
    match bearer(request) {
        // A form may be signed by itself.
        _ if is_form && core.config.allow_md5 => Ok(()),
        Some(token) if secret.verify_bearer(token) => Ok(()),
        None if webhook_headers(request).is_some() => Ok(()),
        None if is_form => Err(md5_refused()),
        _ => Err(unknown()),
    }
}

/// Whatever proves who sent it, a request with an id of Chloe's own is a copy of
/// what Chloe sent to the app.
fn refuse_own_id(request: &Request<'_>) -> Result<(), Problem> {
    let id = request.headers.get("webhook-id").unwrap_or_default();
    match id.starts_with(OWN_ID_PREFIX) {
        true => Err(bad_signature(SignatureError::OwnId)),
        false => Ok(()),
    }
}

/// The token of `Authorization: Bearer` (RFC 6750, section 2.1).
fn bearer<'a>(request: &Request<'a>) -> Option<&'a str> {
    let value = request.headers.get("Authorization")?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_ascii())
}

fn webhook_headers<'a>(request: &Request<'a>) -> Option<WebhookHeaders<'a>> {
    Some(WebhookHeaders {
        id: request.headers.get("webhook-id")?,
        timestamp: request.headers.get("webhook-timestamp")?,
        signature: request.headers.get("webhook-signature")?,
    })
}

fn verify<'a>(
    secret: &Secret,
    headers: &WebhookHeaders<'a>,
    request: &Request<'a>,
    now: Time,
    accept: Accept,
) -> Result<Signed<'a>, Problem> {
    let field = |name| request.headers.get(name).unwrap_or_default();
    let covered = Covered {
        method: request.method.name(),
        target: request.target,
        session: field("X-Chloe-Session"),
        user: field("X-Chloe-User"),
        channel: field("X-Chloe-Channel"),
    };
    let verified = secret.verify_webhook(headers, &covered, &request.body, now, accept);
    verified.map_err(bad_signature)?;
    Ok(Signed {
        id: headers.id,
        // It was read by the verification.
        signed_s: headers.timestamp.parse().unwrap_or_default(),
    })
}

fn bad_signature(error: SignatureError) -> Problem {
    Problem::new(error.status(), "signature", error.to_string())
}

fn unknown() -> Problem {
    Problem::new(
        401,
        "unauthenticated",
        "The request is not signed with the secret: send Authorization: Bearer and the secret, or the webhook headers with a chloe1 signature.",
    )
}

fn md5_refused() -> Problem {
    Problem::new(
        401,
        "md5_refused",
        "The MD5 signature sig is not accepted here, since whoever sees it can use it for ever and for any channel: send Authorization: Bearer and the secret, or the webhook headers; or set allow_md5 = true.",
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
