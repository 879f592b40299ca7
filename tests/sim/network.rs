//! A network made of byte queues, and what may go wrong in one.
//!
//! Both ends of every connection are here. A peer's end is used by the actors;
//! the server's end by `turn`, in the way in which the event loop uses sockets.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice, Write};

use chloe::server::{ConnKey, Peer};

use super::dice::Dice;

/// Names a connection for as long as the run lasts.
pub type SocketId = usize;

/// What the event loop knows of a socket's readiness, edge-triggered: it is told once
/// of what comes, and remembers that until it has read as far as there was.
#[derive(Debug, Default)]
pub struct Reading {
    /// Something came of which the loop is still to be told.
    pub edge: bool,
    /// There may be bytes, an end or an error that were not taken.
    pub readable: bool,
    /// It was told that an end or an error stands behind the bytes.
    pub ending: bool,
    /// It stands in the list of those to be read.
    pub queued: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The peer has asked for it; the server has not accepted it yet.
    Waiting,
    /// The server has asked for it; the app has not decided yet.
    Connecting,
    Open,
    /// The server's end is gone.
    Closed,
}

/// A connection.
pub struct Socket {
    pub stage: Stage,
    pub peer: Peer,
    pub key: Option<ConnKey>,
    /// On the way to the server.
    pub inbound: VecDeque<u8>,
    /// How many bytes the server has been handed, in all and before it began to
    /// stop, and how many it has written.
    pub delivered: u64,
    pub before_stop: u64,
    pub written: u64,
    /// When, in the order of all writes, the bytes on their way were begun.
    pub begun: u64,
    /// On the way to the peer; at most `room` bytes.
    pub outbound: VecDeque<u8>,
    pub room: usize,
    /// The most that one write takes.
    pub bite: usize,
    /// The server has met a full pipe and is owed a word.
    pub blocked: bool,
    /// The server has had its share of a turn, and has more.
    pub more: bool,
    /// The peer sends no more; the server was told so.
    pub finished: bool,
    pub finish_told: bool,
    /// What the loop was told of its readiness.
    pub reading: Reading,
    /// The peer is gone without a word.
    pub reset: bool,
    /// For how many turns the loop has known that.
    pub broken_turns: usize,
    /// The server has sent its FIN.
    pub shut: bool,
    /// When it lived through leaps of the clock: its peer seems to be late then.
    pub leaps_ms: Vec<u64>,
    /// When the server ended it.
    pub ended_ms: Option<u64>,
    /// What is accepted when the server has so many bytes: publications by number.
    pub marks: VecDeque<(u64, usize)>,
    /// The process that it is, or was, connected to.
    pub process: usize,
    /// Nothing comes from there any more, and nobody said so.
    void: Option<Void>,
    sent: u64,
}

/// A connection whose peer, or the way to it, vanished without FIN or RST.
struct Void {
    /// For how long, in steps of a few seconds at most, as a server counts that
    /// is not asleep meanwhile.
    age_ms: u64,
    /// By then the server has to have let it go.
    limit_ms: u64,
}

/// What nobody acknowledges for so long, the kernel gives up.
const KERNEL_MS: u64 = 900_000;

/// By then the server, or the kernel, has let any connection go.
pub const GONE_MS: u64 = KERNEL_MS + 300_000;

/// All connections of a run.
#[derive(Default)]
pub struct Network {
    pub sockets: Vec<Socket>,
    /// Those whose server's end is not gone.
    pub live: Vec<SocketId>,
    keys: HashMap<u64, SocketId>,
    /// How many writes there were.
    pub writes: u64,
    /// Narrow pipes and small bites are over: everything flows.
    pub calm: bool,
    /// Connections that ended without a word.
    pub vanished: u64,
    /// The number of the process that listens.
    pub process: usize,
    /// How much time has passed.
    pub now_ms: u64,
}

impl Network {
    fn add(&mut self, dice: &mut Dice, stage: Stage, peer: Peer) -> SocketId {
        let narrow = !self.calm && dice.chance(40);
        self.sockets.push(Socket {
            stage,
            peer,
            key: None,
            inbound: VecDeque::new(),
            delivered: 0,
            before_stop: u64::MAX,
            written: 0,
            begun: 0,
            outbound: VecDeque::new(),
            room: if narrow { dice.range(1, 300) } else { 65_536 },
            bite: if narrow { dice.range(1, 100) } else { 65_536 },
            blocked: false,
            more: false,
            finished: false,
            finish_told: false,
            reading: Reading::default(),
            reset: false,
            broken_turns: 0,
            shut: false,
            leaps_ms: Vec::new(),
            ended_ms: None,
            marks: VecDeque::new(),
            process: self.process,
            void: None,
            sent: 0,
        });
        let id = self.sockets.len() - 1;
        self.live.push(id);
        id
    }

    /// The server knows connection `id` by `key`.
    pub fn name(&mut self, id: SocketId, key: ConnKey) {
        self.sockets[id].key = Some(key);
        self.keys.insert(key.to_u64(), id);
    }

    /// The connection that the server calls `key`, if it has not been closed.
    pub fn find(&self, key: ConnKey) -> Option<SocketId> {
        self.keys.get(&key.to_u64()).copied()
    }

    /// The server's end goes.
    pub fn close(&mut self, id: SocketId) {
        self.sockets[id].stage = Stage::Closed;
        self.end(id);
        self.live.retain(|live| *live != id);
        if let Some(key) = self.sockets[id].key {
            self.keys.remove(&key.to_u64());
        }
    }

    /// The server has ended the connection, whenever its peer comes to see that.
    pub fn end(&mut self, id: SocketId) {
        self.sockets[id].ended_ms.get_or_insert(self.now_ms);
    }

    /// Whether the server ended the connection, or could by now, at most `ms` behind a leap.
    pub fn ended_behind_leap(&self, id: SocketId, ms: u64) -> bool {
        let socket = &self.sockets[id];
        let ended_ms = socket.ended_ms.unwrap_or(self.now_ms);
        // A leap that came after the end has no part in it.
        let leaps = socket.leaps_ms.iter();
        let mut before = leaps.filter(|at_ms| **at_ms <= ended_ms);
        before.any(|at_ms| ended_ms - at_ms <= ms)
    }

    /// A peer on this machine connects.
    pub fn open(&mut self, dice: &mut Dice) -> SocketId {
        let address = "127.0.0.1:50000".parse().expect("an address");
        self.open_from(dice, Peer::Tcp(address))
    }

    /// A peer of any address connects.
    pub fn open_from(&mut self, dice: &mut Dice, peer: Peer) -> SocketId {
        self.add(dice, Stage::Waiting, peer)
    }

    /// The server connects to the app.
    pub fn dial(&mut self, dice: &mut Dice, key: ConnKey) -> SocketId {
        let id = self.add(dice, Stage::Connecting, Peer::Unix);
        self.name(id, key);
        id
    }

    /// The peer sends.
    pub fn send(&mut self, id: SocketId, bytes: &[u8]) {
        let socket = &mut self.sockets[id];
        assert!(!socket.finished, "nothing is sent behind a FIN");
        if socket.void.is_none() {
            socket.inbound.extend(bytes);
            socket.reading.edge |= !bytes.is_empty();
        }
        socket.sent += bytes.len() as u64;
    }

    /// The peer's next byte would be this one.
    pub fn sent(&self, id: SocketId) -> u64 {
        self.sockets[id].sent
    }

    /// When the server has all that was sent so far, publication `number` is accepted.
    pub fn mark(&mut self, id: SocketId, number: usize) {
        let socket = &mut self.sockets[id];
        socket.marks.push_back((socket.sent, number));
    }

    /// The peer reads some of what has come.
    pub fn read(&mut self, dice: &mut Dice, id: SocketId) -> Vec<u8> {
        let socket = &mut self.sockets[id];
        if socket.void.is_some() {
            return Vec::new();
        }
        let there = socket.outbound.len();
        let count = if self.calm || dice.chance(50) {
            there
        } else {
            dice.below(there + 1)
        };
        take(&mut socket.outbound, count)
    }

    /// The peer has nothing more to hope for.
    pub fn is_over(&self, id: SocketId) -> bool {
        let socket = &self.sockets[id];
        // Who hears nothing hears of no end.
        if socket.void.is_some() {
            return false;
        }
        socket.reset
            || (socket.outbound.is_empty() && (socket.stage == Stage::Closed || socket.shut))
    }

    /// The peer may send.
    pub fn is_open(&self, id: SocketId) -> bool {
        let socket = &self.sockets[id];
        !socket.reset && !socket.finished && !socket.shut && socket.stage != Stage::Closed
    }

    /// The server has this connection, and it leads to its peer.
    pub fn is_attached(&self, id: SocketId) -> bool {
        let socket = &self.sockets[id];
        let open = socket.stage == Stage::Open && !socket.finished;
        open && !socket.reset && socket.void.is_none()
    }

    pub fn finish(&mut self, id: SocketId) {
        let socket = &mut self.sockets[id];
        if socket.void.is_none() && !socket.finished {
            socket.finished = true;
            socket.reading.edge = true;
        }
    }

    pub fn reset(&mut self, id: SocketId) {
        let socket = &mut self.sockets[id];
        if socket.void.is_none() {
            socket.reset = true;
            socket.reading.edge = true;
            socket.inbound.clear();
        }
    }

    /// The peer ends, in the middle of whatever it was sending.
    pub fn cut(&mut self, dice: &mut Dice, id: SocketId) {
        self.lose_some(dice, id);
        self.finish(id);
    }

    /// The peer, or the way to it, is gone without a word. The server has to
    /// find that out within `limit_ms`.
    pub fn vanish(&mut self, dice: &mut Dice, id: SocketId, limit_ms: u64) {
        let socket = &mut self.sockets[id];
        let told = socket.reset || socket.finished || socket.stage == Stage::Closed;
        if told || socket.void.is_some() {
            return;
        }
        socket.void = Some(Void {
            age_ms: 0,
            limit_ms,
        });
        self.vanished += 1;
        self.lose_some(dice, id);
    }

    /// The peer ends in one way or another.
    pub fn hang_up(&mut self, dice: &mut Dice, id: SocketId, limit_ms: u64) {
        if !self.is_open(id) {
            return;
        }
        match dice.below(10) {
            0..5 => self.reset(id),
            5..7 => self.finish(id),
            7 => self.cut(dice, id),
            _ => self.vanish(dice, id, limit_ms),
        }
    }

    /// The end of what is on its way to the server does not arrive.
    fn lose_some(&mut self, dice: &mut Dice, id: SocketId) {
        let socket = &mut self.sockets[id];
        if dice.chance(70) {
            let arrives = dice.below(socket.inbound.len() + 1);
            socket.inbound.truncate(arrives);
        }
    }

    /// Time passes for connections that lead nowhere.
    pub fn age(&mut self, ms: u64) {
        self.now_ms += ms;
        for &id in &self.live {
            let socket = &mut self.sockets[id];
            let Some(void) = &mut socket.void else {
                continue;
            };
            let waits = socket.stage != Stage::Open || !socket.inbound.is_empty();
            if !waits {
                void.age_ms += ms.min(5_000);
            }
            if void.age_ms >= KERNEL_MS && !socket.outbound.is_empty() && !socket.reset {
                socket.reset = true;
                socket.reading.edge = true;
            }
            let (age_ms, limit_ms) = (void.age_ms, void.limit_ms);
            assert!(
                age_ms <= limit_ms,
                "{id} vanished, and {age_ms} ms later the server has not noticed"
            );
        }
    }

    /// The server begins to stop.
    pub fn note_stop(&mut self) {
        for &id in &self.live {
            let socket = &mut self.sockets[id];
            socket.before_stop = socket.delivered;
        }
    }

    /// The server's process ends, and its sockets with it. What it has written
    /// may arrive or not. Who waits to be accepted is `kept` for the next one, or refused.
    pub fn die(&mut self, dice: &mut Dice, kept: bool) {
        for id in self.live.clone() {
            let socket = &mut self.sockets[id];
            if kept && socket.stage == Stage::Waiting {
                continue;
            }
            match dice.below(3) {
                0 => {}
                1 => socket
                    .outbound
                    .truncate(dice.below(socket.outbound.len() + 1)),
                _ => socket.reset |= socket.void.is_none(),
            }
            self.close(id);
        }
        self.process += 1;
    }

    /// Whether there are connections that lead nowhere.
    pub fn has_voids(&self) -> bool {
        let void = |id: &SocketId| self.sockets[*id].void.is_some();
        self.live.iter().any(void)
    }

    pub fn calm_down(&mut self) {
        self.calm = true;
        for socket in &mut self.sockets {
            socket.room = socket.room.max(65_536);
            socket.bite = 65_536;
        }
    }
}

impl Network {
    /// The connections that are there, for whom they surprise.
    pub fn describe(&self) -> String {
        let lines = self.live.iter().map(|&id| {
            let socket = &self.sockets[id];
            let (inbound, outbound) = (socket.inbound.len(), socket.outbound.len());
            format!(
                "{id}: {:?}, {inbound} bytes in, {outbound} out of {}, finished {}, reset {}, void {}, {:?}",
                socket.stage,
                socket.room,
                socket.finished,
                socket.reset,
                socket.void.is_some(),
                socket.reading
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Connections that the server has to know of.
    pub fn open_count(&self) -> usize {
        let known = |id: &&SocketId| self.sockets[**id].stage != Stage::Waiting;
        self.live.iter().filter(known).count()
    }
}

/// The first `count` bytes of a pipe.
pub fn take(pipe: &mut VecDeque<u8>, count: usize) -> Vec<u8> {
    let rest = pipe.split_off(count);
    std::mem::replace(pipe, rest).into()
}

/// The server's end, for one flush.
pub struct Writer<'a> {
    pub socket: &'a mut Socket,
    pub dice: &'a mut Dice,
    pub calm: bool,
    pub writes: &'a mut u64,
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let socket = &mut *self.socket;
        if socket.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if !self.calm && self.dice.chance(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let room = socket.room.saturating_sub(socket.outbound.len());
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = bytes.len().min(room).min(socket.bite);
        *self.writes += 1;
        if socket.outbound.is_empty() {
            socket.begun = *self.writes;
        }
        socket.outbound.extend(&bytes[..count]);
        socket.written += count as u64;
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [one] => self.write(one),
            several => self.write(
                &several
                    .iter()
                    .map(|slice| &**slice)
                    .collect::<Vec<_>>()
                    .concat(),
            ),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
