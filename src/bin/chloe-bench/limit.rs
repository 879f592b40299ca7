//! The bare server that is the limit of the machine: `chloe-bench limit-server`.
//!
//! It does what nobody can do without, and nothing else: it takes WebSockets and
//! POSTs, and writes each body, as one frame, to every WebSocket. No channels, no
//! sessions, no pings, no history. Its readers and publishers are those of any peer.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chloe::wire::http::{Decoded, HttpLimits, RequestDecoder};
use chloe::wire::websocket::handshake::accept;
use chloe::wire::websocket::{Opcode, encode_frame};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

/// How often it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Once for each publication and WebSocket.
    OneWrite,
    /// Once a turn for each WebSocket: all that is pending.
    Coalesced,
    /// The same, but it looks for publications after every few writes, so that
    /// they go out with those that are on their way.
    Rolling,
}

impl Mode {
    pub fn named(name: &str) -> Option<Mode> {
        match name {
            "one-write" => Some(Mode::OneWrite),
            "coalesced" => Some(Mode::Coalesced),
            "rolling" => Some(Mode::Rolling),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Mode::OneWrite => "one-write",
            Mode::Coalesced => "coalesced",
            Mode::Rolling => "rolling",
        }
    }
}

const LISTENER: Token = Token(usize::MAX);
const BACKLOG: i32 = 4_096;
const SCRATCH_BYTES: usize = 64 * 1024;
/// Writes of `Mode::Rolling` between two looks, as Chloe's `turn_writes`; and what
/// may come in before all were written to, as its `fan_out_backlog_bytes`.
const ROLL_WRITES: usize = 64;
const ROLL_AHEAD_BYTES: u64 = 128 * 1024;
/// A reader that is behind by more is cut off.
const BEHIND_MAX: usize = 64 * 1024 * 1024;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What a WebSocket needs and no more.
struct Connection {
    tcp: TcpStream,
    /// How much of the log it was given; `None` before it is a WebSocket.
    at: Option<u64>,
    /// It takes no more for now.
    full: bool,
}

/// The whole server.
pub struct LimitServer {
    poll: Poll,
    listener: TcpListener,
    mode: Mode,
    overhead: usize,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// The WebSockets, by number.
    readers: Vec<usize>,
    /// Frames that somebody has not got, and where they begin.
    log: Vec<u8>,
    start: u64,
    /// Of `Mode::Rolling`: readers below this have not had their turn, and where
    /// the log ended when the first one had.
    place: usize,
    pass_from: u64,
    /// What came of a request that is not whole.
    partial: HashMap<usize, Vec<u8>>,
    scratch: Box<[u8]>,
    limits: HttpLimits,
}

impl LimitServer {
    /// Listens on `port` of this host; each frame gets `overhead` bytes more.
    ///
    /// # Errors
    /// The port is taken.
    pub fn bind(port: u16, mode: Mode, overhead: usize) -> Result<LimitServer> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        socket.listen(BACKLOG)?;
        let mut listener = TcpListener::from_std(socket.into());
        let poll = Poll::new()?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(LimitServer {
            poll,
            listener,
            mode,
            overhead,
            connections: Vec::new(),
            free: Vec::new(),
            readers: Vec::new(),
            log: Vec::new(),
            start: 0,
            place: 0,
            pass_from: 0,
            partial: HashMap::new(),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            limits: HttpLimits::default(),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves for ever.
    ///
    /// # Errors
    /// The system gives no events.
    pub fn run(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(1_024);
        let mut again = false;
        loop {
            let timeout = again.then_some(Duration::ZERO);
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(number) => {
                        if self.turn(number, event.is_readable()).is_err() {
                            self.close(number);
                        }
                    }
                }
            }
            match self.mode {
                Mode::Rolling => again = self.roll(),
                Mode::OneWrite | Mode::Coalesced => self.flush(),
            }
        }
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let mut tcp = match self.listener.accept() {
                Ok((tcp, _)) => tcp,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The next event tries again.
                Err(_) => return Ok(()),
            };
            let number = self.free.pop().unwrap_or(self.connections.len());
            tcp.set_nodelay(true)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut tcp, Token(number), both)?;
            let connection = Some(Connection {
                tcp,
                at: None,
                full: false,
            });
            match self.connections.get_mut(number) {
                Some(place) => *place = connection,
                None => self.connections.push(connection),
            }
        }
    }

    fn close(&mut self, number: usize) {
        if let Some(connection) = self.connections[number].take() {
            if connection.at.is_some() {
                self.readers.retain(|reader| *reader != number);
            }
            self.partial.remove(&number);
            self.free.push(number);
        }
    }

    fn turn(&mut self, number: usize, is_readable: bool) -> Result<()> {
        let Some(connection) = self.connections[number].as_mut() else {
            return Ok(());
        };
        // It may have had no room before.
        if let Some(at) = connection.at
            && at < self.start + self.log.len() as u64
        {
            give(connection, &self.log, self.start)?;
        }
        if is_readable {
            self.read(number)
        } else {
            Ok(())
        }
    }

    fn read(&mut self, number: usize) -> Result<()> {
        loop {
            let Some(connection) = self.connections[number].as_mut() else {
                return Ok(());
            };
            let count = match connection.tcp.read(&mut self.scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            // What a WebSocket says is of no interest.
            if connection.at.is_none() {
                let mut bytes = self.partial.remove(&number).unwrap_or_default();
                bytes.extend_from_slice(&self.scratch[..count]);
                let used = self.requests(number, &bytes)?;
                if used < bytes.len() {
                    bytes.drain(..used);
                    self.partial.insert(number, bytes);
                }
            }
            if count < self.scratch.len() {
                return Ok(());
            }
        }
    }

    /// Takes whole requests; how many bytes they were.
    fn requests(&mut self, number: usize, bytes: &[u8]) -> Result<usize> {
        let mut used = 0;
        let mut answers = Vec::new();
        let mut decoder = RequestDecoder::default();
        while let Decoded::Request { request, consumed } = decoder
            .decode(&bytes[used..], &self.limits)
            .map_err(Error::other)?
        {
            used += consumed;
            if let Ok(accepted) = accept(&request) {
                accepted.encode_response(&mut answers);
                self.answer(number, &answers)?;
                self.subscribe(number);
                return Ok(used);
            }
            self.push(&request.body);
            answers.extend_from_slice(ANSWER);
            if self.mode == Mode::OneWrite {
                self.answer(number, &answers)?;
                answers.clear();
                self.flush();
            }
            decoder = RequestDecoder::default();
        }
        // Before the frames go out, so that the next publication is there by then.
        self.answer(number, &answers)?;
        Ok(used)
    }

    /// A client that does not take its answers is cut off.
    fn answer(&mut self, number: usize, bytes: &[u8]) -> Result<()> {
        let Some(connection) = self.connections[number].as_mut() else {
            return Ok(());
        };
        if bytes.is_empty() || connection.tcp.write(bytes)? == bytes.len() {
            return Ok(());
        }
        Err(ErrorKind::WouldBlock.into())
    }

    fn subscribe(&mut self, number: usize) {
        let end = self.end();
        if let Some(connection) = self.connections[number].as_mut() {
            connection.at = Some(end);
            self.readers.push(number);
        }
    }

    fn end(&self) -> u64 {
        self.start + self.log.len() as u64
    }

    /// Appends the frame of a publication.
    fn push(&mut self, body: &[u8]) {
        if self.overhead == 0 {
            encode_frame(&mut self.log, Opcode::Text, true, body);
        } else {
            let mut padded = body.to_vec();
            padded.resize(body.len() + self.overhead, b'-');
            encode_frame(&mut self.log, Opcode::Text, true, &padded);
        }
    }

    /// Gives every WebSocket what it has not got, in one write each.
    fn flush(&mut self) {
        if self.log.is_empty() {
            return;
        }
        let end = self.end();
        let mut is_behind = false;
        let mut broken = Vec::new();
        for number in &self.readers {
            let Some(connection) = self.connections[*number].as_mut() else {
                continue;
            };
            if connection.at == Some(end) {
                continue;
            }
            match give(connection, &self.log, self.start) {
                Ok(()) => is_behind |= connection.at != Some(end),
                Err(_) => broken.push(*number),
            }
        }
        for number in broken {
            self.close(number);
        }
        if !is_behind {
            self.start = end;
            self.log.clear();
        } else if self.log.len() > BEHIND_MAX {
            self.cut_off(end);
        }
    }

    /// Goes on with giving every WebSocket what it has not got, a few at a time;
    /// true if there is more to give.
    fn roll(&mut self) -> bool {
        let mut writes = 0;
        while self.place > 0 || self.begin_pass() {
            self.place -= 1;
            let end = self.end();
            if let Some(number) = self.readers.get(self.place).copied()
                && let Some(connection) = self.connections[number].as_mut()
                && !connection.full
                && connection.at != Some(end)
            {
                if give(connection, &self.log, self.start).is_err() {
                    self.close(number);
                }
                writes += 1;
            }
            let pressed = self.place > 0 && end - self.pass_from > ROLL_AHEAD_BYTES;
            if writes >= ROLL_WRITES && !pressed {
                return true;
            }
        }
        false
    }

    /// Forgets what all have; false if nobody can be given anything.
    fn begin_pass(&mut self) -> bool {
        let end = self.end();
        let (mut least, mut any) = (end, false);
        for number in &self.readers {
            if let Some(connection) = &self.connections[*number]
                && let Some(at) = connection.at
            {
                least = least.min(at);
                any |= at < end && !connection.full;
            }
        }
        self.log.drain(..(least - self.start) as usize);
        self.start = least;
        if self.log.len() > BEHIND_MAX {
            self.cut_off(end);
        }
        self.pass_from = end;
        self.place = if any { self.readers.len() } else { 0 };
        any
    }

    fn cut_off(&mut self, end: u64) {
        let readers = self.readers.clone();
        for number in readers {
            let at = self.connections[number].as_ref().and_then(|of| of.at);
            if at != Some(end) {
                self.close(number);
            }
        }
    }
}

/// One write of what is pending.
fn give(connection: &mut Connection, log: &[u8], start: u64) -> Result<()> {
    let at = connection.at.unwrap_or(start);
    let rest = &log[(at - start) as usize..];
    match connection.tcp.write(rest) {
        Ok(count) => {
            connection.at = Some(at + count as u64);
            connection.full = count < rest.len();
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            connection.full = true;
            Ok(())
        }
        Err(error) => Err(error),
    }
}
