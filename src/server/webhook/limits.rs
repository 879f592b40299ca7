//! The limits of the webhook. Plain values from the config.

/// From the keys `webhook_...` of the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookLimits {
    /// Exchanges with the app at a time that do not hang; at least 1 is used.
    pub connections: usize,
    /// Messages queued or out.
    pub queue_messages: usize,
    /// Bytes of them, with 256 for each message's keeping.
    pub queue_bytes: usize,
    /// Messages of one session queued or out.
    pub session_messages: usize,
    /// For one address to take the connection.
    pub connect_timeout_ms: u64,
    /// From the request's handing over to the last byte of the answer.
    pub timeout_ms: u64,
    /// The first wait after a failure. It doubles with each further one.
    pub retry_min_ms: u64,
    /// The longest wait after a failure, also if the app asks for a longer one.
    pub retry_max_ms: u64,
    /// A message older than this is not tried again. One that was never tried is
    /// kept for as long again, unless the app is down, and then until it is tried, if
    /// the app has answered anybody in that time.
    pub give_up_ms: u64,
    /// An answer's body beyond this is not read; the status still counts.
    pub answer_bytes_max: usize,
}

/// An address has one of so many shares of the queue. How many an IPv6 /48 has is
/// in `accounts`.
const SHARES: usize = 10;

impl WebhookLimits {
    /// Messages of one address queued or out.
    pub fn address_messages(&self) -> usize {
        self.queue_messages.div_ceil(SHARES)
    }

    /// Bytes of them.
    pub fn address_bytes(&self) -> usize {
        self.queue_bytes.div_ceil(SHARES)
    }

    /// The connections that one address has at most while another waits.
    pub fn half_of_lanes(&self) -> usize {
        (self.connections / 2).max(1)
    }

    /// Exchanges that hang, and may be waited for beyond the limit.
    pub fn hanging(&self) -> usize {
        3 * self.connections.max(1)
    }

    /// Connections to the app that there are at most.
    pub fn connections(&self) -> usize {
        self.connections.max(1) + self.hanging()
    }
}
