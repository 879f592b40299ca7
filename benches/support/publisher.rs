//! An app that publishes: POST /send over a kept connection, so many at a time.
//!
//! A closed loop: it sends the next publication when one is answered. With a
//! depth above 1 it does not wait for answers in between (pipelining). Used by
//! `load`.

use std::io::{Error, ErrorKind, Read, Result};
use std::net::SocketAddr;

use chloe::base::outbox::Outbox;
use chloe::wire::http::HttpLimits;
use chloe::wire::http::client::{DecodedResponse, ResponseDecoder, encode_request};
use mio::net::TcpStream;

use super::payload::{self, Stamp};
use super::reader;

/// One connection that publishes.
pub struct Publisher {
    pub stream: TcpStream,
    number: usize,
    /// Publications that are sent before one is answered.
    depth: usize,
    in_flight: usize,
    /// The sequence of the next one.
    next: u32,
    outbox: Outbox,
    input: Vec<u8>,
    decoder: ResponseDecoder,
    host: String,
}

impl Publisher {
    /// Connects publisher `number`, which sends nothing yet. It goes on behind
    /// the `next` publications that bore its number before.
    ///
    /// # Errors
    /// There is no socket to be had.
    pub fn connect(
        number: usize,
        next: u32,
        depth: usize,
        server: SocketAddr,
    ) -> Result<Publisher> {
        Ok(Publisher {
            stream: reader::connect(0, server)?,
            number,
            depth,
            in_flight: 0,
            next,
            outbox: Outbox::default(),
            input: Vec::new(),
            decoder: ResponseDecoder::new(false),
            host: server.to_string(),
        })
    }

    /// How many it has sent, answered or not.
    pub fn sent(&self) -> u32 {
        self.next
    }

    /// Whether all that it sent is answered.
    pub fn is_idle(&self) -> bool {
        self.in_flight == 0
    }

    /// Sends as many as its depth allows.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send(&mut self, channel: &str, now_us: u64) -> Result<()> {
        while self.in_flight < self.depth {
            let mut form = format!("channel={channel}&data=").into_bytes();
            let stamp = Stamp {
                publisher: self.number,
                sequence: self.next,
                sent_us: now_us,
            };
            payload::write(&mut form, stamp);
            let kind = ("Content-Type", "application/x-www-form-urlencoded");
            encode_request(
                self.outbox.tail(),
                "POST",
                "/send",
                &self.host,
                &[kind],
                &form,
            );
            self.next += 1;
            self.in_flight += 1;
        }
        self.flush()
    }

    /// Writes what is to be written.
    ///
    /// # Errors
    /// The connection broke.
    pub fn flush(&mut self) -> Result<()> {
        match self.outbox.write_to(&mut self.stream) {
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            result => result.map(|_| ()),
        }
    }

    /// Reads answers; how many publications were taken.
    ///
    /// # Errors
    /// The connection broke, or the server refused.
    pub fn read(&mut self, scratch: &mut [u8]) -> Result<u64> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.input.extend_from_slice(&scratch[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::NotConnected => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let (mut used, mut taken) = (0, 0);
        loop {
            let decoded = self
                .decoder
                .decode(&self.input[used..], &HttpLimits::default());
            match decoded.map_err(Error::other)? {
                DecodedResponse::NeedMore => break,
                DecodedResponse::Response { response, consumed } => {
                    if response.status != 200 {
                        let body = String::from_utf8_lossy(&response.body);
                        return Err(Error::other(format!("{}: {body}", response.status)));
                    }
                    used += consumed;
                    taken += 1;
                    self.in_flight -= 1;
                    self.decoder = ResponseDecoder::new(false);
                }
            }
        }
        self.input.drain(..used);
        Ok(taken)
    }
}
