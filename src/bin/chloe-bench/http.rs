//! Requests of HTTP and of the WebSocket handshake, made of a peer's templates.
//!
//! Answers are read by Chloe's own codec. Used by readers and publishers.

use chloe::wire::websocket::handshake::encode_client_request;

use crate::peer::{Dialogue, Request};
use crate::template::{Template, Values};

/// The nonce of every handshake: it guards caches, of which there are none here.
pub const NONCE: [u8; 16] = *b"not a secret: no";

/// Appends `request` with `values` filled in. `path` takes the place of its own.
pub fn encode_request(
    out: &mut Vec<u8>,
    request: &Request,
    authority: &str,
    path: Option<&str>,
    values: &Values<'_>,
) {
    out.extend_from_slice(request.method.as_bytes());
    out.push(b' ');
    match path {
        Some(path) => encode_path(out, path.as_bytes()),
        None => encode_path(out, &request.path.filled(values)),
    }
    push_all(
        out,
        &[b" HTTP/1.1\r\nHost: ", authority.as_bytes(), b"\r\n"],
    );
    push_fields(out, &request.headers, values);
    let body = request.body.filled(values);
    if !body.is_empty() || request.method != "GET" {
        let length = body.len().to_string();
        push_all(out, &[b"Content-Length: ", length.as_bytes(), b"\r\n"]);
    }
    push_all(out, &[b"\r\n", &body]);
}

/// Appends the request for a WebSocket.
pub fn encode_upgrade(
    out: &mut Vec<u8>,
    dialogue: &Dialogue,
    authority: &str,
    path: &str,
    values: &Values<'_>,
) {
    encode_client_request(out, authority, path, NONCE);
    // Before the empty line.
    out.truncate(out.len() - 2);
    if let Some(protocol) = &dialogue.protocol {
        push_all(
            out,
            &[b"Sec-WebSocket-Protocol: ", protocol.as_bytes(), b"\r\n"],
        );
    }
    push_fields(out, &dialogue.headers, values);
    out.extend_from_slice(b"\r\n");
}

fn push_all(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Each a line `Name: value`; those whose value is empty are left out.
fn push_fields(out: &mut Vec<u8>, fields: &[Template], values: &Values<'_>) {
    for field in fields {
        let line = field.filled(values);
        if !line.trim_ascii_end().ends_with(b":") {
            push_all(out, &[&line, b"\r\n"]);
        }
    }
}

/// What may not stand in a path as it is (RFC 3986, 2.2 and 3.3), as far as JSON has it.
fn encode_path(out: &mut Vec<u8>, path: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in path {
        match byte {
            b'!' | b'#'..=b';' | b'=' | b'?'..=b'Z' | b'_' | b'a'..=b'z' | b'~' | b'[' | b']' => {
                out.push(byte);
            }
            _ => out.extend_from_slice(&[
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written() {
        let template = |text: &str| Template::parse(text, &["etag".to_owned()]).unwrap();
        let mut request = Request {
            method: "GET".to_owned(),
            path: template("/a?data={\"b\":1}&c=d e"),
            headers: vec![
                template("If-None-Match: ${etag}"),
                template("X-Y: ${client}"),
            ],
            ..Request::default()
        };
        let write = |request: &Request| {
            let mut out = Vec::new();
            encode_request(&mut out, request, "a:1", None, &Values::default());
            String::from_utf8(out).unwrap()
        };
        let head = "GET /a?data=%7B%22b%22:1%7D&c=d%20e HTTP/1.1\r\nHost: a:1\r\nX-Y: 0\r\n";
        assert_eq!(write(&request), format!("{head}\r\n"));
        request.body = template("x");
        let length = "Content-Length: 1\r\n\r\nx";
        assert_eq!(write(&request), format!("{head}{length}"));
    }

    #[test]
    fn a_handshake_has_what_the_file_says() {
        let dialogue = Dialogue {
            protocol: Some("mqtt".to_owned()),
            headers: vec![Template::parse("Origin: http://a", &[]).unwrap()],
            ..Dialogue::default()
        };
        let mut out = Vec::new();
        encode_upgrade(&mut out, &dialogue, "a:1", "/b", &Values::default());
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("GET /b HTTP/1.1\r\nHost: a:1\r\n"),
            "{text}"
        );
        let end = "\r\nSec-WebSocket-Protocol: mqtt\r\nOrigin: http://a\r\n\r\n";
        assert!(text.ends_with(end), "{text}");
    }
}
