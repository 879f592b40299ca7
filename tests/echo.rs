//! `chloe echo`'s server, as conformance tests need it: large messages, any
//! number of frames, and a peer that does not read what comes back.

use std::io::{self, Write};

use chloe::base::time::Time;
use chloe::config::Config;
use chloe::server::{Action, ConnKey, Peer, Server, Transmit};
use chloe::wire::websocket::{
    Event, MessageDecoder, Opcode, Role, WebSocketLimits, encode_masked_frame,
};

const HANDSHAKE: &str = "GET /any/path?at=all HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\
    Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const NOW: Time = Time {
    ms: 1_000,
    unix_ms: 1_000,
};
const MASK: [u8; 4] = [1, 2, 3, 4];

/// What one piece of a read is: the event loop's share of a turn.
const READ_BYTES: usize = 64 * 1024;

/// A socket that takes `room` bytes.
#[derive(Default)]
struct Socket {
    room: usize,
    got: Vec<u8>,
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room -= count;
        self.got.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct House {
    server: Server,
    key: ConnKey,
    socket: Socket,
}

impl House {
    /// An echo that takes messages of `message_bytes_max`, with one connection.
    fn new(message_bytes_max: usize) -> House {
        let config = Config {
            message_bytes_max,
            fragments_max: 1_000_000,
            allowed_origins: vec!["*".to_owned()],
            ..Config::default()
        };
        let mut server = Server::echo(config, [1; 32], NOW);
        let peer = Peer::Tcp(([127, 0, 0, 1], 9).into());
        let key = server.handle_accept(NOW, peer).unwrap();
        let socket = Socket {
            room: usize::MAX,
            got: Vec::new(),
        };
        House {
            server,
            key,
            socket,
        }
    }

    /// One whose handshake is done.
    fn connected(message_bytes_max: usize) -> House {
        let mut house = House::new(message_bytes_max);
        house.say(HANDSHAKE.as_bytes());
        let answer = String::from_utf8(std::mem::take(&mut house.socket.got)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        house
    }

    /// Hands in as much of `bytes` as is wanted; returns how much that was.
    fn say(&mut self, bytes: &[u8]) -> usize {
        let mut said = 0;
        for piece in bytes.chunks(READ_BYTES) {
            if !self.server.wants_read(self.key) {
                break;
            }
            self.server
                .handle_received(NOW, self.key, &mut piece.to_vec());
            said += piece.len();
            self.flush();
        }
        said
    }

    fn flush(&mut self) {
        while let Some(key) = self.server.poll_transmit(NOW) {
            while self.server.transmit(NOW, key, &mut self.socket) == Transmit::More {
                self.server.handle_writable(key);
            }
        }
    }

    /// What the peer reads of the frames that it got.
    fn heard(&self) -> Vec<String> {
        let mut bytes = self.socket.got.clone();
        let limits = WebSocketLimits {
            message_bytes: usize::MAX,
            fragments: 1, // What comes back is in one frame.
        };
        let mut decoder = MessageDecoder::new(Role::Client);
        let (mut at, mut heard) = (0, Vec::new());
        while at < bytes.len() {
            let (used, event) = decoder.decode(&mut bytes[at..], &limits).unwrap();
            heard.extend(event.map(|event| match event {
                Event::Text(text) => format!("text of {} bytes", text.len()),
                Event::Binary(bytes) => format!("binary of {} bytes", bytes.len()),
                Event::Close { code, .. } => format!("close with {}", code.unwrap_or(0)),
                other => format!("{other:?}"),
            }));
            assert!(used > 0, "half a frame came back");
            at += used;
        }
        heard
    }
}

/// A message of `count` frames that hold `payload` each.
fn message(opcode: Opcode, payload: &[u8], count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 1..=count {
        let start = bytes.len();
        encode_masked_frame(&mut bytes, Opcode::Binary, payload, MASK);
        let opcode = if number == 1 { opcode as u8 } else { 0 };
        bytes[start] = u8::from(number == count) << 7 | opcode;
    }
    bytes
}

#[test]
fn messages_come_back_as_they_came_in_one_frame() {
    let mut house = House::connected(32 << 20);
    for (sent, heard) in [
        (message(Opcode::Text, b"", 1), "text of 0 bytes"),
        (message(Opcode::Text, "é".as_bytes(), 3), "text of 6 bytes"),
        (message(Opcode::Binary, &[255; 8], 2), "binary of 16 bytes"),
        (
            message(Opcode::Binary, b"x", 1_000_000),
            "binary of 1000000 bytes",
        ),
        (
            message(Opcode::Text, &vec![b'x'; 32 << 20], 1),
            "text of 33554432 bytes",
        ),
    ] {
        house.socket.got.clear();
        assert_eq!(house.say(&sent), sent.len());
        assert_eq!(house.heard(), [heard]);
    }
}

#[test]
fn its_limits_are_kept() {
    let too_big = message(Opcode::Binary, &[0; 101], 1);
    let too_many = message(Opcode::Binary, b"", 1_000_001);
    for (sent, heard) in [(too_big, "close with 1009"), (too_many, "close with 1008")] {
        let mut house = House::connected(100);
        house.say(&sent);
        assert_eq!(house.heard(), [heard]);
    }
}

#[test]
fn what_is_no_handshake_is_refused() {
    let mut house = House::new(100);
    house.say(b"GET /chloe/ping HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(house.socket.got.starts_with(b"HTTP/1.1 426 "));
}

/// What waits for a peer is bounded: it is not read until it reads.
#[test]
fn who_does_not_read_is_not_read() {
    let mut house = House::connected(1 << 20);
    house.socket.room = 0;
    let sent = message(Opcode::Binary, &[7; 1000], 1).repeat(10_000);
    let said = house.say(&sent);
    let most = Config::default().outbox_bytes_max + 2 * READ_BYTES;
    assert!((1..most).contains(&said), "{said} bytes were taken");

    house.socket.room = usize::MAX;
    house.server.handle_writable(house.key);
    house.flush();
    let resume = Action::ResumeRead { key: house.key };
    assert_eq!(house.server.poll_action(), Some(resume));
    assert_eq!(house.say(&sent[said..]), sent.len() - said);
    assert_eq!(house.heard(), vec!["binary of 1000 bytes"; 10_000]);
}
