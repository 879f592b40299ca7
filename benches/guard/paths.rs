//! The pure paths whose instructions are counted, each a function of how often.
//!
//! Nothing here reads a clock or a socket, so that a run does the same each
//! time. Used by `main.rs`, which runs them under valgrind.

use std::hint::black_box;

use chloe::base::names::Epoch;
use chloe::wire::envelope::{DataRef, decode, encode_delivery};
use chloe::wire::http::{Decoded, HttpLimits, RequestDecoder};
use chloe::wire::websocket::{
    Event, MessageDecoder, Opcode, Role, WebSocketLimits, encode_masked_frame,
};

use crate::support::in_memory::InMemory;

/// A path: what is counted, for how many operations each round stands, and the work.
pub struct Path {
    pub name: &'static str,
    /// What one operation is, for the table.
    pub unit: &'static str,
    /// Operations in a round.
    pub operations: u64,
    /// Rounds of the shorter of two runs; the longer has twice as many.
    pub rounds: u64,
    pub run: fn(rounds: u64),
}

const SUBSCRIBERS: usize = 10_000;

/// The paths, in the order of the table.
pub const PATHS: [Path; 12] = [
    Path::new("parse_poll", "request", 1, 1_000, parse_poll),
    Path::new("parse_send", "request", 1, 1_000, parse_send),
    Path::new("frame_text", "frame of 60 bytes", 1, 1_000, frame_text),
    Path::new("frame_64k", "frame of 64 KiB", 1, 20, frame_64k),
    Path::new("envelope_decode", "message", 1, 1_000, envelope_decode),
    Path::new("envelope_encode", "delivery", 1, 1_000, envelope_encode),
    Path::new("open", "WebSocket", 1, 500, open),
    Path::new("ping", "ping answered", SUBSCRIBERS as u64, 2, ping),
    Path::new("poll", "poll answered", 1, 500, poll),
    // All in one turn: what a publication costs before anybody is written to.
    Path::new("publish", "publication", 1, 200, publish),
    Path::new(
        "fan_out_1",
        "write of 1",
        SUBSCRIBERS as u64,
        2,
        fan_out::<1>,
    ),
    Path::new(
        "fan_out_32",
        "write of 32",
        SUBSCRIBERS as u64,
        2,
        fan_out::<32>,
    ),
];

impl Path {
    const fn new(
        name: &'static str,
        unit: &'static str,
        operations: u64,
        rounds: u64,
        run: fn(u64),
    ) -> Path {
        Path {
            name,
            unit,
            operations,
            rounds,
            run,
        }
    }
}

/// As Chromium sends it.
const POLL: &[u8] = b"GET /chloe/xhr?data=%7B%22type%22%3A%22poll%22%2C%22sessionId%22%3A%22\
0123456789abcdef0123456789abcdef%22%2C%22version%22%3A1%2C%22positions%22%3A%7B%7D%7D HTTP/1.1\r\n\
Host: localhost:8901\r\nConnection: keep-alive\r\nsec-ch-ua-platform: \"Linux\"\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
Safari/537.36\r\nsec-ch-ua: \"Chromium\";v=\"140\"\r\nsec-ch-ua-mobile: ?0\r\nAccept: */*\r\n\
Origin: http://localhost:4567\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\n\
Sec-Fetch-Dest: empty\r\nReferer: http://localhost:4567/\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\r\n";

/// As curl sends it.
const SEND: &[u8] = b"POST /send HTTP/1.1\r\nHost: localhost:8901\r\nUser-Agent: curl/8.5.0\r\n\
Accept: */*\r\nContent-Length: 41\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n\
channel=room&data=This is the message dat";

fn parse_poll(rounds: u64) {
    parse(POLL, rounds);
}

fn parse_send(rounds: u64) {
    parse(SEND, rounds);
}

fn parse(bytes: &[u8], rounds: u64) {
    let limits = HttpLimits::default();
    for _ in 0..rounds {
        let mut decoder = RequestDecoder::default();
        let decoded = decoder.decode(black_box(bytes), &limits);
        let Ok(Decoded::Request { consumed, request }) = &decoded else {
            panic!("the request is whole and good: {decoded:?}");
        };
        assert_eq!(*consumed, bytes.len());
        black_box(request);
    }
}

fn frame_text(rounds: u64) {
    frames(&[b'x'; 60], rounds);
}

fn frame_64k(rounds: u64) {
    frames(&vec![b'x'; 65_536], rounds);
}

fn frames(payload: &[u8], rounds: u64) {
    let mut frame = Vec::new();
    encode_masked_frame(&mut frame, Opcode::Text, payload, [1, 2, 3, 4]);
    let limits = WebSocketLimits::default();
    let mut decoder = MessageDecoder::new(Role::Server);
    let mut input = Vec::new();
    for _ in 0..rounds {
        // It is unmasked in place, so each round needs a frame of its own.
        input.clear();
        input.extend_from_slice(&frame);
        match decoder.decode(black_box(&mut input), &limits) {
            Ok((_, Some(Event::Text(text)))) => assert_eq!(text.len(), payload.len()),
            other => panic!("the frame is whole and good: {other:?}"),
        }
    }
}

fn envelope_decode(rounds: u64) {
    let text = r#"{"type":"message","data":"This is the message data","version":1,"id":17,"sessionId":"0123456789abcdef0123456789abcdef"}"#;
    for _ in 0..rounds {
        let envelope = decode(black_box(text)).map_err(|_| "unreadable");
        black_box(envelope.expect("the message is good"));
    }
}

fn envelope_encode(rounds: u64) {
    let text = "x".repeat(128);
    let epoch = Epoch::from_random(7);
    let mut out = Vec::new();
    for offset in 0..rounds {
        out.clear();
        let data = DataRef::Str(black_box(&text));
        encode_delivery(&mut out, data, "room", offset, Some(epoch), false);
        black_box(&out);
    }
}

fn open(rounds: u64) {
    let mut whole = InMemory::timeless(1, 0);
    for _ in 0..rounds {
        whole.open_and_close();
    }
}

fn ping(rounds: u64) {
    let mut whole = InMemory::timeless(SUBSCRIBERS, 0);
    for _ in 0..rounds {
        whole.ping_all();
    }
}

fn poll(rounds: u64) {
    let mut whole = InMemory::timeless(1, 1);
    let mut poller = whole.open_polling_session();
    for _ in 0..rounds {
        whole.poll_and_publish(&mut poller);
    }
}

fn publish(rounds: u64) {
    InMemory::timeless(SUBSCRIBERS, rounds as usize).turn(rounds as usize);
}

fn fan_out<const IN_FLIGHT: usize>(rounds: u64) {
    let mut whole = InMemory::timeless(SUBSCRIBERS, IN_FLIGHT);
    for _ in 0..rounds {
        whole.turn(IN_FLIGHT);
    }
}
