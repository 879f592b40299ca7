//! One connection to the app, and the message that is out on it.
//!
//! The states of a lane, each with what only it has:
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
//! follows. Called by `Callbacks`.

use std::net::SocketAddr;

use super::accounts::Owner;
use super::exchange::Exchange;
use super::message::Pending;

/// How long an unused connection is kept. Application servers close theirs
/// after 5 s and more; going first avoids most requests that cross the app's closing.
pub const IDLE_MS: u64 = 4_000;

/// An exchange that takes longer than this hangs, if another waits for its lane.
pub const HANG_MS: u64 = 1_000;

/// One lane. See the module's picture.
pub enum Lane {
    Closed,
    Connecting {
        pending: Pending,
        address: SocketAddr,
        /// Addresses to try after this one.
        rest: Vec<SocketAddr>,
        deadline_ms: u64,
    },
    Busy {
        pending: Pending,
        exchange: Exchange,
        /// The connection has carried an exchange before.
        reused: bool,
        began_ms: u64,
        /// It hangs, and takes no lane from the others.
        hangs: bool,
        deadline_ms: u64,
    },
    Idle {
        deadline_ms: u64,
    },
}

impl Lane {
    /// When something is due, whatever the state.
    pub fn deadline_ms(&self) -> Option<u64> {
        match *self {
            Lane::Closed => None,
            Lane::Connecting { deadline_ms, .. }
            | Lane::Busy { deadline_ms, .. }
            | Lane::Idle { deadline_ms } => Some(deadline_ms),
        }
    }

    /// Whose exchange takes the lane from the others, if one does.
    pub fn taken_by(&self) -> Option<Owner> {
        match self {
            Lane::Connecting { pending, .. }
            | Lane::Busy {
                pending,
                hangs: false,
                ..
            } => Some(pending.message.address),
            _ => None,
        }
    }

    /// The lane as it was; it is closed now, until its next state is set.
    pub fn take(&mut self) -> Lane {
        std::mem::replace(self, Lane::Closed)
    }
}
