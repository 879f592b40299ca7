//! What cannot be seen from outside of the server.

use super::*;

#[test]
fn a_crowd_of_peers_does_not_fill_the_log() {
    let now = Time::default().plus(1_000);
    let mut server = Server::new(Config::default(), [1; 32], now);
    let lines = |server: &mut Server, now| (0..100).filter(|_| server.core.may_log(now)).count();
    assert_eq!(lines(&mut server, now), 1);
    assert_eq!(lines(&mut server, now.plus(999)), 0);
    assert_eq!(lines(&mut server, now.plus(1_000)), 1);
}

#[test]
fn a_connection_that_lives_long_has_few_timers() {
    let mut now = Time::default().plus(1_000);
    let mut server = Server::new(Config::default(), [1; 32], now);
    let peer = Peer::Tcp(([127, 0, 0, 1], 9).into());
    let key = server.handle_accept(now, peer).unwrap();
    for _ in 0..1_000 {
        for part in ["GET /chloe/ping HTTP", "/1.1\r\nHost: a\r\n\r\n"] {
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
