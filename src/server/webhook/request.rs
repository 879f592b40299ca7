//! The POST that carries a browser's message to the app.
//!
//! The body is that of 2011 (protocol A.11), and so is `x-chloe-signature`
//! where it is switched on. The session and the headers of Standard Webhooks
//! were added since. Called by `pool`.

use super::message::QueuedMessage;
use crate::base::time::Time;
use crate::wire::http::encode_request;
use crate::wire::signature::{Covered, Direction, OWN_ID_PREFIX, Secret};
use crate::wire::url::HttpUrl;

/// Where to and signed with what.
pub struct Recipient {
    pub url: HttpUrl,
    pub signing: Option<Signing>,
}

/// How what goes to the app is signed.
#[derive(Clone, Debug)]
pub struct Signing {
    pub secret: Secret,
    /// Also by MD5, as in 2011: it covers the body alone, and is valid for ever.
    pub md5: bool,
}

impl Recipient {
    /// Appends the request for `pending` to `out`. The timestamp is that of
    /// this attempt, for apps that refuse old ones; the id is that of the message.
    pub fn encode(&self, now: Time, queued: &QueuedMessage, out: &mut Vec<u8>) {
        let body = queued.message.body.as_bytes();
        let session = queued.message.session.to_string();
        let webhook_id = webhook_id(queued);
        let timestamp_s = now.unix_ms / 1000;
        let timestamp = timestamp_s.to_string();
        let covered = Covered {
            method: METHOD,
            target: &self.url.target,
            session: &session,
            ..Covered::default()
        };
        let signing = self.signing.as_ref();
        let signatures = signing.map(|Signing { secret, .. }| {
            let v1 = secret.sign_v1(&webhook_id, timestamp_s, body);
            let direction = Direction::ToApp;
            let chloe1 = secret.sign_chloe1(direction, &webhook_id, timestamp_s, &covered, body);
            // Libraries of Standard Webhooks skip a version that they do not know.
            format!("{v1} {chloe1}")
        });
        // Protocol A.11: present and empty without a secret.
        let md5 = match signing {
            None => Some(String::new()),
            Some(Signing { secret, md5 }) => md5.then(|| secret.md5_hex(body)),
        };
        let mut headers = vec![
            ("Content-Type", "text/plain; charset=utf-8"),
            ("X-Chloe-Session", session.as_str()),
            ("webhook-id", &webhook_id),
            ("webhook-timestamp", &timestamp),
        ];
        headers.extend(md5.as_deref().map(|md5| ("x-chloe-signature", md5)));
        headers.extend(signatures.as_deref().map(|all| ("webhook-signature", all)));
        let (target, authority) = (&self.url.target, self.url.authority());
        encode_request(out, METHOD, target, &authority, &headers, body);
    }
}

const METHOD: &str = "POST";

/// How the message's id is spelled in `webhook-id` and in the log.
pub fn webhook_id(queued: &QueuedMessage) -> String {
    format!("{OWN_ID_PREFIX}msg_{:032x}", queued.webhook_id)
}
