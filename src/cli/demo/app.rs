//! The demo app: a web application of the plainest kind, of which Chloe knows
//! nothing but its address.
//!
//! It serves one page, takes a POST for each message of a browser, and answers
//! with a POST to Chloe, over HTTP like any app. A thread for each connection,
//! one request on each. Only this host can reach it. Called by `demo`.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::wire::http::{
    Decoded, Framing, HttpLimits, Method, Request, RequestDecoder, Response, Version,
};
use crate::wire::urlencoded::encode_form;

/// The path that Chloe's messages come to.
pub const UPDATES: &str = "/updates";

const PAGE: &str = include_str!("page.html");
/// What stands in the page for Chloe's port.
const PORT_MARK: &str = "{{CHLOE_PORT}}";

/// The most connections at a time; browsers open some in advance.
const CONNECTIONS_MAX: usize = 64;
/// How long a peer may say nothing, or take nothing.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The app, listening, and not yet answering.
pub struct App {
    listeners: Vec<TcpListener>,
    port: u16,
}

/// What its threads share.
struct Shared {
    /// The settings that Chloe runs with, its true port among them.
    config: Config,
    page: String,
    open: AtomicUsize,
}

impl App {
    /// Listens on this host's own addresses, IPv6 too if there is one, as
    /// browsers mean either by `localhost`. Port 0 takes a free one.
    ///
    /// # Errors
    /// Those of the system; `AddrInUse` above all.
    pub fn bind(port: u16) -> io::Result<App> {
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let bound = v4.local_addr()?.port();
        let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), bound);
        match TcpListener::bind(v6) {
            Ok(v6) => Ok(App {
                listeners: vec![v4, v6],
                port: bound,
            }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            // This host has no IPv6.
            Err(_) => Ok(App {
                listeners: vec![v4],
                port: bound,
            }),
        }
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Begins to answer, in threads that end with the process.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(self, config: Config) -> io::Result<()> {
        let shared = Arc::new(Shared {
            page: PAGE.replace(PORT_MARK, &config.port.to_string()),
            config,
            open: AtomicUsize::new(0),
        });
        for listener in self.listeners {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name("demo app".to_owned())
                .spawn(move || accept(&listener, &shared))?;
        }
        Ok(())
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Out of files: what is open ends soon.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        if shared.open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
            shared.open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let theirs = Arc::clone(shared);
        let serving = move || {
            if let Err(error) = serve(stream, &theirs) {
                log::debug!("event=demo_app_connection reason=\"{error}\"");
            }
            theirs.open.fetch_sub(1, Ordering::Relaxed);
        };
        if thread::Builder::new().spawn(serving).is_err() {
            shared.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Reads one request, answers it, and closes.
fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    let mut decoder = RequestDecoder::default();
    let limits = HttpLimits::default();
    let (mut received, mut buffer) = (Vec::new(), [0; 8192]);
    let mut out = Vec::new();
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        received.extend_from_slice(&buffer[..count]);
        match decoder.decode(&received, &limits) {
            Ok(Decoded::NeedMore { .. }) => continue,
            Ok(Decoded::Request { request, .. }) => {
                let head_only = request.method == Method::Head;
                respond(&request, shared).encode(&mut out, &framing(head_only));
            }
            Err(error) => {
                text(error.status(), error.to_string()).encode(&mut out, &framing(false));
            }
        }
        return stream.write_all(&out);
    }
}

fn respond<'a>(request: &Request<'_>, shared: &'a Shared) -> Response<'a> {
    match (request.method, request.path()) {
        (Method::Get | Method::Head, "/") => Response::new(200)
            .content_type("text/html; charset=utf-8")
            .header("Cache-Control", "no-store")
            .body(shared.page.as_bytes()),
        (Method::Post, UPDATES) => {
            let said = String::from_utf8_lossy(&request.body);
            let session = request.headers.get("X-Chloe-Session").unwrap_or_default();
            match answer(&said, session, &shared.config) {
                Ok(()) => Response::new(204),
                Err(failure) => {
                    log::warn!("event=demo_app_answer_failed reason=\"{failure}\"");
                    text(500, "The demo app could not answer.".to_owned())
                }
            }
        }
        (_, "/" | UPDATES) => text(405, "This is no way to ask for it.".to_owned()),
        _ => text(404, "The demo app has one page, at /.".to_owned()),
    }
}

/// Tells the browser that spoke what it said: a POST to `/send`, for its session alone.
fn answer(said: &str, session: &str, config: &Config) -> Result<(), Failure> {
    let data = format!("You said: {said}");
    let form = encode_form(&[("session", session), ("data", &data)]);
    let answer = Client::connect(config)?.request("/send", form.as_bytes())?;
    answer.good().map(drop)
}

fn text<'a>(status: u16, line: String) -> Response<'a> {
    let response = Response::new(status).content_type("text/plain; charset=utf-8");
    response.body(line.into_bytes())
}

fn framing(head_only: bool) -> Framing {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    Framing {
        version: Version::Http11,
        keep_alive: false,
        head_only,
        date_unix_ms: since_1970.map_or(0, |elapsed| elapsed.as_millis() as u64),
    }
}
