//! Who wrote this: the MD5 signature of old, and HMAC-SHA256 by Standard Webhooks.
//!
//! Both are made for the relay to the app and checked on what the app sends.
//! All comparisons take the same time wherever a forgery goes wrong. Called by
//! the server's relay and its API.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::base::time::Time;

/// How far a signed timestamp may be from the wall clock, in seconds, either way.
pub const TIMESTAMP_TOLERANCE_S: u64 = 300;

/// What Chloe and the app both know and nobody else.
#[derive(Clone)]
pub struct Secret {
    text: String,
    key: Vec<u8>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The three headers of Standard Webhooks, as they came.
#[derive(Clone, Copy, Debug)]
pub struct WebhookHeaders<'a> {
    /// `webhook-id`
    pub id: &'a str,
    /// `webhook-timestamp`: seconds since 1970.
    pub timestamp: &'a str,
    /// `webhook-signature`: one or more signatures, blanks between them.
    pub signature: &'a str,
}

/// Why a signature by Standard Webhooks is refused. Answered with 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// The timestamp is no number, or too far from now.
    Stale,
    /// No signature fits.
    Mismatch,
}

impl SignatureError {
    /// The status of the response that answers it.
    pub fn status(self) -> u16 {
        401
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignatureError::Stale => write!(
                f,
                "The webhook-timestamp is not within {TIMESTAMP_TOLERANCE_S} seconds of this server's clock: send the present time in seconds since 1970."
            ),
            SignatureError::Mismatch => f.write_str(
                "No signature in webhook-signature fits: sign webhook-id.webhook-timestamp.body with the configured secret.",
            ),
        }
    }
}

impl std::error::Error for SignatureError {}

impl Secret {
    /// The secret that `text` in the configuration means; `None` if it is empty.
    /// For HMAC, `whsec_` and base64 give the key's bytes, as Standard Webhooks
    /// writes them; any other text is itself the key. MD5 takes the text as it is.
    pub fn new(text: &str) -> Option<Secret> {
        if text.is_empty() {
            return None;
        }
        let decoded = text.strip_prefix("whsec_").and_then(|base64| {
            let unpadded = base64.trim_end_matches('=');
            base64::engine::general_purpose::STANDARD_NO_PAD
                .decode(unpadded)
                .ok()
        });
        let key = match decoded {
            Some(key) if !key.is_empty() => key,
            _ => text.as_bytes().to_vec(),
        };
        Some(Secret {
            text: text.to_owned(),
            key,
        })
    }

    /// The signature of old: MD5 over `data` and the secret, 32 lower-case hex digits.
    pub fn md5_hex(&self, data: &[u8]) -> String {
        use fmt::Write as _;
        let digest = Md5::new()
            .chain_update(data)
            .chain_update(&self.text)
            .finalize();
        let mut hex = String::with_capacity(32);
        for byte in digest {
            write!(hex, "{byte:02x}").expect("writing to memory does not fail");
        }
        hex
    }

    /// Whether `signature` is [`Secret::md5_hex`] of `data`.
    pub fn verify_md5(&self, data: &[u8], signature: &str) -> bool {
        equal(self.md5_hex(data).as_bytes(), signature.as_bytes())
    }

    /// The value of `webhook-signature`: `v1,` and the base64 of HMAC-SHA256
    /// over `id.timestamp.body`. `timestamp_s` is in seconds since 1970.
    pub fn webhook_signature(&self, id: &str, timestamp_s: u64, body: &[u8]) -> String {
        let timestamp = itoa::Buffer::new().format(timestamp_s).to_owned();
        let mut value = String::from("v1,");
        STANDARD.encode_string(self.hmac(id, &timestamp, body), &mut value);
        value
    }

    /// Whether one of the signatures in `headers` is right for `body`, and recent.
    /// It does not know which ids were seen before: that is the caller's to remember.
    ///
    /// # Errors
    /// [`SignatureError`], answered with 401.
    pub fn verify_webhook(
        &self,
        headers: &WebhookHeaders<'_>,
        body: &[u8],
        now: Time,
    ) -> Result<(), SignatureError> {
        let signed = headers
            .timestamp
            .parse::<u64>()
            .map_err(|_| SignatureError::Stale)?;
        if signed.abs_diff(now.unix_ms / 1000) > TIMESTAMP_TOLERANCE_S {
            return Err(SignatureError::Stale);
        }
        let expected = STANDARD.encode(self.hmac(headers.id, headers.timestamp, body));
        let fits = headers
            .signature
            .split_ascii_whitespace()
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .any(|signature| equal(expected.as_bytes(), signature.as_bytes()));
        if fits {
            Ok(())
        } else {
            Err(SignatureError::Mismatch)
        }
    }

    /// Whether `token` is the secret itself, as in `Authorization: Bearer <secret>`.
    pub fn verify_bearer(&self, token: &str) -> bool {
        // Digests of equal length: the comparison does not even tell the secret's length.
        let digest = |text: &str| Sha256::digest(text.as_bytes());
        equal(&digest(&self.text), &digest(token))
    }

    fn hmac(&self, id: &str, timestamp: &str, body: &[u8]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// Compares in a time that depends on the lengths alone.
fn equal(expected: &[u8], given: &[u8]) -> bool {
    expected.ct_eq(given).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(seconds: u64) -> Time {
        Time {
            ms: 0,
            unix_ms: seconds * 1000,
        }
    }

    #[test]
    fn the_md5_signature_is_that_of_old() {
        // From protocol A.10: MD5 of the whole text, wherever data ends and the secret begins.
        let secret = Secret::new("ter").unwrap();
        assert_eq!(secret.md5_hex(b"trot"), "c58d6a0c84499d3f992fb23d1348af52");
        let secret = Secret::new("i").unwrap();
        assert_eq!(secret.md5_hex(b"h"), "49f68a5c8493ec2c0bf489821c21fc3b");
        assert!(secret.verify_md5(b"h", "49f68a5c8493ec2c0bf489821c21fc3b"));
        for forged in [
            "",
            "49F68A5C8493EC2C0BF489821C21FC3B",
            "49f68a5c8493ec2c0bf489821c21fc3",
        ] {
            assert!(!secret.verify_md5(b"h", forged), "{forged}");
        }
        assert!(!secret.verify_md5(b"H", "49f68a5c8493ec2c0bf489821c21fc3b"));
        assert!(Secret::new("").is_none());
    }

    #[test]
    fn the_webhook_signature_is_that_of_other_libraries() {
        // The example that the makers of Standard Webhooks print in their manual.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            secret.webhook_signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_whsec_secret_is_base64_of_the_key() {
        let text = Secret::new("key").unwrap().webhook_signature("a", 1, b"b");
        for spelled in ["whsec_a2V5", "whsec_a2V5="] {
            let secret = Secret::new(spelled).unwrap();
            assert_eq!(secret.webhook_signature("a", 1, b"b"), text);
        }
        let raw = Secret::new("whsec_!").unwrap();
        assert_eq!(raw.key, b"whsec_!");
    }

    #[test]
    fn webhooks_are_verified() {
        let secret = Secret::new("s").unwrap();
        let signature = secret.webhook_signature("id", 1_000, b"body");
        let several = format!("v1a,x v1,AAAA {signature}");
        let headers = |timestamp, signature| WebhookHeaders {
            id: "id",
            timestamp,
            signature,
        };
        let verify = |timestamp, signature, body: &[u8], seconds| {
            secret.verify_webhook(&headers(timestamp, signature), body, now(seconds))
        };
        assert_eq!(verify("1000", &signature, b"body", 1_300), Ok(()));
        assert_eq!(verify("1000", &several, b"body", 700), Ok(()));
        let stale = Err(SignatureError::Stale);
        assert_eq!(verify("1000", &signature, b"body", 1_301), stale);
        assert_eq!(verify("1000", &signature, b"body", 699), stale);
        assert_eq!(verify("now", &signature, b"body", 1_000), stale);
        let mismatch = Err(SignatureError::Mismatch);
        assert_eq!(verify("1001", &signature, b"body", 1_000), mismatch);
        assert_eq!(verify("1000", &signature, b"bodY", 1_000), mismatch);
        assert_eq!(verify("1000", "", b"body", 1_000), mismatch);
        assert_eq!(verify("1000", &signature[3..], b"body", 1_000), mismatch);
    }

    #[test]
    fn the_secret_itself_is_compared_whole_and_never_shown() {
        let secret = Secret::new("open sesame").unwrap();
        assert!(secret.verify_bearer("open sesame"));
        assert!(!secret.verify_bearer("open sesam") && !secret.verify_bearer(""));
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
