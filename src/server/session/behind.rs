//! What came on streams behind a message that waits for room in the webhook.
//!
//! A stream is read a little further meanwhile, so that pings are answered and its
//! end is seen; what else comes is kept here, in order, until the message is
//! queued. It handles nothing itself. Called by `stream`.

use std::collections::VecDeque;

use crate::base::key_map::KeyMap;

use crate::server::connection::conn::ConnKey;

/// Of each stream no more is read when this much is kept.
const BYTES_MAX: usize = 16 * 1024;

/// What each of them counts beside its text.
const ITEM_BYTES: usize = 32;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    Text(Box<str>),
    /// A binary message, whose content is of no use.
    Binary,
    /// A Close with this code. Nothing counts that follows it.
    Close(Option<u16>),
    /// The peer sends no more.
    Finished,
}

#[derive(Default)]
struct Kept {
    items: VecDeque<Item>,
    bytes: usize,
    /// A message waits.
    waits: bool,
    /// How long it is.
    waiting_bytes: usize,
}

/// The streams that wait.
#[derive(Default)]
pub struct Behind {
    streams: KeyMap<ConnKey, Kept>,
}

impl Behind {
    /// A message of so many bytes waits from now on, of a stream or a request.
    pub fn begin(&mut self, key: ConnKey, bytes: usize) {
        let kept = self.streams.entry(key).or_default();
        kept.waits = true;
        kept.waiting_bytes = bytes;
    }

    /// What is kept for the connection, with the message that waits.
    pub fn bytes(&self, key: ConnKey) -> usize {
        if self.streams.is_empty() {
            return 0;
        }
        let kept = self.streams.get(&key);
        kept.map_or(0, |kept| kept.bytes + kept.waiting_bytes)
    }

    /// How many connections wait, or have something kept.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether what comes on the stream is to be kept.
    pub fn keeps(&self, key: ConnKey) -> bool {
        !self.streams.is_empty() && self.streams.contains_key(&key)
    }

    /// Whether the stream is to be read no further.
    pub fn is_full(&self, key: ConnKey) -> bool {
        if self.streams.is_empty() {
            return false;
        }
        self.streams.get(&key).is_some_and(|kept| {
            let ended = matches!(kept.items.back(), Some(Item::Close(_) | Item::Finished));
            kept.bytes >= BYTES_MAX || ended
        })
    }

    /// Keeps what came on a stream that waits.
    pub fn push(&mut self, key: ConnKey, item: Item) {
        if let Some(kept) = self.streams.get_mut(&key) {
            kept.bytes += item.bytes();
            kept.items.push_back(item);
        }
    }

    /// The message that waited is queued: [`Behind::next`] tells what came then.
    pub fn go_on(&mut self, key: ConnKey) {
        if let Some(kept) = self.streams.get_mut(&key) {
            kept.waits = false;
            kept.waiting_bytes = 0;
        }
    }

    /// The next that came, unless the stream waits again; nothing is kept of the
    /// stream after the last.
    pub fn next(&mut self, key: ConnKey) -> Option<Item> {
        let kept = self.streams.get_mut(&key).filter(|kept| !kept.waits)?;
        let Some(item) = kept.items.pop_front() else {
            self.remove(key);
            return None;
        };
        kept.bytes -= item.bytes();
        Some(item)
    }

    /// The stream is gone.
    pub fn remove(&mut self, key: ConnKey) {
        if self.streams.remove(&key).is_some() && self.streams.is_empty() {
            // A crowd that waited leaves no room behind.
            self.streams = KeyMap::default();
        }
    }
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Item::Text(text) => ITEM_BYTES + text.len(),
            _ => ITEM_BYTES,
        }
    }
}
