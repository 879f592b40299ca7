//! A session is used from the origin that opened it, and from no other, by each
//! transport and over a restart. Where no origin is said, its id is enough.

mod driven;

use chloe::config::Config;
use chloe::server::{ConnKey, Server};
use chloe::wire::websocket::{Opcode, encode_masked_frame};
use driven::Driven;
use serde_json::{Value, json};

const HOME: &str = "Origin: http://home.example\r\n";
const OTHER: &str = "Origin: http://other.example\r\n";

/// A server that lets pages of both origins connect.
fn open_to_both() -> Driven {
    Driven::with(allow_both)
}

fn allow_both(config: &mut Config) {
    config.server_names = vec!["a".to_owned()];
    config.allowed_origins = ["http://home.example", "http://other.example"]
        .map(str::to_owned)
        .to_vec();
}

impl Driven {
    /// What is written, to whomever, once the polls that wait for nothing are due.
    fn written(&mut self) -> String {
        self.skip(100);
        let mut bytes = Vec::new();
        self.flush(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Says `message` by XHR.
    fn xhr(&mut self, fields: &str, message: &Value) -> String {
        let body = format!("data={message}");
        let length = body.len();
        self.receive(&format!(
            "POST /chloe/xhr HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
        ));
        self.written()
    }

    /// Says `message` by a script tag.
    fn jsonp(&mut self, fields: &str, message: &Value) -> String {
        let message = message.to_string().replace('"', "%22");
        self.receive(&format!(
            "GET /chloe/jsonp.js?data={message} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"
        ));
        self.written()
    }

    /// Opens a WebSocket and connects, to go on with `session`.
    fn websocket(&mut self, fields: &str, session: &str) -> (ConnKey, String) {
        let key = self.receive(&format!(
            "GET /chloe/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
        ));
        let mut frame = Vec::new();
        let text = connect(session).to_string();
        encode_masked_frame(&mut frame, Opcode::Text, text.as_bytes(), [1, 2, 3, 4]);
        self.server.handle_received(self.now, key, &mut frame);
        (key, self.written())
    }
}

fn connect(session: &str) -> Value {
    json!({"type": "connect", "version": 1, "id": 1, "sessionId": session, "positions": {}})
}

fn poll(session: &str) -> Value {
    json!({"type": "poll", "version": 1, "id": 2, "sessionId": session, "positions": {}, "wait": 0})
}

fn message(session: &str) -> Value {
    json!({"type": "message", "version": 1, "id": 3, "sessionId": session, "data": "hello"})
}

fn session_of(answer: &str) -> String {
    let (_, rest) = answer.split_once(r#""sessionId":""#).expect(answer);
    rest.split_once('"').unwrap().0.to_owned()
}

fn goes_on(answer: &str, session: &str) -> bool {
    answer.contains(r#""resumed":true"#) && session_of(answer) == session
}

#[test]
fn by_xhr() {
    let mut driven = open_to_both();
    let session = session_of(&driven.xhr(HOME, &connect("")));
    for said in [poll(&session), message(&session)] {
        let refused = driven.xhr(OTHER, &said);
        assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
        assert!(refused.contains(r#""code":"foreign_session""#), "{refused}");
        // The page may read why: it is let in, but for this session.
        assert!(refused.contains("Access-Control-Allow-Origin: http://other.example\r\n"));
    }
    driven.receive("GET /chloe/status HTTP/1.1\r\nHost: a\r\n\r\n");
    let status = driven.written();
    assert!(
        status.contains("\"messages\": 0"),
        "nothing was taken: {status}"
    );
    let other = driven.xhr(OTHER, &connect(&session));
    assert!(other.contains(r#""resumed":false"#), "{other}");
    assert_ne!(session_of(&other), session, "it has one of its own");
    for fields in [HOME, ""] {
        let polled = driven.xhr(fields, &poll(&session));
        assert!(polled.starts_with("HTTP/1.1 200 "), "{fields}: {polled}");
        let answer = driven.xhr(fields, &connect(&session));
        assert!(goes_on(&answer, &session), "{fields}: {answer}");
    }
}

#[test]
fn by_jsonp_the_page_is_told_by_its_referer() {
    let mut driven = open_to_both();
    let (home, other) = (
        "Referer: http://home.example/page?a#b\r\n",
        "Referer: http://other.example/\r\n",
    );
    let session = session_of(&driven.jsonp(home, &connect("")));
    for said in [poll(&session), message(&session)] {
        let refused = driven.jsonp(other, &said);
        assert!(refused.contains(r#""code":"foreign_session""#), "{refused}");
    }
    let old = json!({"type": "poll", "version": 1, "id": 2, "sessionId": session});
    let refused = driven.jsonp(other, &old);
    assert!(refused.contains("\r\nContent-Length: 0\r\n"), "{refused}");
    for fields in [
        home,
        HOME,
        "",
        "Referer: http://home.example/other-page\r\nSec-Fetch-Site: same-origin\r\n",
    ] {
        let polled = driven.jsonp(fields, &poll(&session));
        assert!(polled.contains(r#""messages":[]"#), "{fields}: {polled}");
    }
    assert!(!goes_on(&driven.xhr(OTHER, &connect(&session)), &session));
    assert!(goes_on(&driven.xhr(HOME, &connect(&session)), &session));
}

#[test]
fn by_websocket_another_page_gets_a_session_of_its_own() {
    let mut driven = open_to_both();
    let (stream, answer) = driven.websocket(HOME, "");
    let session = session_of(&answer);
    let (_, other) = driven.websocket(OTHER, &session);
    assert!(other.contains(r#""resumed":false"#), "{other}");
    assert_ne!(session_of(&other), session);
    // Nor was the stream of the first one taken from it.
    let ping = &mut Vec::new();
    encode_masked_frame(ping, Opcode::Ping, b"still there?", [0; 4]);
    driven.server.handle_received(driven.now, stream, ping);
    assert!(driven.written().contains("still there?"));
    for fields in [HOME, ""] {
        let (_, answer) = driven.websocket(fields, &session);
        assert!(goes_on(&answer, &session), "{fields}: {answer}");
    }
}

#[test]
fn a_session_opened_without_an_origin_is_used_with_any() {
    let mut driven = open_to_both();
    let session = session_of(&driven.xhr("", &connect("")));
    for fields in [OTHER, HOME, ""] {
        let answer = driven.xhr(fields, &connect(&session));
        assert!(goes_on(&answer, &session), "{fields}: {answer}");
    }
}

#[test]
fn the_next_process_knows_it_too() {
    let mut first = open_to_both();
    let session = session_of(&first.xhr(HOME, &connect("")));
    let open = session_of(&first.xhr("", &connect("")));
    let mut saved = Vec::new();
    first.server.save(first.now, &mut saved).unwrap();
    let mut config = Config::default();
    allow_both(&mut config);
    let mut second = Driven::around(Server::new(config, [2; 32], first.now), first.now);
    let length = saved.len() as u64;
    let restored = second.server.restore(second.now, &mut &saved[..], length);
    restored.unwrap();
    assert!(!goes_on(&second.xhr(OTHER, &connect(&session)), &session));
    assert!(goes_on(&second.xhr(HOME, &connect(&session)), &session));
    assert!(goes_on(&second.xhr(OTHER, &connect(&open)), &open));
}

/// What comes before the body is enough to refuse a page that may not connect: in the
/// words in which the whole request is refused, and with nothing for that page to read.
#[test]
fn a_head_is_refused_as_the_whole_request_is() {
    let foreign = "Host: a\r\nOrigin: http://evil.example\r\n";
    let rebound = "Host: evil.example\r\nOrigin: http://evil.example\r\n";
    for (fields, status) in [(foreign, "403"), (rebound, "403"), ("Host: a\r\n", "405")] {
        for target in ["/chloe/xhr", "/chloe/jsonp.js"] {
            let mut whole = String::new();
            for body in ["", "x"] {
                let mut driven = open_to_both();
                driven.receive(&format!(
                    "PUT {target} HTTP/1.1\r\n{fields}Connection: close\r\nContent-Length: 1\r\n\r\n{body}"
                ));
                let said = driven.written();
                // To a rebound page Chloe is of its own origin: it reads what it likes.
                assert_eq!(
                    said.contains("Origin: http://evil"),
                    fields == rebound && target == "/chloe/xhr"
                );
                if target == "/chloe/xhr" {
                    assert_eq!(said.split(' ').nth(1), Some(status), "{said}");
                }
                if body.is_empty() {
                    whole = said;
                } else {
                    assert_eq!(said, whole, "{target} {fields}");
                }
            }
        }
    }
}
