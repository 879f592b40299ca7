//! How far a server is that stops, or that hands over. What that means is `leave`'s.
//!
//! State only. Called by `leave` and by the server.

use crate::base::time::Time;
use crate::server::connection::conn::ConnKey;

/// The stages of a server's end. They only go forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It is not near.
    #[default]
    Serving,
    /// Another process is to take over, and until then everyone is served:
    /// idle connections are closed from `idle_at_ms` on, and what is under way
    /// has until `until_ms`. It is looked at `look_ms` how far that is.
    Settling {
        idle_at_ms: u64,
        until_ms: u64,
        look_ms: u64,
    },
    /// That is done: the doors may be closed.
    Settled,
    /// Nobody listens: connections that have just come have until then to say what they want.
    DoorsClosed { until_ms: u64 },
    /// What outlives the process is saved, and nothing more is taken.
    HandedOver,
    /// It stops: nothing new is taken, what was accepted is finished.
    Stopping {
        /// Another process takes over at once, and knows nothing of this one.
        restart: bool,
    },
}

/// How a server leaves, and who is still to be told.
#[derive(Default)]
pub struct Leaving {
    pub stage: Stage,
    /// When each is told, the next one last.
    pub queue: Vec<(u64, ConnKey)>,
    /// The webhook has been told.
    pub webhook_told: bool,
}

impl Leaving {
    /// When the next one is to be told, or looked at.
    pub fn next_ms(&self) -> Option<u64> {
        match self.stage {
            Stage::Settling { look_ms, .. } => Some(look_ms),
            Stage::DoorsClosed { until_ms } => Some(until_ms),
            _ => self.queue.last().map(|(at_ms, _)| *at_ms),
        }
    }

    /// The next one whose time has come to be told.
    pub fn take_next(&mut self, now: Time) -> Option<ConnKey> {
        let &(at_ms, key) = self.queue.last()?;
        if at_ms > now.ms {
            return None;
        }
        self.queue.pop();
        Some(key)
    }

    /// Whether each connection ends with the answer that is written next.
    pub fn is_near(&self) -> bool {
        self.stage != Stage::Serving
    }

    /// Whether what is done now would be unknown to the next process.
    pub fn is_handed_over(&self) -> bool {
        self.stage == Stage::HandedOver
    }
}
