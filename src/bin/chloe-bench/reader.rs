//! One subscriber, by whichever transport.
//!
//! Used by `worker`, which has thousands.

use std::io::Result;

use chloe::wire::http::HttpLimits;
use mio::net::TcpStream;

use crate::peer::{Peer, Transport};
use crate::polling::{self, Fate, Poller};
use crate::socket::Location;
use crate::stamp::{Scanner, Stamp};
use crate::stream::{self, Got, Stream, Wrapping};

/// What all readers of a process have in common.
#[derive(Debug)]
pub enum Plan {
    Stream(stream::Plan),
    Poll(polling::Plan),
}

impl Plan {
    /// As the peer's file says. `None`: it does not know the transport.
    pub fn new(peer: Peer, transport: Transport, location: Location, asleep: bool) -> Option<Plan> {
        let (wrapping, dialogue) = match transport {
            Transport::WebSocket => (Wrapping::WebSocket, peer.websocket),
            Transport::Sse => (Wrapping::Sse, peer.sse),
            Transport::Tcp => (Wrapping::Plain, peer.tcp),
            Transport::Poll => {
                return Some(Plan::Poll(polling::Plan {
                    polling: peer.poll?,
                    location,
                    scanner: Scanner::default(),
                    limits: HttpLimits::default(),
                    asleep,
                }));
            }
        };
        Some(Plan::Stream(stream::Plan {
            wrapping,
            dialogue: dialogue?,
            location,
            scanner: Scanner::default(),
            is_read: true,
        }))
    }
}

/// One subscriber.
#[derive(Debug)]
pub enum Reader {
    Stream(Stream),
    Poll(Poller),
}

impl Reader {
    /// Begins to connect client `number`.
    ///
    /// # Errors
    /// There is no socket, or no port, to be had.
    pub fn connect(plan: &Plan, number: usize) -> Result<Reader> {
        Ok(match plan {
            Plan::Stream(plan) => Reader::Stream(Stream::connect(plan, number)?),
            Plan::Poll(plan) => Reader::Poll(Poller::connect(plan, number)?),
        })
    }

    /// The socket, to be registered.
    pub fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Reader::Stream(stream) => &mut stream.tcp,
            Reader::Poll(poller) => &mut poller.tcp,
        }
    }

    /// Whether it is subscribed.
    pub fn is_open(&self, plan: &Plan) -> bool {
        match (self, plan) {
            (Reader::Stream(stream), _) => stream.is_open(),
            (Reader::Poll(poller), Plan::Poll(plan)) => poller.is_open(plan),
            (Reader::Poll(_), Plan::Stream(_)) => false,
        }
    }

    /// Reads what there is, into `scratch`, and hands each stamp to `take`.
    ///
    /// # Errors
    /// The connection broke, or the server refused.
    pub fn read(
        &mut self,
        plan: &Plan,
        scratch: &mut [u8],
        take: impl FnMut(Stamp),
    ) -> Result<(Got, Fate)> {
        match (self, plan) {
            (Reader::Stream(stream), Plan::Stream(plan)) => {
                let got = stream.read(plan, scratch, take, |_| {})?;
                Ok((got, Fate::Kept))
            }
            (Reader::Poll(poller), Plan::Poll(plan)) => poller.read(plan, scratch, take),
            _ => unreachable!("a reader is made by its plan"),
        }
    }
}
