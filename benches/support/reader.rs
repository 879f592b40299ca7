//! A WebSocket that reads: connects, subscribes, and hands out what comes.
//!
//! It finds frames and answers pings, and understands nothing else; what does
//! not fit one read is kept until the rest comes. Used by `load`.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr};

use chloe::wire::websocket::handshake::{decode_server_response, encode_client_request};
use chloe::wire::websocket::{Opcode, encode_masked_frame};
use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections from one source address; the system has some 28,000 ports for each.
const CONNECTIONS_PER_SOURCE: usize = 25_000;
const NONCE: [u8; 16] = *b"not a secret: no";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// How far a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Connecting,
    Upgrading,
    Subscribing,
    Open,
}

/// One WebSocket.
pub struct Reader {
    pub stream: TcpStream,
    pub stage: Stage,
    /// The beginning of a frame whose rest is still to come.
    partial: Vec<u8>,
}

impl Reader {
    /// Begins to connect reader `number` to `server`.
    ///
    /// # Errors
    /// There is no socket, or no port, to be had.
    pub fn connect(number: usize, server: SocketAddr) -> Result<Reader> {
        Ok(Reader {
            stream: connect(number / CONNECTIONS_PER_SOURCE, server)?,
            stage: Stage::Connecting,
            partial: Vec::new(),
        })
    }

    /// The socket may be connected: if it is, asks for the WebSocket.
    ///
    /// # Errors
    /// It could not be connected.
    pub fn finish_connect(&mut self, server: SocketAddr) -> Result<()> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        if self.stream.peer_addr().is_err() {
            return Ok(());
        }
        let mut request = Vec::new();
        let authority = server.to_string();
        encode_client_request(&mut request, &authority, "/chloe/websocket", NONCE);
        self.stage = Stage::Upgrading;
        write_whole(&mut self.stream, &request)
    }

    /// Reads what there is, into `scratch`, and hands each text message to
    /// `take`. Returns the number of reads that brought something.
    ///
    /// # Errors
    /// The connection broke, or what came is no WebSocket's.
    pub fn read(
        &mut self,
        scratch: &mut [u8],
        channel: &str,
        mut take: impl FnMut(&[u8]),
    ) -> Result<u64> {
        let mut reads = 0;
        loop {
            let kept = self.partial.len();
            scratch[..kept].copy_from_slice(&self.partial);
            self.partial.clear();
            let read = self.stream.read(&mut scratch[kept..]);
            let count = match read {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) => {
                    self.partial.extend_from_slice(&scratch[..kept]);
                    return match error.kind() {
                        ErrorKind::WouldBlock => Ok(reads),
                        ErrorKind::Interrupted => continue,
                        _ => Err(error),
                    };
                }
            };
            reads += 1;
            let whole = kept + count;
            let used = self.take_bytes(&scratch[..whole], channel, &mut take)?;
            self.partial.extend_from_slice(&scratch[used..whole]);
            // A short read took all there was; what comes later is a new event.
            if whole < scratch.len() {
                return Ok(reads);
            }
        }
    }

    /// Takes all that is whole; how many bytes that was.
    fn take_bytes(
        &mut self,
        bytes: &[u8],
        channel: &str,
        take: &mut impl FnMut(&[u8]),
    ) -> Result<usize> {
        let mut used = 0;
        if self.stage == Stage::Upgrading {
            let answer = decode_server_response(bytes, NONCE).map_err(Error::other)?;
            let Some(width) = answer else {
                return Ok(0);
            };
            used = width;
            self.subscribe(channel)?;
        }
        while let Some((opcode, payload, width)) = frame(&bytes[used..]) {
            match opcode {
                1 if self.stage == Stage::Open => take(payload),
                1 => self.subscribed(payload)?,
                8 => return Err(Error::other("the server closes a WebSocket")),
                9 => self.write(Opcode::Pong, payload)?,
                _ => return Err(Error::other("a frame that was not expected")),
            }
            used += width;
        }
        Ok(used)
    }

    fn subscribe(&mut self, channel: &str) -> Result<()> {
        let message = format!(
            "{{\"type\":\"channel-subscribe\",\"channel\":\"{channel}\",\"version\":1,\"id\":1}}"
        );
        self.stage = Stage::Subscribing;
        self.write(Opcode::Text, message.as_bytes())
    }

    fn subscribed(&mut self, answer: &[u8]) -> Result<()> {
        if !answer.starts_with(b"{\"type\":\"subscribed\"") {
            let answer = String::from_utf8_lossy(answer);
            return Err(Error::other(format!("not subscribed: {answer}")));
        }
        self.stage = Stage::Open;
        Ok(())
    }

    fn write(&mut self, opcode: Opcode, payload: &[u8]) -> Result<()> {
        let mut bytes = Vec::new();
        encode_masked_frame(&mut bytes, opcode, payload, MASK);
        write_whole(&mut self.stream, &bytes)
    }
}

/// Begins to connect a socket that does not block. The first sources leave the
/// address to the system, the others are addresses of loopback of their own.
pub fn connect(source: usize, server: SocketAddr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if source > 0 {
        let last = u8::try_from(source + 1).map_err(Error::other)?;
        let address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
        socket.bind(&address.into())?;
    }
    match socket.connect(&server.into()) {
        Err(error)
            if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
        {
            Err(error)
        }
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// Writes few bytes to a socket that has room for them.
fn write_whole(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    match stream.write(bytes) {
        Ok(count) if count == bytes.len() => Ok(()),
        Ok(_) => Err(Error::other("a socket has no room for a few bytes")),
        Err(error) => Err(error),
    }
}

/// The frame at the start of `bytes`: opcode, payload, width. A server's are
/// not masked (RFC 6455, 5.1), and Chloe's not fragmented.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (opcode, short) = (bytes.first()? & 0x0f, *bytes.get(1)?);
    let (start, length): (usize, usize) = match short {
        126 => {
            let length = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
            (4, usize::from(length))
        }
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (10, usize::try_from(length).ok()?)
        }
        short => (2, usize::from(short)),
    };
    let width = start.checked_add(length)?;
    Some((opcode, bytes.get(start..width)?, width))
}
