//! A connection that ends while its own bytes are being handled leaves nothing behind:
//! no session, no place in a count, no channel.
//!
//! The whole server in memory, on a clock moved by hand.

#[path = "driven/mod.rs"]
mod driven;

use std::io::{self, Write};

use chloe::server::{Action, ConnKey};
use chloe::wire::websocket::handshake::encode_client_request;
use chloe::wire::websocket::{Opcode, encode_masked_frame};
use driven::Driven;

/// A socket that takes everything.
struct Open;

impl Write for Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn text(bytes: &mut Vec<u8>, message: &str) {
    encode_masked_frame(bytes, Opcode::Text, message.as_bytes(), [1, 2, 3, 4]);
}

/// A handshake, and a `connect` whose answer is repeated until it fills the outbox:
/// each names ten channels, whose names are six times as long in the answer.
fn attack(number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_client_request(&mut bytes, "localhost:8901", "/chloe/websocket", [7; 16]);
    let connect = r#"{"type":"connect","positions":{}}"#;
    text(&mut bytes, connect);
    for channel in 0..10 {
        let name = format!("{}{number}-{channel}", "<".repeat(240));
        let message = format!(r#"{{"type":"channel-subscribe","channel":"{name}"}}"#);
        text(&mut bytes, &message);
    }
    for _ in 0..90 {
        text(&mut bytes, connect);
    }
    bytes
}

fn attacked(server: &mut Driven, bytes: &[u8]) -> ConnKey {
    let peer = chloe::server::Peer::Tcp(([127, 0, 0, 1], 9).into());
    let key = server.server.handle_accept(server.now, peer).unwrap();
    let mut bytes = bytes.to_vec();
    server.server.handle_received(server.now, key, &mut bytes);
    key
}

/// Everybody is gone and all times have passed: every count is zero.
fn assert_nothing_left(server: &mut Driven) {
    server.flush(&mut Open);
    server.skip(600_000);
    while server.server.poll_action().is_some() {}
    let left: Vec<_> = server.server.counts();
    let left: Vec<_> = left.into_iter().filter(|(_, count)| *count > 0).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_websocket_whose_outbox_overflows_while_it_is_read_leaves_nothing() {
    for split in [usize::MAX, 1_000, 20_000] {
        let mut server = Driven::with(|config| config.messages_burst_max = 1_000_000);
        for number in 0..20 {
            let bytes = attack(number);
            let key = attacked(&mut server, &bytes[..split.min(bytes.len())]);
            if split < bytes.len() {
                let mut rest = bytes[split..].to_vec();
                server.server.handle_received(server.now, key, &mut rest);
            }
            let mut closed = false;
            while let Some(action) = server.server.poll_action() {
                closed |= action == Action::Close { key };
            }
            assert!(closed, "who asks and does not read is closed");
        }
        assert_nothing_left(&mut server);
    }
}

#[test]
fn a_websocket_that_ends_in_each_way_while_it_is_read_leaves_nothing() {
    let mut endings: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut close = Vec::new();
    encode_masked_frame(&mut close, Opcode::Close, &1000u16.to_be_bytes(), [0; 4]);
    endings.push(("its Close", close));
    endings.push(("a reserved bit", vec![0xf1, 0x80, 0, 0, 0, 0]));
    let mut binary = Vec::new();
    encode_masked_frame(&mut binary, Opcode::Binary, b"x", [0; 4]);
    endings.push(("a binary message", binary));
    for (name, ending) in endings {
        for subscribed in [false, true] {
            let mut server = Driven::new();
            let mut bytes = Vec::new();
            encode_client_request(&mut bytes, "localhost:8901", "/chloe/websocket", [7; 16]);
            text(&mut bytes, r#"{"type":"connect","positions":{}}"#);
            if subscribed {
                text(&mut bytes, r#"{"type":"channel-subscribe","channel":"a"}"#);
            }
            bytes.extend_from_slice(&ending);
            text(&mut bytes, r#"{"type":"channel-subscribe","channel":"b"}"#);
            attacked(&mut server, &bytes);
            assert_nothing_left(&mut server);
            println!("{name}");
        }
    }
}

#[test]
fn polls_and_sessions_of_requests_leave_nothing() {
    let mut server = Driven::new();
    let connect = r#"{"type":"connect","version":1,"positions":{}}"#;
    let body = format!("data={connect}");
    let request = format!(
        "POST /chloe/xhr HTTP/1.1\r\nHost: localhost:8901\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for _ in 0..50 {
        let key = server.receive(&request.repeat(3));
        server.server.handle_closed(server.now, key);
    }
    assert!(
        server
            .server
            .counts()
            .iter()
            .any(|(name, count)| *name == "sessions" && *count == 150)
    );
    assert_nothing_left(&mut server);
}
