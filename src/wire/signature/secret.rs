//! The secret that Chloe and the app share, and what needs nothing but it: the
//! key for HMAC, the MD5 signature of 2011, and the secret sent as a token.
//!
//! It is never shown, and compared in constant time. Called by `webhook`, and by
//! the app's side of the server.

use std::fmt;

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;
use subtle::ConstantTimeEq;

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

    /// The legacy signature: MD5 over `data` and the secret, 32 lower-case hex digits.
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

    /// Whether `token` is the secret itself, as in `Authorization: Bearer <secret>`.
    pub fn verify_bearer(&self, token: &str) -> bool {
        // Digests of equal length: the comparison does not even tell the secret's length.
        let digest = |text: &str| Sha256::digest(text.as_bytes());
        equal(&digest(&self.text), &digest(token))
    }

    /// HMAC-SHA256 over the parts of `head` and `body`.
    pub(super) fn hmac<'p>(&self, head: impl Iterator<Item = &'p str>, body: &[u8]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        head.for_each(|part| mac.update(part.as_bytes()));
        mac.update(body);
        mac.finalize().into_bytes().into()
    }
}

/// Compares in a time that depends on the lengths alone.
pub(super) fn equal(expected: &[u8], given: &[u8]) -> bool {
    expected.ct_eq(given).into()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_secret_itself_is_compared_whole_and_never_shown() {
        let secret = Secret::new("open sesame").unwrap();
        assert!(secret.verify_bearer("open sesame"));
        assert!(!secret.verify_bearer("open sesam") && !secret.verify_bearer(""));
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
