//! What the webhook wants done, or wants known.
//!
//! Plain values. Made by `pool` and `Webhook`, carried out by the server.

use std::net::SocketAddr;

use super::result::{Answer, GivenUp};
use crate::base::names::SessionId;

/// An action or a notice. Those of one connection come in order; a `Close` may be
/// followed at once by the connection's next `Connect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Look the name up; answered by `handle_resolved`. One at a time.
    Resolve { host: String, port: u16 },
    /// Open a connection; answered by `handle_connected`.
    Connect {
        upstream: usize,
        address: SocketAddr,
    },
    /// Close the connection's socket, connected or not. No call for that socket may follow.
    Close { upstream: usize },
    /// The connection has bytes for `transmit`.
    Transmit { upstream: usize },
    /// A message has left the queue.
    Completed {
        session: SessionId,
        /// That of the message.
        tag: u64,
        result: Result<Answer, GivenUp>,
    },
    /// A message waited, and is not queued, since its place is gone.
    Dropped { tag: u64 },
    /// A message that waited is queued now: its place may go on.
    Queued { place: u64 },
}
