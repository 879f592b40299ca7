//! Noise at the whole server: pieces of good requests and frames, mangled,
//! interleaved over many connections, with time passing and sockets that take
//! little. Nothing may panic, spin, or grow without bound. The seed that fails
//! is printed; CHLOE_SEED replays it, CHLOE_SEEDS sets how many are tried.

#[path = "testkit/mod.rs"]
mod testkit;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chloe::base::random::Random;
use chloe::base::time::Time;
use chloe::config::Config;
use chloe::server::{ConnKey, Peer, Server};
use chloe::wire::websocket::{Opcode, encode_masked_frame};
use testkit::{Around, End, Kit};

/// Sockets take as much as they like, and the app is there when it likes.
struct Moody(Random);

impl Around for Moody {
    fn write(&mut self, _: &mut End, bytes: &[u8]) -> io::Result<usize> {
        match self.0.below(8) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            1 => Err(io::ErrorKind::ConnectionReset.into()),
            2 => Ok(bytes.len().min(1 + self.0.below(7) as usize)),
            _ => Ok(bytes.len()),
        }
    }

    fn connect(&mut self, _: ConnKey) -> Result<(), io::ErrorKind> {
        match self.0.below(3) > 0 {
            true => Ok(()),
            false => Err(io::ErrorKind::ConnectionRefused),
        }
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let mut corpus: Vec<Vec<u8>> = [
        "GET /chloe/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nchannel=news&data=hi",
        "POST /send HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ndata=x\r\n0\r\n\r\n",
        "POST /send HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\ndata=y",
        "POST /chloe/xhr HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\ndata={\"type\":\"connect\",\"version\":1}  ",
        "GET /chloe/jsonp.js?data={%22type%22:%22connect%22,%22id%22:7}ts=1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /chloe/xhr/1?data={%22type%22:%22poll%22,%22sessionId%22:%221%22} HTTP/1.0\r\n\r\n",
        "GET /chloe.js HTTP/1.1\r\nHost: a\r\nRange: bytes=1-5\r\n\r\n",
        "GET /chloe/status HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "data=%u00ff%ud83d%ude00+%C3%BC&sig=0",
        "\r\n\r\n",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    for text in [
        r#"{"type":"connect","version":1,"positions":{"/all":"0000000000:0"}}"#,
        r#"{"type":"channel-subscribe","channel":"news","id":"1","since":"0000000000:9"}"#,
        r#"{"type":"channel-unsubscribe","channel":"news","id":2}"#,
        r#"{"type":"message","data":"to the app","id":3}"#,
        r#"{"type":"message","data":{"not":"a string"}}"#,
        r#"{"type":"message","data":"1","data":"2","x":{"a":[{"b":1,"b":2}]}}"#,
        r#"{"type":"channel-subscribe","channel":"\ud83d","id":4}"#,
    ] {
        let mut frame = Vec::new();
        encode_masked_frame(&mut frame, Opcode::Text, text.as_bytes(), [1, 2, 3, 4]);
        corpus.push(frame);
    }
    for (opcode, payload) in [
        (Opcode::Ping, &b"ping"[..]),
        (Opcode::Close, &[3, 232]),
        (Opcode::Binary, b"\0"),
    ] {
        let mut frame = Vec::new();
        encode_masked_frame(&mut frame, opcode, payload, [9, 8, 7, 6]);
        corpus.push(frame);
    }
    corpus
}

struct Noise {
    kit: Kit<Moody>,
    corpus: Vec<Vec<u8>>,
}

impl Noise {
    fn new(seed: u64) -> Noise {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config {
            server_names: vec!["a".to_owned()],
            history_size: 50,
            history_total_bytes: 1 << 18,
            webhook_queue_messages: 20,
            connections_max: 50,
            sessions_max: 100,
            poll_hold_ms: 2_000,
            ..Config::default()
        };
        let now = Time::default().plus(1_000);
        let server = Server::new(config, bytes, now);
        Noise {
            kit: Kit::of(server, now, Moody(Random::new(bytes))),
            corpus: corpus(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.kit.pipes.around.0.below(bound)
    }

    fn pick(&mut self) -> Option<ConnKey> {
        let count = self.kit.open_keys().len() as u64;
        (count > 0).then(|| {
            let number = self.below(count) as usize;
            self.kit.open_keys()[number]
        })
    }

    /// A piece of the corpus, mostly as it is.
    fn piece(&mut self) -> Vec<u8> {
        let pieces = self.corpus.len() as u64;
        let choice = self.below(pieces) as usize;
        let mut bytes = self.corpus[choice].clone();
        match self.below(6) {
            0 => {
                let at = self.below(bytes.len() as u64) as usize;
                bytes[at] = self.kit.pipes.around.0.bits() as u8;
            }
            1 => bytes.truncate(self.below(bytes.len() as u64 + 1) as usize),
            2 => {
                let more = self.below(pieces) as usize;
                bytes.extend_from_slice(&self.corpus[more].clone());
            }
            _ => {}
        }
        bytes
    }

    fn step(&mut self) {
        match self.below(20) {
            0..=2 => {
                self.kit.accept(Peer::Tcp(([127, 0, 0, 1], 9).into()));
            }
            3..=12 => {
                if let Some(key) = self.pick() {
                    let bytes = self.piece();
                    self.kit.put(key, &bytes);
                }
            }
            13 => {
                if let Some(key) = self.pick() {
                    self.kit.finish(key);
                }
            }
            14 => {
                if let Some(key) = self.pick() {
                    self.kit.lose(key);
                }
            }
            15 => self.kit.unblock(),
            16 => self.kit.leap(0),
            _ => {
                let ms = self.below(500);
                self.kit.now = self.kit.now.plus(ms);
            }
        }
        self.turn();
    }

    fn turn(&mut self) {
        self.kit.turn();
        let open = self.kit.open_keys().len();
        assert!(open <= 50 + 8, "connections are bounded");
    }

    fn end(&mut self) {
        self.kit.server.handle_shutdown(self.kit.now);
        for _ in 0..2_000 {
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

#[test]
fn noise_is_survived() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let seeds = match number("CHLOE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CHLOE_SEEDS").unwrap_or(150),
    };
    for seed in seeds {
        let run = catch_unwind(AssertUnwindSafe(|| {
            let mut noise = Noise::new(seed);
            for _ in 0..1_500 {
                noise.step();
            }
            noise.end();
        }));
        assert!(run.is_ok(), "CHLOE_SEED={seed}");
    }
}
