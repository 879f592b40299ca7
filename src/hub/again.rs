//! What a session is given once more, since its client did not get it, or says so.
//!
//! Whoever asks for it again and again costs much for a few bytes, so it is measured. Cursors
//! are moved by `cursors` and `positions`. Called by the hub alone.

use smallvec::SmallVec;

use crate::base::names::{Moment, Offset};

use super::session::{SessionKey, Stream};
use super::tables::Tables;
use super::values::{Asking, Seen};

/// Where a session's cursors stand.
type Marks = SmallVec<[Offset; 8]>;

impl Tables {
    /// A poll says what its client has got. Returns how many bytes it gets again.
    pub fn catch_up(
        &mut self,
        key: SessionKey,
        batch: Option<u32>,
        seen: Seen<'_>,
        present: Moment,
    ) -> usize {
        if batch.is_none() && seen.is_none() {
            return 0;
        }
        let before = self.marks(key);
        if let Some(batch) = batch {
            self.acknowledge(key, batch);
        }
        if let Some(positions) = seen {
            self.resume(key, positions, present, Asking::Poll);
        }
        self.note_again(key, &before)
    }

    /// A batch was not written to `stream`. Returns how many bytes the session gets again.
    pub fn give_back(&mut self, key: SessionKey, stream: Stream) -> usize {
        let before = self.marks(key);
        self.rewind(key, stream);
        self.note_again(key, &before)
    }

    fn marks(&self, key: SessionKey) -> Marks {
        let session = self.sessions.get(key);
        let subscriptions = session.map_or(&[][..], |session| &session.subscriptions);
        subscriptions.iter().map(|it| it.cursor).collect()
    }

    /// How many bytes the cursors have moved back from `before`; the subscriptions are
    /// those of then.
    fn note_again(&mut self, key: SessionKey, before: &Marks) -> usize {
        let Some(session) = self.sessions.get_mut(key) else {
            return 0;
        };
        let mut bytes = 0;
        for (subscription, &before) in session.subscriptions.iter().zip(before) {
            if subscription.cursor < before
                && let Some((_, channel)) = self.channels.at(subscription.channel)
            {
                let log = &channel.log;
                let behind = |cursor: Offset| {
                    let from = cursor.clamp(log.first(), log.next());
                    log.frames(from, log.next()).len()
                };
                bytes += behind(subscription.cursor) - behind(before);
            }
        }
        session.again |= bytes > 0;
        bytes
    }
}
