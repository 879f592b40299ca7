//! The queue as bytes: what the app has not taken outlives the process.
//!
//! Read whole and judged before anything of it is queued. The number of
//! attempts so far is not kept: the next process meets the app afresh. Called
//! by `Callbacks`.

use super::message::{Message, Pending};
use super::queue::Queue;
use crate::base::names::SessionId;
use crate::base::record::{Damaged, Record, put_bytes, put_u64, put_u128};
use crate::base::time::Time;

/// The least that a message takes.
const MESSAGE_BYTES: usize = 56;

/// A message for the app, as it was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedMessage<'a> {
    pub session: SessionId,
    pub webhook_id: u128,
    pub queued_unix_ms: u64,
    pub body: &'a str,
    /// That of the process before.
    pub tag: u64,
}

impl SavedMessage<'_> {
    /// The message to be queued again, under another tag.
    pub fn message(&self, tag: u64) -> Message {
        Message {
            session: self.session,
            // The next process knows no addresses yet.
            address: None,
            body: self.body.into(),
            tag,
        }
    }
}

/// Appends the messages, oldest first, to `out`.
pub fn encode<'a>(
    now: Time,
    messages: impl ExactSizeIterator<Item = &'a Pending>,
    out: &mut Vec<u8>,
) {
    put_u64(out, messages.len() as u64);
    for pending in messages {
        put_u128(out, pending.message.session.0);
        put_u128(out, pending.webhook_id);
        put_u64(out, now.to_unix_ms(pending.queued_ms));
        put_u64(out, pending.message.tag);
        put_bytes(out, pending.message.body.as_bytes());
    }
}

/// Reads the messages.
///
/// # Errors
/// No relay can have written them.
pub fn decode(bytes: &[u8]) -> Result<Vec<SavedMessage<'_>>, Damaged> {
    let mut record = Record::new(bytes);
    let count = record.count(MESSAGE_BYTES)?;
    let mut messages = Vec::with_capacity(count);
    for _ in 0..count {
        messages.push(SavedMessage {
            session: SessionId(record.u128()?),
            webhook_id: record.u128()?,
            queued_unix_ms: record.u64()?,
            tag: record.u64()?,
            body: record.text()?,
        });
    }
    match record.is_empty() {
        true => Ok(messages),
        false => Err(Damaged),
    }
}

/// Queues the messages again, each under the tag that `tag` gives for the one it
/// had, and returns how many there were.
///
/// # Errors
/// No relay can have written them. Nothing is queued then.
pub fn restore(
    now: Time,
    bytes: &[u8],
    tag: impl Fn(u64) -> u64,
    queue: &mut Queue,
) -> Result<usize, Damaged> {
    let messages = decode(bytes)?;
    for saved in &messages {
        let queued_ms = now.from_unix_ms(saved.queued_unix_ms);
        queue.push(queued_ms, saved.message(tag(saved.tag)), saved.webhook_id);
    }
    Ok(messages.len())
}

/// Whether the messages can be read.
///
/// # Errors
/// It cannot.
pub fn check(bytes: &[u8]) -> Result<(), Damaged> {
    decode(bytes).map(drop)
}
