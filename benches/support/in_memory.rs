//! The pure server without sockets: subscribers that are counters in memory.
//!
//! It is driven as the event loop drives it, so what is measured is all that
//! Chloe itself does for a delivery, and nothing of the kernel. Used by `fanout` and
//! `guard`.

use std::io::{IoSlice, Result, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chloe::base::time::Time;
use chloe::config::Config;
use chloe::server::{ConnKey, Peer, Server, Transmit};
use chloe::wire::http::encode_request;
use chloe::wire::websocket::handshake::encode_client_request;
use chloe::wire::websocket::{Opcode, Role, encode_masked_frame, frame::decode_header};

use super::payload;
use super::process::own_thread_cpu;
use super::testkit::{self, STEPS_MAX, Sockets};

const CHANNEL: &str = "bench";
const HOST: &str = "127.0.0.1:8901";

/// The far end of a connection: takes everything and counts it.
#[derive(Default)]
struct Sink {
    bytes: u64,
    writes: u64,
    /// What is written is kept to be looked at.
    kept: Option<Vec<u8>>,
}

/// The sinks, each at the index of its connection.
#[derive(Default)]
struct Sinks(Vec<Sink>);

impl Sinks {
    fn at(&mut self, key: ConnKey) -> &mut Sink {
        &mut self.0[key.index() as usize]
    }
}

impl Sockets for Sinks {
    type Writer<'a> = &'a mut Sink;

    fn writer(&mut self, _: &Server, key: ConnKey) -> Option<&mut Sink> {
        Some(self.at(key))
    }

    fn wrote(&mut self, _: &Server, _: ConnKey, done: Transmit) {
        assert_eq!(done, Transmit::Idle, "a counter takes everything");
    }

    fn close(&mut self, _: ConnKey) {
        panic!("nothing is closed while it is measured");
    }
}

/// A server with subscribers and publishers.
pub struct InMemory {
    server: Server,
    /// `None`: time stands still, and every run does the same.
    start: Option<Instant>,
    /// By so much time was moved by hand.
    moved_ms: u64,
    unix_ms: u64,
    sinks: Sinks,
    subscribers: Vec<ConnKey>,
    publishers: Vec<ConnKey>,
    sequence: u32,
}

/// A browser that polls, and the app that answers it. What they send is made
/// once, so that what is counted is the server's work and not theirs.
pub struct Poller {
    key: ConnKey,
    poll: Vec<u8>,
    publish: Vec<u8>,
    /// Where a request is read from: the server may write into it.
    request: Vec<u8>,
    answer: Vec<u8>,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub publications: u64,
    pub deliveries: u64,
    pub writes: u64,
    pub elapsed: Duration,
    pub cpu: Duration,
}

impl InMemory {
    /// So many WebSockets, subscribed to one channel beside `/all`, and so many
    /// connections that publish.
    pub fn new(subscribers: usize, publishers: usize) -> InMemory {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix_ms = since_1970.map_or(0, |elapsed| elapsed.as_millis() as u64);
        InMemory::with_clock(subscribers, publishers, Some(Instant::now()), unix_ms)
    }

    /// The same, and time stands still.
    pub fn timeless(subscribers: usize, publishers: usize) -> InMemory {
        InMemory::with_clock(subscribers, publishers, None, 1_700_000_000_000)
    }

    fn with_clock(
        subscribers: usize,
        publishers: usize,
        start: Option<Instant>,
        unix_ms: u64,
    ) -> InMemory {
        let now = Time { ms: 0, unix_ms };
        let mut whole = InMemory {
            server: Server::new(roomy(), [7; 32], now),
            start,
            moved_ms: 0,
            unix_ms,
            sinks: Sinks::default(),
            subscribers: Vec::new(),
            publishers: Vec::new(),
            sequence: 0,
        };
        for _ in 0..subscribers {
            let key = whole.subscribe();
            whole.subscribers.push(key);
        }
        for _ in 0..publishers {
            let key = whole.accept();
            whole.publishers.push(key);
        }
        whole
    }

    fn now(&self) -> Time {
        let elapsed = self.start.map(|start| start.elapsed());
        let ms = elapsed.map_or(0, |elapsed| elapsed.as_millis() as u64) + self.moved_ms;
        Time {
            ms,
            unix_ms: self.unix_ms + ms,
        }
    }

    fn accept(&mut self) -> ConnKey {
        let peer = Peer::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)));
        let now = self.now();
        let key = self.server.handle_accept(now, peer);
        let key = key.expect("fewer than connections_max are made");
        let index = key.index() as usize;
        let sinks = &mut self.sinks.0;
        if sinks.len() <= index {
            sinks.resize_with(index + 1, Sink::default);
        }
        key
    }

    /// A browser opens a WebSocket, subscribes, and leaves.
    pub fn open_and_close(&mut self) {
        let (now, key) = (self.now(), self.subscribe());
        self.server.handle_closed(now, key);
    }

    /// The time of a ping comes, and every WebSocket answers its own.
    pub fn ping_all(&mut self) {
        let bytes = self.totals().0;
        self.moved_ms += Config::default().ping_interval_ms + 1_000;
        let now = self.now();
        self.flush(now);
        let pinged = self.totals().0 - bytes;
        // RFC 6455, 5.5.2: a ping without a payload has two bytes.
        assert_eq!(pinged, 2 * self.subscribers.len() as u64, "one each");
        let mut pong = Vec::new();
        let mut frame = Vec::new();
        encode_masked_frame(&mut pong, Opcode::Pong, &[], [1, 2, 3, 4]);
        for key in &self.subscribers {
            frame.clone_from(&pong);
            self.server.handle_received(now, *key, &mut frame);
        }
    }

    fn subscribe(&mut self) -> ConnKey {
        let key = self.accept();
        let mut request = Vec::new();
        encode_client_request(&mut request, HOST, "/chloe/websocket", [7; 16]);
        let answer = self.ask(key, &mut request);
        assert!(answer.starts_with(b"HTTP/1.1 101"), "a WebSocket opens");
        let text = format!(
            "{{\"type\":\"channel-subscribe\",\"channel\":\"{CHANNEL}\",\"version\":1,\"id\":1}}"
        );
        let mut frame = Vec::new();
        encode_masked_frame(&mut frame, Opcode::Text, text.as_bytes(), [1, 2, 3, 4]);
        let answer = self.ask(key, &mut frame);
        let wanted = b"\"subscribed\"";
        assert!(answer.windows(wanted.len()).any(|part| part == wanted));
        key
    }

    /// Opens a session that polls, on a kept connection; its next polls.
    pub fn open_polling_session(&mut self) -> Poller {
        let key = self.accept();
        let connect = r#"data={"type":"connect","version":1,"positions":{}}"#;
        let mut request = post("/chloe/xhr", connect.as_bytes());
        let answer = String::from_utf8(self.ask(key, &mut request)).unwrap_or_default();
        let session = answer.split("\"sessionId\":\"").nth(1);
        let session = session.and_then(|rest| rest.split('"').next());
        let session = session.expect("a session opens");
        let poll = format!(r#"data={{"type":"poll","sessionId":"{session}","wait":25000}}"#);
        Poller {
            key,
            poll: post("/chloe/xhr", poll.as_bytes()),
            publish: post("/send", b"data=hello"),
            request: Vec::new(),
            answer: Vec::new(),
        }
    }

    /// A poll that is held until something is published to everyone.
    pub fn poll_and_publish(&mut self, poller: &mut Poller) {
        let (now, index) = (self.now(), poller.key.index() as usize);
        let before = self.sinks.0[index].bytes;
        poller.request.clone_from(&poller.poll);
        self.server
            .handle_received(now, poller.key, &mut poller.request);
        self.flush(now);
        let held = self.sinks.0[index].bytes == before;
        assert!(held, "there is nothing to answer with yet");
        poller.answer.clear();
        self.sinks.0[index].kept = Some(std::mem::take(&mut poller.answer));
        poller.request.clone_from(&poller.publish);
        let publisher = self.publishers[0];
        self.server
            .handle_received(now, publisher, &mut poller.request);
        self.flush(now);
        poller.answer = self.sinks.0[index].kept.take().unwrap_or_default();
        let list = poller.answer.iter().rposition(|&byte| byte == b'[');
        let list = &poller.answer[list.unwrap_or(0)..];
        assert!(list.starts_with(br#"[{"data":"hello""#), "it came");
    }

    /// Hands `bytes` in; what comes back on that connection.
    fn ask(&mut self, key: ConnKey, bytes: &mut [u8]) -> Vec<u8> {
        self.sinks.at(key).kept = Some(Vec::new());
        let now = self.now();
        self.server.handle_received(now, key, bytes);
        self.flush(now);
        let kept = self.sinks.at(key).kept.take();
        kept.unwrap_or_default()
    }

    /// The rest of a turn, as the event loop does it, but without a cap on writes.
    fn flush(&mut self, now: Time) {
        testkit::run_timers(&mut self.server, now);
        testkit::act(&mut self.server, now, &mut self.sinks);
        testkit::flush(&mut self.server, now, &mut self.sinks, STEPS_MAX);
        testkit::act(&mut self.server, now, &mut self.sinks);
    }

    /// Publishes `in_flight` publications a turn for `duration`, and checks
    /// that every subscriber got all of them.
    pub fn run(&mut self, in_flight: usize, duration: Duration) -> Run {
        let sample = self.subscribers[0];
        self.sinks.at(sample).kept = Some(Vec::new());
        let (bytes, writes) = self.totals();
        let (first, begun, cpu) = (self.sequence, Instant::now(), own_thread_cpu());
        while begun.elapsed() < duration {
            self.turn(in_flight);
        }
        let (elapsed, cpu) = (begun.elapsed(), own_thread_cpu().saturating_sub(cpu));
        let publications = u64::from(self.sequence - first);
        let sink = self.sinks.at(sample);
        let seen = sink.kept.take().unwrap_or_default();
        assert_eq!(count_in_order(&seen, first), publications, "all came");
        let readers = self.subscribers.len() as u64;
        let (bytes_after, writes_after) = self.totals();
        // All read the same bytes, so one stands for all if the sums agree.
        assert_eq!(bytes_after - bytes, seen.len() as u64 * readers, "to all");
        Run {
            publications,
            deliveries: publications * readers,
            writes: writes_after - writes,
            elapsed,
            cpu,
        }
    }

    /// One turn of the event loop, which brings `in_flight` publications.
    pub fn turn(&mut self, in_flight: usize) {
        let now = self.now();
        for number in 0..in_flight {
            let mut form = format!("channel={CHANNEL}&data=").into_bytes();
            payload::write(&mut form, self.sequence);
            self.sequence += 1;
            let mut request = post("/send", &form);
            let publisher = self.publishers[number];
            self.server.handle_received(now, publisher, &mut request);
        }
        self.flush(now);
    }

    /// Bytes and writes to subscribers.
    fn totals(&self) -> (u64, u64) {
        let sinks = self.subscribers.iter();
        let sinks = sinks.map(|key| &self.sinks.0[key.index() as usize]);
        sinks.fold((0, 0), |(bytes, writes), sink| {
            (bytes + sink.bytes, writes + sink.writes)
        })
    }
}

/// The defaults, with room for as many connections as a benchmark has.
fn roomy() -> Config {
    const MOST: usize = 200_000;
    Config {
        connections_max: MOST,
        sessions_max: MOST,
        ..Config::default()
    }
}

/// A request with a form.
fn post(target: &str, form: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    encode_request(&mut request, "POST", target, HOST, &[kind], form);
    request
}

/// How many deliveries `bytes` hold, one behind the other from sequence `first` on.
fn count_in_order(mut bytes: &[u8], first: u32) -> u64 {
    let mut next = first;
    while let Ok(Some((header, start))) = decode_header(bytes, Role::Client) {
        let width = start + header.payload_bytes as usize;
        let sequence = payload::read(&bytes[start..width]);
        assert_eq!(sequence, Some(next), "in order");
        next += 1;
        bytes = &bytes[width..];
    }
    assert!(bytes.is_empty(), "frames are whole");
    u64::from(next - first)
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.bytes += bytes.len() as u64;
        self.writes += 1;
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize> {
        self.writes += 1;
        let mut count = 0;
        for slice in slices {
            count += slice.len();
            if let Some(kept) = &mut self.kept {
                kept.extend_from_slice(slice);
            }
        }
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
