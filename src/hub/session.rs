//! A session: one browser tab's place in the server, and its cursors.
//!
//! A subscription is a cursor into a channel's log, not a queue. A session
//! outlives its streams (a WebSocket, a held poll) by a while, so that the next
//! one goes on where the last one stopped. Called by the hub alone; the server
//! sees sessions through it.

use std::num::NonZeroU32;

use smallvec::SmallVec;

use crate::base::address::AddressKey;
use crate::base::names::{Offset, SessionId};
use crate::base::slots::Key;

use super::batches::Batches;

/// Names a session; stale once it ended.
pub type SessionKey = Key<Session>;

/// One channel that a session reads, and how far it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The channel's slot in the hub.
    pub channel: u32,
    /// This reader's place in the channel.
    pub place: u32,
    /// The next offset to be delivered.
    pub cursor: Offset,
}

/// What the connection side calls the thing a session's publications are
/// written to. The hub only keeps it and gives it back.
pub type Stream = u64;

/// Who opened a session, as far as that is known: a number that the server
/// makes. The hub only keeps it and gives it back.
pub type Opener = NonZeroU32;

/// Whether anybody is there to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Its publications go there.
    Awake(Stream),
    /// It ends at this time, on the monotonic clock, unless it wakes before.
    Asleep { ends_ms: u64 },
}

/// A session.
#[derive(Debug)]
pub struct Session {
    pub id: SessionId,
    /// Two are inline: `/all`, and the one channel most pages add.
    pub subscriptions: SmallVec<[Subscription; 2]>,
    /// Its stream, if it is awake, or else when it ends: what [`Rest`] says, in
    /// a word less.
    stream_or_ends_ms: u64,
    awake: bool,
    /// It has an entry in the hub's timers.
    pub timed: bool,
    /// A stream was attached to it, or a poll, at some time.
    pub had_stream: bool,
    /// What was attached last was a poll, and it was answered.
    pub answered: bool,
    /// Its client connected the new way: it is told of gaps and heartbeats.
    pub modern: bool,
    /// Something that it was given before is to be given again, by the next batch.
    pub again: bool,
    pub opener: Option<Opener>,
    /// Whose share it counts against; none for this machine's own.
    pub address: Option<AddressKey>,
    /// The number of the last batch that its client was to acknowledge.
    pub batch: u32,
    /// The batches that may yet turn out not to have arrived. Most sessions never have one.
    pub batches: Option<Box<Batches>>,
}

impl Session {
    /// A session that reads nothing yet.
    pub fn new(id: SessionId, ends_ms: u64) -> Session {
        Session {
            id,
            subscriptions: SmallVec::new(),
            stream_or_ends_ms: ends_ms,
            awake: false,
            timed: false,
            had_stream: false,
            answered: false,
            modern: false,
            again: false,
            opener: None,
            address: None,
            batch: 0,
            batches: None,
        }
    }

    /// Where its publications go now; none while it sleeps.
    pub fn stream(&self) -> Option<Stream> {
        self.awake.then_some(self.stream_or_ends_ms)
    }

    /// Whether anybody is there to read, and who.
    pub fn rest(&self) -> Rest {
        match self.stream() {
            Some(stream) => Rest::Awake(stream),
            None => Rest::Asleep {
                ends_ms: self.stream_or_ends_ms,
            },
        }
    }

    /// It wakes up, or falls asleep, or is to sleep for longer.
    pub fn set_rest(&mut self, rest: Rest) {
        (self.awake, self.stream_or_ends_ms) = match rest {
            Rest::Awake(stream) => (true, stream),
            Rest::Asleep { ends_ms } => (false, ends_ms),
        };
    }

    /// Which of its subscriptions is to `channel`. The number of channels a
    /// session may read is small and limited: a look through them is enough.
    pub fn find(&self, channel: u32) -> Option<usize> {
        self.subscriptions
            .iter()
            .position(|subscription| subscription.channel == channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_only_listens_is_small() {
        assert!(size_of::<Session>() <= 96, "with its slot's generation 104");
    }
}
