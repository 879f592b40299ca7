//! A real Chloe on real sockets, a raw client and an app, for the tests of the edges.
//!
//! Everything is on loopback and on ports that the system chose; waiting is
//! blocking reads with a limit. Used by `transports`, `mangled` and `webhook`.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use chloe::config::Config;
use chloe::net::{self, EventLoop, Handle};
use chloe::server::Server;
use chloe::wire::websocket::{
    Event, MessageDecoder, Opcode, Role, WebSocketLimits, encode_masked_frame,
};

/// The longest that anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server in a thread of its own.
pub struct Chloe {
    pub address: SocketAddr,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Chloe {
    /// Starts one with the defaults, changed by `settings` (`key=value` each).
    pub fn start(settings: &[&str]) -> Chloe {
        let mut config = Config {
            port: 0,
            listen_addresses: vec!["127.0.0.1".to_owned()],
            // As the tests call it.
            server_names: vec!["a".to_owned(), "chloe.example".to_owned()],
            ..Config::default()
        };
        for setting in settings {
            let (key, value) = setting.split_once('=').expect("key=value");
            config.set(key, value).unwrap();
        }
        let event_loop = EventLoop::bind(&config).unwrap();
        let address = event_loop.addresses()[0];
        let handle = event_loop.handle();
        config.port = address.port();
        let mut server = Server::new(config, net::random_seed().unwrap(), event_loop.now());
        let thread = std::thread::spawn(move || event_loop.run(&mut server).unwrap());
        Chloe {
            address,
            handle,
            thread: Some(thread),
        }
    }

    /// A new raw connection.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Publishes by `/send` and expects `success`.
    pub fn send(&self, form: &str) {
        let answer = self.connect().post("/send", form);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "success"),
            "{form}"
        );
    }

    /// A WebSocket, its handshake done.
    pub fn websocket(&self) -> WebSocket {
        WebSocket::over(self.connect())
    }

    /// Begins to stop it.
    pub fn shutdown(&self) {
        self.handle.shutdown();
    }
}

impl Drop for Chloe {
    fn drop(&mut self) {
        self.handle.shutdown();
        self.handle.shutdown();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the server panicked");
        }
    }
}

/// An answer of HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The value of the field `name`, if there is one.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// One raw TCP connection.
pub struct Client {
    pub stream: TcpStream,
    input: Vec<u8>,
}

impl Client {
    /// A new raw connection to a server anywhere.
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client {
            stream,
            input: Vec::new(),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads more; false at the end of the connection.
    fn fill(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.input.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came in time: {error}"),
        }
    }

    fn read_until(&mut self, mark: &[u8]) -> Vec<u8> {
        loop {
            let found = self
                .input
                .windows(mark.len())
                .position(|window| window == mark);
            if let Some(at) = found {
                return self.input.drain(..at + mark.len()).collect();
            }
            assert!(
                self.fill(),
                "closed; got {:?}",
                String::from_utf8_lossy(&self.input)
            );
        }
    }

    fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        while self.input.len() < count {
            assert!(self.fill(), "closed in the middle of a body");
        }
        self.input.drain(..count).collect()
    }

    pub fn read_head(&mut self) -> String {
        String::from_utf8(self.read_until(b"\r\n\r\n")).unwrap()
    }

    /// Reads one whole answer.
    pub fn read_answer(&mut self) -> Answer {
        let head = self.read_head();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        if answer.field("Transfer-Encoding") == Some("chunked") {
            loop {
                let line = String::from_utf8(self.read_until(b"\r\n")).unwrap();
                let size = usize::from_str_radix(line.trim(), 16).unwrap();
                let chunk = self.read_exactly(size + 2);
                answer.body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    return answer;
                }
            }
        }
        let length = answer
            .field("Content-Length")
            .map_or(0, |text| text.parse().unwrap());
        answer.body = self.read_exactly(length);
        answer
    }

    pub fn get(&mut self, target: &str) -> Answer {
        self.write(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        self.read_answer()
    }

    pub fn post(&mut self, target: &str, body: &str) -> Answer {
        self.write(
            format!(
                "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
        self.read_answer()
    }

    /// Reads a chunked body to its end, chunk lines and all.
    pub fn read_to_last_chunk(&mut self) -> Vec<u8> {
        self.read_until(b"\r\n0\r\n\r\n")
    }

    /// Expects the end of the connection, and returns what came before it.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.input)
    }

    /// Whether nothing has come; does not wait.
    pub fn is_silent(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let mut bytes = [0; 1];
        let silent = self.input.is_empty()
            && matches!(self.stream.peek(&mut bytes), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).unwrap();
        silent
    }
}

/// What a WebSocket brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    Ping,
    Pong(Vec<u8>),
    Close(Option<u16>),
    /// The connection ended.
    End,
}

/// A WebSocket client.
pub struct WebSocket {
    pub client: Client,
    decoder: MessageDecoder,
}

impl WebSocket {
    /// Makes a connection one, by the handshake.
    pub fn over(mut client: Client) -> WebSocket {
        client.write(
            b"GET /chloe/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        let head = client.read_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        WebSocket {
            client,
            decoder: MessageDecoder::new(Role::Client),
        }
    }

    pub fn frame(&mut self, opcode: Opcode, payload: &[u8]) {
        let mut frame = Vec::new();
        encode_masked_frame(&mut frame, opcode, payload, [7, 77, 177, 217]);
        self.client.write(&frame);
    }

    pub fn text(&mut self, text: &str) {
        self.frame(Opcode::Text, text.as_bytes());
    }

    /// The next frame.
    pub fn read(&mut self) -> Frame {
        let limits = WebSocketLimits {
            message_bytes: 1 << 24,
            fragments: 16,
        };
        loop {
            let (used, event) = self
                .decoder
                .decode(&mut self.client.input, &limits)
                .unwrap();
            let frame = event.map(|event| match event {
                Event::Text(text) => Frame::Text(text.into_owned()),
                Event::Binary(_) => panic!("Chloe sends no binary"),
                Event::Ping(_) => Frame::Ping,
                Event::Pong(payload) => Frame::Pong(payload.to_vec()),
                Event::Close { code, .. } => Frame::Close(code),
            });
            self.client.input.drain(..used);
            match frame {
                Some(frame) => return frame,
                None if used > 0 => {}
                None if !self.client.fill() => return Frame::End,
                None => {}
            }
        }
    }

    /// The next text, as JSON.
    pub fn json(&mut self) -> serde_json::Value {
        loop {
            match self.read() {
                Frame::Text(text) => return serde_json::from_str(&text).unwrap(),
                Frame::Ping => {}
                other => panic!("expected text, got {other:?}"),
            }
        }
    }

    /// The data of the next delivery.
    pub fn data(&mut self) -> String {
        let message = self.json();
        message["data"]
            .as_str()
            .unwrap_or_else(|| panic!("no delivery: {message}"))
            .to_owned()
    }
}

/// A request that the app got.
#[derive(Debug)]
pub struct Asked {
    pub head: String,
    pub body: String,
    /// Where its answer goes; dropped, the connection is closed without one.
    pub stream: TcpStream,
}

impl Asked {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Answers and keeps the connection, whose next request comes to the app as well.
    pub fn answer(mut self, app: &App, head: &str, body: &str) {
        let answer = format!(
            "HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(answer.as_bytes()).unwrap();
        app.listen_on(self.stream);
    }

    pub fn ok(self, app: &App) {
        self.answer(app, "200 OK", "");
    }
}

/// An app whose requests come to the test one by one.
pub struct App {
    pub address: SocketAddr,
    asked: Receiver<Asked>,
    sender: Sender<Asked>,
}

impl App {
    pub fn start() -> App {
        App::on(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// An app on a listener that is there already.
    pub fn on(listener: TcpListener) -> App {
        let (sender, asked) = channel();
        let address = listener.local_addr().unwrap();
        let app = App {
            address,
            asked,
            sender: sender.clone(),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                std::thread::spawn(move || read_request(stream, &sender));
            }
        });
        app
    }

    /// The setting that makes it the app.
    pub fn setting(&self) -> String {
        format!("application_server_url=http://{}/updates", self.address)
    }

    /// The next request.
    pub fn next(&self) -> Asked {
        self.asked
            .recv_timeout(PATIENCE)
            .expect("a request to the app")
    }

    fn listen_on(&self, stream: TcpStream) {
        let sender = self.sender.clone();
        std::thread::spawn(move || read_request(stream, &sender));
    }
}

fn read_request(mut stream: TcpStream, sender: &Sender<Asked>) {
    let mut input = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        if let Some(at) = input.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&input[..at]).into_owned();
            let length = head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().unwrap())
            });
            let body = &input[at + 4..];
            if body.len() >= length.unwrap_or(0) {
                let body = String::from_utf8_lossy(body).into_owned();
                // A test that is over listens no more.
                let _ = sender.send(Asked { head, body, stream });
                return;
            }
        }
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(count) => input.extend_from_slice(&bytes[..count]),
        }
    }
}

/// `escape()` of 2011: what the old client makes of its JSON.
pub fn escape(text: &str) -> String {
    let mut out = String::new();
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() || b"@*_+-./".contains(&byte) => {
                out.push(char::from(byte))
            }
            Ok(byte) => out.push_str(&format!("%{byte:02X}")),
            Err(_) => out.push_str(&format!("%u{unit:04X}")),
        }
    }
    out
}

/// A message by XHR, as the client of 2011 posts it.
pub fn xhr_post(client: &mut Client, json: &str) -> Answer {
    client.post("/chloe/xhr", &format!("data={}", escape(json)))
}

/// The session id that a `connect` was answered with.
pub fn session_of(text: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    let id = json["sessionId"].as_str();
    id.expect("a session id is a string").to_owned()
}
