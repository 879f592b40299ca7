//! The queue as bytes: what the app has not taken outlives the process.
//!
//! Read as a whole and judged before anything of it is queued. The number of
//! attempts so far is not kept: the next process meets the app afresh. Called
//! by `Webhook`.

use super::message::{Message, QueuedMessage};
use crate::base::names::SessionId;
use crate::base::record::{Damaged, Record, Writer, put_bytes, put_u64, put_u128};
use crate::base::time::Time;

/// The least that a message takes.
const MESSAGE_BYTES: usize = 56;

/// A message for the app, as it was queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedMessage {
    pub session: SessionId,
    pub webhook_id: u128,
    pub queued_unix_ms: u64,
    pub body: String,
    /// That of the process before.
    pub tag: u64,
}

impl SavedMessage {
    /// The message to be queued again, under another tag.
    pub fn message(self, tag: u64) -> Message {
        Message {
            session: self.session,
            // The next process knows no addresses yet.
            address: None,
            body: self.body.into(),
            tag,
        }
    }
}

/// Writes the messages, oldest first, to `out`.
pub fn encode<'a>(
    now: Time,
    messages: impl ExactSizeIterator<Item = &'a QueuedMessage>,
    out: &mut Writer<'_>,
) {
    put_u64(out, messages.len() as u64);
    for queued in messages {
        put_u128(out, queued.message.session.0);
        put_u128(out, queued.webhook_id);
        put_u64(out, now.to_unix_ms(queued.queued_ms));
        put_u64(out, queued.message.tag);
        put_bytes(out, queued.message.body.as_bytes());
    }
}

/// Reads the messages.
///
/// # Errors
/// No webhook can have written them.
pub fn decode(record: &mut Record<'_>) -> Result<Vec<SavedMessage>, Damaged> {
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
    Ok(messages)
}
