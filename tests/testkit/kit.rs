//! A whole event loop around pipes in memory, on a clock moved by hand.
//!
//! It reads as the true loop does, edge-triggered: a pipe is looked at when something came
//! of which the loop was not told yet, when its share of a turn was not enough, and when
//! the server asks for it by `Action::ResumeRead`. What is never resumed stays unread.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::net::SocketAddr;

use chloe::base::time::Time;
use chloe::server::{ConnKey, Peer, Server, Transmit};

use super::turn::{self, STEPS_MAX, Sockets};

/// The most that one read takes.
const READ_BYTES: usize = 4_096;
/// The most that is read of one connection in a turn.
const SHARE_BYTES: usize = 65_536;
/// More turns than this without time going on is a spin.
const TURNS_MAX: usize = 100_000;

/// What is around the pipes.
pub trait Around {
    /// So many of `bytes` the peer takes, as `Write::write` says it.
    fn write(&mut self, end: &mut End, bytes: &[u8]) -> io::Result<usize> {
        end.take(bytes)
    }

    /// Whether the app takes the connection `key`.
    fn connect(&mut self, _key: ConnKey) -> Result<(), io::ErrorKind> {
        Err(io::ErrorKind::ConnectionRefused)
    }

    /// What the app's name resolves to.
    fn resolve(&mut self) -> Result<Vec<SocketAddr>, String> {
        Ok(vec![([127, 0, 0, 1], 4_567).into()])
    }
}

/// The other end of a connection.
#[derive(Default)]
pub struct End {
    /// What the server wrote and nobody has looked at yet.
    pub taken: Vec<u8>,
    /// How many bytes it takes before it would block; `None` for all.
    pub room: Option<usize>,
    /// The server has closed it.
    pub closed: bool,
    /// What it sent and the server has not read yet.
    sent: VecDeque<u8>,
    /// It sends no more.
    finished: bool,
    finish_told: bool,
    /// The loop was told that there is something, and has not used that up.
    readable: bool,
    /// It is in the queue of those to be read.
    queued: bool,
    /// A write found it full, and it has no room since.
    blocked: bool,
}

impl End {
    /// Takes as many of `bytes` as it has room for.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room.unwrap_or(usize::MAX));
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if let Some(room) = &mut self.room {
            *room -= count;
        }
        self.taken.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

/// The pipes, by connection, and what is around them.
pub struct Pipes<A> {
    pub around: A,
    /// Those that the server closed too, until `Kit::forget`.
    ends: HashMap<u64, End>,
    /// The open ones, in the order in which they came.
    open: Vec<ConnKey>,
    /// Those that may have something to be read, each once.
    ready: VecDeque<ConnKey>,
    /// Those that took their share of a turn, and have more to be written.
    unfinished: Vec<ConnKey>,
}

/// A pipe as a writer.
pub struct Pipe<'a, A> {
    end: &'a mut End,
    around: &'a mut A,
}

impl<A: Around> Write for Pipe<'_, A> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.around.write(self.end, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<A> Pipes<A> {
    fn open(&mut self, key: ConnKey) {
        self.ends.insert(key.to_u64(), End::default());
        self.open.push(key);
    }

    fn enqueue(&mut self, key: ConnKey) {
        if let Some(end) = self.ends.get_mut(&key.to_u64())
            && !std::mem::replace(&mut end.queued, true)
        {
            self.ready.push_back(key);
        }
    }

    /// Something new came: an edge.
    fn tell(&mut self, key: ConnKey) {
        if let Some(end) = self.ends.get_mut(&key.to_u64()) {
            end.readable = true;
        }
        self.enqueue(key);
    }
}

impl<A: Around> Sockets for Pipes<A> {
    type Writer<'a>
        = Pipe<'a, A>
    where
        A: 'a;

    fn writer(&mut self, _: &Server, key: ConnKey) -> Option<Pipe<'_, A>> {
        let end = self.ends.get_mut(&key.to_u64())?;
        let around = &mut self.around;
        (!end.blocked && !end.closed).then_some(Pipe { end, around })
    }

    fn wrote(&mut self, _: &Server, key: ConnKey, done: Transmit) {
        match done {
            Transmit::Idle => {}
            Transmit::More => self.unfinished.push(key),
            Transmit::Blocked => {
                if let Some(end) = self.ends.get_mut(&key.to_u64()) {
                    end.blocked = true;
                }
            }
            Transmit::Failed => self.close(key),
        }
    }

    fn close(&mut self, key: ConnKey) {
        self.open.retain(|other| *other != key);
        if let Some(end) = self.ends.get_mut(&key.to_u64()) {
            end.closed = true;
            end.sent.clear();
        }
    }

    fn resume(&mut self, key: ConnKey) {
        let end = self.ends.get(&key.to_u64());
        if end.is_some_and(|end| end.readable) {
            self.enqueue(key);
        }
    }

    fn connect(&mut self, key: ConnKey, _: SocketAddr) -> Option<Result<(), io::ErrorKind>> {
        let result = self.around.connect(key);
        if result.is_ok() {
            self.open(key);
        }
        Some(result)
    }

    fn resolve(&mut self) -> Option<Result<Vec<SocketAddr>, String>> {
        Some(self.around.resolve())
    }
}

/// A server, its event loop, and all that is connected to it.
pub struct Kit<A> {
    pub server: Server,
    pub now: Time,
    pub pipes: Pipes<A>,
}

impl<A: Around> Kit<A> {
    /// A loop for `server`, which was made at `now`.
    pub fn of(server: Server, now: Time, around: A) -> Kit<A> {
        let pipes = Pipes {
            around,
            ends: HashMap::new(),
            open: Vec::new(),
            ready: VecDeque::new(),
            unfinished: Vec::new(),
        };
        Kit { server, now, pipes }
    }

    // ---- what peers do: no turn follows by itself ---------------------------

    /// A connection comes in; `None` if it is refused.
    pub fn accept(&mut self, peer: Peer) -> Option<ConnKey> {
        let key = self.server.handle_accept(self.now, peer)?;
        self.pipes.open(key);
        Some(key)
    }

    /// The peer sends `bytes`.
    pub fn put(&mut self, key: ConnKey, bytes: &[u8]) {
        self.end(key).sent.extend(bytes);
        if !bytes.is_empty() {
            self.pipes.tell(key);
        }
    }

    /// The peer sends no more.
    pub fn finish(&mut self, key: ConnKey) {
        self.end(key).finished = true;
        self.pipes.tell(key);
    }

    /// The peer is gone, and nothing of it is kept.
    pub fn lose(&mut self, key: ConnKey) {
        self.forget(key);
        self.server.handle_closed(self.now, key);
    }

    /// The peer takes `room` more bytes; `None` for all.
    pub fn give_room(&mut self, key: ConnKey, room: Option<usize>) {
        let end = self.end(key);
        (end.room, end.blocked) = (room, false);
        self.server.handle_writable(key);
    }

    /// Each pipe that was full takes something again.
    pub fn unblock(&mut self) {
        for &key in &self.pipes.open {
            let end = self.pipes.ends.get_mut(&key.to_u64()).expect("it is open");
            if std::mem::take(&mut end.blocked) {
                self.server.handle_writable(key);
            }
        }
    }

    // ---- to look at it ------------------------------------------------------

    /// The other end of a connection, also of one that the server has closed.
    pub fn end(&mut self, key: ConnKey) -> &mut End {
        let end = self.pipes.ends.get_mut(&key.to_u64());
        end.expect("a connection")
    }

    /// Each end that is kept, in no order.
    pub fn ends(&self) -> impl Iterator<Item = &End> {
        self.pipes.ends.values()
    }

    /// Whether the connection is there, and the server has not closed it.
    pub fn is_open(&self, key: ConnKey) -> bool {
        let end = self.pipes.ends.get(&key.to_u64());
        end.is_some_and(|end| !end.closed)
    }

    /// The open connections, in the order in which they came.
    pub fn open_keys(&self) -> &[ConnKey] {
        &self.pipes.open
    }

    /// So many bytes the server has yet to read.
    pub fn unread(&self) -> usize {
        self.ends().map(|end| end.sent.len()).sum()
    }

    /// Nothing of the connection is kept.
    pub fn forget(&mut self, key: ConnKey) {
        self.pipes.open.retain(|other| *other != key);
        self.pipes.ends.remove(&key.to_u64());
    }

    /// Nothing of any connection is kept: the process is gone.
    pub fn forget_all(&mut self) {
        self.pipes.open.clear();
        self.pipes.ends.clear();
        self.pipes.ready.clear();
        self.pipes.unfinished.clear();
    }

    // ---- the loop -----------------------------------------------------------

    /// One turn at the present time, in the order of the true one; whether anything
    /// was done.
    pub fn turn(&mut self) -> bool {
        for key in std::mem::take(&mut self.pipes.unfinished) {
            self.server.handle_writable(key);
        }
        let mut done = self.read();
        turn::run_timers(&mut self.server, self.now);
        done += turn::act(&mut self.server, self.now, &mut self.pipes);
        done += turn::flush(&mut self.server, self.now, &mut self.pipes, STEPS_MAX).0;
        done += turn::act(&mut self.server, self.now, &mut self.pipes);
        done > 0
    }

    /// Turns until there is nothing left to do. Where the server holds somebody back
    /// until the next turn, that comes a millisecond later.
    pub fn settle(&mut self) {
        let mut idle = 0;
        for _ in 0..TURNS_MAX {
            if self.turn() {
                idle = 0;
                continue;
            }
            idle += 1;
            // Held back is told by the time that the server was told last, so that it
            // takes a turn more to be over.
            if self.pipes.ready.is_empty() || idle > 2 {
                return;
            }
            self.now = self.now.plus(u64::from(idle == 1));
        }
        panic!("it never comes to rest");
    }

    /// Lets time pass in steps of 10 ms, with all that happens meanwhile.
    pub fn pass(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(10) {
            self.now = self.now.plus(10);
            self.settle();
        }
    }

    /// Goes on to when something is due, by `least_ms` at least.
    pub fn leap(&mut self, least_ms: u64) {
        let due_ms = self.server.poll_timeout().unwrap_or(self.now.ms);
        let ms = due_ms.saturating_sub(self.now.ms).max(least_ms);
        self.now = self.now.plus(ms);
    }

    /// Gives each ready pipe one go; how many reads that was. Those that are held back
    /// come again next turn.
    pub fn read(&mut self) -> usize {
        let mut reads = 0;
        for _ in 0..self.pipes.ready.len() {
            let Some(key) = self.pipes.ready.pop_front() else {
                break;
            };
            let Some(end) = self.pipes.ends.get_mut(&key.to_u64()) else {
                continue;
            };
            if !end.closed && self.server.is_held_back(key) {
                self.pipes.ready.push_back(key);
                continue;
            }
            end.queued = false;
            reads += self.read_pipe(key);
        }
        reads
    }

    fn read_pipe(&mut self, key: ConnKey) -> usize {
        let (mut reads, mut budget) = (0, SHARE_BYTES);
        while let Some(end) = self.pipes.ends.get_mut(&key.to_u64()) {
            if end.closed || !end.readable || end.finish_told || !self.server.wants_read(key) {
                break;
            }
            if budget == 0 {
                self.pipes.enqueue(key);
                break;
            }
            if end.sent.is_empty() {
                end.readable = false;
                if end.finished {
                    end.finish_told = true;
                    reads += 1;
                    self.server.handle_finished(self.now, key);
                }
                continue;
            }
            let room = budget.min(READ_BYTES);
            let count = end.sent.len().min(room);
            let mut bytes: Vec<u8> = end.sent.drain(..count).collect();
            // A short read has taken all there was; but an end that is known by now is
            // not told again.
            end.readable = count == room || end.finished;
            budget -= count;
            reads += 1;
            self.server.handle_received(self.now, key, &mut bytes);
        }
        reads
    }
}
