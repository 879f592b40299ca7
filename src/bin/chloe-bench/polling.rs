//! A client that long-polls: one request after the other over a kept connection.
//!
//! Each answer is read whole, searched for stamps, and for what the next request
//! needs. Used by `reader`.

use std::io::{Error, Read, Result};

use chloe::wire::http::HttpLimits;
use chloe::wire::http::client::{DecodedResponse, ResponseDecoder};
use mio::net::TcpStream;

use crate::http::encode_request;
use crate::peer::Polling;
use crate::socket::{self, Location, is_connected, write_whole};
use crate::stamp::{Scanner, Stamp};
use crate::stream::Got;
use crate::template::{Taken, Values};

/// What all pollers have in common.
#[derive(Debug)]
pub struct Plan {
    pub polling: Polling,
    pub location: Location,
    pub scanner: Scanner,
    pub limits: HttpLimits,
    /// Each does what comes before the first poll, and then hangs up.
    pub asleep: bool,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Kept,
    /// There is a new one, which has to be registered.
    Replaced,
}

/// One client.
#[derive(Debug)]
pub struct Poller {
    pub tcp: TcpStream,
    number: usize,
    is_connected: bool,
    /// The number of the request whose answer is to come; those behind `open` poll.
    step: usize,
    /// What came of the answer so far.
    input: Vec<u8>,
    decoder: ResponseDecoder,
    taken: Taken,
    is_asleep: bool,
}

impl Poller {
    /// Begins to connect client `number`.
    ///
    /// # Errors
    /// There is no socket, or no port, to be had.
    pub fn connect(plan: &Plan, number: usize) -> Result<Poller> {
        Ok(Poller {
            tcp: socket::connect(number, plan.location.address)?,
            number,
            is_connected: false,
            step: 0,
            input: Vec::new(),
            decoder: ResponseDecoder::new(false),
            taken: Taken::default(),
            is_asleep: false,
        })
    }

    /// Whether it polls, or has gone to sleep.
    pub fn is_open(&self, plan: &Plan) -> bool {
        self.is_asleep || (self.step >= plan.polling.open.len() && self.is_connected)
    }

    /// Reads what there is, into `scratch`, and hands each stamp to `take`.
    ///
    /// # Errors
    /// The connection broke, or the server refused.
    pub fn read(
        &mut self,
        plan: &Plan,
        scratch: &mut [u8],
        mut take: impl FnMut(Stamp),
    ) -> Result<(Got, Fate)> {
        let mut got = Got::default();
        if self.is_asleep {
            return Ok((got, Fate::Kept));
        }
        if !self.is_connected {
            if !is_connected(&self.tcp)? {
                return Ok((got, Fate::Kept));
            }
            self.is_connected = true;
            self.ask(plan)?;
        }
        loop {
            let count = match self.tcp.read(scratch) {
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) if socket::is_for_now(&error) => return Ok((got, Fate::Kept)),
                Err(error) => return Err(error),
            };
            if count == 0 {
                if !self.input.is_empty() {
                    return Err(Error::other("the server hung up within an answer"));
                }
                // It closed a kept connection; what was asked is asked again.
                return Ok((got, self.reconnect(plan)?));
            }
            got.reads += 1;
            got.bytes += count as u64;
            self.input.extend_from_slice(&scratch[..count]);
            if let Some(fate) = self.take_answers(plan, &mut take)? {
                return Ok((got, fate));
            }
            if count < scratch.len() {
                return Ok((got, Fate::Kept));
            }
        }
    }

    /// Takes whole answers, and asks on. What became of the connection, if that ends
    /// the reading.
    fn take_answers(&mut self, plan: &Plan, take: &mut impl FnMut(Stamp)) -> Result<Option<Fate>> {
        loop {
            let decoded = self.decoder.decode(&self.input, &plan.limits);
            let DecodedResponse::Response { response, consumed } = decoded.map_err(Error::other)?
            else {
                return Ok(None);
            };
            // A poll that was held in vain may be answered 304 or 408.
            if response.status >= 400 && response.status != 408 {
                let body = String::from_utf8_lossy(&response.body);
                return Err(Error::other(format!("{}: {body}", response.status)));
            }
            plan.scanner.scan(&response.body, &mut *take);
            let is_kept = response.keep_alive;
            let open = &plan.polling.open;
            let request = open.get(self.step).unwrap_or(&plan.polling.request);
            for value in &request.takes {
                value.look(&self.input[..consumed], &mut self.taken);
            }
            self.input.drain(..consumed);
            self.decoder = ResponseDecoder::new(false);
            self.step += 1;
            if plan.asleep && self.step >= open.len() {
                self.is_asleep = true;
                self.tcp.shutdown(std::net::Shutdown::Both)?;
                return Ok(Some(Fate::Kept));
            }
            if !is_kept {
                return Ok(Some(self.reconnect(plan)?));
            }
            self.ask(plan)?;
        }
    }

    fn reconnect(&mut self, plan: &Plan) -> Result<Fate> {
        self.tcp = socket::connect(self.number, plan.location.address)?;
        self.is_connected = false;
        self.input.clear();
        self.decoder = ResponseDecoder::new(false);
        Ok(Fate::Replaced)
    }

    fn ask(&mut self, plan: &Plan) -> Result<()> {
        let values = Values {
            client: self.number,
            taken: Some(&self.taken),
            ..Values::default()
        };
        let step = plan.polling.open.get(self.step);
        let (request, path) = match step {
            Some(request) => (request, None),
            None => (&plan.polling.request, plan.location.path.as_deref()),
        };
        let mut out = Vec::new();
        encode_request(&mut out, request, &plan.location.authority, path, &values);
        write_whole(&mut self.tcp, &out)
    }
}
