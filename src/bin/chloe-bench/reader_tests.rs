//! Readers against a far end that says what the test wants, a byte at a time.
//!
//! It is on loopback, on a port that the system chose. Run by `cargo test`.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use chloe::wire::http::{Decoded, HttpLimits, RequestDecoder};
use chloe::wire::websocket::handshake::accept;
use chloe::wire::websocket::{Opcode, encode_frame};

use crate::peer_file::parse;
use crate::polling::Fate;
use crate::reader::{Plan, Reader};
use crate::socket::Location;
use crate::stamp::Stamp;

const PATIENCE: Duration = Duration::from_secs(20);
const PUBLISH: &str = "[publish]\nover = 'http'\npath = '/'\nbody = '${data}'\n";

/// A reader, and the end that it talks to.
struct Pair {
    plan: Plan,
    reader: Reader,
    listener: TcpListener,
    far: TcpStream,
    got: Vec<u32>,
    replaced: usize,
}

impl Pair {
    /// A reader by the only transport that `table` describes.
    fn new(table: &str) -> Pair {
        let peer = parse(&format!("{table}\n{PUBLISH}")).unwrap();
        let transport = peer.transport(None).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let location = Location::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        let plan = Plan::new(peer, transport, location, false).unwrap();
        let reader = Reader::connect(&plan, 7).unwrap();
        let (far, _) = listener.accept().unwrap();
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        Pair {
            plan,
            reader,
            listener,
            far,
            got: Vec::new(),
            replaced: 0,
        }
    }

    /// Lets the reader read, however little there is.
    fn read(&mut self) {
        let mut scratch = [0; 4_096];
        let got = &mut self.got;
        let take = |stamp: Stamp| got.push(stamp.sequence);
        let (_, fate) = self.reader.read(&self.plan, &mut scratch, take).unwrap();
        self.replaced += usize::from(fate == Fate::Replaced);
    }

    /// Lets the reader read until `is_done`.
    fn read_until(&mut self, is_done: impl Fn(&Pair) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_done(self) {
            self.read();
            assert!(
                Instant::now() < deadline,
                "it is never done: {:?}",
                self.got
            );
        }
    }

    /// Says `bytes` one by one.
    fn say(&mut self, bytes: &[u8]) {
        self.far.set_nodelay(true).unwrap();
        for byte in bytes {
            self.far.write_all(&[*byte]).unwrap();
            self.read();
        }
    }

    /// What the reader says, up to `mark`.
    fn hear(&mut self, mark: &str) -> String {
        let mut heard = Vec::new();
        let mut byte = [0];
        self.far.set_nonblocking(true).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !heard.ends_with(mark.as_bytes()) {
            match self.far.read(&mut byte) {
                Ok(1) => heard.push(byte[0]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.read(),
                other => panic!("{other:?} after {heard:?}"),
            }
            assert!(Instant::now() < deadline, "only {heard:?}");
        }
        self.far.set_nonblocking(false).unwrap();
        String::from_utf8(heard).unwrap()
    }
}

fn data(sequence: u32) -> Vec<u8> {
    let stamp = Stamp {
        sequence,
        ..Stamp::default()
    };
    let mut data = Vec::new();
    stamp.write(&mut data, 64);
    data
}

#[test]
fn a_websocket_is_greeted_answered_and_read() {
    let mut pair = Pair::new(
        "[ws]\npath = '/w'\nsend = ['hello ${client}']\nready = 'welcome'\n\
         answers = [{ to = '2', send = '3' }]",
    );
    let request = pair.hear("\r\n\r\n");
    assert!(request.starts_with("GET /w HTTP/1.1\r\n"), "{request}");
    let mut answer = Vec::new();
    match RequestDecoder::default().decode(request.as_bytes(), &HttpLimits::default()) {
        Ok(Decoded::Request { request, .. }) => {
            accept(&request).unwrap().encode_response(&mut answer)
        }
        other => panic!("{other:?}"),
    }
    pair.say(&answer);
    assert!(!pair.reader.is_open(&pair.plan));
    for (opcode, payload) in [
        (Opcode::Text, b"2".to_vec()),
        (Opcode::Text, b"be welcome".to_vec()),
        (Opcode::Ping, b"p".to_vec()),
        (Opcode::Binary, [data(1), data(2)].concat()),
    ] {
        let mut frame = Vec::new();
        encode_frame(&mut frame, opcode, true, &payload);
        pair.say(&frame);
    }
    pair.read_until(|pair| pair.got == [1, 2]);
    assert!(pair.reader.is_open(&pair.plan));
    // A greeting of 7 bytes and one for the client, an answer, and a pong, each masked.
    let mut frames = [0; 6 + 7 + 6 + 1 + 6 + 1];
    pair.far.read_exact(&mut frames).unwrap();
    let opcodes = [frames[0], frames[13], frames[20]];
    assert_eq!(opcodes, [0x81, 0x81, 0x8a]);
}

#[test]
fn plain_bytes_are_read_wherever_they_are_cut() {
    let mut pair = Pair::new(
        "[tcp]\nsend = ['SUB\\r\\n']\nready = '+OK'\nanswers = [{ to = 'PING', send = 'PONG.' }]",
    );
    assert_eq!(pair.hear("\n"), "SUB\r\n");
    pair.say(b"INFO {}\r\n+OK\r\n");
    pair.read_until(|pair| pair.reader.is_open(&pair.plan));
    pair.say(&[b"MSG ".to_vec(), data(1), data(2), b"\r\nPING\r\n".to_vec()].concat());
    pair.read_until(|pair| pair.got == [1, 2]);
    assert!(pair.hear("PONG.").starts_with("PONG."));
}

#[test]
fn events_are_read_behind_their_head() {
    let mut pair = Pair::new("[sse]\npath = '/e'\nheaders = ['Accept: text/event-stream']");
    let request = pair.hear("\r\n\r\n");
    assert!(
        request.contains("\r\nAccept: text/event-stream\r\n"),
        "{request}"
    );
    pair.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hi\n\n");
    pair.read_until(|pair| pair.reader.is_open(&pair.plan));
    pair.say(&[b"data: ".to_vec(), data(5), b"\n\ndata: ".to_vec(), data(6)].concat());
    pair.read_until(|pair| pair.got == [5, 6]);
}

#[test]
fn a_poller_goes_on_behind_what_it_has_seen() {
    let mut pair = Pair::new(
        "[poll]\nopen = [{ path = '/open', body = 'x', take = [{ name = 'id', after = 'id=', until = ';' }] }]\n\
         [poll.request]\npath = '/poll?${id}'\nheaders = ['If-None-Match: ${etag}']\n\
         take = [{ name = 'etag', after = 'Etag: ', until = '\\r' }]",
    );
    let request = pair.hear("\r\n\r\nx");
    assert!(request.starts_with("POST /open HTTP/1.1\r\n"), "{request}");
    pair.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nid=9;");
    let request = pair.hear("\r\n\r\n");
    assert!(request.starts_with("GET /poll?9 HTTP/1.1\r\n"), "{request}");
    assert!(!request.contains("If-None-Match"), "{request}");
    assert!(pair.reader.is_open(&pair.plan));
    let answer = [
        b"HTTP/1.1 200 OK\r\nEtag: abc\r\nConnection: close\r\nContent-Length: 64\r\n\r\n".to_vec(),
        data(3),
    ];
    pair.say(&answer.concat());
    pair.read_until(|pair| pair.replaced == 1);
    assert_eq!(pair.got, [3]);
    // The server has closed, so it comes by another connection.
    (pair.far, _) = pair.listener.accept().unwrap();
    let request = pair.hear("\r\n\r\n");
    assert!(request.contains("If-None-Match: abc\r\n"), "{request}");
}
