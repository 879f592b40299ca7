//! HTTP requests to a running Chloe, for the commands that talk to one.
//!
//! One connection, kept alive from request to request; blocking, with a time
//! limit. Requests are signed when there is a secret. Called by `ping`,
//! `status` and `send`.

use std::io::{self, Read, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::failure::Failure;
use super::reach::{Place, Stream, connect};
use crate::base::random::Random;
use crate::config::Config;
use crate::net::random_seed;
use crate::wire::http::{DecodedResponse, HttpLimits, ResponseDecoder, encode_request};
use crate::wire::signature::{Covered, Direction, Secret};

/// How long an answer may take, if nothing else is said. Chloe answers each of these requests at once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// An answer, whatever its status.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// What is not UTF-8 is replaced: it is shown to people.
    pub body: String,
}

impl Answer {
    /// The body of a good answer.
    ///
    /// # Errors
    /// The status is another than 200; Chloe says why in one sentence.
    pub fn good(self) -> Result<String, Failure> {
        match self.status {
            200 => Ok(self.body),
            404 => Err(Failure::Failed(
                "what answers is not Chloe: check port and listen_addresses".to_owned(),
            )),
            401 => Err(Failure::Failed(
                "Chloe does not take the signature: give this command the secret that Chloe \
                 runs with, and see that the clocks of both are right"
                    .to_owned(),
            )),
            status => Err(Failure::Failed(format!(
                "Chloe refused with status {status}: {}",
                self.body.trim_end()
            ))),
        }
    }
}

/// What went wrong between the two ends.
enum Trouble {
    /// The connection ended before a byte of the answer came.
    Closed,
    Broken(io::Error),
    NotHttp(String),
}

impl Trouble {
    fn failure(self, place: &Place, patience: Duration) -> Failure {
        Failure::Failed(match self {
            Trouble::Closed => format!("{place} closed the connection without an answer"),
            Trouble::Broken(error) if is_timeout(&error) => format!(
                "{place} does not answer within {} s: it hangs, or it is not Chloe",
                patience.as_secs()
            ),
            Trouble::Broken(error) => format!("the connection to {place} broke: {error}"),
            Trouble::NotHttp(reason) => {
                format!("what answers at {place} does not speak HTTP as Chloe does: {reason}")
            }
        })
    }
}

/// A hold on a running Chloe.
pub struct Client<'a> {
    config: &'a Config,
    secret: Option<Secret>,
    random: Random,
    place: Place,
    stream: Stream,
    /// Whether the connection has taken a request already.
    used: bool,
    /// How long an answer may take.
    patience: Duration,
}

impl<'a> Client<'a> {
    /// Connects to the Chloe that runs with these settings.
    ///
    /// # Errors
    /// [`Failure::NotRunning`] if there is none.
    pub fn connect(config: &'a Config) -> Result<Client<'a>, Failure> {
        let seed = random_seed()
            .map_err(|e| Failure::Failed(format!("the system gives no random numbers: {e}")))?;
        let (place, stream) = connect(config)?;
        Ok(Client {
            config,
            secret: Secret::new(&config.secret),
            random: Random::new(seed),
            place,
            stream,
            used: false,
            patience: ANSWER_TIMEOUT,
        })
    }

    /// With another limit to the time that an answer may take.
    pub fn with_patience(mut self, patience: Duration) -> Client<'a> {
        self.patience = patience;
        self
    }

    /// Where it is connected to.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Makes one request and waits for its answer. `form` is the body of a
    /// POST; an empty one is a GET.
    ///
    /// # Errors
    /// No answer came, or what came is no HTTP.
    pub fn request(&mut self, target: &str, form: &[u8]) -> Result<Answer, Failure> {
        let mut request = Vec::with_capacity(512 + form.len());
        self.encode(&mut request, target, form);
        let result = match self.exchange(&request) {
            // A connection that rested too long was closed: what was sent was not read.
            Err(Trouble::Closed) if self.used => {
                (self.place, self.stream) = connect(self.config)?;
                self.exchange(&request)
            }
            result => result,
        };
        self.used = true;
        result.map_err(|trouble| trouble.failure(&self.place, self.patience))
    }

    /// With a secret, `chloe1` signs the whole request.
    fn encode(&mut self, out: &mut Vec<u8>, target: &str, form: &[u8]) {
        let method = if form.is_empty() { "GET" } else { "POST" };
        let mut fields = Vec::new();
        if !form.is_empty() {
            fields.push((
                "Content-Type",
                "application/x-www-form-urlencoded".to_owned(),
            ));
        }
        if let Some(secret) = &self.secret {
            let id = format!("cli_{:032x}", self.random.bits_128());
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
            let now_s = since_1970.map_or(0, |elapsed| elapsed.as_secs());
            let covered = Covered {
                method,
                target,
                ..Covered::default()
            };
            let signature = secret.sign_chloe1(Direction::ToChloe, &id, now_s, &covered, form);
            fields.push(("webhook-id", id));
            fields.push(("webhook-timestamp", now_s.to_string()));
            fields.push(("webhook-signature", signature));
        }
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        encode_request(out, method, target, &self.place.authority(), &fields, form);
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Answer, Trouble> {
        self.stream
            .set_read_timeout(Some(self.patience))
            .map_err(Trouble::Broken)?;
        self.stream.write_all(request).map_err(broken)?;
        let mut decoder = ResponseDecoder::new(false);
        let limits = HttpLimits::default();
        let mut received = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            let count = match self.stream.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if received.is_empty() => return Err(broken(error)),
                Err(error) => return Err(Trouble::Broken(error)),
            };
            received.extend_from_slice(&buffer[..count]);
            let not_http =
                |error: crate::wire::http::HttpError| Trouble::NotHttp(error.to_string());
            if count == 0 {
                let last = decoder.finish(&received, &limits).map_err(not_http)?;
                let response = last.ok_or(Trouble::Closed)?;
                return Ok(answer(response.status, &response.body));
            }
            match decoder.decode(&received, &limits).map_err(not_http)? {
                DecodedResponse::NeedMore => {}
                DecodedResponse::Response { response, .. } => {
                    return Ok(answer(response.status, &response.body));
                }
            }
        }
    }
}

fn answer(status: u16, body: &[u8]) -> Answer {
    Answer {
        status,
        body: String::from_utf8_lossy(body).into_owned(),
    }
}

fn broken(error: io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Trouble::Closed,
        _ => Trouble::Broken(error),
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
