//! How far a server is that stops or restarts. What that means is `leave`'s.
//!
//! State only. Called by `leave` and by the server.

use super::conn::ConnKey;

/// How a server leaves, and who is still to be told.
#[derive(Default)]
pub struct Leaving {
    /// Another process takes over at once.
    pub restart: bool,
    /// When each is told, the next one last.
    pub queue: Vec<(u64, ConnKey)>,
    /// The relay has been told.
    pub relay_told: bool,
}

impl Leaving {
    /// When the next one is to be told.
    pub fn next_ms(&self) -> Option<u64> {
        self.queue.last().map(|(at_ms, _)| *at_ms)
    }
}
