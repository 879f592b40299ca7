//! A server driven by hand: on a clock of its own, without sockets. Used by
//! `late` and `held`.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{self, Write};

use chloe::base::time::Time;
use chloe::config::Config;
use chloe::server::{Action, ConnKey, Peer, Server, Transmit};

/// A socket that takes nothing.
pub struct Stuck;

impl Write for Stuck {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The server, and what time it is.
pub struct Driven {
    pub server: Server,
    pub now: Time,
}

impl Driven {
    pub fn new() -> Driven {
        Driven::with(|_| {})
    }

    /// With the settings as `change` makes them of the defaults.
    pub fn with(change: impl FnOnce(&mut Config)) -> Driven {
        // As the tests call it.
        let mut config = Config {
            server_names: vec!["a".to_owned()],
            ..Config::default()
        };
        change(&mut config);
        let now = Time::default().plus(1_000);
        let server = Server::new(config, [1; 32], now);
        Driven { server, now }
    }

    /// Lets time pass, and the server do what is due meanwhile.
    pub fn pass(&mut self, ms: u64) {
        let until_ms = self.now.ms + ms;
        while let Some(at_ms) = self
            .server
            .poll_timeout()
            .filter(|at_ms| *at_ms <= until_ms)
        {
            self.now = self.now.plus(at_ms.saturating_sub(self.now.ms).max(1));
            self.server.handle_timeout(self.now);
        }
        self.now = self.now.plus(until_ms.saturating_sub(self.now.ms));
    }

    /// A new connection on which `text` comes.
    pub fn receive(&mut self, text: &str) -> ConnKey {
        let peer = Peer::Tcp(([127, 0, 0, 1], 9).into());
        let key = self.server.handle_accept(self.now, peer).unwrap();
        let mut bytes = text.as_bytes().to_vec();
        self.server.handle_received(self.now, key, &mut bytes);
        key
    }

    /// Writes all there is to write, whoever it is for.
    pub fn flush(&mut self, writer: &mut impl Write) {
        while let Some(key) = self.server.poll_transmit(self.now) {
            let done = self.server.transmit(self.now, key, writer);
            assert_ne!(done, Transmit::Failed);
        }
    }

    /// Lets time pass until `key` is closed, and tells how much of it.
    pub fn time_until_closed_ms(&mut self, key: ConnKey) -> u64 {
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
