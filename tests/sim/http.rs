//! HTTP as the simulated peers speak it, and the scripts of JSONP.

use chloe::wire::http::{DecodedResponse, HttpLimits, ResponseDecoder};
use serde_json::Value;

/// A whole response.
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
    pub consumed: usize,
    pub keep_alive: bool,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }
}

/// The response at the start of `input`, if it is there whole.
pub fn response(input: &[u8]) -> Option<Response> {
    let limits = HttpLimits {
        body_bytes: 1 << 26,
        ..HttpLimits::default()
    };
    let decoded = ResponseDecoder::new(false).decode(input, &limits);
    match decoded.expect("the server speaks HTTP") {
        DecodedResponse::NeedMore => None,
        DecodedResponse::Response { response, consumed } => Some(Response {
            status: response.status,
            body: response.body.to_vec(),
            consumed,
            keep_alive: response.keep_alive,
        }),
    }
}

/// The first id of a session that an answer tells, and where it ends.
pub fn session_in(input: &[u8]) -> Option<(usize, String)> {
    let name = b"\"sessionId\":\"";
    let at = input.windows(name.len()).position(|bytes| bytes == name)? + name.len();
    let id = input.get(at..at + 32)?;
    Some((at + 32, String::from_utf8_lossy(id).into_owned()))
}

/// Percent-encodes all but letters and digits.
pub fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3 / 2);
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// JavaScript's escape(), as pages of old call it.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3 / 2);
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() || b"@*_+-./".contains(&byte) => {
                out.push(char::from(byte));
            }
            Ok(byte) => out.push_str(&format!("%{byte:02X}")),
            Err(_) => out.push_str(&format!("%u{unit:04X}")),
        }
    }
    out
}

pub fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost:8901\r\n\r\n").into_bytes()
}

pub fn post(target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let kind = "application/x-www-form-urlencoded; charset=utf-8";
    let length = body.len();
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost:8901\r\nContent-Type: {kind}\r\n{fields}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// What a page does when a script of JSONP runs.
#[derive(Debug, PartialEq)]
pub enum Call {
    Response(Value),
    OnMessage(u64, Value),
    Listen(u64),
}

/// The calls in a script.
pub fn calls(mut script: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    while !script.is_empty() {
        let rest = script.strip_prefix("Chloe.JsonpTransport.");
        let rest = rest.unwrap_or_else(|| panic!("no script of ours: {script}"));
        if let Some(rest) = rest.strip_prefix("response(") {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter();
            calls.push(Call::Response(
                values.next().expect("a value").expect("JSON"),
            ));
            script = &rest[values.byte_offset()..];
            script = script.strip_prefix(");").expect("the end of a call");
            continue;
        }
        let rest = rest.strip_prefix("connections[").expect("a connection");
        let (id, rest) = rest.split_once(']').expect("a number");
        let id = id.parse().expect("a number");
        if let Some(rest) = rest.strip_prefix(".listenForMessages();") {
            calls.push(Call::Listen(id));
            script = rest;
            continue;
        }
        let rest = rest.strip_prefix(".callbacks.onmessage('").expect("a call");
        let (quoted, rest) = unquote(rest);
        calls.push(Call::OnMessage(
            id,
            serde_json::from_str(&quoted).expect("JSON"),
        ));
        script = rest.strip_prefix(");").expect("the end of a call");
    }
    calls
}

/// The text of a string in single quotes, and what is behind it.
fn unquote(text: &str) -> (String, &str) {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\'' => return (out, &text[at + 1..]),
            '\\' => match chars.next().expect("an escape").1 {
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                'u' => {
                    let digits: String = (0..4).filter_map(|_| chars.next()).map(|c| c.1).collect();
                    let unit = u32::from_str_radix(&digits, 16).expect("four digits");
                    out.push(char::from_u32(unit).expect("a character"));
                }
                plain => out.push(plain),
            },
            plain => out.push(plain),
        }
    }
    panic!("a string without end");
}
