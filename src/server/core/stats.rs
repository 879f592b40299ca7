//! What the server counts, and the page that shows it.
//!
//! Counters only; nothing is decided by them. Called by the rest of the server.

use serde_json::json;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections accepted, and those refused for the limit.
    pub accepted: u64,
    pub refused: u64,
    /// HTTP requests answered, handshakes and polls included.
    pub requests: u64,
    /// Messages that browsers sent for the app.
    pub messages: u64,
    /// Publications appended to logs.
    pub publications: u64,
    /// Publications written to browsers, once for each reader.
    pub deliveries: u64,
    /// Publications that left the log before a reader got them.
    pub missed: u64,
    /// WebSockets closed because they took nothing for too long.
    pub slow_closed: u64,
    /// Connections closed because they, or others of their address, held too much memory.
    pub shed: u64,
    /// Open WebSockets and held polls, now.
    pub websockets: u64,
    pub polls: u64,
}

/// What else `status` shows.
pub struct Picture {
    pub uptime_ms: u64,
    pub connections: usize,
    pub sessions: usize,
    pub channels: usize,
    /// Those that went because there were too many.
    pub sessions_let_go: u64,
    pub channels_let_go: u64,
    pub log_bytes: usize,
    /// Answers and rests of frames that wait for their sockets, above a small size.
    pub outbox_bytes: usize,
    /// Requests, frames and messages that are not whole, above a small size.
    pub input_bytes: usize,
    pub webhook_queued: usize,
    /// Messages that wait for room in the queue.
    pub webhook_waiting: usize,
    pub webhook_taken: u64,
    pub webhook_retried: u64,
    pub webhook_given_up: u64,
    pub webhook_refused: u64,
    pub draining: bool,
}

impl Stats {
    /// The JSON object that `GET /chloe/status` answers.
    pub fn to_json(self, picture: &Picture) -> String {
        let webhook = json!({
            "queued": picture.webhook_queued,
            "waiting": picture.webhook_waiting,
            "taken": picture.webhook_taken,
            "retried": picture.webhook_retried,
            "given_up": picture.webhook_given_up,
            "refused": picture.webhook_refused,
        });
        let value = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_ms": picture.uptime_ms,
            "draining": picture.draining,
            "connections": picture.connections,
            "websockets": self.websockets,
            "polls": self.polls,
            "sessions": picture.sessions,
            "channels": picture.channels,
            "sessions_let_go": picture.sessions_let_go,
            "channels_let_go": picture.channels_let_go,
            "log_bytes": picture.log_bytes,
            "accepted": self.accepted,
            "refused": self.refused,
            "requests": self.requests,
            "publications": self.publications,
            "deliveries": self.deliveries,
            "missed": self.missed,
            "slow_closed": self.slow_closed,
            "outbox_bytes": picture.outbox_bytes,
            "input_bytes": picture.input_bytes,
            "shed": self.shed,
            "messages": self.messages,
            "webhook": webhook,
            // Its former name, for those who read that.
            "relay": webhook,
        });
        format!("{value:#}\n")
    }
}
