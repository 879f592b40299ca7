//! A connection that publications come over: a WebSocket, plain TCP, or an answer
//! of HTTP that does not end (SSE).
//!
//! It finds frames and stamps, answers pings, and understands nothing else; what
//! does not fit one read is kept until the rest comes. Used by `reader`.

use std::io::{Error, ErrorKind, Read, Result};

use chloe::wire::websocket::handshake::decode_server_response;
use chloe::wire::websocket::{Opcode, encode_masked_frame};
use memchr::memmem;
use mio::net::TcpStream;

use crate::frame;
use crate::http::{NONCE, encode_request, encode_upgrade};
use crate::peer::{Dialogue, Request};
use crate::socket::{self, Location, is_connected, write_whole};
use crate::stamp::{STAMP_BYTES, Scanner, Stamp};
use crate::template::Values;

/// What the bytes are wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    WebSocket,
    Sse,
    Plain,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    /// The answer to the request for a WebSocket, or for events, is to come.
    Upgrading,
    /// What the peer's file calls `ready` is to come.
    Greeting,
    Open,
}

/// What all streams of a kind have in common.
#[derive(Debug)]
pub struct Plan {
    pub wrapping: Wrapping,
    pub dialogue: Dialogue,
    pub location: Location,
    pub scanner: Scanner,
    /// Publications are to come, not answers to publications.
    pub is_read: bool,
}

impl Plan {
    fn path(&self) -> &str {
        let own = self.location.path.as_deref();
        own.unwrap_or(&self.dialogue.path)
    }
}

/// What a read came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Got {
    /// Reads that brought something.
    pub reads: u64,
    pub bytes: u64,
}

/// One connection.
#[derive(Debug)]
pub struct Stream {
    pub tcp: TcpStream,
    number: usize,
    stage: Stage,
    /// The beginning of something whose rest is still to come.
    partial: Vec<u8>,
}

impl Stream {
    /// Begins to connect client `number`.
    ///
    /// # Errors
    /// There is no socket, or no port, to be had.
    pub fn connect(plan: &Plan, number: usize) -> Result<Stream> {
        Ok(Stream {
            tcp: socket::connect(number, plan.location.address)?,
            number,
            stage: Stage::Connecting,
            partial: Vec::new(),
        })
    }

    /// Whether it is subscribed, or ready for publications.
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Reads what there is, into `scratch`, and hands each stamp to `take`. What
    /// comes without a stamp, once it is open, goes to `other`.
    ///
    /// # Errors
    /// The connection broke, or the server refused.
    pub fn read(
        &mut self,
        plan: &Plan,
        scratch: &mut [u8],
        mut take: impl FnMut(Stamp),
        mut other: impl FnMut(&[u8]),
    ) -> Result<Got> {
        let mut got = Got::default();
        if self.stage == Stage::Connecting {
            if !is_connected(&self.tcp)? {
                return Ok(got);
            }
            self.ask(plan)?;
        }
        loop {
            let kept = self.partial.len();
            let room = scratch.len();
            if kept * 2 > room {
                return Err(Error::other("a frame is larger than the buffer"));
            }
            scratch[..kept].copy_from_slice(&self.partial);
            let count = match self.tcp.read(&mut scratch[kept..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if socket::is_for_now(&error) => return Ok(got),
                Err(error) => return Err(error),
            };
            got.reads += 1;
            got.bytes += count as u64;
            let whole = kept + count;
            let used = self.take_bytes(plan, &scratch[..whole], &mut take, &mut other)?;
            self.partial.clear();
            self.partial.extend_from_slice(&scratch[used..whole]);
            // A short read took all there was; what comes later is a new event.
            if whole < room {
                return Ok(got);
            }
        }
    }

    /// The connection stands: asks for what is to come over it.
    fn ask(&mut self, plan: &Plan) -> Result<()> {
        let values = self.values();
        let mut request = Vec::new();
        let authority = &plan.location.authority;
        match plan.wrapping {
            Wrapping::WebSocket => {
                encode_upgrade(
                    &mut request,
                    &plan.dialogue,
                    authority,
                    plan.path(),
                    &values,
                );
            }
            Wrapping::Sse => {
                let get = Request {
                    method: "GET".to_owned(),
                    headers: plan.dialogue.headers.clone(),
                    ..Request::default()
                };
                encode_request(&mut request, &get, authority, Some(plan.path()), &values);
            }
            Wrapping::Plain => return self.greet(plan),
        }
        self.stage = Stage::Upgrading;
        write_whole(&mut self.tcp, &request)
    }

    fn values(&self) -> Values<'static> {
        Values {
            client: self.number,
            ..Values::default()
        }
    }

    fn greet(&mut self, plan: &Plan) -> Result<()> {
        self.stage = match plan.dialogue.ready {
            Some(_) => Stage::Greeting,
            None => Stage::Open,
        };
        let mut bytes = Vec::new();
        for text in &plan.dialogue.send {
            wrap(plan, &mut bytes, &text.filled(&self.values()));
        }
        write_whole(&mut self.tcp, &bytes)
    }

    /// Takes all that is whole; how many bytes that was.
    fn take_bytes(
        &mut self,
        plan: &Plan,
        bytes: &[u8],
        take: &mut impl FnMut(Stamp),
        other: &mut impl FnMut(&[u8]),
    ) -> Result<usize> {
        let mut used = 0;
        if self.stage == Stage::Upgrading {
            let width = match plan.wrapping {
                Wrapping::WebSocket => {
                    decode_server_response(bytes, NONCE).map_err(Error::other)?
                }
                Wrapping::Sse | Wrapping::Plain => head_width(bytes)?,
            };
            let Some(width) = width else {
                return Ok(0);
            };
            used = width;
            self.greet(plan)?;
        }
        if plan.wrapping != Wrapping::WebSocket {
            return Ok(used + self.take_plain(plan, &bytes[used..], take, other)?);
        }
        while let Some(frame) = frame::first(&bytes[used..]) {
            match frame.opcode {
                frame::CLOSE => return Err(closed(frame.payload)),
                frame::PING => {
                    let mut pong = Vec::new();
                    encode_masked_frame(&mut pong, Opcode::Pong, frame.payload, MASK);
                    write_whole(&mut self.tcp, &pong)?;
                }
                frame::PONG => {}
                _ => {
                    if plan.scanner.scan(frame.payload, &mut *take) == 0 {
                        self.listen(plan, frame.payload)?;
                        other(frame.payload);
                    }
                }
            }
            used += frame.width;
        }
        Ok(used)
    }

    /// Takes bytes without frames. The end may be the beginning of a stamp, so that
    /// much is kept, and is seen again.
    fn take_plain(
        &mut self,
        plan: &Plan,
        bytes: &[u8],
        take: &mut impl FnMut(Stamp),
        other: &mut impl FnMut(&[u8]),
    ) -> Result<usize> {
        let end = plan.scanner.scan(bytes, &mut *take);
        let rest = &bytes[end..];
        if plan.wrapping == Wrapping::Plain || self.stage == Stage::Greeting {
            self.listen(plan, rest)?;
        }
        other(rest);
        let kept = match self.stage == Stage::Greeting || plan.is_read {
            true => rest.len().min(STAMP_BYTES - 1),
            false => 0,
        };
        Ok(bytes.len() - kept)
    }

    /// Something else came than a publication.
    fn listen(&mut self, plan: &Plan, bytes: &[u8]) -> Result<()> {
        if self.stage == Stage::Greeting
            && let Some(ready) = &plan.dialogue.ready
            && memmem::find(bytes, ready).is_some()
        {
            self.stage = Stage::Open;
        }
        for answer in &plan.dialogue.answers {
            let is_meant = match plan.wrapping {
                Wrapping::WebSocket => bytes.starts_with(&answer.to),
                Wrapping::Sse | Wrapping::Plain => memmem::find(bytes, &answer.to).is_some(),
            };
            if is_meant {
                let mut out = Vec::new();
                wrap(plan, &mut out, &answer.send.filled(&self.values()));
                write_whole(&mut self.tcp, &out)?;
            }
        }
        Ok(())
    }
}

/// Any mask does: it is there against proxies.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Appends `payload` as it goes over the wire.
pub fn wrap(plan: &Plan, out: &mut Vec<u8>, payload: &[u8]) {
    match (plan.wrapping, plan.dialogue.binary) {
        (Wrapping::WebSocket, false) => encode_masked_frame(out, Opcode::Text, payload, MASK),
        (Wrapping::WebSocket, true) => encode_masked_frame(out, Opcode::Binary, payload, MASK),
        _ => out.extend_from_slice(payload),
    }
}

fn closed(payload: &[u8]) -> Error {
    let code = payload
        .first_chunk()
        .map_or(1005, |code| u16::from_be_bytes(*code));
    let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
    Error::other(format!("the server closes a WebSocket: {code} {reason}"))
}

/// The width of the head of an answer with status 200.
fn head_width(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let status = bytes.split(|byte| *byte == b' ').nth(1);
    if status != Some(b"200") {
        let line = bytes.split(|byte| *byte == b'\r').next();
        let line = String::from_utf8_lossy(line.unwrap_or_default());
        return Err(Error::other(format!("the server refuses: {line}")));
    }
    Ok(Some(end + 4))
}
