//! An upstream connection: one connection to the app, and the message that is out on it.
//!
//! The states of an upstream connection, each with what only it has:
//!
//! ```text
//!            connect            connected            whole answer
//!   Closed ----------> Connecting -------> Busy ---------------------> Idle
//!      ^                  |   ^             |  ^                        | |
//!      +------------------+   +-------------+  +------------------------+ |
//!      |    all addresses       stale: again      next message            |
//!      |    failed              on a new one                              |
//!      +------------------------------------------------------------------+
//!                         closed by either side, or idle for too long
//! ```
//!
//! It moves bytes of one exchange; it decides neither what is sent nor what
//! follows. Called by `Webhook`.

use std::net::SocketAddr;

use super::accounts::Owner;
use super::exchange::Exchange;
use super::message::QueuedMessage;

/// How long an unused connection is kept. Application servers close theirs
/// after 5 s and more; going first avoids most requests that cross the app's closing.
pub const IDLE_MS: u64 = 4_000;

/// An exchange that takes longer than this hangs, if another waits for its upstream connection.
pub const HANG_MS: u64 = 1_000;

/// One upstream connection. See the module's picture.
pub enum Upstream {
    Closed,
    Connecting {
        queued: QueuedMessage,
        address: SocketAddr,
        /// Addresses to try after this one.
        rest: Vec<SocketAddr>,
        deadline_ms: u64,
    },
    Busy {
        queued: QueuedMessage,
        exchange: Exchange,
        /// The connection has carried an exchange before.
        reused: bool,
        began_ms: u64,
        /// It hangs, and no longer counts against the limit.
        hangs: bool,
        deadline_ms: u64,
    },
    Idle {
        deadline_ms: u64,
    },
}

impl Upstream {
    /// When something is due, whatever the state.
    pub fn deadline_ms(&self) -> Option<u64> {
        match *self {
            Upstream::Closed => None,
            Upstream::Connecting { deadline_ms, .. }
            | Upstream::Busy { deadline_ms, .. }
            | Upstream::Idle { deadline_ms } => Some(deadline_ms),
        }
    }

    /// Whose exchange counts against the limit, if one does.
    pub fn taken_by(&self) -> Option<Owner> {
        match self {
            Upstream::Connecting { queued, .. }
            | Upstream::Busy {
                queued,
                hangs: false,
                ..
            } => Some(queued.message.address),
            _ => None,
        }
    }

    /// The upstream connection as it was; it is closed now, until its next state is set.
    pub fn take(&mut self) -> Upstream {
        std::mem::replace(self, Upstream::Closed)
    }
}
