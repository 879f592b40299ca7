//! What the webhook counts. Plain values, read by the server for its status.

/// How often things happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests put on a connection, retries included.
    pub sent: u64,
    /// Messages the app has taken.
    pub taken: u64,
    /// Attempts that failed and were followed by another.
    pub retried: u64,
    /// Messages given up.
    pub given_up: u64,
    /// Messages not queued, for want of room or because the webhook drains.
    pub refused: u64,
}
