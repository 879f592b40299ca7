//! Who wrote a request: HMAC-SHA256 in two versions, and the MD5 form of 2011.
//!
//! `webhook-signature` holds `v1`, which is that of Standard Webhooks, and
//! `chloe1`, which covers the direction, method, target, session, user and
//! channel as well. A browser chooses part of what Chloe signs, so nothing that
//! Chloe signs may be accepted by Chloe: its ids begin with [`OWN_ID_PREFIX`],
//! which [`Secret::verify_webhook`] refuses, and `chloe1` names the direction.
//! All comparisons take the same time wherever a forgery differs. It does not
//! remember ids; that is the caller's. Called by the webhook, the app's side of
//! the server and the command line.

mod secret;
mod webhook;

pub use secret::Secret;
pub use webhook::{
    Accept, Covered, Direction, OWN_ID_PREFIX, SignatureError, TIMESTAMP_TOLERANCE_S,
    WebhookHeaders,
};
