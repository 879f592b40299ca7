//! The queue as bytes: what the app has not taken outlives the process.
//!
//! Read as a whole and judged before anything of it is queued. The number of
//! attempts so far is not kept: the next process meets the app afresh. Called
//! by `Callbacks`.

use super::message::{Message, Pending};
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
    messages: impl ExactSizeIterator<Item = &'a Pending>,
    out: &mut Writer<'_>,
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
