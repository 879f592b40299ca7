//! The POST that carries a browser's message to the app.
//!
//! Body and `x-chloe-signature` are those of 2011 (protocol A.11); the session
//! and the headers of Standard Webhooks are new. Called by `lanes`.

use super::message::Pending;
use crate::base::time::Time;
use crate::wire::http::encode_request;
use crate::wire::signature::Secret;
use crate::wire::url::HttpUrl;

/// Where to and signed with what.
pub struct Recipient {
    pub url: HttpUrl,
    pub secret: Option<Secret>,
}

impl Recipient {
    /// Appends the request for `pending` to `out`. The timestamp is that of
    /// this attempt, for apps that refuse old ones; the id is that of the message.
    pub fn encode(&self, now: Time, pending: &Pending, out: &mut Vec<u8>) {
        let body = pending.message.body.as_bytes();
        let session = pending.message.session.to_string();
        let webhook_id = webhook_id(pending);
        let timestamp_s = now.unix_ms / 1000;
        let timestamp = timestamp_s.to_string();
        let secret = self.secret.as_ref();
        let md5 = secret.map(|secret| secret.md5_hex(body));
        let webhook = secret.map(|secret| secret.webhook_signature(&webhook_id, timestamp_s, body));
        let mut headers = vec![
            ("Content-Type", "text/plain"),
            ("X-Chloe-Session", session.as_str()),
            ("x-chloe-signature", md5.as_deref().unwrap_or("")),
            ("webhook-id", &webhook_id),
            ("webhook-timestamp", &timestamp),
        ];
        if let Some(webhook) = &webhook {
            headers.push(("webhook-signature", webhook));
        }
        let (target, authority) = (&self.url.target, self.url.authority());
        encode_request(out, "POST", target, &authority, &headers, body);
    }
}

/// How the message's id is spelled in `webhook-id` and in the log.
pub fn webhook_id(pending: &Pending) -> String {
    format!("msg_{:032x}", pending.webhook_id)
}
