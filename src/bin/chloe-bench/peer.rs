//! How one server is spoken to.
//!
//! Plain values; `peer_file` reads them from a file, as `benches/peers/README.md`
//! describes. Used by readers and publishers.

use memchr::memmem;

use crate::template::{Taken, Template, Values};

/// What is read by, as `--transport` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    Sse,
    Poll,
    Tcp,
}

/// All of them, in the order of preference.
pub const TRANSPORTS: [(&str, Transport); 4] = [
    ("ws", Transport::WebSocket),
    ("sse", Transport::Sse),
    ("poll", Transport::Poll),
    ("tcp", Transport::Tcp),
];

/// What is said on a connection before and beside the publications.
#[derive(Clone, Debug, Default)]
pub struct Dialogue {
    pub path: String,
    pub protocol: Option<String>,
    pub binary: bool,
    pub headers: Vec<Template>,
    pub send: Vec<Template>,
    pub ready: Option<Vec<u8>>,
    pub answers: Vec<Answer>,
}

/// What begins with `to` is answered by `send`.
#[derive(Clone, Debug)]
pub struct Answer {
    pub to: Vec<u8>,
    pub send: Template,
}

/// An HTTP request, and what is to be found in its answer.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub path: Template,
    pub headers: Vec<Template>,
    pub body: Template,
    pub takes: Vec<Take>,
}

/// A value to be found in an answer.
#[derive(Clone, Debug)]
pub struct Take {
    /// The number of the variable.
    pub number: usize,
    pub after: Template,
    /// The value ends before the first of these bytes.
    pub until: Vec<u8>,
}

impl Take {
    /// Looks for the value in `answer`, and sets it if it is there.
    pub fn look(&self, answer: &[u8], taken: &mut Taken) {
        let values = Values {
            taken: Some(taken),
            ..Values::default()
        };
        let after = self.after.filled(&values);
        if let Some(start) = memmem::rfind(answer, &after) {
            let rest = &answer[start + after.len()..];
            let end = rest.iter().position(|byte| self.until.contains(byte));
            taken.set(self.number, &rest[..end.unwrap_or(rest.len())]);
        }
    }
}

/// Long-polling: what is asked first, and what is asked again and again.
#[derive(Clone, Debug)]
pub struct Polling {
    pub open: Vec<Request>,
    pub request: Request,
}

/// How publications are made.
#[derive(Clone, Debug)]
pub enum Publishing {
    Http {
        request: Request,
    },
    /// Over a connection: a WebSocket, or plain TCP.
    Connection {
        websocket: bool,
        dialogue: Dialogue,
        message: Template,
        answer: Vec<u8>,
    },
}

/// One server.
#[derive(Clone, Debug)]
pub struct Peer {
    pub websocket: Option<Dialogue>,
    pub sse: Option<Dialogue>,
    pub tcp: Option<Dialogue>,
    pub poll: Option<Polling>,
    pub publish: Publishing,
}

impl Peer {
    /// The transport named, or the first one that there is.
    ///
    /// # Errors
    /// A sentence: there is none.
    pub fn transport(&self, name: Option<&str>) -> Result<Transport, String> {
        let has = |transport| match transport {
            Transport::WebSocket => self.websocket.is_some(),
            Transport::Sse => self.sse.is_some(),
            Transport::Poll => self.poll.is_some(),
            Transport::Tcp => self.tcp.is_some(),
        };
        let mut named = TRANSPORTS
            .iter()
            .filter(|(known, _)| name.is_none_or(|name| name == *known));
        let found = named.find(|(_, transport)| has(*transport));
        found.map(|(_, transport)| *transport).ok_or_else(|| {
            format!(
                "the peer's file has no table for the transport '{}'",
                name.unwrap_or("ws")
            )
        })
    }
}
