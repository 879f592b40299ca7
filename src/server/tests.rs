//! What cannot be seen from outside of the server.

use super::*;
use crate::wire::websocket::Opcode;

#[test]
fn a_connection_that_lives_long_has_few_timers() {
    let mut now = Time::default().plus(1_000);
    let mut server = Server::new(Config::default(), [1; 32], now);
    let peer = Peer::Tcp(([127, 0, 0, 1], 9).into());
    let key = server.handle_accept(now, peer).unwrap();
    for _ in 0..1_000 {
        for part in ["GET /chloe/ping HTTP", "/1.1\r\nHost: localhost\r\n\r\n"] {
            server.handle_received(now, key, &mut part.as_bytes().to_vec());
        }
        while let Some(key) = server.poll_transmit(now) {
            server.transmit(now, key, &mut Vec::new());
        }
        let until_ms = now.ms + 15_000;
        while let Some(at_ms) = server.poll_timeout().filter(|at_ms| *at_ms < until_ms) {
            now = now.plus(at_ms - now.ms);
            server.handle_timeout(now);
        }
        now = now.plus(until_ms - now.ms);
    }
    let timers = server.core.timers.len();
    assert!(timers < 12, "{timers} timers for one connection");
}

#[test]
fn streams_that_are_gone_do_not_wait_for_the_webhook() {
    let now = Time::default().plus(1_000);
    let config = Config {
        webhook_queue_per_session_max: 2,
        ..Config::default()
    };
    let mut server = Server::new(config, [1; 32], now);
    let handshake = "GET /chloe/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let peer = Peer::Tcp(([127, 0, 0, 1], 9).into());
    let mut stay = Vec::new();
    for number in 0..500 {
        let key = server.handle_accept(now, peer).unwrap();
        server.handle_received(now, key, &mut handshake.as_bytes().to_vec());
        let mut frames = Vec::new();
        for _ in 0..2_000 {
            let text = br#"{"type":"message","data":"x"}"#;
            crate::wire::websocket::encode_masked_frame(&mut frames, Opcode::Text, text, [0; 4]);
        }
        server.handle_received(now, key, &mut frames);
        assert!(!server.wants_read(key), "it is held");
        match number % 100 {
            0 => stay.push(key),
            _ => server.handle_closed(now, key),
        }
    }
    assert_eq!(server.core.webhook.waiting(), stay.len());
    assert!(stay.iter().all(|key| server.core.behind.is_full(*key)));
    for key in stay {
        server.handle_closed(now, key);
        assert!(!server.core.behind.keeps(key));
    }
    assert_eq!(server.core.webhook.waiting(), 0);
}

#[test]
fn requests_without_end_on_many_connections_take_turns() {
    let now = Time::default().plus(1_000);
    let mut server = Server::new(Config::default(), [1; 32], now);
    let ping = "GET /chloe/ping HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let hostile = Peer::Tcp(([192, 0, 2, 1], 9).into());
    let keys = (0..300).map(|_| server.handle_accept(now, hostile).unwrap());
    let keys: Vec<ConnKey> = keys.collect();
    for key in &keys {
        server.handle_received(now, *key, &mut ping.repeat(500).into_bytes());
    }
    let visitor = Peer::Tcp(([198, 51, 100, 7], 9).into());
    let bystander = server.handle_accept(now, visitor).unwrap();
    server.handle_received(now, bystander, &mut ping.as_bytes().to_vec());
    // Each has a go before the bystander, and it is a short one where many wait.
    for _ in 0..keys.len() {
        let key = server.poll_transmit(now).unwrap();
        assert_ne!(key, bystander);
        server.transmit(now, key, &mut Vec::new());
    }
    assert_eq!(server.poll_transmit(now), Some(bystander));
    let answered = server.core.stats.requests;
    assert!(
        answered < 300 * 66,
        "{answered} requests, and one of the bystander"
    );
    // Nobody is forgotten by that.
    server.transmit(now, bystander, &mut Vec::new());
    while let Some(key) = server.poll_transmit(now) {
        server.transmit(now, key, &mut Vec::new());
    }
    assert_eq!(server.core.stats.requests, 300 * 500 + 1);
}
