//! A whole server without sockets, on a clock moved by hand.
//!
//! Connections are vectors of bytes; each takes as much as it is told to. Used
//! by `limits` and `slow_consumer`.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};

use chloe::base::time::Time;
use chloe::config::Config;
use chloe::server::{Action, ConnKey, Peer, Server, Transmit};
use chloe::wire::websocket::{
    Event, MessageDecoder, Opcode, Role, WebSocketLimits, encode_masked_frame,
};

/// The other end of a connection.
#[derive(Default)]
pub struct End {
    /// What the server wrote and nobody has looked at yet.
    pub taken: Vec<u8>,
    /// How many bytes it takes before it would block; `None` for all.
    pub room: Option<usize>,
    /// What it sent and the server has not read yet.
    sent: VecDeque<u8>,
    pub closed: bool,
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
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

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A server and all that is connected to it.
pub struct World {
    pub server: Server,
    pub now: Time,
    pub ends: HashMap<u64, End>,
    /// The connections to the app, if it is there.
    pub upstreams: Option<Vec<ConnKey>>,
    /// What the app was asked and has not answered: upstream connections and bodies.
    pub asked: Vec<(ConnKey, String)>,
}

impl World {
    /// A server with the defaults, changed by `settings` (`key=value` each).
    pub fn new(settings: &[&str]) -> World {
        // As the tests call it.
        let mut config = Config {
            server_names: vec!["a".to_owned()],
            ..Config::default()
        };
        for setting in settings {
            let (key, value) = setting.split_once('=').expect("key=value");
            config.set(key, value).unwrap();
        }
        config.validate().unwrap();
        let now = Time::default().plus(1_000);
        World {
            server: Server::new(config, [7; 32], now),
            now,
            ends: HashMap::new(),
            upstreams: None,
            asked: Vec::new(),
        }
    }

    /// A connection from `address`; `None` if it is refused.
    pub fn connect(&mut self, address: &str) -> Option<ConnKey> {
        let peer = Peer::Tcp((address.parse::<std::net::IpAddr>().unwrap(), 9).into());
        self.accept(peer)
    }

    pub fn accept(&mut self, peer: Peer) -> Option<ConnKey> {
        let key = self.server.handle_accept(self.now, peer)?;
        self.ends.insert(key.to_u64(), End::default());
        Some(key)
    }

    pub fn end(&mut self, key: ConnKey) -> &mut End {
        self.ends.get_mut(&key.to_u64()).expect("a connection")
    }

    /// The peer is gone.
    pub fn reset(&mut self, key: ConnKey) {
        self.ends.remove(&key.to_u64());
        self.server.handle_closed(self.now, key);
        self.turn();
    }

    /// Sends `bytes` on a connection, and lets the server do what follows.
    pub fn send(&mut self, key: ConnKey, bytes: &[u8]) {
        self.end(key).sent.extend(bytes);
        self.feed(key);
        self.turn();
    }

    /// Bytes that the server has yet to read.
    pub fn unread(&self) -> usize {
        self.ends.values().map(|end| end.sent.len()).sum()
    }

    /// Sends `bytes` on a connection, which the server reads in a go of its own.
    pub fn leave_unread(&mut self, key: ConnKey, bytes: &[u8]) {
        self.end(key).sent.extend(bytes);
    }

    /// Gives the connection one go, as the event loop does in each turn.
    pub fn give_a_go(&mut self, key: ConnKey) {
        if self.server.is_held_back(key) || !self.server.wants_read(key) {
            return;
        }
        let sent = &mut self.end(key).sent;
        let count = sent.len().min(65_536);
        let mut bytes: Vec<u8> = sent.drain(..count).collect();
        if !bytes.is_empty() {
            self.server.handle_received(self.now, key, &mut bytes);
        }
    }

    /// The connection takes `room` more bytes.
    pub fn make_room(&mut self, key: ConnKey, room: Option<usize>) {
        self.end(key).room = room;
        self.server.handle_writable(key);
        self.turn();
    }

    /// Lets time pass, in steps of 10 ms.
    pub fn pass(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(10) {
            self.now = self.now.plus(10);
            if self
                .server
                .poll_timeout()
                .is_some_and(|at| at <= self.now.ms)
            {
                self.server.handle_timeout(self.now);
            }
            self.turn();
        }
    }

    fn feed(&mut self, key: ConnKey) {
        while let Some(end) = self.ends.get_mut(&key.to_u64()) {
            if end.closed || end.sent.is_empty() || !self.server.wants_read(key) {
                return;
            }
            let count = end.sent.len().min(4_096);
            let mut bytes: Vec<u8> = end.sent.drain(..count).collect();
            self.server.handle_received(self.now, key, &mut bytes);
        }
    }

    /// Does what the server asks for, and takes what it writes.
    pub fn turn(&mut self) {
        loop {
            let mut idle = true;
            while let Some(action) = self.server.poll_action() {
                idle = false;
                match action {
                    Action::Close { key } => {
                        if let Some(end) = self.ends.get_mut(&key.to_u64()) {
                            end.closed = true;
                        }
                    }
                    Action::ResumeRead { key } => self.feed(key),
                    Action::Connect { key, .. } => {
                        let answer = match &mut self.upstreams {
                            Some(upstreams) => {
                                upstreams.push(key);
                                self.ends.insert(key.to_u64(), End::default());
                                Ok(())
                            }
                            None => Err(io::ErrorKind::ConnectionRefused),
                        };
                        self.server.handle_connected(self.now, key, answer);
                    }
                    Action::Resolve { .. } => {
                        let found = Ok(vec![([127, 0, 0, 1], 1).into()]);
                        self.server.handle_resolved(self.now, found);
                    }
                    Action::ShutdownWrite { .. } => {}
                }
            }
            while let Some(key) = self.server.poll_transmit(self.now) {
                idle = false;
                let Some(end) = self.ends.get_mut(&key.to_u64()) else {
                    continue;
                };
                if self.server.transmit(self.now, key, end) == Transmit::More {
                    self.server.handle_writable(key);
                }
            }
            if idle {
                return;
            }
        }
    }

    /// What was written to a connection since the last look, as text.
    pub fn heard(&mut self, key: ConnKey) -> String {
        let taken = std::mem::take(&mut self.end(key).taken);
        String::from_utf8_lossy(&taken).into_owned()
    }

    /// The requests that the app has not answered: their upstream connections and bodies.
    pub fn asked(&mut self) -> Vec<(ConnKey, String)> {
        for upstream in self.upstreams.clone().expect("an app") {
            if !self.ends.contains_key(&upstream.to_u64()) {
                continue;
            }
            let request = self.heard(upstream);
            if let Some((_, body)) = request.split_once("\r\n\r\n") {
                self.asked.push((upstream, body.to_owned()));
            }
        }
        let ends = &self.ends;
        let open = |upstream: &ConnKey| ends.get(&upstream.to_u64()).is_some_and(|end| !end.closed);
        self.asked.retain(|(upstream, _)| open(upstream));
        self.upstreams.as_mut().expect("an app").retain(open);
        self.asked.clone()
    }

    /// The app answers on an upstream connection, or closes it without a word.
    pub fn app_says(&mut self, upstream: ConnKey, answer: Option<&str>) {
        self.asked.retain(|(asked, _)| *asked != upstream);
        match answer {
            Some(text) => self.send(upstream, text.as_bytes()),
            None => self.reset(upstream),
        }
    }

    /// Opens a WebSocket with more fields in its request.
    pub fn websocket(&mut self, address: &str, fields: &str) -> ConnKey {
        let key = self.connect(address).expect("let in");
        self.upgrade(key, fields);
        let head = self.heard(key);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        key
    }

    /// Asks for a WebSocket on a connection.
    pub fn upgrade(&mut self, key: ConnKey, fields: &str) {
        let request = format!(
            "GET /chloe/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
        );
        self.send(key, request.as_bytes());
    }

    /// Sends a message on a WebSocket.
    pub fn text(&mut self, key: ConnKey, json: &str) {
        let mut frame = Vec::new();
        encode_masked_frame(&mut frame, Opcode::Text, json.as_bytes(), [1, 2, 3, 4]);
        self.send(key, &frame);
    }

    /// The messages that a WebSocket got since the last look.
    pub fn texts(&mut self, key: ConnKey) -> Vec<String> {
        let mut bytes = std::mem::take(&mut self.end(key).taken);
        let (mut used, mut texts) = (0, Vec::new());
        let mut decoder = MessageDecoder::new(Role::Client);
        while used < bytes.len() {
            let limits = WebSocketLimits::default();
            let (consumed, event) = decoder.decode(&mut bytes[used..], &limits).unwrap();
            match event {
                Some(Event::Text(text)) => texts.push(text.to_string()),
                Some(_) => {}
                None if consumed == 0 => break,
                None => {}
            }
            used += consumed;
        }
        // The beginning of a frame whose rest is still to come.
        self.end(key).taken = bytes.split_off(used);
        texts
    }

    /// Publishes by `/send`, from this machine.
    pub fn publish(&mut self, form: &str) {
        let key = self.connect("127.0.0.1").expect("let in");
        let answer = self.post(key, "/send", "", form);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{form}: {answer}");
        self.reset(key);
    }

    /// A POST with more fields, and its answer.
    pub fn post(&mut self, key: ConnKey, path: &str, fields: &str, body: &str) -> String {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.send(key, request.as_bytes());
        self.heard(key)
    }

    /// A GET with more fields, and its answer.
    pub fn get(&mut self, key: ConnKey, target: &str, fields: &str) -> String {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        self.send(key, request.as_bytes());
        self.heard(key)
    }

    /// A number of `GET /chloe/status`.
    pub fn status(&mut self, name: &str) -> u64 {
        self.picture()[name].as_u64().expect("a number")
    }

    /// What it says of the webhook.
    pub fn webhook(&mut self) -> serde_json::Value {
        self.picture()["webhook"].clone()
    }

    fn picture(&mut self) -> serde_json::Value {
        let key = self.connect("127.0.0.1").expect("let in");
        let answer = self.get(key, "/chloe/status", "");
        self.reset(key);
        let body = answer.split("\r\n\r\n").nth(1).expect("a body");
        serde_json::from_str(body).expect("JSON")
    }
}

/// A page that goes on hearing while others misbehave.
pub struct Bystander {
    page: ConnKey,
    heard: u32,
}

impl Bystander {
    pub fn of(world: &mut World) -> Bystander {
        let page = world.websocket("127.0.0.1", "");
        Bystander { page, heard: 0 }
    }

    /// The next message comes, and no other has come before it.
    pub fn hears(&mut self, world: &mut World) {
        world.publish(&format!("data={}", self.heard));
        let texts = world.texts(self.page);
        assert_eq!(texts.len(), 1, "{texts:?}");
        let value: serde_json::Value = serde_json::from_str(&texts[0]).unwrap();
        assert_eq!(value["data"], self.heard.to_string());
        self.heard += 1;
    }
}
