//! What a session is given once more, since its client did not get it, or says so.
//!
//! Whoever asks for it again and again costs much for a few bytes, so it is measured. Cursors
//! are moved by `reading` and `positions`. Called by the server when a poll comes or breaks.

use smallvec::SmallVec;

use crate::base::names::Offset;

use super::session::{SessionKey, Stream};
use super::state::Hub;
use super::values::{Asking, Seen};

/// Where a session's cursors stand.
type Marks = SmallVec<[Offset; 8]>;

impl Hub {
    /// A poll says what its client has got: what was given to it since, it gets again. Returns
    /// how many bytes that is.
    pub fn catch_up(&mut self, key: SessionKey, batch: Option<u32>, seen: Seen<'_>) -> usize {
        if batch.is_none() && seen.is_none() {
            return 0;
        }
        let before = self.marks(key);
        if let Some(batch) = batch {
            self.acknowledge(key, batch);
        }
        if let Some(positions) = seen {
            self.resume(key, positions, Asking::Poll);
        }
        self.note_again(key, &before)
    }

    /// The batch was not written to `stream`: the session gets it again, so many bytes.
    pub fn batch_lost(&mut self, key: SessionKey, stream: Stream) -> usize {
        let before = self.marks(key);
        self.take_back(key, stream);
        self.note_again(key, &before)
    }

    fn marks(&self, key: SessionKey) -> Marks {
        let session = self.session(key);
        let subscriptions = session.map_or(&[][..], |session| &session.subscriptions);
        subscriptions.iter().map(|it| it.cursor).collect()
    }

    /// How many bytes the cursors have moved back from `before`; the subscriptions are
    /// those of then.
    fn note_again(&mut self, key: SessionKey, before: &Marks) -> usize {
        let Some(session) = self.tables.sessions.get_mut(key) else {
            return 0;
        };
        let mut bytes = 0;
        for (subscription, &before) in session.subscriptions.iter().zip(before) {
            if subscription.cursor < before
                && let Some((_, channel)) = self.tables.channels.at(subscription.channel)
            {
                let log = &channel.log;
                let behind = |cursor: Offset| log.bytes_from(cursor.clamp(log.first(), log.next()));
                bytes += behind(subscription.cursor) - behind(before);
            }
        }
        session.again |= bytes > 0;
        bytes
    }
}
