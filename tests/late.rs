//! What is late is ended, whatever else it was in the middle of: the server
//! driven by hand, on a clock of its own, with sockets that take nothing.

use std::io::{self, Write};

use chloe::base::time::Time;
use chloe::config::Config;
use chloe::server::{Action, ConnKey, Peer, Server, Transmit};

/// A socket that takes nothing.
struct Stuck;

impl Write for Stuck {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Driven {
    server: Server,
    now: Time,
}

impl Driven {
    fn new() -> Driven {
        let now = Time::default().plus(1_000);
        let server = Server::new(Config::default(), [1; 32], now);
        Driven { server, now }
    }

    fn receive(&mut self, text: &str) -> ConnKey {
        let peer = Peer::Tcp(([127, 0, 0, 1], 9).into());
        let key = self.server.handle_accept(self.now, peer).unwrap();
        let mut bytes = text.as_bytes().to_vec();
        self.server.handle_received(self.now, key, &mut bytes);
        key
    }

    fn flush(&mut self, writer: &mut impl Write) {
        while let Some(key) = self.server.poll_transmit(self.now) {
            let done = self.server.transmit(self.now, key, writer);
            assert_ne!(done, Transmit::Failed);
        }
    }

    /// Lets time pass until `key` is closed, and tells how much of it.
    fn time_until_closed_ms(&mut self, key: ConnKey) -> u64 {
        let began_ms = self.now.ms;
        while let Some(at_ms) = self.server.poll_timeout() {
            assert!(at_ms < began_ms + 600_000, "it is never closed");
            self.now = self.now.plus(at_ms.saturating_sub(self.now.ms).max(1));
            self.server.handle_timeout(self.now);
            self.flush(&mut Stuck);
            while let Some(action) = self.server.poll_action() {
                if action == (Action::Close { key }) {
                    return self.now.ms - began_ms;
                }
            }
        }
        panic!("nothing is due, and it is open");
    }
}

#[test]
fn a_request_cut_short_does_not_save_a_peer_that_reads_nothing() {
    let mut driven = Driven::new();
    let key = driven.receive("GET /chloe.js HTTP/1.1\r\nHost: a\r\n\r\nGET / HT");
    driven.flush(&mut Stuck);
    let passed_ms = driven.time_until_closed_ms(key);
    assert!(passed_ms <= 31_000, "closed after {passed_ms} ms");
}

#[test]
fn a_request_that_was_on_its_way_when_the_server_stopped_is_answered() {
    let mut driven = Driven::new();
    let request = "POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\ndata=x";
    let (first, rest) = request.split_at(request.len() - 2);
    let key = driven.receive(first);
    driven.server.handle_shutdown(driven.now);
    let mut rest = rest.as_bytes().to_vec();
    driven.server.handle_received(driven.now, key, &mut rest);
    let mut answer = Vec::new();
    driven.flush(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    assert!(answer.contains("Connection: close"), "{answer:?}");
    assert_eq!(driven.server.poll_action(), Some(Action::Close { key }));
    assert!(driven.server.is_drained());
}
