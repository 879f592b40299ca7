//! The opening handshake, both ends of it (RFC 6455, sections 4.1 and 4.2).
//!
//! Whether the page's origin may connect, and what else is answered at this
//! path, is the server's business. No subprotocol and no extension is agreed
//! on. Called by the WebSocket transport and by `chloe listen`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::wire::http::{Method, Request, Version};

/// What both ends append to the key (section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The longest answer to a handshake that a client reads, in bytes.
const RESPONSE_BYTES_MAX: usize = 16_384;

/// The value of `Sec-WebSocket-Accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept([u8; 28]);

impl Accept {
    fn of_key(key: &str) -> Accept {
        let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
        let mut value = [0; 28];
        let written = STANDARD.encode_slice(digest, &mut value);
        debug_assert!(written == Ok(28), "20 bytes are 28 characters of base64");
        Accept(value)
    }

    /// The value's characters, all of them ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Appends the whole `101` response. Frames may follow it at once.
    pub fn encode_response(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Accept: ",
        );
        out.extend_from_slice(&self.0);
        out.extend_from_slice(b"\r\n\r\n");
    }
}

/// Why a request does not open a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// Another method than GET.
    Method,
    /// A request that does not ask for a WebSocket at all.
    NoUpgrade,
    /// HTTP/1.0.
    Http10,
    /// `Connection` does not name `Upgrade`: often a proxy took it out.
    Connection,
    /// Another version of the protocol than 13.
    Version,
    /// No key, several, or none of 16 bytes in base64.
    Key,
}

impl HandshakeError {
    /// The status of the response that answers it.
    pub fn status(self) -> u16 {
        match self {
            HandshakeError::Method => 405,
            HandshakeError::NoUpgrade | HandshakeError::Version => 426,
            HandshakeError::Http10 | HandshakeError::Connection | HandshakeError::Key => 400,
        }
    }

    /// The fields that this response must bear.
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            HandshakeError::Method => &[("Allow", "GET")],
            // RFC 9110, section 15.5.22: 426 names what to upgrade to. RFC 6455,
            // section 4.4: it names the version that is spoken.
            HandshakeError::NoUpgrade | HandshakeError::Version => {
                &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
            }
            HandshakeError::Http10 | HandshakeError::Connection | HandshakeError::Key => &[],
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HandshakeError::Method => "A WebSocket begins with a GET request.",
            HandshakeError::NoUpgrade => {
                "This address speaks WebSocket: send Upgrade: websocket. If the client did, a proxy took it out."
            }
            HandshakeError::Http10 => "A WebSocket needs HTTP/1.1: let the proxy speak it.",
            HandshakeError::Connection => {
                "The request says Upgrade: websocket without Connection: Upgrade: let the proxy pass it on."
            }
            HandshakeError::Version => "Sec-WebSocket-Version must be 13.",
            HandshakeError::Key => "Sec-WebSocket-Key must be there once, with 16 bytes in base64.",
        })
    }
}

impl std::error::Error for HandshakeError {}

/// Checks a request for a WebSocket (RFC 6455, section 4.2.1).
///
/// # Errors
/// [`HandshakeError`], which knows its response.
pub fn accept(request: &Request<'_>) -> Result<Accept, HandshakeError> {
    let headers = &request.headers;
    if request.method != Method::Get {
        return Err(HandshakeError::Method);
    }
    if !headers.has_token("Upgrade", "websocket") {
        return Err(HandshakeError::NoUpgrade);
    }
    if request.version != Version::Http11 {
        return Err(HandshakeError::Http10);
    }
    if !headers.has_token("Connection", "Upgrade") {
        return Err(HandshakeError::Connection);
    }
    if !is_once(headers.get_all("Sec-WebSocket-Version"), |version| {
        version == "13"
    }) {
        return Err(HandshakeError::Version);
    }
    if !is_once(headers.get_all("Sec-WebSocket-Key"), is_key) {
        return Err(HandshakeError::Key);
    }
    let key = headers
        .get("Sec-WebSocket-Key")
        .ok_or(HandshakeError::Key)?;
    Ok(Accept::of_key(key))
}

/// Whether there is one value, and the right one.
fn is_once<'a>(mut values: impl Iterator<Item = &'a str>, is_right: impl Fn(&str) -> bool) -> bool {
    values.next().is_some_and(is_right) && values.next().is_none()
}

/// 16 bytes are 22 characters of base64 and two of padding. Their value does not matter.
fn is_key(text: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    text.len() == 24
        && text
            .strip_suffix("==")
            .is_some_and(|digits| digits.bytes().all(is_base64))
}

/// Appends a client's request. `authority` and `target` are those of a parsed
/// URL; `nonce` is fresh from the caller's random source.
pub fn encode_client_request(out: &mut Vec<u8>, authority: &str, target: &str, nonce: [u8; 16]) {
    let key = STANDARD.encode(nonce);
    for part in [
        "GET ",
        target,
        " HTTP/1.1\r\nHost: ",
        authority,
        "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
        &key,
        "\r\n\r\n",
    ] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Why a client does not get its WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientHandshakeError {
    /// What answers is no HTTP server, or says too much.
    NotHttp,
    /// It answers with another status than 101.
    Refused { status: u16 },
    /// It says 101 but did not understand the request.
    NotWebSocket,
}

impl fmt::Display for ClientHandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientHandshakeError::NotHttp => {
                f.write_str("What answers there does not speak HTTP: check host and port.")
            }
            ClientHandshakeError::Refused { status } => {
                write!(
                    f,
                    "The server refused the WebSocket with status {status}: check the address."
                )
            }
            ClientHandshakeError::NotWebSocket => {
                f.write_str("What answers there does not speak WebSocket: check host and port.")
            }
        }
    }
}

impl std::error::Error for ClientHandshakeError {}

/// Checks the server's answer at the start of `input` (section 4.1). Returns
/// its width in bytes, behind which frames begin; `None` if it is not there whole.
///
/// # Errors
/// [`ClientHandshakeError`], a sentence for the terminal.
pub fn decode_server_response(
    input: &[u8],
    nonce: [u8; 16],
) -> Result<Option<usize>, ClientHandshakeError> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let width = match response.parse(input) {
        Ok(httparse::Status::Complete(width)) => width,
        Ok(httparse::Status::Partial) if input.len() < RESPONSE_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(ClientHandshakeError::NotHttp),
    };
    match response.code {
        Some(101) => {}
        Some(status) => return Err(ClientHandshakeError::Refused { status }),
        None => return Err(ClientHandshakeError::NotHttp),
    }
    let value = |name: &str| {
        let is_named = |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name);
        response
            .headers
            .iter()
            .find(is_named)
            .map(|field| field.value)
    };
    let is_upgrade = value("Upgrade").is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"));
    let accept = Accept::of_key(&STANDARD.encode(nonce));
    // Nothing was offered, so nothing may have been chosen.
    let is_extended = value("Sec-WebSocket-Extensions").is_some();
    if !is_upgrade || value("Sec-WebSocket-Accept") != Some(accept.as_bytes()) || is_extended {
        return Err(ClientHandshakeError::NotWebSocket);
    }
    Ok(Some(width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::http::{Decoded, HttpLimits, RequestDecoder};
    use proptest::prelude::*;

    const GOOD: &str = "GET /chloe/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    fn accepted(head: &str) -> Result<Accept, HandshakeError> {
        let decoded = RequestDecoder::default().decode(head.as_bytes(), &HttpLimits::default());
        match decoded {
            Ok(Decoded::Request { request, .. }) => accept(&request),
            other => panic!("{head:?} is no request: {other:?}"),
        }
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let value = accepted(GOOD).unwrap();
        assert_eq!(value.as_bytes(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let mut out = Vec::new();
        value.encode_response(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        );
    }

    #[test]
    fn other_requests_are_refused() {
        use HandshakeError::*;
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let cases = [
            ("GET ", "OPTIONS ", Method, 405),
            ("Upgrade: WebSocket\r\n", "", NoUpgrade, 426),
            ("Upgrade: WebSocket", "Upgrade: h2c", NoUpgrade, 426),
            ("HTTP/1.1", "HTTP/1.0", Http10, 400),
            ("keep-alive, Upgrade", "keep-alive", Connection, 400),
            ("Version: 13", "Version: 8", Version, 426),
            ("Version: 13", "Version: 13, 8", Version, 426),
            ("Sec-WebSocket-Version: 13\r\n", "", Version, 426),
            (key, "", Key, 400),
            (
                key,
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n",
                Key,
                400,
            ),
            (
                key,
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ!!\r\n",
                Key,
                400,
            ),
            (key, "Sec-WebSocket-Key: é\r\n", Key, 400),
            (key, &format!("{key}{key}"), Key, 400),
        ];
        for (before, after, error, status) in cases {
            assert!(GOOD.contains(before));
            let head = GOOD.replace(before, after);
            assert_eq!(accepted(&head), Err(error), "{head}");
            assert_eq!(error.status(), status);
            assert_eq!(error.headers().is_empty(), status == 400);
        }
    }

    #[test]
    fn both_ends_understand_each_other() {
        let nonce = *b"the sample nonce";
        let (mut request, mut response) = (Vec::new(), Vec::new());
        encode_client_request(&mut request, "a:8901", "/chloe/websocket", nonce);
        accepted(&String::from_utf8(request).unwrap())
            .unwrap()
            .encode_response(&mut response);
        let width = response.len();
        response.extend_from_slice(b"\x81\x00");
        for cut in 0..width {
            assert_eq!(decode_server_response(&response[..cut], nonce), Ok(None));
        }
        assert_eq!(decode_server_response(&response, nonce), Ok(Some(width)));
        let forged = decode_server_response(&response, *b"another nonce...");
        assert_eq!(forged, Err(ClientHandshakeError::NotWebSocket));
    }

    #[test]
    fn a_client_is_told_why_it_gets_no_websocket() {
        use ClientHandshakeError::*;
        let endless = format!("HTTP/1.1 101 a\r\nX: {}", "x".repeat(RESPONSE_BYTES_MAX));
        let cases = [
            ("SSH-2.0-x\r\n", NotHttp),
            (&endless, NotHttp),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", Refused { status: 403 }),
            ("HTTP/1.1 101 a\r\nUpgrade: websocket\r\n\r\n", NotWebSocket),
        ];
        for (response, error) in cases {
            assert_eq!(
                decode_server_response(response.as_bytes(), [0; 16]),
                Err(error)
            );
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes: Vec<u8>) {
            let _ = decode_server_response(&bytes, [0; 16]);
        }
    }
}
