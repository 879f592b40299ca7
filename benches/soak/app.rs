//! The app behind Chloe: takes what visitors say, publishes from its handler, answers.
//!
//! It notes what it took, so that a message that comes twice or not at all is
//! found. Now and then it refuses for a moment, so that Chloe tries again.
//! A message is `LIFE NUMBER WHERE`: where says what is published upon it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chloe::wire::http::{Decoded, HttpLimits, RequestDecoder};

use super::findings::Findings;
use super::link::{Http, Outcome, PATIENCE};

/// One in so many requests is refused with a 503.
const REFUSED_EVERY: u64 = 2_000;

/// A running app. It ends with the process.
pub struct App {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl App {
    pub fn bind() -> std::io::Result<App> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        Ok(App { listener, address })
    }

    /// Takes requests from now on, and publishes at `server`.
    pub fn run(self, server: SocketAddr, findings: Arc<Findings>) {
        let requests = Arc::new(AtomicU64::new(0));
        std::thread::spawn(move || {
            for stream in self.listener.incoming().flatten() {
                let (findings, requests) = (Arc::clone(&findings), Arc::clone(&requests));
                std::thread::spawn(move || serve(stream, server, &findings, &requests));
            }
        });
    }
}

/// One of Chloe's connections, to its end.
fn serve(mut stream: TcpStream, server: SocketAddr, findings: &Findings, requests: &AtomicU64) {
    let (mut input, mut decoder) = (Vec::new(), RequestDecoder::default());
    let mut publisher = None;
    let mut piece = [0; 4_096];
    loop {
        let decoded = decoder.decode(&input, &HttpLimits::default());
        let answer = match decoded {
            Err(error) => return findings.surprise(format!("Chloe asks the app: {error}")),
            Ok(Decoded::NeedMore { .. }) => match stream.read(&mut piece) {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    input.extend_from_slice(&piece[..count]);
                    continue;
                }
            },
            Ok(Decoded::Request { request, consumed }) => {
                let session = request.headers.get("X-Chloe-Session").unwrap_or("");
                let body = String::from_utf8_lossy(&request.body);
                let is_refused = requests.fetch_add(1, Ordering::Relaxed) % REFUSED_EVERY == 9;
                let answer = if is_refused {
                    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned()
                } else {
                    match take(&body, session, server, findings, &mut publisher) {
                        Ok(json) => format!(
                            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}",
                            json.len()
                        ),
                        Err(error) => return findings.surprise(format!("the app: {error}")),
                    }
                };
                input.drain(..consumed);
                decoder = RequestDecoder::default();
                answer
            }
        };
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Takes a message; what it answers, in JSON.
fn take(
    message: &str,
    session: &str,
    server: SocketAddr,
    findings: &Findings,
    publisher: &mut Option<Http>,
) -> Outcome<String> {
    let mut words = message.split(' ');
    let (life, number) = (words.next(), words.next());
    let life = life.and_then(|word| word.parse().ok());
    let number = number.and_then(|word| word.parse().ok());
    let (Some(life), Some(number)) = (life, number) else {
        return Err(format!("a message that nobody sent: {message}"));
    };
    findings.taken(life, number);
    match words.next() {
        Some("direct") => {
            let form = format!("session={session}&data={life} {number}");
            publish(server, publisher, &form)?;
        }
        Some("own") => publish(
            server,
            publisher,
            &format!("channel=own-{life}&data={number}"),
        )?,
        _ => {}
    }
    Ok(format!("{{\"number\":{number}}}"))
}

/// Publishes over the connection that there is. One that stood for long may
/// have been closed, so a failure is tried again on a new one, under the same name.
fn publish(server: SocketAddr, kept: &mut Option<Http>, form: &str) -> Outcome<()> {
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Idempotency-Key", form),
    ];
    let form = form.replace(' ', "+");
    let mut tried = Err(String::new());
    for _ in 0..2 {
        let mut http = match kept.take() {
            Some(http) => http,
            None => Http::connect(server)?,
        };
        tried = http
            .ask("POST", "/send", &headers, &form)
            .and_then(|()| http.answer(PATIENCE));
        if tried.is_ok() {
            *kept = Some(http);
            break;
        }
    }
    match tried? {
        (200, text) if text == "success" => Ok(()),
        (status, text) => Err(format!("/send answered {status} {text}")),
    }
}
