//! A connection: what it is, what it is in the middle of, and what is late.
//!
//! State only: bytes are moved by `delivery`, requests are understood by `router`
//! and frames by `stream`. Called by all of them.

use crate::base::address::AddressKey;
use crate::base::buffer::Buffer;
use crate::base::outbox::Outbox;
use crate::base::slots::Key;
use crate::base::time::Time;
use crate::base::timers::Alarm;
use crate::config::Config;
use crate::hub::SessionKey;
use crate::transport::contract::{Poll, Polling};
use crate::transport::websocket;
use crate::wire::http::{Framing, RequestDecoder, Waiting};
use crate::wire::websocket::{MessageDecoder, Opcode, Role as Side, encode_frame};

use super::peer::Peer;
use crate::server::files::FileBody;

/// Names a connection; stale once it is closed.
pub type ConnKey = Key<Conn>;

/// Bytes of answers that may wait for a connection while more of its requests are
/// answered: some hundred short ones, fewer than a write costs.
const ANSWERS_BYTES: usize = 16 * 1024;

/// The same where more connections wait to be written to than a turn writes to: each of
/// them has its go before one has its next.
const ANSWERS_BYTES_OF_MANY: usize = 1024;

/// A connection of any kind.
pub struct Conn {
    pub role: Role,
    pub outbox: Outbox,
    /// It stands in the queue of those to be flushed.
    pub queued: bool,
    /// The last write would have blocked: the socket says when it is writable.
    pub blocked: bool,
    /// It is closed when the outbox is empty.
    pub closing: bool,
    /// It was told not to be read, and is owed a word when it may be again.
    pub paused: bool,
    /// What it keeps of its peer's bytes is counted in `Memory`.
    pub input_counted: bool,
    /// So is what waits in its outbox.
    pub output_counted: bool,
    /// The entries it has in the server's timers.
    pub alarm: Alarm,
    /// Since when what is to be written waits for the socket, bytes that it took
    /// meanwhile counted in favour of it; `u64::MAX` when nothing waits.
    pub waits_since_ms: u64,
    /// Whose it is counted as.
    pub address: Option<AddressKey>,
}

/// What a connection is.
pub enum Role {
    Http(Box<HttpConn>),
    WebSocket(Box<WebSocketConn>),
    /// An outbound one: the webhook's upstream connection of this index.
    Upstream(usize),
}

/// A browser's or an app's HTTP connection.
pub struct HttpConn {
    pub peer: Peer,
    pub decoder: RequestDecoder,
    pub input: Buffer,
    pub phase: Phase,
    /// When the phase, or the part of a request that is waited for, began.
    pub since_ms: u64,
    /// The peer sends no more.
    pub finished: bool,
    /// Its last request was one to `/send`.
    pub publishes: bool,
    /// What its next request waits for, if that is to publish.
    pub turn: Turn,
}

/// What an HTTP connection is in the middle of.
pub enum Phase {
    /// Between requests, or in one.
    Reading(Waiting),
    /// A poll is held.
    Polling(Box<Held>),
    /// The app is asked; its answer answers the request.
    Asking,
    /// The webhook has no room for its message yet; that there is some answers it.
    AwaitingRoom(Box<RequestContext>),
    /// An answer is being written that has to be out before the next request.
    Sending(Sending),
}

/// An answer that is being written.
pub enum Sending {
    /// The rest of a file.
    File(FileBody),
    /// The deliveries of a poll: when they are out, the session is told so.
    Deliveries(SessionKey),
}

/// What is needed to answer a request of a polling transport, now or later.
#[derive(Clone)]
pub struct RequestContext {
    pub polling: &'static Polling,
    pub framing: Framing,
    /// The page's origin, as far as it was said: for the answer's CORS field, and
    /// for whose session it may use.
    pub origin: Option<Box<str>>,
}

/// A held poll.
pub struct Held {
    pub session: SessionKey,
    pub poll: Poll,
    pub context: RequestContext,
    /// When it is answered though there is nothing; or, for one that is held
    /// without limit, when the next blank is due.
    pub due_ms: u64,
    /// It is not answered before: what it asks for was delivered already, too often. 0 for
    /// nearly all.
    pub not_before_ms: u64,
    /// Its client acknowledges answers by their numbers.
    pub numbered: bool,
    /// Blanks keep it open; there is no end.
    pub endless: bool,
    /// The head of the answer and a first blank are out.
    pub begun: bool,
    /// What follows them comes in chunks.
    pub chunked: bool,
}

/// A browser's WebSocket.
pub struct WebSocketConn {
    pub session: SessionKey,
    pub decoder: MessageDecoder,
    pub input: Buffer,
    /// When the peer was last heard, or seen to read what it was waited for to take.
    pub heard_ms: u64,
    /// When the next ping is due, or, after a ping, its answer; or when the end
    /// that has begun is over.
    pub due_ms: u64,
    pub ending: Ending,
    /// A ping was sent that nothing has answered yet.
    pub pinged: bool,
    pub owed: Owed,
    /// It connected the new way: it gets heartbeats.
    pub modern: bool,
}

/// What is to be said to a WebSocket when it is next flushed, for which it is
/// queued. Thousands are pinged in
/// one turn: that of each is written out before the next one's takes memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    Nothing,
    Heartbeat,
    Ping,
    PingAndHeartbeat,
}

/// How far a WebSocket is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Not near.
    No,
    /// When everything pending is written, it is closed with this code.
    AfterPending(u16),
    /// Our Close is out or on its way; the peer's is waited for until `due_ms`.
    Begun,
    /// Both are out, or none is waited for: nothing is read any more, and the
    /// rest is to be written until `due_ms`.
    Over,
}

impl Conn {
    /// A connection that has just come in.
    pub fn inbound(now: Time, peer: Peer) -> Conn {
        Conn::new(Role::Http(Box::new(HttpConn {
            peer,
            decoder: RequestDecoder::default(),
            input: Buffer::default(),
            phase: Phase::Reading(Waiting::NothingYet),
            since_ms: now.ms,
            finished: false,
            publishes: false,
            turn: Turn::Free,
        })))
    }

    /// The webhook's upstream connection `index`.
    pub fn upstream(index: usize) -> Conn {
        Conn {
            // Until it is connected there is nothing to write to.
            blocked: true,
            ..Conn::new(Role::Upstream(index))
        }
    }

    fn new(role: Role) -> Conn {
        Conn {
            role,
            outbox: Outbox::default(),
            queued: false,
            blocked: false,
            closing: false,
            paused: false,
            input_counted: false,
            output_counted: false,
            alarm: Alarm::default(),
            waits_since_ms: u64::MAX,
            address: None,
        }
    }

    /// Whether its next request may be looked at, as far as the answers to those before
    /// it go: they have to be on their way. Many small ones go out in one write, unless
    /// `waiting` others wait for theirs.
    pub fn takes_answers(&self, config: &Config, waiting: usize) -> bool {
        let most = match waiting > config.turn_writes {
            true => ANSWERS_BYTES_OF_MANY,
            false => ANSWERS_BYTES,
        };
        !self.blocked && self.outbox.len() < config.outbox_bytes_max.min(most)
    }

    /// The poll that is held, if one is.
    pub fn held(&self) -> Option<&Held> {
        match &self.role {
            Role::Http(http) => match &http.phase {
                Phase::Polling(held) => Some(held),
                _ => None,
            },
            _ => None,
        }
    }

    /// When something about this connection is late, on the monotonic clock.
    pub fn deadline_ms(&self, config: &Config) -> Option<u64> {
        let stuck = self.stuck_at_ms(config);
        let own = match &self.role {
            // What is on its way out has the limit of writing, and no other.
            Role::Http(_) if self.closing => None,
            // Nor can the rest of a request come that is not read until then.
            Role::Http(http) if http.takes_requests() && !self.outbox.is_empty() => None,
            Role::Http(http) => http.deadline_ms(config),
            Role::WebSocket(websocket) => Some(websocket.due_ms),
            Role::Upstream(_) => None,
        };
        [stuck, own].into_iter().flatten().min()
    }

    /// When the peer will have kept us waiting for too long. What a slow stream
    /// is owed stands in logs and takes no room; an answer does.
    pub fn stuck_at_ms(&self, config: &Config) -> Option<u64> {
        let limit_ms = match &self.role {
            Role::WebSocket(_) => config.slow_consumer_timeout_ms,
            Role::Http(_) if !self.outbox.is_empty() => config.write_timeout_ms,
            _ => return None,
        };
        self.blocked
            .then(|| self.waits_since_ms.saturating_add(limit_ms))
    }

    /// Takes note that the socket took `count` bytes. A stream is well that
    /// takes any; of an answer so many a second have to be taken, or a reader of
    /// one byte a second would hold it for ever.
    pub fn note_taken(&mut self, now: Time, count: usize, config: &Config) {
        let waited = self.waits_since_ms < now.ms;
        if let Role::WebSocket(stream) = &mut self.role
            && waited
            && count > 0
        {
            // Room in a socket that was full comes of a peer that reads.
            stream.hear(now);
        }
        self.waits_since_ms = match &self.role {
            Role::Http(_) if count > 0 => {
                let worth_ms = count as u64 * 1_000 / config.write_bytes_per_second_min as u64;
                now.ms.min(self.waits_since_ms.saturating_add(worth_ms))
            }
            _ if count > 0 => now.ms,
            _ => self.waits_since_ms,
        };
    }
}

/// Whether the next request of a connection waits until readers have caught up with what
/// was published before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// No request waits.
    Free,
    /// A request to publish does.
    Waits,
    /// It may be made, as soon as the answers before it are out.
    Called,
}

impl HttpConn {
    /// Whether another request may be looked at now.
    pub fn takes_requests(&self) -> bool {
        matches!(self.phase, Phase::Reading(_)) && self.turn != Turn::Waits
    }

    /// Whether nothing of a request has come since the last one.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Reading(Waiting::NothingYet))
    }

    fn deadline_ms(&self, config: &Config) -> Option<u64> {
        let limit_ms = match &self.phase {
            Phase::Reading(Waiting::NothingYet) => config.idle_timeout_ms,
            Phase::Reading(Waiting::Head) => config.head_timeout_ms,
            Phase::Reading(Waiting::Body) => config.body_timeout_ms,
            Phase::Polling(held) => return Some(held.next_ms()),
            // The webhook gives up by itself; the writing has its own limit.
            Phase::Asking | Phase::AwaitingRoom(_) | Phase::Sending(_) => return None,
        };
        Some(self.since_ms.saturating_add(limit_ms))
    }
}

impl Held {
    /// When something is to be done about it: it may be answered, or is due.
    fn next_ms(&self) -> u64 {
        match self.not_before_ms {
            0 => self.due_ms,
            at_ms => at_ms.min(self.due_ms),
        }
    }
}

impl Ending {
    /// Whether our Close is out: no data frame may follow it (RFC 6455, 5.5.1).
    pub fn has_begun(self) -> bool {
        matches!(self, Ending::Begun | Ending::Over)
    }
}

impl WebSocketConn {
    /// The stream that a handshake made.
    pub fn new(now: Time, session: SessionKey, config: &Config) -> WebSocketConn {
        WebSocketConn {
            session,
            decoder: MessageDecoder::new(Side::Server),
            input: Buffer::default(),
            heard_ms: now.ms,
            due_ms: next_ping_ms(now, config),
            ending: Ending::No,
            pinged: false,
            owed: Owed::Nothing,
            modern: false,
        }
    }

    /// The peer gave a sign of life.
    pub fn hear(&mut self, now: Time) {
        self.heard_ms = now.ms;
        self.pinged = false;
    }

    /// It is nearer to its end, which is over `until_ms`.
    pub fn end(&mut self, ending: Ending, until_ms: u64) {
        self.ending = ending;
        self.due_ms = until_ms;
    }

    /// Says what is owed, behind what stands in the outbox.
    pub fn say_owed(&mut self, outbox: &mut Outbox) {
        let owed = std::mem::replace(&mut self.owed, Owed::Nothing);
        // RFC 6455, 5.5.1: nothing follows a Close.
        if self.ending.has_begun() {
            return;
        }
        if matches!(owed, Owed::Ping | Owed::PingAndHeartbeat) {
            encode_frame(outbox.tail(), Opcode::Ping, true, &[]);
        }
        if matches!(owed, Owed::Heartbeat | Owed::PingAndHeartbeat) {
            websocket::heartbeat(outbox.tail());
        }
    }
}

/// When the next ping is due. Whole seconds: what falls in one is done in one turn.
pub fn next_ping_ms(now: Time, config: &Config) -> u64 {
    now.after(config.ping_interval_ms).next_multiple_of(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_websocket_is_small() {
        assert!(size_of::<Conn>() <= 56, "with its slot's generation 64");
        // 64 with what the allocator adds.
        assert!(size_of::<WebSocketConn>() <= 56);
    }

    #[test]
    fn what_is_owed_is_said_once_and_not_behind_a_close() {
        let mut stream =
            WebSocketConn::new(Time::default(), SessionKey::from_u64(1), &Config::default());
        let mut outbox = Outbox::default();
        stream.owed = Owed::PingAndHeartbeat;
        stream.say_owed(&mut outbox);
        assert!(outbox.as_slice().starts_with(&[0x89, 0, 0x81]));
        let said = outbox.len();
        stream.say_owed(&mut outbox);
        assert_eq!(outbox.len(), said);
        stream.owed = Owed::Ping;
        stream.end(Ending::Begun, 1);
        stream.say_owed(&mut outbox);
        assert_eq!(outbox.len(), said);
    }
}
