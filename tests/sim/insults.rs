//! What rude peers say: too little, too much, nonsense, and on and on.

use chloe::wire::websocket::{Opcode, encode_masked_frame};
use serde_json::{Value, json};

use super::dice::Dice;
use super::http;
use super::publisher::CHANNELS;

/// Messages for the app that begin so are of rude peers.
pub const RUDE: &str = "rude";

/// In what way it is rude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Says nothing, or the half of something, and stays.
    Silent,
    /// Says nearly the whole of something large, and stays.
    Heavy,
    /// Says something whole, ends, and stays.
    HalfClosed,
    /// Asks for much, and never reads.
    Deaf,
    /// So much in one packet that it is ended meanwhile, and more of it behind.
    Talking,
    /// Says more behind its Close, or behind ours.
    BehindClose,
    /// Speaks nonsense.
    Breaking,
    /// Opens sessions by the hundred.
    Opening,
    /// Uses a session that others use as well.
    Sharing,
    /// Fills the webhook.
    Flooding,
}

const KINDS: [Kind; 10] = [
    Kind::Silent,
    Kind::Heavy,
    Kind::HalfClosed,
    Kind::Deaf,
    Kind::Talking,
    Kind::BehindClose,
    Kind::Breaking,
    Kind::Opening,
    Kind::Sharing,
    Kind::Flooding,
];

impl Kind {
    pub fn finishes(self) -> bool {
        self == Kind::HalfClosed
    }

    pub fn is_deaf(self) -> bool {
        matches!(self, Kind::Deaf | Kind::Talking)
    }

    pub fn repeats(self) -> bool {
        matches!(self, Kind::Deaf | Kind::Talking | Kind::BehindClose)
    }
}

/// Who says it.
pub struct Said {
    /// A number of its address, which its channels are called by.
    pub address: usize,
    /// What its requests have that come through a proxy.
    pub fields: String,
    /// A session that may be anybody's.
    pub session: String,
}

/// One way or another.
pub fn kind(dice: &mut Dice) -> Kind {
    dice.pick(&KINDS)
}

/// Something rude of this kind, in packets.
pub fn say(kind: Kind, dice: &mut Dice, said: &Said) -> Vec<Vec<u8>> {
    match kind {
        Kind::Silent => silent(dice, said),
        Kind::Heavy => heavy(dice, said),
        Kind::HalfClosed => vec![said.whole(dice)],
        Kind::Deaf => deaf(dice, said),
        Kind::Talking => talking(dice, said),
        Kind::BehindClose => behind_close(dice, said),
        Kind::Breaking => breaking(dice, said),
        Kind::Opening => opening(dice, said),
        Kind::Sharing => (0..dice.range(1, 6)).map(|_| said.share(dice)).collect(),
        Kind::Flooding => flooding(dice, said),
    }
}

/// The beginning of something.
fn silent(dice: &mut Dice, said: &Said) -> Vec<Vec<u8>> {
    let mut bytes = match dice.below(5) {
        0 => Vec::new(),
        1 => [said.handshake(), text(dice, &connect())].concat(),
        2 => said.handshake(),
        _ => said.whole(dice),
    };
    if dice.chance(80) {
        bytes.truncate(dice.below(bytes.len() + 1));
    }
    vec![bytes]
}

/// As much as it may say, but for the last.
fn heavy(dice: &mut Dice, said: &Said) -> Vec<Vec<u8>> {
    let body = vec![b'x'; dice.range(40_000, 60_000)];
    let mut request = http::post("/chloe/xhr", &said.fields, &body);
    request.pop();
    vec![request]
}

/// Answers are large, and nobody reads them.
fn deaf(dice: &mut Dice, said: &Said) -> Vec<Vec<u8>> {
    match dice.below(4) {
        0 => {
            let file = said.get("/chloe.js");
            vec![file.repeat(dice.range(1, 30))]
        }
        1 => vec![said.xhr(&connect()).repeat(dice.range(1, 300))],
        2 => vec![said.get("/channels/news").repeat(dice.range(1, 100))],
        _ => {
            let hello = [said.handshake(), text(dice, &connect())].concat();
            let all: Vec<u8> = CHANNELS
                .iter()
                .flat_map(|name| text(dice, &subscribe(name)))
                .collect();
            let junk = said.junk(dice);
            let ping = frame(dice, Opcode::Ping, &[b'x'; 125]).repeat(50);
            let again = text(dice, &connect()).repeat(3);
            vec![hello, all, junk, ping, again]
        }
    }
}

/// All in one packet: the outbox is too small for the answers.
fn talking(dice: &mut Dice, said: &Said) -> Vec<Vec<u8>> {
    let mut bytes = said.handshake();
    bytes.extend(text(dice, &connect()));
    bytes.extend(said.junk(dice));
    for _ in 0..dice.range(1, 90) {
        bytes.extend(text(dice, &connect()));
    }
    let mut more = said.junk(dice);
    more.extend(rude_text(dice));
    vec![bytes, more]
}

/// Nothing counts that comes behind a Close.
fn behind_close(dice: &mut Dice, said: &Said) -> Vec<Vec<u8>> {
    let mut bytes = said.handshake();
    if dice.chance(50) {
        bytes.extend(text(dice, &connect()));
    }
    let closing = match dice.below(4) {
        0 => frame(dice, Opcode::Close, &1000u16.to_be_bytes()),
        1 => frame(dice, Opcode::Close, &[]),
        2 => frame(dice, Opcode::Binary, b"\0"),
        _ => vec![0xf1, 0x80, 0, 0, 0, 0],
    };
    bytes.extend(closing);
    let mut more = said.junk(dice);
    more.extend(text(dice, &connect()));
    more.extend(rude_text(dice));
    if dice.chance(50) {
        bytes.extend(&more);
    }
    vec![bytes, more]
}

fn breaking(dice: &mut Dice, said: &Said) -> Vec<Vec<u8>> {
    let of_http: [&[u8]; 9] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /chloe/ping HTTP/1.1\r\n\r\n",
        b"POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /chloe/xhr HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /chloe/xhr HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\ndata={",
        b"GET /chloe/jsonp.js?data=%ff%fe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65000\r\n\r\n",
    ];
    let of_websockets: [&[u8]; 8] = [
        // Not masked; of a reserved opcode; a rest of nothing.
        b"\x81\x02hi",
        b"\x83\x80\0\0\0\0",
        b"\x80\x80\0\0\0\0",
        // A Ping in two; longer than anything may be; not UTF-8; a Close of one byte.
        b"\x09\x80\0\0\0\0",
        b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
        b"\x81\x82\0\0\0\0\xff\xfe",
        b"\x88\x81\0\0\0\0\x01",
        // Fragments without end.
        b"\x01\x81\0\0\0\0x",
    ];
    match dice.below(4) {
        0 => vec![vec![b'x'; dice.range(1, 40_000)]],
        1 => vec![dice.pick(&of_http).to_vec()],
        2 => {
            let strange = dice.pick(&[
                "{",
                "[]",
                "{\"type\":\"connect\",\"type\":\"poll\"}",
                "{\"type\":\"channel-subscribe\",\"channel\":\"\",\"id\":1}",
                "{\"type\":\"channel-subscribe\",\"channel\":\"a\",\"since\":\"0-1\",\"id\":1}",
                "{\"type\":\"poll\"}",
            ]);
            let said_so = frame(dice, Opcode::Text, strange.as_bytes());
            vec![said.handshake(), said_so.repeat(dice.range(1, 20))]
        }
        _ => {
            let broken = dice.pick(&of_websockets).to_vec();
            let behind = text(dice, &connect());
            vec![[said.handshake(), broken, behind].concat()]
        }
    }
}

fn opening(dice: &mut Dice, said: &Said) -> Vec<Vec<u8>> {
    let message = match dice.chance(50) {
        true => connect(),
        false => json!({"type": "connect", "version": 1}),
    };
    let one = match dice.chance(70) {
        true => said.xhr(&message),
        false => said.get(&format!(
            "/chloe/jsonp.js?data={}",
            http::percent(&message.to_string())
        )),
    };
    vec![one.repeat(dice.range(10, 150)); dice.range(1, 3)]
}

fn flooding(dice: &mut Dice, said: &Said) -> Vec<Vec<u8>> {
    let many = dice.range(1, 90);
    if dice.chance(70) {
        let mut bytes = said.handshake();
        for _ in 0..many {
            bytes.extend(rude_text(dice));
        }
        return vec![bytes];
    }
    let requests = (0..many).map(|_| {
        let mut message = message(dice);
        message["sessionId"] = said.session.clone().into();
        said.xhr(&message)
    });
    vec![requests.collect::<Vec<_>>().concat()]
}

impl Said {
    fn get(&self, target: &str) -> Vec<u8> {
        let fields = &self.fields;
        format!("GET {target} HTTP/1.1\r\nHost: localhost:8901\r\n{fields}\r\n").into_bytes()
    }

    fn xhr(&self, message: &Value) -> Vec<u8> {
        let body = format!("data={}", http::percent(&message.to_string()));
        http::post("/chloe/xhr", &self.fields, body.as_bytes())
    }

    fn handshake(&self) -> Vec<u8> {
        let fields = &self.fields;
        format!(
            "GET /chloe/websocket HTTP/1.1\r\nHost: localhost:8901\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
        )
        .into_bytes()
    }

    /// Something that is answered, at once or later.
    fn whole(&self, dice: &mut Dice) -> Vec<u8> {
        match dice.below(6) {
            0 => self.share(dice),
            1 => self.xhr(&connect()),
            2 => [self.handshake(), text(dice, &connect())].concat(),
            3 => [self.handshake(), rude_text(dice)].concat(),
            4 => self.get("/chloe.js"),
            _ => http::post("/send", &self.fields, b"data=x"),
        }
    }

    /// A request for a session that may be anybody's.
    fn share(&self, dice: &mut Dice) -> Vec<u8> {
        let mut message = match dice.below(6) {
            0 => json!({"type": "poll", "version": 1}),
            1 | 2 => {
                json!({"type": "poll", "version": 1, "wait": 60_000, "positions": {}, "batch": 0})
            }
            3 => connect(),
            4 => subscribe(dice.pick(&CHANNELS)),
            _ => message(dice),
        };
        message["sessionId"] = self.session.clone().into();
        match dice.chance(30) {
            true => [self.handshake(), text(dice, &message)].concat(),
            false => self.xhr(&message),
        }
    }

    /// Subscriptions to names that nobody else uses, and that are long to tell.
    fn junk(&self, dice: &mut Dice) -> Vec<u8> {
        let (long, count) = (dice.range(1, 240), dice.range(1, 12));
        let mut bytes = Vec::new();
        for _ in 0..count {
            let name = format!("{}{}-{}", "<".repeat(long), self.address, dice.below(200));
            bytes.extend(text(dice, &subscribe(&name)));
        }
        bytes
    }
}

fn connect() -> Value {
    json!({"type": "connect", "version": 1, "positions": {}})
}

fn subscribe(name: &str) -> Value {
    json!({"type": "channel-subscribe", "channel": name})
}

fn message(dice: &mut Dice) -> Value {
    let long = dice.pick(&[1, 100, 2_000]);
    let data = format!("{RUDE} {}", "x".repeat(dice.below(long)));
    match dice.chance(50) {
        true => json!({"type": "message", "data": data, "id": dice.below(1_000)}),
        false => json!({"type": "message", "data": data}),
    }
}

fn text(dice: &mut Dice, message: &Value) -> Vec<u8> {
    frame(dice, Opcode::Text, message.to_string().as_bytes())
}

fn rude_text(dice: &mut Dice) -> Vec<u8> {
    let message = message(dice);
    text(dice, &message)
}

fn frame(dice: &mut Dice, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_masked_frame(&mut bytes, opcode, payload, dice.bytes());
    bytes
}
