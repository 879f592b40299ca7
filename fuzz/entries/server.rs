//! The whole server: bytes of several connections, interleaved, with time
//! passing and sockets that take little. Nothing may panic, spin, or grow.
//!
//! The input is a program. Each step is a byte that says what happens, and a
//! few more that say to whom and with what. What the server says is read for
//! session ids and positions, so that later steps may speak of them.

use std::io;

use chloe::base::time::Time;
use chloe::config::Config;
use chloe::server::{ConnKey, Peer, Server};
use chloe::wire::websocket::{Opcode, encode_masked_frame};

use super::testkit::{Around, End, Kit};

const CONNECTIONS: usize = 12;
const UPSTREAMS: usize = 3;

/// What peers say. `SESSION` and `POSITION` are those that were told last.
const SAID: [&str; 25] = [
    "GET /chloe/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nchannel=news&data=hi",
    "POST /send HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ndata=x\r\n0\r\n\r\n",
    "POST /send HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\ndata=y",
    "POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: 48\r\n\r\nsession=SESSION&data=z",
    "POST /send HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAccept: application/json\r\nIdempotency-Key: k\r\nContent-Length: 61\r\n\r\n[{\"channel\":\"news\",\"data\":{\"a\":[1]}},{\"data\":\"</script>\"}]   ",
    "POST /chloe/xhr HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\ndata={\"type\":\"connect\",\"version\":1}  ",
    "POST /chloe/xhr HTTP/1.1\r\nHost: a\r\nContent-Length: 104\r\n\r\ndata={\"type\":\"connect\",\"sessionId\":\"SESSION\",\"positions\":{\"/all\":\"POSITION\"}}",
    "POST /chloe/xhr HTTP/1.1\r\nHost: a\r\nContent-Length: 95\r\n\r\ndata={\"type\":\"channel-subscribe\",\"channel\":\"news\",\"sessionId\":\"SESSION\"}",
    "POST /chloe/xhr HTTP/1.1\r\nHost: a\r\nContent-Length: 82\r\n\r\ndata={\"type\":\"message\",\"id\":4,\"data\":\"up\",\"sessionId\":\"SESSION\"}",
    "GET /chloe/xhr/1?data={%22type%22:%22poll%22,%22sessionId%22:%22SESSION%22} HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /chloe/xhr/1?data={%22type%22:%22poll%22,%22sessionId%22:%22SESSION%22} HTTP/1.0\r\n\r\n",
    "GET /chloe/xhr/1?data={%22type%22:%22poll%22,%22sessionId%22:%22SESSION%22,%22wait%22:50,%22positions%22:{%22/all%22:%22POSITION%22},%22batch%22:1} HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /chloe/jsonp.js?data={%22type%22:%22connect%22,%22id%22:7}ts=1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /chloe/jsonp.js?data={%22type%22:%22poll%22,%22id%22:7,%22sessionId%22:%22SESSION%22}ts=1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /chloe.js HTTP/1.1\r\nHost: a\r\nRange: bytes=1-5\r\n\r\n",
    "GET /chloe/status HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /channels/news HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS /send HTTP/1.1\r\nHost: a\r\nOrigin: http://localhost:4567\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/1.1 503 Oops\r\nRetry-After: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.0 404 No\r\n\r\nnothing",
    "\r\n\r\n",
    "GET /chloe/ping HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9, [2001:db8::1]:80\r\nForwarded: for=unknown\r\n\r\n",
];

/// What comes in frames.
const FRAMED: [&str; 6] = [
    r#"{"type":"connect","version":1,"positions":{"/all":"POSITION"}}"#,
    r#"{"type":"connect","sessionId":"SESSION","positions":{"news":"POSITION"}}"#,
    r#"{"type":"channel-subscribe","channel":"news","id":"1","since":"POSITION"}"#,
    r#"{"type":"channel-unsubscribe","channel":"news","id":2}"#,
    r#"{"type":"message","data":"to the app","id":3}"#,
    r#"{"type":"message","data":{"not":"a string"}}"#,
];

/// The rest of the program.
struct Steps<'a>(&'a [u8]);

impl<'a> Steps<'a> {
    /// The next byte; 0 when there is none.
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// Sockets take as much as their mood allows, and the app is up or not.
struct Moody {
    mood: u32,
    /// What was said in this turn.
    said: Vec<u8>,
    /// How the next connection to the app goes.
    app_is_up: bool,
}

impl Around for Moody {
    fn write(&mut self, _: &mut End, bytes: &[u8]) -> io::Result<usize> {
        // A plain generator: moods differ, and are the same in each run.
        self.mood = self
            .mood
            .wrapping_mul(0x0019_660d)
            .wrapping_add(0x3c6e_f35f);
        let count = match self.mood >> 28 {
            0 => return Err(io::ErrorKind::WouldBlock.into()),
            1..=3 => bytes.len().min(1 + (self.mood >> 20 & 0xff) as usize),
            4 if self.mood & 0xf_0000 == 0 => return Err(io::ErrorKind::ConnectionReset.into()),
            _ => bytes.len(),
        };
        self.said.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn connect(&mut self, _: ConnKey) -> Result<(), io::ErrorKind> {
        match self.app_is_up {
            true => Ok(()),
            false => Err(io::ErrorKind::ConnectionRefused),
        }
    }

    fn resolve(&mut self) -> Result<Vec<std::net::SocketAddr>, String> {
        match self.app_is_up {
            true => Ok(vec![([127, 0, 0, 1], 4567).into()]),
            false => Err("there is no such host".to_owned()),
        }
    }
}

struct World {
    kit: Kit<Moody>,
    /// How many processes there were before.
    life: u8,
    session: String,
    position: String,
}

pub fn server(data: &[u8]) {
    let mut steps = Steps(data);
    let mut world = World::new(steps.byte());
    while !steps.0.is_empty() {
        world.step(&mut steps);
        world.turn();
    }
    world.end();
}

impl World {
    fn new(mood: u8) -> World {
        let now = Time::default().plus(1_700_000_000_000);
        let moody = Moody {
            mood: u32::from(mood) << 20,
            said: Vec::new(),
            app_is_up: true,
        };
        World {
            kit: Kit::of(fresh(now, 0), now, moody),
            life: 0,
            session: "0".repeat(32),
            position: "00000000:0".to_owned(),
        }
    }

    /// The process ends, and another goes on with what it left.
    fn restart(&mut self) {
        self.kit.server.handle_restart(self.kit.now);
        self.turn();
        let (now, mut left) = (self.kit.now, Vec::new());
        let saved = self.kit.server.save(now, &mut left);
        saved.expect("memory takes all");
        self.kit.server.handle_handed_over(now);
        self.turn();
        self.kit.forget_all();
        self.life = self.life.wrapping_add(1);
        self.kit.server = fresh(now, self.life);
        let length = left.len() as u64;
        let restored = self.kit.server.restore(now, &mut &left[..], length);
        assert!(restored.is_ok(), "{restored:?}");
    }

    fn step(&mut self, steps: &mut Steps<'_>) {
        match steps.byte() % 16 {
            0 | 1 => self.accept(steps.byte()),
            2..=4 => {
                let (to, which) = (steps.byte(), usize::from(steps.byte()));
                let said = self.fill_in(SAID[which % SAID.len()]);
                self.hear(to, sized(said));
            }
            5..=6 => {
                let (to, which) = (steps.byte(), usize::from(steps.byte()));
                let text = self.fill_in(FRAMED[which % FRAMED.len()]);
                self.hear(to, framed(Opcode::Text, text.as_bytes()));
            }
            7 => {
                let (to, opcode, length) = (steps.byte(), steps.byte(), steps.byte() % 126);
                let mut frame = framed(Opcode::Binary, steps.bytes(length.into()));
                frame[0] = opcode;
                self.hear(to, frame);
            }
            8 => {
                let (to, length) = (steps.byte(), steps.byte());
                let bytes = steps.bytes(length.into()).to_vec();
                self.hear(to, bytes);
            }
            9 => {
                // A part of what is said, with a byte of it changed.
                let (to, which) = (steps.byte(), usize::from(steps.byte()));
                let mut said = sized(self.fill_in(SAID[which % SAID.len()]));
                let (at, value) = (usize::from(steps.byte()), steps.byte());
                if let Some(byte) = said.get_mut(at) {
                    *byte = value;
                }
                said.truncate(usize::from(steps.byte()).max(1));
                self.hear(to, said);
            }
            10 => self.leave(steps.byte()),
            11 => self.kit.unblock(),
            12 => self.kit.leap(0),
            13 => self.kit.now = self.kit.now.plus(u64::from(steps.byte()) * 8),
            14 => self.kit.pipes.around.app_is_up = steps.byte().is_multiple_of(2),
            _ => match steps.byte() {
                255 => self.kit.server.handle_shutdown(self.kit.now),
                240.. => self.restart(),
                _ => {}
            },
        }
    }

    fn accept(&mut self, whence: u8) {
        let peer = match whence % 3 {
            0 => Peer::Tcp(([127, 0, 0, 1], 9).into()),
            1 => Peer::Tcp(([192, 0, 2, whence], 9).into()),
            _ => Peer::Unix,
        };
        self.kit.accept(peer);
    }

    fn pick(&self, number: u8) -> Option<ConnKey> {
        let open = self.kit.open_keys();
        (!open.is_empty()).then(|| open[usize::from(number) % open.len()])
    }

    /// `text` with the session and the position that were told last.
    fn fill_in(&self, text: &str) -> String {
        text.replace("SESSION", &self.session)
            .replace("POSITION", &self.position)
    }

    fn hear(&mut self, to: u8, bytes: Vec<u8>) {
        if let Some(key) = self.pick(to) {
            self.kit.put(key, &bytes);
        }
    }

    fn leave(&mut self, number: u8) {
        match self.pick(number) {
            Some(key) if number < 128 => self.kit.finish(key),
            Some(key) => self.kit.lose(key),
            None => {}
        }
    }

    fn turn(&mut self) {
        self.kit.turn();
        let said = std::mem::take(&mut self.kit.pipes.around.said);
        let said = String::from_utf8_lossy(&said);
        learn(&said, "\"sessionId\":\"", &mut self.session);
        learn(&said, "\"position\":\"", &mut self.position);
        let open = self.kit.open_keys().len();
        assert!(open <= CONNECTIONS + UPSTREAMS, "connections are bounded");
    }

    fn end(&mut self) {
        self.kit.server.handle_shutdown(self.kit.now);
        for _ in 0..500 {
            if self.kit.server.is_drained() {
                return;
            }
            self.kit.unblock();
            self.kit.leap(1);
            self.turn();
        }
        panic!("it does not stop");
    }
}

/// A server whose limits are small, so that they are reached. `life` is the
/// root of its random choices: no two processes make the same ones.
pub fn fresh(now: Time, life: u8) -> Server {
    let config = Config {
        server_names: vec!["a".to_owned()],
        history_size: 5,
        history_bytes: 1 << 12,
        history_total_bytes: 1 << 13,
        webhook_connections: UPSTREAMS,
        webhook_queue_messages: 4,
        connections_max: CONNECTIONS,
        connections_per_address_max: CONNECTIONS - 2,
        sessions_max: 16,
        channels_per_session_max: 4,
        channels_max: 8,
        poll_hold_ms: 2_000,
        poll_batch_messages: 3,
        outbox_bytes_max: 4096,
        head_bytes_max: 1024,
        body_bytes_max: 4096,
        message_bytes_max: 1024,
        fragments_max: 4,
        ..Config::default()
    };
    config.validate().expect("the settings go together");
    Server::new(config, [life; 32], now)
}

/// A request whose Content-Length is that of its body.
fn sized(said: String) -> Vec<u8> {
    let whole = said.split_once("\r\n\r\n").and_then(|(head, body)| {
        let (before, after) = head.split_once("Content-Length: ")?;
        let rest = after.find("\r\n").map_or("", |end| &after[end..]);
        let length = body.len();
        Some(format!(
            "{before}Content-Length: {length}{rest}\r\n\r\n{body}"
        ))
    });
    whole.unwrap_or(said).into_bytes()
}

fn framed(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_masked_frame(&mut frame, opcode, payload, [1, 2, 3, 4]);
    frame
}

/// Keeps the last string that stands behind `key`.
fn learn(said: &str, key: &str, into: &mut String) {
    if let Some(at) = said.rfind(key)
        && let Some((value, _)) = said[at + key.len()..].split_once('"')
    {
        *into = value.to_owned();
    }
}
