//! A whole server without sockets, on a clock moved by hand: the testkit, with an app
//! that answers when it is told to, and the words of browsers and publishers.
//!
//! Used by `limits`, `slow_consumer`, `amplification` and `hostile_*`.
#![allow(dead_code, reason = "each test file uses its part")]

#[path = "../testkit/mod.rs"]
mod testkit;

use std::io;

use chloe::base::time::Time;
use chloe::config::Config;
use chloe::server::{ConnKey, Peer, Server};
use chloe::wire::websocket::{
    Event, MessageDecoder, Opcode, Role, WebSocketLimits, encode_masked_frame,
};
use testkit::{Around, Kit};

/// The app.
#[derive(Default)]
pub struct App {
    /// The connections to it, if it is there.
    upstreams: Option<Vec<ConnKey>>,
    /// What it was asked and has not answered: upstream connections and bodies.
    asked: Vec<(ConnKey, String)>,
}

impl Around for App {
    fn connect(&mut self, key: ConnKey) -> Result<(), io::ErrorKind> {
        let upstreams = self.upstreams.as_mut();
        let upstreams = upstreams.ok_or(io::ErrorKind::ConnectionRefused)?;
        upstreams.push(key);
        Ok(())
    }
}

/// A server and all that is connected to it.
pub type World = Kit<App>;

impl Kit<App> {
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
        Kit::of(Server::new(config, [7; 32], now), now, App::default())
    }

    /// The app is there from now on.
    pub fn start_app(&mut self) {
        self.pipes.around.upstreams = Some(Vec::new());
    }

    /// A connection from `address`; `None` if it is refused.
    pub fn connect(&mut self, address: &str) -> Option<ConnKey> {
        let peer = Peer::Tcp((address.parse::<std::net::IpAddr>().unwrap(), 9).into());
        self.accept(peer)
    }

    /// The peer is gone.
    pub fn reset(&mut self, key: ConnKey) {
        self.lose(key);
        self.settle();
    }

    /// Sends `bytes` on a connection, and lets the server do what follows.
    pub fn send(&mut self, key: ConnKey, bytes: &[u8]) {
        self.put(key, bytes);
        self.settle();
    }

    /// The connection takes `room` more bytes.
    pub fn make_room(&mut self, key: ConnKey, room: Option<usize>) {
        self.give_room(key, room);
        self.settle();
    }

    /// What was written to a connection since the last look, as text.
    pub fn heard(&mut self, key: ConnKey) -> String {
        let taken = std::mem::take(&mut self.end(key).taken);
        String::from_utf8_lossy(&taken).into_owned()
    }

    /// The requests that the app has not answered: their upstream connections and bodies.
    pub fn asked(&mut self) -> Vec<(ConnKey, String)> {
        let mut upstreams = self.pipes.around.upstreams.take().expect("an app");
        let mut asked = std::mem::take(&mut self.pipes.around.asked);
        upstreams.retain(|upstream| self.is_open(*upstream));
        for upstream in &upstreams {
            let request = self.heard(*upstream);
            if let Some((_, body)) = request.split_once("\r\n\r\n") {
                asked.push((*upstream, body.to_owned()));
            }
        }
        asked.retain(|(upstream, _)| self.is_open(*upstream));
        let app = &mut self.pipes.around;
        (app.upstreams, app.asked) = (Some(upstreams), asked.clone());
        asked
    }

    /// The app answers on an upstream connection, or closes it without a word.
    pub fn app_says(&mut self, upstream: ConnKey, answer: Option<&str>) {
        self.pipes
            .around
            .asked
            .retain(|(asked, _)| *asked != upstream);
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
