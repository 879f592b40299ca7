//! The event loop of the simulation: one turn in the order of the true one.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use chloe::base::time::Time;
use chloe::config::Config;
use chloe::server::{ConnKey, Server, Transmit};

use super::dice::Dice;
use super::ledger::Ledger;
use super::network::{Network, SocketId, Stage, Writer};
use super::reads::note_published;
use super::shadow::Shadow;
use super::testkit::{self, STEPS_MAX, Sockets};

/// So much time passes in one step at most, unless it leaps.
pub const STEP_MS: u64 = 5_000;

/// The server with everything around it that an event loop would have.
pub struct World {
    pub server: Server,
    pub config: Config,
    pub now: Time,
    /// How often a clock leapt.
    pub leaps: u64,
    pub dice: Dice,
    pub network: Network,
    pub shadow: Shadow,
    pub ledger: Ledger,
    /// Sessions that programs have heard of.
    pub sessions: Vec<String>,
    /// Sessions that rude peers have heard of.
    pub rude_sessions: Vec<String>,
    /// How many requests to publish were made.
    pub publications: u64,
    /// Connections that the app has to decide on, with their addresses.
    pub dialed: Vec<(SocketId, SocketAddr)>,
    /// Connections that may have something to be read, each once.
    pub ready: VecDeque<SocketId>,
    /// Publications that the server holds back until readers have caught up, in order.
    pub publishing: VecDeque<(ConnKey, usize)>,
    /// A name is being resolved.
    pub resolving: bool,
    /// Limits are so small that things get lost, and that is told.
    pub tight: bool,
    /// The server has begun to stop.
    pub draining: bool,
    /// Nobody listens: another process is to take over.
    pub doors_closed: bool,
    /// What is being read may come of a server that stops, or is cut off by its end.
    pub stopping: bool,
    /// The process that it comes of.
    pub heard: usize,
    /// The life that each process went on with: another one where nothing was known.
    pub lives: Vec<usize>,
    /// How often a process took over, and how often it knew of the one before.
    pub processes: u64,
    pub restored: u64,
    /// Connections that the last process refused, and those that it closed for want of memory.
    pub refused: u64,
    pub shed: u64,
    pub trace: bool,
}

impl World {
    pub fn log(&self, line: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>8} {}", self.now.ms, line());
        }
    }

    /// What is said on `id` is going to be read.
    pub fn look(&mut self, id: SocketId) {
        self.heard = self.network.sockets[id].process;
        self.stopping = self.draining || self.heard != self.network.process;
    }

    /// The life of the server that is being heard.
    pub fn life(&self) -> usize {
        self.lives[self.heard]
    }

    /// What the server has read on `id`, it, or its successor, still knows.
    pub fn lives_on(&self, id: SocketId) -> bool {
        let process = self.network.sockets[id].process;
        self.lives[process] == self.lives[self.network.process]
    }

    /// One turn at the present time.
    pub fn turn(&mut self) {
        self.take_events();
        if !self.doors_closed {
            self.accept();
        }
        self.read();
        let due = self
            .server
            .poll_timeout()
            .is_some_and(|at| at <= self.now.ms);
        if due || self.dice.chance(5) {
            self.server.handle_timeout(self.now);
            self.note_published();
        }
        self.act();
        let all = self.network.calm || self.dice.chance(80);
        let writes = if all { STEPS_MAX } else { self.dice.below(4) };
        let done = self.flush(writes);
        self.act();
        let due = |server: &Server, now: Time| server.poll_timeout().is_some_and(|at| at <= now.ms);
        if done && due(&self.server, self.now) {
            // Of a clock that has leapt: the loop turns once more, and then it is done.
            self.server.handle_timeout(self.now);
            self.note_published();
            self.act();
            self.flush(STEPS_MAX);
            self.act();
        }
        if done && !self.server.is_drained() {
            let next = self.server.poll_timeout();
            assert!(
                next.is_none_or(|at| at > self.now.ms),
                "the loop would spin: due at {next:?}, and it is {}",
                self.now.ms
            );
            self.check_reading();
        }
    }

    /// Time goes on, by so much or to what is due next.
    pub fn pass(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
        self.network.age(ms);
        if ms > STEP_MS {
            for &id in &self.network.live {
                self.network.sockets[id].leaps_ms.push(self.network.now_ms);
            }
        }
    }

    /// A clock leaps by minutes or hours: the wall clock is set, or the machine
    /// was asleep, with one of the clocks or both.
    pub fn leap(&mut self) {
        let ms = self.dice.below(7_200_000) as u64;
        let unix_ms = self.now.unix_ms;
        let (ms, unix_ms) = match self.dice.below(4) {
            0 => (0, unix_ms + 3 * ms),
            1 => (0, unix_ms - 3 * ms),
            2 => (ms, unix_ms),
            _ => (ms, unix_ms + ms),
        };
        self.log(|| format!("the clocks leap by {ms} ms, and to {unix_ms}"));
        self.pass(ms);
        self.now.unix_ms = unix_ms;
        self.leaps += 1;
    }

    /// Whether the server may have ended the connection because its peer seemed to be late.
    pub fn was_late(&self, id: SocketId) -> bool {
        // It says so at once, and lets go when that is read or `close_timeout_ms` is over.
        let most_ms = self.config.close_timeout_ms + STEP_MS;
        self.network.ended_behind_leap(id, most_ms)
    }

    /// Turns of a server whose successor goes on already: it only writes.
    pub fn say_goodbye(&mut self) {
        self.server.handle_handed_over(self.now);
        for _ in 0..self.dice.below(4) {
            self.take_events();
            self.act();
            let writes = self.dice.below(20);
            self.flush(writes);
        }
        self.act();
    }

    fn take_events(&mut self) {
        for &id in &self.network.live {
            let socket = &mut self.network.sockets[id];
            let room = socket.outbound.len() < socket.room || socket.reset;
            if socket.stage == Stage::Open && socket.blocked && (room || socket.more) {
                socket.more = false;
                socket.blocked = false;
                self.server.handle_writable(socket.key.expect("open"));
            }
        }
        self.take_edges();
    }

    fn accept(&mut self) {
        for id in self.network.live.clone() {
            let socket = &self.network.sockets[id];
            if socket.stage != Stage::Waiting || !self.dice.chance(70) {
                continue;
            }
            match self.server.handle_accept(self.now, socket.peer) {
                Some(key) => {
                    self.network.name(id, key);
                    self.network.sockets[id].process = self.network.process;
                    self.network.sockets[id].stage = Stage::Open;
                }
                None => self.network.close(id),
            }
        }
    }

    pub fn lose(&mut self, id: SocketId, key: ConnKey) {
        self.note_published();
        self.network.close(id);
        self.server.handle_closed(self.now, key);
    }

    fn act(&mut self) {
        let (server, now, mut outside) = self.outside();
        testkit::act(server, now, &mut outside);
    }

    /// Writes to `most` connections; true if there was no more to write.
    fn flush(&mut self, most: usize) -> bool {
        let (server, now, mut outside) = self.outside();
        let (_, all) = testkit::flush(server, now, &mut outside, most);
        if all {
            self.note_published();
        }
        all
    }

    /// The server, and what it writes to and asks.
    fn outside(&mut self) -> (&mut Server, Time, Outside<'_>) {
        let outside = Outside {
            now_ms: self.now.ms,
            trace: self.trace,
            dice: &mut self.dice,
            network: &mut self.network,
            shadow: &mut self.shadow,
            dialed: &mut self.dialed,
            ready: &mut self.ready,
            publishing: &mut self.publishing,
            resolving: &mut self.resolving,
        };
        (&mut self.server, self.now, outside)
    }
}

/// The network, as the steps of a turn use it.
struct Outside<'a> {
    now_ms: u64,
    trace: bool,
    dice: &'a mut Dice,
    network: &'a mut Network,
    shadow: &'a mut Shadow,
    dialed: &'a mut Vec<(SocketId, SocketAddr)>,
    ready: &'a mut VecDeque<SocketId>,
    publishing: &'a mut VecDeque<(ConnKey, usize)>,
    resolving: &'a mut bool,
}

impl Sockets for Outside<'_> {
    type Writer<'a>
        = Writer<'a>
    where
        Self: 'a;

    fn writer(&mut self, server: &Server, key: ConnKey) -> Option<Writer<'_>> {
        note_published(server, self.shadow, self.publishing);
        let id = self.network.find(key)?;
        let calm = self.network.calm;
        let writer = Writer {
            socket: &mut self.network.sockets[id],
            dice: self.dice,
            calm,
            writes: &mut self.network.writes,
        };
        assert!(!writer.socket.blocked, "a full pipe is written to");
        Some(writer)
    }

    fn wrote(&mut self, server: &Server, key: ConnKey, done: Transmit) {
        let id = self.network.find(key).expect("it was written to");
        let socket = &mut self.network.sockets[id];
        match done {
            Transmit::Idle => {}
            Transmit::More => (socket.blocked, socket.more) = (true, true),
            Transmit::Blocked => socket.blocked = true,
            Transmit::Failed => {
                note_published(server, self.shadow, self.publishing);
                self.network.close(id);
            }
        }
    }

    fn close(&mut self, key: ConnKey) {
        if let Some(id) = self.network.find(key) {
            if self.trace {
                eprintln!("{:>8} the server closes {id}", self.now_ms);
            }
            self.network.close(id);
        }
    }

    fn shut(&mut self, key: ConnKey) {
        if let Some(id) = self.network.find(key) {
            self.network.sockets[id].shut = true;
            self.network.end(id);
        }
    }

    fn resume(&mut self, key: ConnKey) {
        let Some(id) = self.network.find(key) else {
            return;
        };
        let reading = &mut self.network.sockets[id].reading;
        if reading.readable && !std::mem::replace(&mut reading.queued, true) {
            self.ready.push_back(id);
        }
    }

    fn connect(&mut self, key: ConnKey, at: SocketAddr) -> Option<Result<(), io::ErrorKind>> {
        let id = self.network.dial(self.dice, key);
        self.dialed.push((id, at));
        None
    }

    fn resolve(&mut self) -> Option<Result<Vec<SocketAddr>, String>> {
        *self.resolving = true;
        None
    }
}
