//! The headers of Standard Webhooks, made and verified: `v1` and `chloe1`.
//!
//! It does not remember ids; that is the caller's. Called by the webhook, the
//! app's side of the server and the command line.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::secret::{Secret, equal};
use crate::base::time::Time;

/// How far a signed timestamp may be from the wall clock, in seconds, either way.
pub const TIMESTAMP_TOLERANCE_S: u64 = 300;

/// How the `webhook-id` of everything that Chloe sends to the app begins. What
/// is sent to Chloe never has such an id.
pub const OWN_ID_PREFIX: &str = "chloe_";

/// The three headers of Standard Webhooks, as they came.
#[derive(Clone, Copy, Debug)]
pub struct WebhookHeaders<'a> {
    /// `webhook-id`
    pub id: &'a str,
    /// `webhook-timestamp`: seconds since 1970.
    pub timestamp: &'a str,
    /// `webhook-signature`: one or more signatures, separated by spaces.
    pub signature: &'a str,
}

/// What `chloe1` covers besides id, timestamp and body. Session, user and channel
/// are as in their headers, and empty where there is no header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Covered<'a> {
    pub method: &'a str,
    /// The request target, as in the request line.
    pub target: &'a str,
    /// `X-Chloe-Session`
    pub session: &'a str,
    /// `X-Chloe-User`
    pub user: &'a str,
    /// `X-Chloe-Channel`
    pub channel: &'a str,
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToApp,
    ToChloe,
}

impl Direction {
    /// As the second line of what `chloe1` signs has it.
    fn name(self) -> &'static str {
        match self {
            Direction::ToApp => "to-app",
            Direction::ToChloe => "to-chloe",
        }
    }
}

/// Which versions in `webhook-signature` are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// `v1` too, which covers neither the method nor the target.
    V1OrChloe1,
    Chloe1,
}

/// Why a webhook signature is refused. Answered with 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// The id begins with [`OWN_ID_PREFIX`]: Chloe itself signed this, or it is made to look so.
    OwnId,
    /// The timestamp is no number, or too far from now.
    Stale,
    /// There is no `chloe1` signature where nothing else is enough.
    OnlyV1,
    /// No signature matches.
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
            SignatureError::OwnId => write!(
                f,
                "A webhook-id that begins with {OWN_ID_PREFIX} is one of Chloe's own, and what Chloe signed is not accepted here: choose another id and sign again."
            ),
            SignatureError::Stale => write!(
                f,
                "The webhook-timestamp is not within {TIMESTAMP_TOLERANCE_S} seconds of this server's clock: send the present time in seconds since 1970."
            ),
            SignatureError::OnlyV1 => f.write_str(
                "A v1 signature covers neither the method nor the path, so it is accepted for POST /send alone: sign with chloe1, or send Authorization: Bearer and the secret.",
            ),
            SignatureError::Mismatch => f.write_str(
                "No signature in webhook-signature matches: sign with the configured secret, v1 over webhook-id.webhook-timestamp.body, or chloe1 as docs/protocol.md says.",
            ),
        }
    }
}

impl std::error::Error for SignatureError {}

impl Secret {
    /// A value for `webhook-signature`: `v1,` and the base64 of HMAC-SHA256
    /// over `id.timestamp.body`. `timestamp_s` is in seconds since 1970.
    pub fn sign_v1(&self, id: &str, timestamp_s: u64, body: &[u8]) -> String {
        let timestamp = itoa::Buffer::new().format(timestamp_s).to_owned();
        let mut value = String::from(V1);
        STANDARD.encode_string(self.v1(id, &timestamp, body), &mut value);
        value
    }

    /// A value for `webhook-signature`: `chloe1,` and the base64 of HMAC-SHA256
    /// over nine lines and the body (see docs/protocol.md, "Signatures"). None of
    /// the texts may contain a line feed, as no header and no target can.
    pub fn sign_chloe1(
        &self,
        direction: Direction,
        id: &str,
        timestamp_s: u64,
        covered: &Covered<'_>,
        body: &[u8],
    ) -> String {
        let timestamp = itoa::Buffer::new().format(timestamp_s).to_owned();
        let mut value = String::from(CHLOE1);
        let mac = self.chloe1(direction, id, &timestamp, covered, body);
        STANDARD.encode_string(mac, &mut value);
        value
    }

    /// Whether a request to Chloe has a signature in `headers` that matches, is
    /// recent, and is of a version that `accept` names. Whether the id was seen
    /// before is for the caller to know.
    ///
    /// # Errors
    /// [`SignatureError`], answered with 401.
    pub fn verify_webhook(
        &self,
        headers: &WebhookHeaders<'_>,
        covered: &Covered<'_>,
        body: &[u8],
        now: Time,
        accept: Accept,
    ) -> Result<(), SignatureError> {
        let &WebhookHeaders { id, timestamp, .. } = headers;
        if id.starts_with(OWN_ID_PREFIX) {
            return Err(SignatureError::OwnId);
        }
        let signed = timestamp
            .parse::<u64>()
            .map_err(|_| SignatureError::Stale)?;
        if signed.abs_diff(now.unix_ms / 1000) > TIMESTAMP_TOLERANCE_S {
            return Err(SignatureError::Stale);
        }
        let given = |version| {
            let all = headers.signature.split_ascii_whitespace();
            all.filter_map(move |signature| signature.strip_prefix(version))
        };
        let matches = |version, mac: [u8; 32]| {
            let expected = STANDARD.encode(mac);
            given(version).any(|signature| equal(expected.as_bytes(), signature.as_bytes()))
        };
        let has_chloe1 = given(CHLOE1).next().is_some();
        let has_v1 = given(V1).next().is_some();
        if has_chloe1 {
            let mac = self.chloe1(Direction::ToChloe, id, timestamp, covered, body);
            if matches(CHLOE1, mac) {
                return Ok(());
            }
        }
        match accept {
            Accept::V1OrChloe1 if has_v1 && matches(V1, self.v1(id, timestamp, body)) => Ok(()),
            Accept::Chloe1 if has_v1 && !has_chloe1 => Err(SignatureError::OnlyV1),
            _ => Err(SignatureError::Mismatch),
        }
    }

    fn v1(&self, id: &str, timestamp: &str, body: &[u8]) -> [u8; 32] {
        self.hmac([id, ".", timestamp, "."].iter().copied(), body)
    }

    fn chloe1(
        &self,
        direction: Direction,
        id: &str,
        timestamp: &str,
        covered: &Covered<'_>,
        body: &[u8],
    ) -> [u8; 32] {
        let lines = [
            "chloe1",
            direction.name(),
            id,
            timestamp,
            covered.method,
            covered.target,
            covered.session,
            covered.user,
            covered.channel,
        ];
        debug_assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:?}");
        self.hmac(lines.iter().flat_map(|line| [line, "\n"]), body)
    }
}

/// How the versions in `webhook-signature` begin.
const V1: &str = "v1,";
const CHLOE1: &str = "chloe1,";

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
    fn the_webhook_signature_is_that_of_other_libraries() {
        // The example that the makers of Standard Webhooks print in their manual.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            secret.sign_v1("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    fn hmac_of(key: &[u8], message: &[u8]) -> [u8; 32] {
        use hmac::{Hmac, KeyInit, Mac};
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    #[test]
    fn a_whsec_secret_is_base64_of_the_key() {
        let text = Secret::new("key").unwrap().sign_v1("a", 1, b"b");
        for spelled in ["whsec_a2V5", "whsec_a2V5="] {
            let secret = Secret::new(spelled).unwrap();
            assert_eq!(secret.sign_v1("a", 1, b"b"), text);
        }
        let other = Secret::new("whsec_!").unwrap().sign_v1("a", 1, b"b");
        assert_eq!(
            other,
            format!("v1,{}", STANDARD.encode(hmac_of(b"whsec_!", b"a.1.b")),),
            "what is not base64 is the key itself"
        );
    }

    const SEND: Covered<'_> = Covered {
        method: "POST",
        target: "/send",
        session: "",
        user: "",
        channel: "",
    };

    fn headers<'a>(id: &'a str, timestamp: &'a str, signature: &'a str) -> WebhookHeaders<'a> {
        WebhookHeaders {
            id,
            timestamp,
            signature,
        }
    }

    #[test]
    fn chloe1_signs_nine_lines_and_the_body() {
        // Made with: printf '...' | openssl dgst -sha256 -hmac trotter -binary | base64
        let covered = Covered {
            method: "POST",
            target: "/updates?a=1",
            session: "00ff",
            user: "42",
            channel: "room",
        };
        let secret = Secret::new("trotter").unwrap();
        let to_app = |covered| {
            secret.sign_chloe1(
                Direction::ToApp,
                "chloe_msg_1",
                1_322_489_000,
                covered,
                b"hello",
            )
        };
        assert_eq!(
            to_app(&covered),
            "chloe1,mmOFqOVunlkedTZEb7TYds4dWQRQ9j9WJV78CqeC19M="
        );
        let without = Covered {
            session: "00ff",
            target: "/updates",
            ..SEND
        };
        assert_eq!(
            to_app(&without),
            "chloe1,9CQPJ/PQzlBKd7J/T3SYijL7SeXJZ+h7/n9bDpjVMMs="
        );
        let to_chloe = secret.sign_chloe1(Direction::ToChloe, "a", 1, &SEND, b"data=hello");
        assert_eq!(
            to_chloe,
            "chloe1,lOaRXlEdnuFeQAICujrjO8nxzf75gsNiRGhRJHvkgTQ="
        );
    }

    #[test]
    fn webhooks_are_verified() {
        let secret = Secret::new("s").unwrap();
        let v1 = secret.sign_v1("id", 1_000, b"body");
        let chloe1 = secret.sign_chloe1(Direction::ToChloe, "id", 1_000, &SEND, b"body");
        let several = format!("v1a,x v1,AAAA chloe1,x {v1}");
        let both = format!("v1,AAAA {chloe1}");
        let verify = |timestamp, signature, body: &[u8], seconds| {
            let headers = headers("id", timestamp, signature);
            secret.verify_webhook(&headers, &SEND, body, now(seconds), Accept::V1OrChloe1)
        };
        for good in [&v1, &several, &chloe1, &both] {
            assert_eq!(verify("1000", good, b"body", 1_300), Ok(()), "{good}");
            assert_eq!(verify("1000", good, b"body", 700), Ok(()), "{good}");
            let stale = Err(SignatureError::Stale);
            assert_eq!(verify("1000", good, b"body", 1_301), stale);
            assert_eq!(verify("1000", good, b"body", 699), stale);
            assert_eq!(verify("now", good, b"body", 1_000), stale);
            let mismatch = Err(SignatureError::Mismatch);
            assert_eq!(verify("1001", good, b"body", 1_000), mismatch);
            assert_eq!(verify("1000", good, b"bodY", 1_000), mismatch);
        }
        let swapped = v1.replace("v1,", "chloe1,");
        for bad in ["", &v1[3..], &swapped, &chloe1.replace("chloe1,", "v1,")] {
            let mismatch = Err(SignatureError::Mismatch);
            assert_eq!(verify("1000", bad, b"body", 1_000), mismatch, "{bad}");
        }
    }

    #[test]
    fn chloe1_is_refused_with_anything_else_that_it_covers() {
        let secret = Secret::new("s").unwrap();
        let covered = Covered {
            session: "a",
            user: "b",
            channel: "c",
            ..SEND
        };
        let signature = secret.sign_chloe1(Direction::ToChloe, "id", 1_000, &covered, b"body");
        let verify = |covered: Covered<'_>| {
            let headers = headers("id", "1000", &signature);
            secret.verify_webhook(&headers, &covered, b"body", now(1_000), Accept::Chloe1)
        };
        assert_eq!(verify(covered), Ok(()));
        let get = |method| Covered { method, ..covered };
        for other in [
            get("GET"),
            Covered {
                target: "/send?",
                ..covered
            },
            Covered {
                session: "",
                ..covered
            },
            Covered {
                user: "a",
                ..covered
            },
            // A value cannot move to the next line.
            Covered {
                user: "",
                channel: "b",
                ..covered
            },
            SEND,
        ] {
            assert_eq!(verify(other), Err(SignatureError::Mismatch), "{other:?}");
        }
    }

    #[test]
    fn v1_is_not_enough_where_the_target_must_be_signed() {
        let secret = Secret::new("s").unwrap();
        let v1 = secret.sign_v1("id", 1_000, b"");
        let chloe1 = secret.sign_chloe1(Direction::ToChloe, "id", 1_000, &SEND, b"");
        let verify = |signature: &str| {
            let headers = headers("id", "1000", signature);
            secret.verify_webhook(&headers, &SEND, b"", now(1_000), Accept::Chloe1)
        };
        assert_eq!(verify(&v1), Err(SignatureError::OnlyV1));
        assert_eq!(
            verify(&format!("{v1} chloe1,x")),
            Err(SignatureError::Mismatch)
        );
        assert_eq!(verify(&format!("{v1} {chloe1}")), Ok(()));
    }

    #[test]
    fn nothing_that_chloe_signs_for_the_app_is_accepted() {
        let secret = Secret::new("s").unwrap();
        // The worst that a browser can choose as its message: what looks like the rest of another.
        for body in [
            "",
            "data=x",
            "1000.data=x",
            "to-chloe\nid\n1000\nPOST\n/send\n",
        ] {
            let id = "chloe_msg_1";
            let v1 = secret.sign_v1(id, 1_000, body.as_bytes());
            let covered = Covered {
                target: "/updates",
                ..SEND
            };
            for covered in [SEND, covered] {
                let chloe1 =
                    secret.sign_chloe1(Direction::ToApp, id, 1_000, &covered, body.as_bytes());
                let signature = format!("{v1} {chloe1}");
                // The id as it is, cut, and stretched over what follows it.
                for id in [id, "chloe_msg_1.1000", "", "chloe", "msg_1", "id"] {
                    let headers = headers(id, "1000", &signature);
                    let verified = secret.verify_webhook(
                        &headers,
                        &SEND,
                        body.as_bytes(),
                        now(1_000),
                        Accept::V1OrChloe1,
                    );
                    let own = id.starts_with(OWN_ID_PREFIX);
                    let error = match own {
                        true => SignatureError::OwnId,
                        false => SignatureError::Mismatch,
                    };
                    assert_eq!(verified, Err(error), "{id} {body}");
                }
            }
        }
        let other_way = secret.sign_chloe1(Direction::ToApp, "id", 1_000, &SEND, b"");
        let headers = headers("id", "1000", &other_way);
        let verified = secret.verify_webhook(&headers, &SEND, b"", now(1_000), Accept::Chloe1);
        assert_eq!(verified, Err(SignatureError::Mismatch));
    }
}
