//! An app that publishes: over a kept connection, so many at a time.
//!
//! By requests of HTTP, pipelined if several are on their way, or by messages over
//! a WebSocket or plain TCP. When to publish is not decided here. Used by
//! `conductor`.

use std::io::{Error, ErrorKind, Read, Result};

use chloe::base::outbox::Outbox;
use chloe::wire::http::HttpLimits;
use chloe::wire::http::client::{DecodedResponse, ResponseDecoder};
use memchr::memmem;
use mio::net::TcpStream;

use crate::http::encode_request;
use crate::peer::{Publishing, Request};
use crate::socket::{self, Location, is_connected};
use crate::stamp::{Scanner, Stamp};
use crate::stream::{Plan, Stream, Wrapping, wrap};
use crate::template::{Template, Values};

/// How all publishers of a run publish.
#[derive(Debug)]
pub enum Way {
    Http {
        request: Box<Request>,
        location: Location,
        limits: HttpLimits,
    },
    Connection {
        plan: Box<Plan>,
        message: Template,
        answer: Vec<u8>,
    },
}

impl Way {
    /// As the peer's file says, to the server at `location`.
    pub fn new(publishing: Publishing, location: Location) -> Way {
        match publishing {
            Publishing::Http { request } => Way::Http {
                request: Box::new(request),
                location,
                limits: HttpLimits::default(),
            },
            Publishing::Connection {
                websocket,
                dialogue,
                message,
                answer,
            } => {
                let wrapping = match websocket {
                    true => Wrapping::WebSocket,
                    false => Wrapping::Plain,
                };
                let plan = Box::new(Plan {
                    wrapping,
                    dialogue,
                    location,
                    scanner: Scanner::default(),
                    is_read: false,
                });
                Way::Connection {
                    plan,
                    message,
                    answer,
                }
            }
        }
    }
}

/// The connection, and how far the present answer is.
enum Line {
    Http {
        tcp: TcpStream,
        is_connected: bool,
        input: Vec<u8>,
        decoder: ResponseDecoder,
    },
    Connection {
        stream: Stream,
        /// The end of what came, which may be the beginning of an answer.
        tail: Vec<u8>,
    },
}

/// One connection that publishes.
pub struct Publisher {
    line: Line,
    number: usize,
    data: Vec<u8>,
    outbox: Outbox,
    sent: u32,
    answered: u32,
}

impl Publisher {
    /// Begins to connect publisher `number`, which sends nothing yet.
    ///
    /// # Errors
    /// There is no socket to be had.
    pub fn connect(way: &Way, number: usize) -> Result<Publisher> {
        let line = match way {
            Way::Http { location, .. } => Line::Http {
                tcp: socket::connect(0, location.address)?,
                is_connected: false,
                input: Vec::new(),
                decoder: ResponseDecoder::new(false),
            },
            Way::Connection { plan, .. } => Line::Connection {
                stream: Stream::connect(plan, 0)?,
                tail: Vec::new(),
            },
        };
        Ok(Publisher {
            line,
            number,
            data: Vec::new(),
            outbox: Outbox::default(),
            sent: 0,
            answered: 0,
        })
    }

    /// The socket, to be registered.
    pub fn tcp(&mut self) -> &mut TcpStream {
        match &mut self.line {
            Line::Http { tcp, .. } => tcp,
            Line::Connection { stream, .. } => &mut stream.tcp,
        }
    }

    /// Whether it may publish.
    pub fn is_open(&self) -> bool {
        match &self.line {
            Line::Http { is_connected, .. } => *is_connected,
            Line::Connection { stream, .. } => stream.is_open(),
        }
    }

    /// How many it has sent that are not answered.
    pub fn unanswered(&self) -> usize {
        (self.sent - self.answered) as usize
    }

    /// Makes a publication of `bytes` of data, to be written by [`Publisher::flush`].
    /// `number` is its place among all of the run, `sent_us` the time that it bears.
    pub fn push(&mut self, way: &Way, bytes: usize, number: u64, sent_us: u64) {
        let stamp = Stamp {
            publisher: self.number,
            sequence: self.sent,
            sent_us,
        };
        stamp.write(&mut self.data, bytes);
        let values = Values {
            data: &self.data,
            client: self.number,
            number,
            taken: None,
        };
        let out = self.outbox.tail();
        match way {
            Way::Http {
                request, location, ..
            } => {
                let path = location.path.as_deref();
                encode_request(out, request, &location.authority, path, &values);
            }
            Way::Connection { plan, message, .. } => wrap(plan, out, &message.filled(&values)),
        }
        self.sent += 1;
    }

    /// Writes what is to be written.
    ///
    /// # Errors
    /// The connection broke.
    pub fn flush(&mut self) -> Result<()> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let tcp = match &mut self.line {
            Line::Http { tcp, .. } => tcp,
            Line::Connection { stream, .. } => &mut stream.tcp,
        };
        match self.outbox.write_to(tcp) {
            Err(error) if socket::is_for_now(&error) => Ok(()),
            result => result.map(|_| ()),
        }
    }

    /// Reads answers; how many publications were answered.
    ///
    /// # Errors
    /// The connection broke, or the server refused.
    pub fn read(&mut self, way: &Way, scratch: &mut [u8]) -> Result<u64> {
        let before = self.answered;
        match (&mut self.line, way) {
            (
                Line::Http {
                    tcp,
                    is_connected,
                    input,
                    decoder,
                },
                Way::Http { limits, .. },
            ) => {
                if !*is_connected {
                    *is_connected = self::is_connected(tcp)?;
                }
                read_all(tcp, scratch, input)?;
                self.answered += take_answers(input, decoder, limits)?;
            }
            (Line::Connection { stream, tail }, Way::Connection { plan, answer, .. }) => {
                let mut answers = 0;
                let hear = |bytes: &[u8]| {
                    tail.extend_from_slice(bytes);
                    answers += take_marks(tail, answer);
                };
                stream.read(plan, scratch, |_| {}, hear)?;
                // What came before the first publication answers none.
                self.answered = self.sent.min(self.answered + answers);
            }
            _ => unreachable!("a publisher is made by its way"),
        }
        Ok(u64::from(self.answered - before))
    }
}

fn read_all(tcp: &mut TcpStream, scratch: &mut [u8], input: &mut Vec<u8>) -> Result<()> {
    loop {
        match tcp.read(scratch) {
            Ok(0) => {
                return Err(Error::new(
                    ErrorKind::UnexpectedEof,
                    "the server hung up on a publisher",
                ));
            }
            Ok(count) => {
                input.extend_from_slice(&scratch[..count]);
                if count < scratch.len() {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if socket::is_for_now(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Takes whole answers out of `input`; how many there were.
fn take_answers(
    input: &mut Vec<u8>,
    decoder: &mut ResponseDecoder,
    limits: &HttpLimits,
) -> Result<u32> {
    let (mut used, mut taken) = (0, 0);
    loop {
        let decoded = decoder.decode(&input[used..], limits);
        let DecodedResponse::Response { response, consumed } = decoded.map_err(Error::other)?
        else {
            break;
        };
        if !(200..300).contains(&response.status) {
            let body = String::from_utf8_lossy(&response.body);
            return Err(Error::other(format!(
                "a publication is answered {}: {body}",
                response.status
            )));
        }
        used += consumed;
        taken += 1;
        *decoder = ResponseDecoder::new(false);
    }
    input.drain(..used);
    Ok(taken)
}

/// Takes all out of `tail` but what may be the beginning of `mark`; how often it stood there.
fn take_marks(tail: &mut Vec<u8>, mark: &[u8]) -> u32 {
    let mut end = 0;
    let mut count = 0;
    while let Some(found) = memmem::find(&tail[end..], mark) {
        end += found + mark.len();
        count += 1;
    }
    let kept = (tail.len() - end).min(mark.len().saturating_sub(1));
    tail.drain(..tail.len() - kept);
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_wherever_the_bytes_are_cut() {
        let whole = b"+OK\r\nPING\r\n+OK\r\n+OK\r\n";
        for cut in 0..=whole.len() {
            let mut tail = whole[..cut].to_vec();
            let first = take_marks(&mut tail, b"+OK\r\n");
            tail.extend_from_slice(&whole[cut..]);
            assert_eq!(first + take_marks(&mut tail, b"+OK\r\n"), 3, "{cut}");
        }
    }

    #[test]
    fn refusals_are_told() {
        let mut input = b"HTTP/1.1 202 A\r\nContent-Length: 0\r\n\r\nHTTP/1.1 503 B\r\n".to_vec();
        let limits = HttpLimits::default();
        let mut decoder = ResponseDecoder::new(false);
        assert_eq!(take_answers(&mut input, &mut decoder, &limits).unwrap(), 1);
        input.extend_from_slice(b"Content-Length: 2\r\n\r\nno");
        let error = take_answers(&mut input, &mut decoder, &limits).unwrap_err();
        assert_eq!(error.to_string(), "a publication is answered 503: no");
    }
}
