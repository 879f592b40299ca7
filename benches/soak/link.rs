//! Connections that block: HTTP and WebSocket, for one thread each.
//!
//! They speak by Chloe's own codecs, which the tests prove; here they only
//! carry. Every wait has a limit. Used by the visitors, the publisher and the app.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use chloe::wire::http::HttpLimits;
use chloe::wire::http::client::{DecodedResponse, ResponseDecoder, encode_request};
use chloe::wire::websocket::handshake::{decode_server_response, encode_client_request};
use chloe::wire::websocket::{
    Event, MessageDecoder, Opcode, Role, WebSocketLimits, encode_masked_frame,
};
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};

/// The longest that an answer may take, above what it is held for.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// What a slow visitor's kernel keeps for it, in bytes: little.
const NARROW_BYTES: usize = 16_384;
/// The longest message of a WebSocket.
const MESSAGE_BYTES: usize = 1 << 20;
const NONCE: [u8; 16] = *b"not a secret: no";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What ended a connection, or what was wrong, in a sentence.
pub type Outcome<T> = Result<T, String>;

fn connect(server: SocketAddr, narrow: bool) -> Outcome<TcpStream> {
    let connect = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        if narrow {
            socket.set_recv_buffer_size(NARROW_BYTES)?;
        }
        socket.set_tcp_nodelay(true)?;
        socket.connect_timeout(&server.into(), PATIENCE)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(TcpStream::from(socket))
    };
    connect().map_err(|error: std::io::Error| format!("no connection: {error}"))
}

/// The bytes that came and were not used yet.
struct Input {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Input {
    /// Reads more. False if nothing came until `deadline`.
    fn fill(&mut self, deadline: Instant) -> Outcome<bool> {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        let mut piece = [0; 4_096];
        let read = self
            .stream
            .set_read_timeout(Some(left))
            .and_then(|()| self.stream.read(&mut piece));
        match read {
            Ok(0) => Err("the server closed the connection".to_owned()),
            Ok(count) => {
                self.bytes.extend_from_slice(&piece[..count]);
                Ok(true)
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(false),
                _ => Err(format!("cannot read: {error}")),
            },
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        let written = self.stream.write_all(bytes);
        written.map_err(|error| format!("cannot write: {error}"))
    }

    /// What was used is forgotten; a buffer that was large once is not kept.
    fn use_up(&mut self, used: usize) {
        self.bytes.drain(..used);
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }
}

/// A kept connection for requests.
pub struct Http {
    input: Input,
    host: String,
}

impl Http {
    pub fn connect(server: SocketAddr) -> Outcome<Http> {
        let input = Input {
            stream: connect(server, false)?,
            bytes: Vec::new(),
        };
        let host = server.to_string();
        Ok(Http { input, host })
    }

    /// Sends a request, and does not wait for its answer.
    pub fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Outcome<()> {
        let mut request = Vec::new();
        encode_request(
            &mut request,
            method,
            target,
            &self.host,
            headers,
            body.as_bytes(),
        );
        self.input.write(&request)
    }

    /// The answer to the request before: its status and its body.
    pub fn answer(&mut self, patience: Duration) -> Outcome<(u16, String)> {
        let deadline = Instant::now() + patience;
        let mut decoder = ResponseDecoder::new(false);
        loop {
            let decoded = decoder.decode(&self.input.bytes, &HttpLimits::default());
            match decoded.map_err(|error| error.to_string())? {
                DecodedResponse::NeedMore => {}
                DecodedResponse::Response { response, consumed } => {
                    let body = String::from_utf8_lossy(&response.body).into_owned();
                    let answer = (response.status, body);
                    self.input.use_up(consumed);
                    return Ok(answer);
                }
            }
            if !self.input.fill(deadline)? && Instant::now() >= deadline {
                return Err("no answer in time".to_owned());
            }
        }
    }
}

/// A WebSocket.
pub struct Stream {
    input: Input,
    decoder: MessageDecoder,
}

impl Stream {
    /// Connects, and gets the handshake done. A `narrow` one has little room for
    /// what it does not read.
    pub fn connect(server: SocketAddr, narrow: bool) -> Outcome<Stream> {
        let input = Input {
            stream: connect(server, narrow)?,
            bytes: Vec::new(),
        };
        let decoder = MessageDecoder::new(Role::Client);
        let mut stream = Stream { input, decoder };
        let mut request = Vec::new();
        encode_client_request(&mut request, &server.to_string(), "/chloe/websocket", NONCE);
        stream.input.write(&request)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = decode_server_response(&stream.input.bytes, NONCE);
            if let Some(used) = answer.map_err(|error| error.to_string())? {
                stream.input.use_up(used);
                return Ok(stream);
            }
            if !stream.input.fill(deadline)? && Instant::now() >= deadline {
                return Err("no handshake in time".to_owned());
            }
        }
    }

    pub fn send(&mut self, message: &Value) -> Outcome<()> {
        self.write(Opcode::Text, message.to_string().as_bytes())
    }

    fn write(&mut self, opcode: Opcode, payload: &[u8]) -> Outcome<()> {
        let mut frame = Vec::new();
        encode_masked_frame(&mut frame, opcode, payload, MASK);
        self.input.write(&frame)
    }

    /// The next message; `None` if none comes until `deadline`.
    pub fn receive(&mut self, deadline: Instant) -> Outcome<Option<Value>> {
        let limits = WebSocketLimits {
            message_bytes: MESSAGE_BYTES,
            ..WebSocketLimits::default()
        };
        loop {
            let decoded = self.decoder.decode(&mut self.input.bytes, &limits);
            let (used, event) = decoded.map_err(|error| error.to_string())?;
            let mut pong = None;
            let mut message = None;
            match event {
                Some(Event::Text(text)) => {
                    let parsed = serde_json::from_str(&text);
                    message = Some(parsed.map_err(|error| format!("no JSON: {error}: {text}"))?);
                }
                Some(Event::Ping(payload)) => pong = Some(payload.to_vec()),
                Some(Event::Close { code, reason }) => {
                    return Err(format!("the server closes: {code:?} {reason}"));
                }
                Some(other) => return Err(format!("not expected: {other:?}")),
                None => {}
            }
            self.input.use_up(used);
            if let Some(payload) = pong {
                self.write(Opcode::Pong, &payload)?;
            }
            if message.is_some() {
                return Ok(message);
            }
            if used == 0 && !self.input.fill(deadline)? && Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }
}
