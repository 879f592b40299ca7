//! How a session begins, has a stream or none, and ends.
//!
//! Called by the server when clients come and go.

use crate::base::address::AddressKey;
use crate::base::names::SessionId;
use crate::base::time::Time;

use super::session::{Opener, Rest, Session, SessionKey, Stream};
use super::state::Hub;
use super::values::HubError;

impl Hub {
    /// Opens a session, asleep and subscribed to `/all` from here on. It counts
    /// against the share of `address`. If that is full, or all of it is, a session goes
    /// that never had a stream (`newcomers`).
    ///
    /// # Errors
    /// When there are too many sessions, and none may go.
    pub fn open(&mut self, now: Time, address: Option<AddressKey>) -> Result<SessionKey, HubError> {
        let key = self.enter(address)?;
        self.renew(now, key);
        self.tables.wait_for_stream(key);
        Ok(key)
    }

    /// Opens a session as [`Hub::open`] does, with `stream` attached.
    ///
    /// # Errors
    /// As [`Hub::open`].
    pub fn open_stream(
        &mut self,
        address: Option<AddressKey>,
        stream: Stream,
    ) -> Result<SessionKey, HubError> {
        let key = self.enter(address)?;
        self.attach(key, stream);
        Ok(key)
    }

    fn enter(&mut self, address: Option<AddressKey>) -> Result<SessionKey, HubError> {
        if let Some(goes) = self.tables.who_goes(address, &self.limits)? {
            self.close(goes);
        }
        let all = self.archive.find_or_create(&mut self.tables, &self.all);
        let id = SessionId(self.random.bits_128());
        let key = self.tables.add_session(id, address);
        self.tables.join(key, all);
        Ok(key)
    }

    /// The session's client came from `address` now: the session counts for that, unless
    /// its share is full.
    pub fn set_address(&mut self, key: SessionKey, address: Option<AddressKey>) {
        self.tables.set_address(key, address);
    }

    /// The live session with this id.
    pub fn find(&self, id: SessionId) -> Option<SessionKey> {
        self.tables.ids.get(&id).copied()
    }

    /// The session, while it lives.
    pub fn session(&self, key: SessionKey) -> Option<&Session> {
        self.tables.sessions.get(key)
    }

    /// The session's client connected the new way: from now on it is told of gaps.
    pub fn set_modern(&mut self, key: SessionKey) {
        self.tables.set_modern(key);
    }

    /// The session was opened by `opener`.
    pub fn set_opener(&mut self, key: SessionKey, opener: Option<Opener>) {
        if let Some(session) = self.tables.sessions.get_mut(key) {
            session.opener = opener;
        }
    }

    /// Who opened each session.
    pub fn openers(&self) -> impl Iterator<Item = (SessionId, Option<Opener>)> {
        let sessions = self.tables.sessions.iter();
        sessions.map(|(_, session)| (session.id, session.opener))
    }

    /// Attaches `stream`: the session's publications go there. Returns the
    /// stream that was attached before and is not any more.
    pub fn attach(&mut self, key: SessionKey, stream: Stream) -> Option<Stream> {
        let session = self.tables.sessions.get_mut(key)?;
        let before = session.stream();
        session.had_stream = true;
        session.answered = false;
        session.set_rest(Rest::Awake(stream));
        if before.is_none() {
            self.tables.wake(key);
            self.archive.came_back(&mut self.tables, key);
        }
        before.filter(|&before| before != stream)
    }

    /// Detaches `stream`, if it is the one attached. The session falls asleep
    /// and ends when nothing is attached for as long as the limits say.
    pub fn detach(&mut self, now: Time, key: SessionKey, stream: Stream) {
        let Some(session) = self.tables.sessions.get_mut(key) else {
            return;
        };
        if session.stream() != Some(stream) {
            return;
        }
        session.set_rest(Rest::Asleep { ends_ms: now.ms });
        self.tables.sleep(key);
        self.renew(now, key);
    }

    /// The poll that is attached as `stream` is answered: it is detached, and waited for
    /// a while longer than others are (`sparing`).
    pub fn answered(&mut self, now: Time, key: SessionKey, stream: Stream) {
        self.detach(now, key, stream);
        if let Some(session) = self.tables.sessions.get_mut(key) {
            session.answered = true;
            for subscription in &session.subscriptions {
                // What did not fit into the answer is still to be read.
                if let Some(channel) = self.tables.channels.at_mut(subscription.channel) {
                    channel.spared.from = channel.spared.from.min(subscription.cursor);
                }
            }
        }
    }

    /// The session's client was heard: asleep, it has its whole time again.
    pub fn renew(&mut self, now: Time, key: SessionKey) {
        let ends_ms = now.after(self.limits.session_ttl_ms);
        self.tables.renew(key, ends_ms, &mut self.ends);
    }

    /// Ends a session at once and forgets all of it.
    pub fn close(&mut self, key: SessionKey) {
        let count = self.session(key).map_or(0, |s| s.subscriptions.len());
        for number in (0..count).rev() {
            self.archive.leave(&mut self.tables, key, number);
        }
        self.tables.remove_session(key);
    }
}
