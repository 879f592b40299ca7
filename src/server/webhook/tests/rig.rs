//! Sockets, resolver and clock of the webhook, played by hand.
//!
//! Checks with every event that the webhook keeps its side: one resolution at a
//! time, no second socket on a connection, nothing written to a socket that is not
//! connected, no timeout that stands still.

use std::io;
use std::net::SocketAddr;

use crate::base::address::AddressKey;
use crate::base::names::SessionId;
use crate::base::outbox::Written;
use crate::base::random::Random;
use crate::base::time::Time;
use crate::server::webhook::{
    Answer, Event, GivenUp, Message, Refused, Signing, Webhook, WebhookLimits,
};
use crate::wire::http::{Decoded, HttpLimits, RequestDecoder};
use crate::wire::signature::Secret;
use crate::wire::url::HttpUrl;

pub const LIMITS: WebhookLimits = WebhookLimits {
    connections: 3,
    queue_messages: 100,
    queue_bytes: 100_000,
    session_messages: 64,
    connect_timeout_ms: 3_000,
    timeout_ms: 10_000,
    retry_min_ms: 200,
    retry_max_ms: 10_000,
    give_up_ms: 300_000,
    answer_bytes_max: 1_000,
};

pub const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// A request as the app sees it.
#[derive(Debug)]
pub struct Received {
    pub head: String,
    pub webhook_id: String,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

#[derive(Debug)]
pub struct Socket {
    pub address: SocketAddr,
    pub connected: bool,
    pub blocked: bool,
    pub bytes: Vec<u8>,
}

/// Takes `room` bytes, then would block.
struct Narrow<'a> {
    bytes: &'a mut Vec<u8>,
    room: usize,
}

impl io::Write for Narrow<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = bytes.len().min(self.room);
        self.room -= count;
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub type Outcome = (SessionId, u64, Result<Answer, GivenUp>);

pub struct Rig {
    pub webhook: Webhook,
    pub now: Time,
    pub sockets: Vec<Option<Socket>>,
    pub resolving: bool,
    pub resolutions: usize,
    pub outcomes: Vec<Outcome>,
    /// Places whose message is queued, and tags of those that were dropped.
    pub queued: Vec<u64>,
    pub dropped: Vec<u64>,
    /// Bytes that a socket takes before it blocks.
    pub room: usize,
}

impl Rig {
    /// Whether nothing is left of anything, but for connections.
    pub fn is_bare(&self) -> bool {
        let mut counts = self.webhook.counts().into_iter();
        counts.all(|(name, count)| count == 0 || name == "webhook_connections")
    }

    /// A webhook to an address that needs no resolving.
    pub fn new(limits: WebhookLimits) -> Rig {
        Rig::to("http://127.0.0.1:4567/updates?x=1", None, limits)
    }

    pub fn to(url: &str, secret: Option<&str>, limits: WebhookLimits) -> Rig {
        Rig::signing(url, secret, false, limits)
    }

    pub fn signing(url: &str, secret: Option<&str>, md5: bool, limits: WebhookLimits) -> Rig {
        let secret = secret.and_then(Secret::new);
        let signing = secret.map(|secret| Signing { secret, md5 });
        let random = Random::new([9; 32]);
        Rig {
            webhook: Webhook::new(HttpUrl::parse(url).unwrap(), signing, limits, random),
            now: Time {
                ms: 1_000,
                unix_ms: 1_700_000_000_500,
            },
            sockets: (0..limits.connections()).map(|_| None).collect(),
            resolving: false,
            resolutions: 0,
            outcomes: Vec::new(),
            queued: Vec::new(),
            dropped: Vec::new(),
            room: usize::MAX,
        }
    }

    pub fn enqueue(&mut self, session: u128, body: &str) -> Result<(), Refused> {
        let message = message(address(session), session, body);
        let queued = self.webhook.enqueue(self.now, message);
        self.pump();
        queued
    }

    /// From the address of this number, by a stream or request of the session's
    /// number. True if it is queued.
    pub fn say(&mut self, number: u8, session: u128, body: &str) -> bool {
        let place = session as u64;
        let message = message(of(number), session, body);
        let queued = self.webhook.enqueue_or_wait(self.now, message, place);
        self.pump();
        queued.unwrap()
    }

    /// The connections whose socket is not yet connected.
    pub fn connecting(&self) -> Vec<usize> {
        let open = self.open();
        let is_new = |&upstream: &usize| !self.sockets[upstream].as_ref().unwrap().connected;
        open.into_iter().filter(is_new).collect()
    }

    /// Connects all that want it, and takes the requests: by connection, with their bodies.
    pub fn requests(&mut self) -> Vec<(usize, String)> {
        let mut all = Vec::new();
        loop {
            for upstream in self.connecting() {
                self.accept(upstream);
            }
            let before = all.len();
            for upstream in self.open() {
                if let Some(request) = self.request(upstream) {
                    all.push((upstream, request.body));
                }
            }
            if all.len() == before {
                return all;
            }
        }
    }

    /// Carries out what the webhook wants.
    pub fn pump(&mut self) {
        while let Some(event) = self.webhook.poll_event() {
            match event {
                Event::Resolve { .. } => {
                    assert!(!self.resolving, "one resolution at a time");
                    self.resolving = true;
                    self.resolutions += 1;
                }
                Event::Connect { upstream, address } => {
                    let socket = Socket {
                        address,
                        connected: false,
                        blocked: false,
                        bytes: Vec::new(),
                    };
                    let before = self.sockets[upstream].replace(socket);
                    assert!(before.is_none(), "upstream {upstream} had a socket");
                }
                Event::Close { upstream } => {
                    let socket = self.sockets[upstream].take();
                    assert!(socket.is_some(), "upstream {upstream} had no socket");
                }
                Event::Transmit { upstream } => self.transmit(upstream),
                Event::Completed {
                    session,
                    tag,
                    result,
                } => self.outcomes.push((session, tag, result)),
                Event::Queued { place } => self.queued.push(place),
                Event::Dropped { tag } => self.dropped.push(tag),
            }
        }
    }

    pub fn transmit(&mut self, upstream: usize) {
        let socket = self.sockets[upstream]
            .as_mut()
            .expect("a socket to write to");
        assert!(socket.connected);
        let mut writer = Narrow {
            bytes: &mut socket.bytes,
            room: self.room,
        };
        let written = self.webhook.transmit(upstream, &mut writer).unwrap();
        socket.blocked = written == Written::Blocked;
    }

    pub fn resolve(&mut self, addresses: &[&str]) {
        assert!(self.resolving);
        self.resolving = false;
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.webhook.handle_resolved(self.now, Ok(addresses));
        self.pump();
    }

    pub fn accept(&mut self, upstream: usize) {
        self.sockets[upstream].as_mut().unwrap().connected = true;
        self.webhook.handle_connected(self.now, upstream, Ok(()));
        self.pump();
    }

    pub fn refuse(&mut self, upstream: usize) {
        let socket = self.sockets[upstream].take().unwrap();
        assert!(!socket.connected);
        let error = Err(io::ErrorKind::ConnectionRefused);
        self.webhook.handle_connected(self.now, upstream, error);
        self.pump();
    }

    pub fn answer(&mut self, upstream: usize, bytes: &str) {
        self.webhook
            .handle_received(self.now, upstream, bytes.as_bytes());
        self.pump();
    }

    /// The app closes in order.
    pub fn finish(&mut self, upstream: usize) {
        self.webhook.handle_finished(self.now, upstream);
        self.pump();
    }

    pub fn reset(&mut self, upstream: usize) {
        self.sockets[upstream].take().unwrap();
        self.webhook.handle_closed(self.now, upstream);
        self.pump();
    }

    /// The whole request that has arrived on `upstream`, taken out.
    pub fn request(&mut self, upstream: usize) -> Option<Received> {
        let bytes = &mut self.sockets[upstream].as_mut()?.bytes;
        let (consumed, received) = {
            let mut decoder = RequestDecoder::default();
            let decoded = decoder.decode(bytes, &HttpLimits::default()).unwrap();
            let Decoded::Request { request, consumed } = decoded else {
                return None;
            };
            let body = String::from_utf8(request.body.to_vec()).unwrap();
            let received = Received {
                head: String::from_utf8(bytes[..consumed - body.len()].to_vec()).unwrap(),
                webhook_id: request.headers.get("webhook-id").unwrap().to_owned(),
                body,
            };
            (consumed, received)
        };
        bytes.drain(..consumed);
        Some(received)
    }

    /// The body of the request that must have arrived on `upstream`.
    pub fn body(&mut self, upstream: usize) -> String {
        self.request(upstream).expect("a whole request").body
    }

    /// Moves the clock on, stopping at each timeout on the way.
    pub fn advance(&mut self, delta_ms: u64) {
        let end_ms = self.now.ms + delta_ms;
        while let Some(at_ms) = self.webhook.poll_timeout()
            && at_ms <= end_ms
        {
            self.now = self.now.plus(at_ms.saturating_sub(self.now.ms));
            self.webhook.handle_timeout(self.now);
            self.pump();
            let next_ms = self.webhook.poll_timeout();
            assert!(
                next_ms.is_none_or(|next_ms| next_ms > self.now.ms),
                "the timeout at {} stands still",
                self.now.ms
            );
        }
        self.now = self.now.plus(end_ms - self.now.ms);
    }

    /// Moves the clock on until `upstream` wants to connect; how long that took.
    pub fn advance_to_connect(&mut self, upstream: usize) -> u64 {
        let start_ms = self.now.ms;
        while self.sockets[upstream].is_none() {
            let at_ms = self.webhook.poll_timeout().expect("something is due");
            self.advance(at_ms.saturating_sub(self.now.ms));
        }
        self.now.ms - start_ms
    }

    /// The connections that have a socket.
    pub fn open(&self) -> Vec<usize> {
        (0..self.sockets.len())
            .filter(|&upstream| self.sockets[upstream].is_some())
            .collect()
    }

    /// The outcomes so far, taken out.
    pub fn results(&mut self) -> Vec<Result<Answer, GivenUp>> {
        let outcomes = std::mem::take(&mut self.outcomes);
        outcomes.into_iter().map(|(_, _, result)| result).collect()
    }
}

/// The address of this number.
pub fn of(number: u8) -> Option<AddressKey> {
    AddressKey::of(std::net::IpAddr::from([192, 0, 2, number]))
}

/// Each session is on an address of its own, unless a test says otherwise.
fn address(session: u128) -> Option<AddressKey> {
    of(session as u8)
}

pub fn message(address: Option<AddressKey>, session: u128, body: &str) -> Message {
    Message {
        session: SessionId(session),
        address,
        body: body.into(),
        tag: session as u64 * 1_000 + body.parse().unwrap_or(0),
    }
}

/// An answer without JSON.
pub fn taken(status: u16) -> Result<Answer, GivenUp> {
    Ok(Answer { status, json: None })
}
