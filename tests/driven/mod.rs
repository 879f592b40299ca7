//! A server driven by hand: the testkit without its turns. What is written, and which
//! actions are done, the test decides. Used by `late`, `held`, `forgotten`, `origins`
//! and `ended_while_handled`.
#![allow(dead_code, reason = "each test file uses its part")]

#[path = "../testkit/mod.rs"]
mod testkit;

use std::io::{self, Write};

use chloe::base::time::Time;
use chloe::config::Config;
use chloe::server::{Action, ConnKey, Peer, Server, Transmit};
use testkit::{Around, Kit, STEPS_MAX, Sockets};

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

/// All connections write to one writer, which is never broken.
struct All<'a, W>(&'a mut W);

impl<W: Write> Sockets for All<'_, W> {
    type Writer<'b>
        = &'b mut W
    where
        Self: 'b;

    fn writer(&mut self, _: &Server, _: ConnKey) -> Option<&mut W> {
        Some(self.0)
    }

    fn wrote(&mut self, _: &Server, _: ConnKey, done: Transmit) {
        assert_ne!(done, Transmit::Failed);
    }

    fn close(&mut self, _: ConnKey) {}
}

/// Nothing is around: no app is there.
pub struct Nothing;

impl Around for Nothing {}

/// The server, and what time it is.
pub type Driven = Kit<Nothing>;

impl Kit<Nothing> {
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
        Driven::around(Server::new(config, [1; 32], now), now)
    }

    /// For a server that was made at `now`.
    pub fn around(server: Server, now: Time) -> Driven {
        Kit::of(server, now, Nothing)
    }

    /// Lets time pass, and the server do what is due meanwhile, and nothing else.
    pub fn skip(&mut self, ms: u64) {
        let until_ms = self.now.ms + ms;
        let due = |server: &Server| server.poll_timeout().filter(|at_ms| *at_ms <= until_ms);
        while due(&self.server).is_some() {
            self.leap(1);
            self.server.handle_timeout(self.now);
        }
        self.now = self.now.plus(until_ms.saturating_sub(self.now.ms));
    }

    /// A new connection on which `text` comes.
    pub fn receive(&mut self, text: &str) -> ConnKey {
        let peer = Peer::Tcp(([127, 0, 0, 1], 9).into());
        let key = self.accept(peer).unwrap();
        self.put(key, text.as_bytes());
        self.read();
        key
    }

    /// Writes all there is to write, whoever it is for.
    pub fn flush(&mut self, writer: &mut impl Write) {
        testkit::flush(&mut self.server, self.now, &mut All(writer), STEPS_MAX);
    }

    /// Lets time pass until `key` is closed, and tells how much of it.
    pub fn time_until_closed_ms(&mut self, key: ConnKey) -> u64 {
        let began_ms = self.now.ms;
        while let Some(at_ms) = self.server.poll_timeout() {
            assert!(at_ms < began_ms + 600_000, "it is never closed");
            self.leap(1);
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
