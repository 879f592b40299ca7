//! FLOOR 5: the whole server as one state machine, without sockets or a clock.
//!
//! Bytes and time go in (`handle_*`), bytes and a few actions come out
//! (`poll_*`, [`Server::transmit`]). Whoever drives it reads the clock once a
//! turn, hands in what its sockets brought, does the actions, and writes what
//! is to be written. `net` does so with mio, the tests and the simulator by hand.
//!
//! Order of a turn: `handle_accept`, `handle_received` (and what else the
//! sockets had), `handle_timeout`; then `poll_action` until there is none;
//! then `poll_transmit` and `transmit` until there is none or the turn is long
//! enough; then `poll_action` again. `poll_timeout` says how long to sleep.

pub mod webhook;
pub mod files;
mod connection;
mod limits;
mod session;
mod core;
mod commands;
mod delivery;
mod browser;
mod api;
mod routing;
mod upkeep;
mod webhook_events;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use crate::base::time::Time;
use crate::config::Config;
use crate::transport::contract;
use crate::wire::websocket::close::NORMAL;

use self::browser::{polls, stream};
use self::connection::conn::{Role, Turn};
use self::core::leaving::Stage;
use self::core::{Core, admission, counts};
use self::delivery::{batches, transmit};
use self::routing::router;
use self::session::behind::Item;
use self::upkeep::{due, leave, shed};

pub use self::connection::conn::{Conn, ConnKey};
pub use self::connection::peer::Peer;
pub use self::core::Action;
pub use self::delivery::transmit::Transmit;
pub use self::state::file::{
    CHECKSUM_BYTES as STATE_CHECKSUM_BYTES, HEAD_BYTES as STATE_HEAD_BYTES, Restored, StateError,
};

/// Connections that the queue of those to be flushed keeps room for.
const FLUSH_KEPT: usize = 4_096;
/// How many readers whose sockets are full are passed over before the event loop is
/// asked whether its turn is over.
const LOOKS_MAX: usize = 64;
/// How many readers are warmed up together.
const WARM_READERS: usize = 32;

/// Chloe, but for the sockets.
pub struct Server {
    core: Core,
    now: Time,
    /// It was an answer that was written last, and not a fan-out.
    answered: bool,
    /// So many readers to come are warmed up.
    warm: usize,
}

impl Server {
    /// A server with the settings of `config`, which were validated. `seed` is
    /// the root of all its random choices.
    pub fn new(config: Config, seed: [u8; 32], now: Time) -> Server {
        let core = Core::new(config, seed, now);
        Server {
            core,
            now,
            answered: false,
            warm: 0,
        }
    }

    /// A server that is nothing but a WebSocket echo, at every path: messages
    /// go back as they came. For conformance tests only.
    pub fn echo(config: Config, seed: [u8; 32], now: Time) -> Server {
        let mut server = Server::new(config, seed, now);
        server.core.echo = true;
        server
    }

    // ---- in ---------------------------------------------------------------

    /// A connection came in. `None`: there are too many, in all or of its
    /// address, and the caller drops it.
    pub fn handle_accept(&mut self, now: Time, peer: Peer) -> Option<ConnKey> {
        self.now = now;
        admission::accept(&mut self.core, now, peer)
    }

    /// Whether the connection's bytes are wanted now. If not, they stay in the
    /// socket, and [`Action::ResumeRead`] follows.
    pub fn wants_read(&mut self, key: ConnKey) -> bool {
        let core = &mut self.core;
        let draining = core.is_draining();
        let input_max = core.config.head_bytes_max;
        let outbox_max = core.config.outbox_bytes_max;
        let waiting = core.flush.len();
        let Some(conn) = core.conns.get_mut(key) else {
            return false;
        };
        let wanted = match &conn.role {
            // Who does not read what comes back is not read either.
            Role::WebSocket(_) if core.echo => conn.outbox.len() < outbox_max,
            Role::WebSocket(_) => !conn.paused || draining,
            Role::Http(http) if http.takes_requests() => conn.takes_answers(&core.config, waiting),
            Role::Http(http) if http.turn == Turn::Waits => false,
            // Read on while it waits, to see it leave; but not for long.
            Role::Http(http) => http.input.len() < input_max,
            Role::Upstream(_) => true,
        };
        if core.echo || !matches!(conn.role, Role::WebSocket(_)) {
            // Of what is read nobody is owed a word: it may become a WebSocket by that,
            // whose pauses are its own.
            conn.paused = !wanted;
        }
        wanted
    }

    /// `bytes` came for a connection. They may be changed in place.
    pub fn handle_received(&mut self, now: Time, key: ConnKey, bytes: &mut [u8]) {
        self.now = now;
        match self.core.conns.get(key).map(|conn| &conn.role) {
            Some(Role::Http(_)) => router::received(&mut self.core, now, key, bytes),
            Some(Role::WebSocket(_)) => stream::received(&mut self.core, now, key, bytes),
            Some(Role::Upstream(upstream)) => {
                let upstream = *upstream;
                self.core.webhook.handle_received(now, upstream, bytes);
            }
            None => {}
        }
        self.pump();
    }

    /// The peer sends no more, but may still read.
    pub fn handle_finished(&mut self, now: Time, key: ConnKey) {
        self.now = now;
        let core = &mut self.core;
        let Some(conn) = core.conns.get_mut(key) else {
            return;
        };
        match conn.role {
            Role::Upstream(upstream) => core.webhook.handle_finished(now, upstream),
            Role::Http(_) => router::finished(core, now, key),
            // An end without a Close, or behind one.
            Role::WebSocket(_) if conn.closing && !conn.outbox.is_empty() => {}
            Role::WebSocket(_) if core.behind.keeps(key) => core.behind.push(key, Item::Finished),
            Role::WebSocket(_) => core.close(now, key),
        }
        self.pump();
    }

    /// The connection is broken, and the caller has dropped its socket.
    pub fn handle_closed(&mut self, now: Time, key: ConnKey) {
        self.now = now;
        if let Some(Role::Upstream(upstream)) = self.core.conns.get(key).map(|conn| &conn.role) {
            let upstream = *upstream;
            webhook_events::closed(&mut self.core, now, upstream);
        }
        self.core.forget(now, key);
        self.pump();
    }

    /// The socket takes bytes again.
    pub fn handle_writable(&mut self, key: ConnKey) {
        if let Some(conn) = self.core.conns.get_mut(key)
            && conn.blocked
        {
            conn.blocked = false;
            self.core.queue_flush(key);
        }
    }

    /// What became of [`Action::Connect`]. After an error the caller has dropped the socket.
    pub fn handle_connected(&mut self, now: Time, key: ConnKey, result: Result<(), io::ErrorKind>) {
        self.now = now;
        webhook_events::connected(&mut self.core, now, key, result);
        self.pump();
    }

    /// What became of [`Action::Resolve`].
    pub fn handle_resolved(&mut self, now: Time, result: Result<Vec<SocketAddr>, String>) {
        self.now = now;
        self.core.webhook.handle_resolved(now, result);
        self.pump();
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = now;
        due::handle(&mut self.core, now);
        self.pump();
    }

    /// Begins to stop: nothing new is taken, what was accepted is delivered,
    /// streams are closed, polls answered, messages for the app finished.
    pub fn handle_shutdown(&mut self, now: Time) {
        self.now = now;
        if !self.core.is_draining() {
            leave::begin(&mut self.core, now, false);
            self.pump();
        }
    }

    /// Begins to hand over to another process. Everyone is served on, until
    /// [`Server::is_settled`].
    pub fn handle_restart(&mut self, now: Time) {
        self.now = now;
        if !self.core.leaving.is_near() {
            leave::settle(&mut self.core, now);
        }
    }

    /// Whether the caller may stop listening, and tell [`Server::handle_doors_closed`].
    pub fn is_settled(&self) -> bool {
        self.core.leaving.stage == Stage::Settled
    }

    /// Nobody listens any more. Connections wait for the next process from now
    /// on, so little is waited for here.
    pub fn handle_doors_closed(&mut self, now: Time) {
        self.now = now;
        leave::close_doors(&mut self.core, now);
        self.pump();
    }

    /// Whether the next process may take over: what this one has is to be
    /// saved, and then [`Server::handle_handed_over`] told.
    pub fn may_hand_over(&self, now: Time) -> bool {
        leave::may_hand_over(&self.core, now)
    }

    /// The next process goes on from what was saved, if anything is kept. Nothing
    /// is taken here any more that it would not know; everyone is sent there.
    pub fn handle_handed_over(&mut self, now: Time) {
        self.now = now;
        match self.core.keeps_state() {
            true => leave::go_over(&mut self.core, now),
            false => leave::begin(&mut self.core, now, true),
        }
        self.pump();
    }

    /// Whether everything is done, or the time for it is over.
    pub fn is_drained(&self) -> bool {
        let Some(by_ms) = self.core.drained_by_ms else {
            return false;
        };
        self.now.ms >= by_ms || (self.core.conns.is_empty() && self.core.webhook.is_idle())
    }

    // ---- from one process to the next ---------------------------------------

    /// Writes what outlives the process to `out`, piece by piece: history,
    /// sessions with their cursors, and messages that the app has not taken.
    /// Returns how many bytes that is. For the end: the webhook is stopped.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn save(&mut self, now: Time, out: &mut dyn io::Write) -> io::Result<u64> {
        self.now = now;
        self.core.webhook.keep();
        self.core.webhook.abandon(now);
        // What has become of messages by then is remembered with them.
        self.pump();
        state::file::save(&mut self.core, now, out)
    }

    /// Takes over what [`Server::save`] wrote, the next `length` bytes of
    /// `input`, before anything else is handed in.
    ///
    /// # Errors
    /// It cannot be used, or not be read. The server is as new then.
    pub fn restore(
        &mut self,
        now: Time,
        input: &mut dyn io::Read,
        length: u64,
    ) -> Result<Restored, StateError> {
        self.now = now;
        let restored = state::file::restore(&mut self.core, now, input, length)?;
        self.pump();
        Ok(restored)
    }

    // ---- out --------------------------------------------------------------

    /// When [`Server::handle_timeout`] has something to do, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<u64> {
        due::next_ms(&self.core, self.now.ms)
    }

    /// The next thing to do for the event loop.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.core.actions.pop_front()
    }

    /// The next connection that has something to write; each is to be given to
    /// [`Server::transmit`]. Answers and fan-out take turns: neither keeps the
    /// other waiting. After many looks that found nothing it is a connection that has
    /// nothing to write, or cannot, so that the turn can end there.
    pub fn poll_transmit(&mut self, now: Time) -> Option<ConnKey> {
        self.now = now;
        if self.core.flush.is_empty() || std::mem::take(&mut self.answered) {
            let reader = self.next_reader(now);
            if reader.is_some() {
                return reader;
            }
            if !self.core.publishers.is_empty() {
                self.pump();
            }
        }
        if let Some(key) = self.core.next_flush() {
            self.answered = true;
            return Some(key);
        }
        // What a round of pings to everybody has queued leaves no room behind.
        if self.core.flush.capacity() > FLUSH_KEPT {
            self.core.flush = VecDeque::new();
        }
        self.next_reader(now)
    }

    /// The next connection that is owed what was published.
    fn next_reader(&mut self, now: Time) -> Option<ConnKey> {
        if self.warm == 0 {
            self.warm = WARM_READERS;
            self.warm_up();
        }
        self.warm -= 1;
        for look in 1.. {
            let (session, stream) = self.core.hub.next_reader(now)?;
            let key = Core::conn_of(stream);
            let conn = self.core.conns.get(key);
            if conn.is_some_and(|conn| matches!(conn.role, Role::Http(_)))
                && self.core.hub.is_behind(session)
            {
                batches::seal(&mut self.core, now, key);
                if let Some(key) = self.core.next_flush() {
                    return Some(key);
                }
            }
            // Where the socket is full the cursor stands still; it goes on when that does.
            let blocked = self.core.conns.get(key).is_none_or(|conn| conn.blocked);
            if !blocked || look == LOOKS_MAX {
                return Some(key);
            }
        }
        None
    }

    /// Brings the state of the readers to come into the processor's cache, all at once:
    /// each alone would be waited for, since every write to a socket leaves
    /// little there of what was.
    fn warm_up(&self) {
        let mut sum = 0;
        for stream in self.core.hub.upcoming(WARM_READERS) {
            let conn = self.core.conns.get(Core::conn_of(stream));
            if let Some(Role::WebSocket(websocket)) = conn.map(|conn| &conn.role) {
                sum ^= websocket.session.index();
            }
        }
        std::hint::black_box(sum);
    }

    /// Whether more was published than may run ahead of the readers
    /// (`fan_out_backlog_bytes`), and `key` is one that publishes: it is not read
    /// until they have been written to, so that a flood waits where it comes from,
    /// and nobody else does. Or enough was done for the address of `key` in this turn.
    pub fn is_held_back(&self, key: ConnKey) -> bool {
        if self.core.has_had_its_turn(self.now, key) {
            return true;
        }
        if !self.core.hub.is_ahead() {
            return false;
        }
        let conn = self.core.conns.get(key);
        conn.is_some_and(|conn| matches!(&conn.role, Role::Http(http) if http.publishes))
    }

    /// Whether a request to publish came on the connection and is not made yet, since
    /// readers have to catch up; `None` if the connection is gone.
    pub fn waits_to_publish(&self, key: ConnKey) -> Option<bool> {
        let role = &self.core.conns.get(key)?.role;
        Some(matches!(role, Role::Http(http) if http.turn != Turn::Free))
    }

    /// Writes what the connection has to write, in as few writes as may be.
    pub fn transmit(&mut self, now: Time, key: ConnKey, writer: &mut impl io::Write) -> Transmit {
        self.now = now;
        let done = transmit::transmit(&mut self.core, now, key, writer);
        match done {
            Transmit::Idle => self.wrote_all(now, key),
            _ => shed::shed(&mut self.core, now),
        }
        done
    }

    /// What the server holds of others, by name. When everybody is gone and all
    /// times have passed, each count is zero; tests say so. Not for each turn: some are
    /// counted anew.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        counts::counts(&self.core)
    }

    // ---- inside -----------------------------------------------------------

    /// Everything of a connection is out: it is closed, or its next request is read.
    fn wrote_all(&mut self, now: Time, key: ConnKey) {
        let core = &mut self.core;
        let Some(conn) = core.conns.get_mut(key) else {
            return;
        };
        if !matches!(conn.role, Role::Http(_)) {
            if conn.closing {
                core.close(now, key);
            } else if core.echo && std::mem::take(&mut conn.paused) {
                core.actions.push_back(Action::ResumeRead { key });
            }
            return;
        }
        let busy = matches!(&conn.role, Role::Http(http) if !http.takes_requests());
        if conn.closing && !busy {
            return core.close(now, key);
        }
        let paused = std::mem::take(&mut conn.paused);
        if !busy {
            admission::answered(core, key);
            router::resume(core, now, key);
        }
        if paused {
            core.actions.push_back(Action::ResumeRead { key });
        }
        self.pump();
    }

    /// Does what the webhook asks for, and passes on what it has to tell.
    fn pump(&mut self) {
        let now = self.now;
        leave::go_on(&mut self.core, now);
        router::publish_on(&mut self.core, now);
        while let Some(key) = self.core.superseded.pop() {
            self.supersede(now, key);
        }
        while let Some(session) = self.core.rewound.pop() {
            batches::deliver(&mut self.core, now, session);
        }
        webhook_events::serve(&mut self.core, now);
        shed::shed(&mut self.core, now);
    }

    /// A newer stream took over the session of this one.
    fn supersede(&mut self, now: Time, key: ConnKey) {
        let core = &mut self.core;
        match core.conns.get(key).map(|conn| &conn.role) {
            Some(Role::Http(_)) => {
                if let Some(held) = batches::take_held(core, now, key) {
                    polls::end(core, now, key, held, contract::Ending::Superseded);
                }
            }
            Some(Role::WebSocket(_)) => {
                stream::close(core, now, key, NORMAL, "another stream took over")
            }
            _ => {}
        }
    }
}
