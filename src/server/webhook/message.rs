//! A message of a browser for the app, and what is known of it until its end.
//!
//! Plain values. Made by the server and by `queue`.

use super::accounts::Owner;
use super::result::Failure;
use crate::base::names::SessionId;

/// A message of a browser for the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sent it.
    pub session: SessionId,
    /// Whose share it takes.
    pub address: Owner,
    /// What was sent; the body of the request.
    pub body: Box<str>,
    /// Comes back with the outcome; 0 when nobody wants to know.
    pub tag: u64,
}

impl Message {
    /// What it counts against the limits in bytes: its body and what is kept around it.
    pub fn cost_bytes(&self) -> usize {
        const KEPT_AROUND_BYTES: usize = 256;
        self.body.len() + KEPT_AROUND_BYTES
    }
}

/// A message with the history of its attempts.
#[derive(Clone, Debug)]
pub struct QueuedMessage {
    pub message: Message,
    /// Its place among all messages ever queued: the order within a session.
    pub number: u64,
    /// The same in every attempt, so that the app can tell a retry.
    pub webhook_id: u128,
    /// When it was queued, on the monotonic clock.
    pub queued_ms: u64,
    /// Attempts that failed.
    pub attempts: u32,
    /// How the last of them failed.
    pub last: Option<Failure>,
    /// How often the app had answered when the attempt under way began.
    pub answers_before: u64,
}
