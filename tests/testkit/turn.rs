//! The steps of a turn behind reading, as `src/net` takes them: timers, actions, flush.
//!
//! They know no sockets: those are a `Sockets`, which says what each is and is told what
//! became of it. The caller puts the steps in their order: timers, actions, flush,
//! actions.

use std::io::{self, Write};
use std::net::SocketAddr;

use chloe::base::time::Time;
use chloe::server::{Action, ConnKey, Server, Transmit};

/// More actions, or more writes, than this in one turn is a spin.
pub const STEPS_MAX: usize = 1_000_000;

/// More calls for what is due than this in one turn is a spin.
const TIMER_CALLS_MAX: usize = 10_000;

/// The sockets of a loop, and what they can reach.
pub trait Sockets {
    type Writer<'a>: Write
    where
        Self: 'a;

    /// Where bytes for `key` go. `None`: it is gone, or was told to be full and has not
    /// got room since. `server` has just chosen to write there.
    fn writer(&mut self, server: &Server, key: ConnKey) -> Option<Self::Writer<'_>>;

    /// What became of a write. After `Failed` the socket is dropped here, and the server
    /// is told by the loop.
    fn wrote(&mut self, server: &Server, key: ConnKey, done: Transmit);

    /// The server closes the connection.
    fn close(&mut self, key: ConnKey);

    /// The server writes no more.
    fn shut(&mut self, _key: ConnKey) {}

    /// The server wants to read again: if anything is known to be there, read it.
    fn resume(&mut self, _key: ConnKey) {}

    /// Connects to the app. `None`: it turns out later, and the server is told then.
    fn connect(&mut self, _key: ConnKey, _at: SocketAddr) -> Option<Result<(), io::ErrorKind>> {
        None
    }

    /// Resolves the app's name. `None` as with `connect`.
    fn resolve(&mut self) -> Option<Result<Vec<SocketAddr>, String>> {
        None
    }
}

/// Does all that is due: the server may need several calls for it, for which the true
/// loop takes several turns.
pub fn run_timers(server: &mut Server, now: Time) {
    for _ in 0..TIMER_CALLS_MAX {
        if server.poll_timeout().is_none_or(|due| due > now.ms) {
            return;
        }
        server.handle_timeout(now);
    }
    let next = server.poll_timeout();
    panic!("it would spin: due at {next:?}, and it is {}", now.ms);
}

/// Does all that the server asks for; how many actions that was.
pub fn act(server: &mut Server, now: Time, sockets: &mut impl Sockets) -> usize {
    let mut actions = 0;
    while let Some(action) = server.poll_action() {
        actions += 1;
        assert!(actions < STEPS_MAX, "the actions have no end");
        match action {
            Action::Close { key } => sockets.close(key),
            Action::ShutdownWrite { key } => sockets.shut(key),
            Action::ResumeRead { key } => sockets.resume(key),
            Action::Connect { key, address } => {
                if let Some(result) = sockets.connect(key, address) {
                    server.handle_connected(now, key, result);
                }
            }
            Action::Resolve { .. } => {
                if let Some(found) = sockets.resolve() {
                    server.handle_resolved(now, found);
                }
            }
        }
    }
    actions
}

/// Writes to `most` connections; to how many it did, and whether that was all.
pub fn flush(
    server: &mut Server,
    now: Time,
    sockets: &mut impl Sockets,
    most: usize,
) -> (usize, bool) {
    let mut writes = 0;
    while writes < most {
        let Some(key) = server.poll_transmit(now) else {
            return (writes, true);
        };
        writes += 1;
        let Some(mut writer) = sockets.writer(server, key) else {
            continue;
        };
        let done = server.transmit(now, key, &mut writer);
        drop(writer);
        sockets.wrote(server, key, done);
        if done == Transmit::Failed {
            server.handle_closed(now, key);
        }
    }
    assert!(writes < STEPS_MAX, "the flush has no end");
    (writes, false)
}
