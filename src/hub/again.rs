//! What a session is given once more, since its client did not get it, or says so.
//!
//! Whoever asks for it again and again costs much for a few bytes, so the server is told
//! how much it is. Cursors are moved by `cursors` and `positions`. Called by the server.

use smallvec::SmallVec;

use crate::base::names::Offset;

use super::Hub;
use super::session::{SessionKey, Stream};

/// Where a session's cursors stand.
pub struct Marks(SmallVec<[Offset; 8]>);

impl Hub {
    /// The client says that the batch of this number is the last that it got:
    /// what was given to it since, it gets again.
    pub fn acknowledge(&mut self, key: SessionKey, batch: u32) {
        self.tables.acknowledge(key, batch);
    }

    /// The batch was not written to `stream`: the session gets it again. Returns how many bytes
    /// that is.
    pub fn rewind(&mut self, key: SessionKey, stream: Stream) -> usize {
        let before = self.marks(key);
        self.tables.rewind(key, stream);
        self.again_bytes(key, &before)
    }

    /// Where the session's cursors stand now.
    pub fn marks(&self, key: SessionKey) -> Marks {
        let session = self.tables.sessions.get(key);
        let subscriptions = session.map_or(&[][..], |session| &session.subscriptions);
        Marks(subscriptions.iter().map(|it| it.cursor).collect())
    }

    /// How many bytes the session is given again, since its cursors have moved back from
    /// `before`. Its subscriptions are those of then.
    pub fn again_bytes(&self, key: SessionKey, before: &Marks) -> usize {
        let Some(session) = self.tables.sessions.get(key) else {
            return 0;
        };
        let mut bytes = 0;
        for (subscription, &before) in session.subscriptions.iter().zip(&before.0) {
            if subscription.cursor < before
                && let Some((_, channel)) = self.tables.channels.at(subscription.channel)
            {
                let log = &channel.log;
                let behind = |cursor: Offset| {
                    let from = cursor.clamp(log.first(), log.next());
                    log.frames(from, log.next()).len()
                };
                bytes += behind(subscription.cursor) - behind(before);
            }
        }
        bytes
    }

    /// What the session is given again waits, or does not any longer.
    pub fn set_paced(&mut self, key: SessionKey, paced: bool) {
        if let Some(session) = self.tables.sessions.get_mut(key) {
            session.paced = paced;
        }
    }
}
