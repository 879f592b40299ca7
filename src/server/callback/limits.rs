//! The limits of the relay. Plain values from the config.

/// From the keys `relay_...` of the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackLimits {
    /// Connections to the app at a time; at least 1 is used.
    pub lanes: usize,
    /// Messages queued or out.
    pub queue_messages: usize,
    /// Bytes of them, with 256 for each message's keeping.
    pub queue_bytes: usize,
    /// For one address to take the connection.
    pub connect_timeout_ms: u64,
    /// From the request's handing over to the last byte of the answer.
    pub timeout_ms: u64,
    /// The first wait after a failure. It doubles with each further one.
    pub retry_min_ms: u64,
    /// The longest wait after a failure.
    pub retry_max_ms: u64,
    /// A message older than this is not tried again.
    pub give_up_ms: u64,
    /// An answer's body beyond this is not read; the status still counts.
    pub answer_bytes_max: usize,
}
