//! What must not be forgotten, and what must be: a connection that is to be read again is
//! resumed, a silent one is asked for a sign of life, and of peers that are gone nothing is
//! kept for longer than it is of use.
//!
//! The whole server in memory, on a clock moved by hand. Most of this was found by the
//! simulated world (`sim`).

#[path = "driven/mod.rs"]
mod driven;

use std::io::{self, Write};

use chloe::server::{Action, ConnKey};
use chloe::wire::websocket::handshake::encode_client_request;
use chloe::wire::websocket::{Opcode, encode_masked_frame};
use driven::{Driven, Stuck};

/// A socket that takes everything, and remembers it.
#[derive(Default)]
struct Open(Vec<u8>);

impl Write for Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn receive(server: &mut Driven, key: ConnKey, bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    server.server.handle_received(server.now, key, &mut bytes);
}

fn handshake() -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_client_request(&mut bytes, "a", "/chloe/websocket", [7; 16]);
    bytes
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_masked_frame(&mut bytes, opcode, payload, [1, 2, 3, 4]);
    bytes
}

fn websocket(server: &mut Driven) -> ConnKey {
    let key = server.receive("");
    receive(server, key, &handshake());
    server.flush(&mut Open::default());
    key
}

fn actions(server: &mut Driven) -> Vec<Action> {
    std::iter::from_fn(|| server.server.poll_action()).collect()
}

fn count(server: &Driven, name: &str) -> usize {
    let counts = server.server.counts();
    let row = counts.iter().find(|(row, _)| *row == name);
    row.unwrap_or_else(|| panic!("there is no row {name}")).1
}

#[test]
fn a_websocket_whose_connection_was_held_up_before_its_handshake_is_read() {
    let mut server = Driven::new();
    let key = server.receive("GET /chloe/ping HTTP/1.1\r\nHost: a\r\n\r\n");
    server.flush(&mut Stuck);
    assert!(!server.server.wants_read(key), "its answers are not taken");
    // The socket takes bytes again, and the same event tells of more that came.
    server.server.handle_writable(key);
    assert!(server.server.wants_read(key));
    receive(&mut server, key, &handshake());
    assert!(
        server.server.wants_read(key),
        "it is a WebSocket like others"
    );
    let mut socket = Open::default();
    server.flush(&mut socket);
    assert!(socket.0.ends_with(b"\r\n\r\n"), "the handshake is answered");
    // A peer that is gone is found out.
    assert!(server.time_until_closed_ms(key) < 120_000);
}

#[test]
fn a_stop_reads_the_streams_on_that_were_held_up() {
    for restart in [false, true] {
        let mut server = Driven::with(|config| {
            config.messages_burst_max = 1;
            config.state_file = if restart { "state".into() } else { "".into() };
        });
        let key = websocket(&mut server);
        let message = frame(Opcode::Text, br#"{"type":"message","data":"x"}"#);
        receive(&mut server, key, &message.repeat(5));
        assert!(!server.server.wants_read(key), "it sends too fast");
        actions(&mut server);
        match restart {
            true => server.server.handle_handed_over(server.now),
            false => server.server.handle_shutdown(server.now),
        }
        assert!(server.server.wants_read(key));
        assert!(actions(&mut server).contains(&Action::ResumeRead { key }));
    }
}

#[test]
fn a_stream_that_is_being_answered_when_its_ping_is_due_is_pinged() {
    let mut server = Driven::new();
    let key = websocket(&mut server);
    let ping = frame(Opcode::Ping, b"are you there?");
    receive(&mut server, key, &ping);
    // Our pong waits for the end of the turn in which the ping is due.
    server.skip(30_000);
    let mut socket = Open::default();
    server.flush(&mut socket);
    assert!(socket.0.starts_with(&[0x8a, 14]));
    assert!(socket.0.ends_with(&[0x89, 0]), "{:?}", socket.0);
    let _ = key;
}

#[test]
fn the_pace_of_sessions_that_are_silent_is_forgotten_in_time() {
    let mut server = Driven::new();
    let message = frame(Opcode::Text, br#"{"type":"message","data":"x"}"#);
    let keys: Vec<_> = (0..100).map(|_| websocket(&mut server)).collect();
    for key in keys {
        receive(&mut server, key, &message);
        server.server.handle_closed(server.now, key);
    }
    assert_eq!(count(&server, "paces"), 100);
    server.skip(130_000);
    assert_eq!(count(&server, "paces"), 0);
}

#[test]
fn the_keys_of_publications_are_forgotten_in_time() {
    let mut server = Driven::new();
    for number in 0..10 {
        server.receive(&format!(
            "POST /send HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k{number}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\n\r\ndata=x"
        ));
    }
    assert_eq!(count(&server, "idempotency_keys"), 10);
    server.skip(590_000);
    assert_eq!(count(&server, "idempotency_keys"), 10);
    server.skip(15_000);
    assert_eq!(count(&server, "idempotency_keys"), 0);
}

#[test]
fn outcomes_are_forgotten_when_the_last_session_ends() {
    let mut server = Driven::new();
    let message = frame(Opcode::Text, br#"{"type":"message","data":"x","id":1}"#);
    for _ in 0..10 {
        let key = websocket(&mut server);
        receive(&mut server, key, &message);
        server.server.handle_closed(server.now, key);
    }
    assert!(count(&server, "acks_under_way") > 0);
    // Nobody resolves the app's name: the messages are given up.
    server.skip(2_000_000);
    assert_eq!(count(&server, "acks_under_way"), 0);
    assert_eq!(count(&server, "acks_done"), 0);
}

#[test]
fn nothing_is_kept_of_channels_that_are_gone() {
    let mut server = Driven::new();
    let publication = "data=x&channel=news";
    server.receive(&format!(
        "POST /send HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{publication}",
        publication.len()
    ));
    assert_eq!(
        (
            count(&server, "channels"),
            count(&server, "channels_unread")
        ),
        (1, 1)
    );
    server.skip(400_000_000);
    for name in ["channels", "channels_unread", "channels_timed", "log_bytes"] {
        assert_eq!(count(&server, name), 0, "{name}");
    }
}

/// Polls that wait for nothing, or for a moment, one after the other.
#[test]
fn a_connection_has_few_timers_however_often_it_polls() {
    let mut server = Driven::new();
    let post = |body: &str| {
        let body = format!("data={body}");
        let length = body.len();
        let head = "POST /chloe/xhr HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain";
        format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let key = server.receive(&post(r#"{"type":"connect","version":1,"positions":{}}"#));
    let mut answer = Open::default();
    server.flush(&mut answer);
    let answer = String::from_utf8(answer.0).unwrap();
    let session = answer.split("\"sessionId\":\"").nth(1).unwrap();
    let session = session[..32].to_owned();
    for number in 0..1_000 {
        let wait_ms = number % 3 * 20;
        let poll = format!(
            r#"{{"type":"poll","version":1,"sessionId":"{session}","positions":{{}},"wait":{wait_ms}}}"#
        );
        receive(&mut server, key, post(&poll).as_bytes());
        server.skip(70);
        let mut answer = Open::default();
        server.flush(&mut answer);
        assert!(answer.0.starts_with(b"HTTP/1.1 200"), "{number}");
        assert!(count(&server, "connection_timers") <= 4, "{number}");
    }
}
