//! FLOOR 6: the event loop, the only place that knows mio.
//!
//! One thread moves bytes between sockets and the [`Server`], and decides
//! nothing: who may connect, what a byte means and what is said in return are
//! the server's. `cli` binds it, makes the server, and runs it:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use chloe::{config::Config, net, net::EventLoop, server::Server};
//!
//! let mut config = Config::default();
//! let event_loop = EventLoop::bind(&config)?;
//! config.connections_max = event_loop.capacity();
//! let mut server = Server::new(config, net::random_seed()?, event_loop.now());
//! let handle = event_loop.handle(); // handle.shutdown(), from any thread, ends it
//! event_loop.run(&mut server)?;
//! # Ok(())
//! # }
//! ```
//!
//! A turn is always the same: poll; read the clock once; accept; read; timers; actions;
//! flush; actions; reap. Each socket is registered once, both ways, edge-triggered: the
//! loop remembers what it was told and has not used up (`Socket::readable`).

mod host;
mod memory;
mod socket;

mod bind;
mod given;
mod handle;
mod linger;
mod listener;
mod course;
mod resolve;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use mio::{Events, Poll, Token, Waker, event::Event};

pub use bind::BindError;
pub use given::Given;
pub use handle::Handle;
pub use host::{Clock, random_seed};
pub use memory::quarter_of_memory;

use crate::base::slots::Key;
use crate::base::time::Time;
use crate::config::Config;
use crate::server::{Action, ConnKey, Server, Transmit};
use course::Course;
use linger::{LINGER_SOCKETS, Lingering};
use listener::Listeners;
use resolve::Resolver;
use socket::{Socket, Sockets, Stage, Stream, enqueue, read_share};

/// How many events one poll hands out. More wait for the next turn.
const EVENTS: usize = 1_024;
/// The one buffer that all sockets are read into; an idle connection owns none.
const SCRATCH_BYTES: usize = 64 * 1024;

/// A token of the loop's own has these upper and lower bits; no connection's
/// key does, since its slot number stays far below.
const WAKER: Token = Token(usize::MAX);
const FIRST_LISTENER: usize = usize::MAX - 1_024;

const _: () = assert!(
    usize::BITS >= 64,
    "a token holds a key of 64 bits: Chloe needs a 64-bit system"
);

/// The event loop with its listening sockets: bound, and not yet running.
pub struct EventLoop {
    poll: Poll,
    clock: Clock,
    handle: Handle,
    listeners: Listeners,
    resolver: Resolver,
    sockets: Sockets,
    lingering: Lingering,
    /// Sockets that may have something to read, each once (`Socket::queued`).
    ready: VecDeque<ConnKey>,
    /// Sockets that took their share of a turn, and have more to be written.
    unfinished: Vec<ConnKey>,
    /// Streams to be closed at the end of the turn.
    dead: Vec<Stream>,
    scratch: Box<[u8]>,
    /// Something may be left to do that no event will tell: take the next turn at once.
    again: bool,
    course: Course,
    capacity: usize,
    turn_accepts: usize,
    turn_read_bytes: usize,
    turn_writes: usize,
}

impl EventLoop {
    /// Opens every address of `listen_addresses` on `port` (0: any that is
    /// free), and `unix_socket`. Raises the limit of open files, and logs how
    /// many connections that makes room for.
    ///
    /// # Errors
    /// The first address that cannot be opened, and what to do about it.
    pub fn bind(config: &Config) -> Result<EventLoop, BindError> {
        EventLoop::bind_with(config, Given::default())
    }

    /// As [`EventLoop::bind`], with sockets that are open already.
    ///
    /// # Errors
    /// As [`EventLoop::bind`]; or what is given is nothing to listen on.
    pub fn bind_with(config: &Config, given: Given) -> Result<EventLoop, BindError> {
        let files = host::raise_open_files_limit();
        let default = Config::default().connections_max;
        let capacity = host::capacity(files, config.connections_max, default);
        let mut listeners = Listeners::bind(config, given)?;
        let poll = Poll::new().map_err(BindError::Poll)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(BindError::Poll)?;
        listeners
            .register(poll.registry(), |number| Token(FIRST_LISTENER + number))
            .map_err(BindError::Poll)?;
        let handle = Handle::new(waker);
        Ok(EventLoop {
            poll,
            clock: Clock::start(),
            listeners,
            resolver: Resolver::new(handle.clone()),
            handle,
            sockets: Sockets::default(),
            lingering: Lingering::new(LINGER_SOCKETS),
            ready: VecDeque::new(),
            unfinished: Vec::new(),
            dead: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            again: false,
            course: Course::Serving,
            capacity,
            turn_accepts: config.turn_accepts,
            turn_read_bytes: config.turn_read_bytes,
            turn_writes: config.turn_writes,
        })
    }

    /// The TCP addresses that it listens on, with their true ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.addresses()
    }

    /// How many connections the system has files for, `connections_max` at
    /// most: what the server's `connections_max` is to be.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The listening sockets once more, for another process.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn listening(&self) -> io::Result<Vec<OwnedFd>> {
        self.listeners.try_clone()
    }

    /// A hold for other threads: it ends the loop.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The time on the loop's clock: what the server must be made with.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// The loop's clock, for what is to be done when it has ended.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Runs `server` until it is shut down by a [`Handle`] and drained.
    ///
    /// # Errors
    /// The system's event queue fails; nothing that a peer does ends the loop.
    pub fn run(self, server: &mut Server) -> io::Result<()> {
        self.run_and_hand_over(server, |_| {})
    }

    /// As [`EventLoop::run`]; if the [`Handle`] asks for it, calls `hand_over` to save what
    /// the server has and let the next process begin, and sends everyone there.
    ///
    /// # Errors
    /// As [`EventLoop::run`].
    pub fn run_and_hand_over(
        mut self,
        server: &mut Server,
        hand_over: impl FnOnce(&mut Server),
    ) -> io::Result<()> {
        if self.go_on(server)? == Course::DoorsClosed {
            hand_over(server);
            self.course = Course::Draining;
            server.handle_handed_over(self.clock.now());
            self.again = true;
            self.go_on(server)?;
        }
        Ok(())
    }

    /// Turns until it is drained, or the next process may take over.
    fn go_on(&mut self, server: &mut Server) -> io::Result<Course> {
        let mut events = Events::with_capacity(EVENTS);
        let mut now = self.clock.now();
        loop {
            let timeout = self.poll_timeout(server, now);
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                Err(_) => events.clear(),
                Ok(()) => {}
            }
            now = self.clock.now();
            let (asked, registry) = (self.handle.asked(), self.poll.registry());
            (self.course).heed(asked, now, server, &mut self.listeners, registry);
            self.turn(server, now, &events);
            if self.course.is_over(now, server, !self.lingering.is_empty()) {
                return Ok(self.course);
            }
            let (listeners, registry) = (&mut self.listeners, self.poll.registry());
            self.again |= self.course.close_doors(now, server, listeners, registry);
        }
    }

    /// One turn, after the poll.
    fn turn(&mut self, server: &mut Server, now: Time, events: &Events) {
        self.again = false;
        self.take_events(server, now, events);
        self.accept(server, now);
        self.read(server, now);
        self.run_timers(server, now);
        self.act(server, now);
        self.flush(server, now);
        self.act(server, now);
        self.reap();
    }

    /// How long the poll may wait.
    fn poll_timeout(&self, server: &Server, now: Time) -> Option<Duration> {
        let unfinished = !self.ready.is_empty() || !self.unfinished.is_empty();
        if self.again || unfinished || self.listeners.is_ready() {
            return Some(Duration::ZERO);
        }
        let deadlines = [
            server.poll_timeout(),
            self.lingering.deadline(),
            self.listeners.deadline(),
        ];
        let next = deadlines.into_iter().flatten().min()?;
        Some(Duration::from_millis(next.saturating_sub(now.ms)))
    }

    fn take_events(&mut self, server: &mut Server, now: Time, events: &Events) {
        for key in self.unfinished.drain(..) {
            server.handle_writable(key);
        }
        for event in events {
            match event.token() {
                // Who has woken us is asked each turn; the answers of names below.
                WAKER => {}
                Token(number) if number >= FIRST_LISTENER => {
                    self.listeners.handle_ready(number - FIRST_LISTENER);
                }
                Token(word) => {
                    self.take_socket_event(server, Key::from_u64(word as u64), event);
                }
            }
        }
        while let Some(resolved) = self.resolver.poll() {
            server.handle_resolved(now, resolved);
        }
    }

    fn take_socket_event(&mut self, server: &mut Server, key: ConnKey, event: &Event) {
        let Some(socket) = self.sockets.get_mut(key) else {
            let closed = self.lingering.handle_event(key, &mut self.scratch);
            self.dead.extend(closed);
            return;
        };
        let was_writable = socket.writable;
        if socket.take_event(event) {
            enqueue(&mut self.ready, key, socket);
        }
        if socket.writable && !was_writable {
            server.handle_writable(key);
        }
    }

    fn accept(&mut self, server: &mut Server, now: Time) {
        for _ in 0..self.turn_accepts {
            let Some((stream, peer)) = self.listeners.accept(now) else {
                return;
            };
            match server.handle_accept(now, peer) {
                Some(key) => self.add(server, now, key, Socket::accepted(stream)),
                None => self.dead.push(stream),
            }
        }
    }

    fn add(&mut self, server: &mut Server, now: Time, key: ConnKey, mut socket: Socket) {
        let token = Token(key.to_u64() as usize);
        match socket.stream.register(self.poll.registry(), token) {
            Ok(()) => self.sockets.insert(key, socket),
            Err(error) => {
                log::warn!("event=watch_failed reason=\"{error}\"");
                self.dead.push(socket.stream);
                self.again = true;
                match socket.stage {
                    Stage::Connecting => server.handle_connected(now, key, Err(error.kind())),
                    Stage::Open | Stage::Finished => server.handle_closed(now, key),
                }
            }
        }
    }

    /// Gives each ready socket one go. Those that have more, or are held back,
    /// come again next turn.
    fn read(&mut self, server: &mut Server, now: Time) {
        let share = read_share(self.turn_read_bytes, self.ready.len());
        for _ in 0..self.ready.len() {
            let Some(key) = self.ready.pop_front() else {
                return;
            };
            let Some(socket) = self.sockets.get_mut(key) else {
                continue;
            };
            if server.is_held_back(key) {
                self.ready.push_back(key);
                continue;
            }
            socket.queued = false;
            match socket.stage {
                Stage::Connecting => self.finish_connect(server, now, key, share),
                Stage::Open | Stage::Finished => self.read_socket(server, now, key, share),
            }
        }
    }

    fn finish_connect(&mut self, server: &mut Server, now: Time, key: ConnKey, share: usize) {
        let Some(socket) = self.sockets.get_mut(key) else {
            return;
        };
        match socket.stream.connected() {
            None => {}
            Some(Ok(())) => {
                socket.stage = Stage::Open;
                socket.writable = true;
                server.handle_connected(now, key, Ok(()));
                // The event that told this may have told of bytes as well.
                self.read_socket(server, now, key, share);
            }
            Some(Err(error)) => {
                self.bury(key);
                server.handle_connected(now, key, Err(error.kind()));
            }
        }
    }

    fn read_socket(&mut self, server: &mut Server, now: Time, key: ConnKey, share: usize) {
        let mut budget = share;
        while let Some(socket) = self.sockets.get_mut(key) {
            if !socket.readable || (socket.stage == Stage::Open && !server.wants_read(key)) {
                if socket.readable && socket.broken {
                    // Its end stands behind what is not read: nobody is there any more.
                    self.lose(server, now, key);
                }
                return;
            }
            if budget == 0 {
                enqueue(&mut self.ready, key, socket);
                return;
            }
            let room = budget.min(self.scratch.len());
            match socket.stream.read(&mut self.scratch[..room]) {
                Ok(0) => {
                    socket.readable = false;
                    if socket.stage == Stage::Open {
                        socket.stage = Stage::Finished;
                        server.handle_finished(now, key);
                    }
                }
                Ok(count) => {
                    // A short read has taken all there was, and what comes later
                    // is a new edge (epoll(7)); but an end that is known by now is not.
                    socket.readable = count == room || socket.ending;
                    budget -= count;
                    server.handle_received(now, key, &mut self.scratch[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.lose(server, now, key),
            }
        }
    }

    fn run_timers(&mut self, server: &mut Server, now: Time) {
        if server.poll_timeout().is_some_and(|due| due <= now.ms) {
            server.handle_timeout(now);
        }
        self.listeners.handle_timeout(now);
        while let Some(stream) = self.lingering.poll_expired(now) {
            self.dead.push(stream);
        }
    }

    fn act(&mut self, server: &mut Server, now: Time) {
        while let Some(action) = server.poll_action() {
            match action {
                Action::Connect { key, address } => self.connect(server, now, key, address),
                Action::Resolve { host, port } => self.resolver.ask(host, port),
                Action::Close { key } => self.close(now, key),
                Action::ShutdownWrite { key } => {
                    if let Some(socket) = self.sockets.get_mut(key) {
                        // Fails only where the peer is gone, which reading tells.
                        let _ = socket.stream.shutdown_write();
                    }
                }
                Action::ResumeRead { key } => {
                    if let Some(socket) = self.sockets.get_mut(key)
                        && socket.readable
                    {
                        enqueue(&mut self.ready, key, socket);
                    }
                }
            }
        }
    }

    fn connect(&mut self, server: &mut Server, now: Time, key: ConnKey, address: SocketAddr) {
        match Stream::connect(address) {
            Ok(stream) => self.add(server, now, key, Socket::connecting(stream)),
            Err(error) => {
                self.again = true;
                server.handle_connected(now, key, Err(error.kind()));
            }
        }
    }

    fn close(&mut self, now: Time, key: ConnKey) {
        if let Some(socket) = self.sockets.remove(key) {
            let closed = self.lingering.begin(now, key, socket, &mut self.scratch);
            self.dead.extend(closed);
        }
    }

    /// Writes what the server has, to `turn_writes` connections at most: a
    /// fan-out to all of them must not keep reading waiting.
    fn flush(&mut self, server: &mut Server, now: Time) {
        for _ in 0..self.turn_writes {
            let Some(key) = server.poll_transmit(now) else {
                return;
            };
            let Some(socket) = self.sockets.get_mut(key) else {
                continue;
            };
            match server.transmit(now, key, &mut socket.stream) {
                Transmit::Idle => {}
                Transmit::More => self.unfinished.push(key),
                Transmit::Blocked => socket.writable = false,
                Transmit::Failed => self.lose(server, now, key),
            }
        }
        self.again = true;
    }

    /// The connection is broken.
    fn lose(&mut self, server: &mut Server, now: Time, key: ConnKey) {
        self.bury(key);
        self.again = true;
        server.handle_closed(now, key);
    }

    /// Takes a socket that is of no use any more out of the table.
    fn bury(&mut self, key: ConnKey) {
        if let Some(socket) = self.sockets.remove(key) {
            self.dead.push(socket.stream);
        }
    }

    /// Closes what died in this turn; the kernel forgets its registration with it.
    fn reap(&mut self) {
        if !self.dead.is_empty() {
            self.dead.clear();
            self.listeners.resume();
        }
    }
}
