//! FLOOR 2: who hears what.
//!
//! A channel is a log, a session's subscription is a cursor into it. The hub
//! knows channels, sessions and offsets; it knows neither HTTP nor sockets nor
//! a clock. Publishing costs the same for one reader and for 100,000: append,
//! and mark the channel. Who is owed what is asked afterwards, reader by reader
//! ([`Hub::next_reader`], [`Hub::pending`], [`Hub::advance`]).
//!
//! The promise: every session is given what it subscribed to in the order in
//! which the hub accepted it, across channels, each once, or the gap is
//! returned by [`Hub::take_gap`]. Called by the server.

mod log;
mod readership;
mod channel;
mod session;
mod pending;
mod pass;
mod retention;
mod promises;
mod values;
mod holdings;
mod newcomers;
mod unread;
mod tables;
mod shares;
mod positions;
mod cursors;
mod snapshot;
mod restore;
mod archive;
mod counts;
mod again;
#[cfg(test)]
mod restore_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod promise_tests;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod share_tests;

use std::sync::Arc;

use crate::base::address::AddressKey;
use crate::base::names::{ALL_CHANNEL, Epoch, Offset, SESSION_CHANNEL, SessionId, Since};
use crate::base::random::Random;
use crate::base::record::{Damaged, Record, Writer};
use crate::base::time::Time;
use crate::base::timers::Timers;

use archive::Archive;
use tables::Tables;

pub use pending::Run;
pub use restore::Restored;
pub use retention::{Keep, LOG_FLOOR, Retention};
use session::Rest;
pub use session::{Opener, Session, SessionKey, Stream};
pub use values::{Asking, Gap, Head, HubError, HubLimits, Published, Seen, Standing, Whereabouts};

/// The channel table and the session table.
pub struct Hub {
    limits: HubLimits,
    tables: Tables,
    archive: Archive,
    all: Arc<str>,
    own: Arc<str>,
    ends: Timers<SessionKey>,
    random: Random,
}

impl Hub {
    /// An empty hub. Session ids and epochs come from `random`.
    pub fn new(limits: HubLimits, mut random: Random) -> Hub {
        Hub {
            archive: Archive::new(limits.retention.clone(), random.fork()),
            tables: Tables::new(&limits),
            limits,
            all: ALL_CHANNEL.into(),
            own: SESSION_CHANNEL.into(),
            ends: Timers::default(),
            random,
        }
    }

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
        session.set_rest(Rest::Awake(stream));
        if before.is_none() {
            self.tables.wake(key);
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

    /// Subscribes the session to the channel `name`, from here on or from
    /// behind `since`. Subscribing again changes nothing but the cursor, and
    /// that only with `since`.
    ///
    /// # Errors
    /// When the name cannot be one, or a limit is reached.
    pub fn subscribe(
        &mut self,
        key: SessionKey,
        name: &str,
        since: Option<Since>,
    ) -> Result<Standing, HubError> {
        self.limits.check_name(name)?;
        let session = self.session(key).ok_or(HubError::SessionEnded)?;
        let taken = session.subscriptions.len();
        let channel = self.tables.names.get(name).copied();
        let known = channel.and_then(|channel| session.find(channel.index()));
        let number = match known {
            Some(number) => number,
            None if taken >= self.limits.channels_per_session => {
                return Err(HubError::TooManyOfSession(self.limits.channels_per_session));
            }
            None => {
                self.tables.check_shares(key, channel, &self.limits)?;
                let most = self.limits.channels;
                let channel = self.archive.channel_for(&mut self.tables, name, most)?;
                let joined = self.tables.join(key, channel);
                joined.ok_or(HubError::SessionEnded)?
            }
        };
        self.tables
            .stand(key, number, since, self.archive.moment(), true)
            .ok_or(HubError::SessionEnded)
    }

    /// Ends the session's subscription to `name`; false if there was none.
    pub fn unsubscribe(&mut self, key: SessionKey, name: &str) -> bool {
        let channel = self.tables.names.get(name).copied();
        let known = channel.and_then(|channel| self.session(key)?.find(channel.index()));
        if let Some(number) = known {
            self.archive.leave(&mut self.tables, key, number);
        }
        known.is_some()
    }

    /// Sets the cursors of a session to what its client has seen, and tells how
    /// each of its subscriptions stands. A channel without a position given is
    /// `recovered` only if the session is fresh. A client that names others, and
    /// not the session's own channel, has seen nothing of that: it gets all of it.
    pub fn resume(
        &mut self,
        key: SessionKey,
        positions: &[(&str, Since)],
        asking: Asking,
    ) -> Vec<(Arc<str>, Standing)> {
        let present = self.archive.moment();
        self.tables.resume(key, positions, present, asking)
    }

    /// Appends a publication to the channel `name`. `encode` writes its frame,
    /// given the offset, and the epoch if a reader may not know it yet.
    ///
    /// # Errors
    /// When the name cannot be one, or there are too many channels.
    pub fn publish(
        &mut self,
        now: Time,
        name: &str,
        encode: impl FnOnce(&mut Vec<u8>, Offset, Option<Epoch>),
    ) -> Result<Published, HubError> {
        self.limits.check_name(name)?;
        if let Some(&channel) = self.tables.names.get(name) {
            return Ok(self.archive.append(&mut self.tables, now, channel, encode));
        }
        let most = self.limits.channels;
        let channel = self.archive.channel_for(&mut self.tables, name, most)?;
        let published = self.archive.append(&mut self.tables, now, channel, encode);
        self.archive.rest(&mut self.tables, channel);
        Ok(published)
    }

    /// Appends a publication to the session's own channel; `None` if the session ended.
    pub fn publish_to(
        &mut self,
        now: Time,
        key: SessionKey,
        encode: impl FnOnce(&mut Vec<u8>, Offset, Option<Epoch>),
    ) -> Option<Published> {
        self.session(key)?;
        let channel = match self.tables.own_channel(key) {
            Some(channel) => channel,
            None => {
                let name = Arc::clone(&self.own);
                let channel = self.archive.create(&mut self.tables, name, true);
                self.tables.join(key, channel);
                channel
            }
        };
        Some(self.archive.append(&mut self.tables, now, channel, encode))
    }

    /// Whether publications to all of `names` would be taken. For a new name a channel
    /// goes that nobody reads.
    ///
    /// # Errors
    /// When a name cannot be one, or all channels there may be are read by somebody.
    pub fn check<'n>(&self, names: impl Iterator<Item = &'n str> + Clone) -> Result<(), HubError> {
        self.tables.check_names(names, &self.limits)
    }

    /// Where the channel `name` stands. It is kept for as long as a publication of now
    /// would be, so that a subscription from there misses nothing. One that is not there
    /// is not made: then it is said where the server stands.
    ///
    /// # Errors
    /// When the name cannot be one.
    pub fn head(&mut self, now: Time, name: &str) -> Result<Whereabouts, HubError> {
        self.limits.check_name(name)?;
        Ok(match self.tables.names.get(name) {
            Some(&channel) => {
                Whereabouts::Known(self.archive.promise(&mut self.tables, now, channel))
            }
            None => Whereabouts::Unknown(self.archive.moment()),
        })
    }

    /// The next awake session with something pending after what was published,
    /// each at most once for each pass; `None` when the passes are through.
    pub fn next_reader(&mut self) -> Option<(SessionKey, Stream)> {
        while let Some((channel, reader)) = self.archive.pass.next(&mut self.tables.channels) {
            if let Some(owed) = self.tables.owed(channel, reader) {
                return Some(owed);
            }
        }
        None
    }

    /// The streams of those that [`Hub::next_reader`] comes to next, up to
    /// `count`; they are not met by that.
    pub fn upcoming(&self, count: usize) -> impl Iterator<Item = Stream> + '_ {
        let readers = self.archive.pass.upcoming(&self.tables.channels, count);
        readers.filter_map(|reader| self.tables.sessions.at(reader.session)?.1.stream())
    }

    /// How many bytes were published since the round of passes that is under
    /// way began; 0 when they are through.
    pub fn backlog_bytes(&self) -> usize {
        self.archive.pass.backlog_bytes()
    }

    /// What the session is owed, oldest first.
    pub fn pending(&self, key: SessionKey) -> impl Iterator<Item = Run<'_>> {
        self.tables.pending(key)
    }

    /// The whole backlog, if it is of one channel, which it nearly always is.
    pub fn only_run(&self, key: SessionKey) -> Option<Run<'_>> {
        self.tables.only_run(key)
    }

    /// All of the run that [`Hub::only_run`] gave is written.
    pub fn pass_run(&mut self, key: SessionKey, subscription: usize, to: Offset) {
        self.tables.pass_run(key, subscription, to);
    }

    /// Whether the session is owed anything.
    pub fn is_behind(&self, key: SessionKey) -> bool {
        self.tables.is_behind(key)
    }

    /// Takes note that the first `written` bytes of what was pending are
    /// written, and returns how many publications that delivers. The rest of a
    /// frame that was cut is appended to `rest`: it counts as delivered, and
    /// the caller owes it.
    pub fn advance(&mut self, key: SessionKey, written: usize, rest: &mut Vec<u8>) -> u64 {
        self.tables.advance(key, written, rest)
    }

    /// If publications the session had not read are gone, moves its cursor
    /// behind them and says what is missing; call until there is none.
    pub fn take_gap(&mut self, key: SessionKey) -> Option<Gap> {
        self.tables.take_gap(key)
    }

    /// What is missing behind `since`, from which the session has subscribed to
    /// `name`, is a gap as well: for whom that may reach sooner than the answer.
    pub fn owe_gap(&mut self, key: SessionKey, name: &str, since: Since) {
        let present = self.archive.moment();
        self.tables.owe_gap_of(key, name, since, present);
    }

    /// Remembers where the session's cursors stand, before a batch is given to
    /// `stream`, which may fail. If its client acknowledges it by a number,
    /// returns that; else 0.
    pub fn mark_unconfirmed(&mut self, key: SessionKey, stream: Stream, numbered: bool) -> u32 {
        self.tables.mark_unconfirmed(key, stream, numbered)
    }

    /// Whether a batch is being written: what comes behind it has to wait.
    pub fn is_batch_out(&self, key: SessionKey) -> bool {
        self.tables.is_batch_out(key)
    }

    /// The batch was written to `stream`. Unless it has a number, it counts as read.
    pub fn confirm(&mut self, key: SessionKey, stream: Stream) {
        self.tables.confirm(key, stream);
    }

    /// A poll says what its client has got: what was given to it since, it gets again. Returns
    /// how many bytes that is.
    pub fn catch_up(&mut self, key: SessionKey, batch: Option<u32>, seen: Seen<'_>) -> usize {
        let present = self.archive.moment();
        self.tables.catch_up(key, batch, seen, present)
    }

    /// The batch was not written to `stream`: the session gets it again, so many bytes.
    pub fn rewind(&mut self, key: SessionKey, stream: Stream) -> usize {
        self.tables.give_back(key, stream)
    }

    /// Writes logs, epochs and sessions with their cursors to `out`. What was
    /// written to a stream that may yet have failed counts as not delivered.
    pub fn save(&self, now: Time, out: &mut Writer<'_>) {
        self.archive.save(&self.tables, now, out);
    }

    /// Restores what [`Hub::save`] wrote, which is all that `record` has left, into
    /// an empty hub. The sessions are asleep, and live as long as any that has just
    /// fallen asleep. Lower limits cut off sessions and old publications.
    ///
    /// # Errors
    /// No hub can have written the bytes. [`Hub::clear`] is to follow.
    pub fn restore(&mut self, now: Time, record: &mut Record<'_>) -> Result<Restored, Damaged> {
        let (tables, ends) = (&mut self.tables, &mut self.ends);
        self.archive
            .restore(tables, ends, &self.limits, now, record)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.tables = Tables::new(&self.limits);
        self.ends = Timers::default();
        self.archive.clear();
    }

    /// Lets go of what nobody who is awake has yet to read: another hub goes on.
    pub fn forget_read(&mut self) {
        self.tables.forget_read();
    }

    /// Ends the sessions that slept too long and drops what is too old.
    pub fn expire(&mut self, now: Time) {
        while let Some(ended) = self.tables.take_ended(now.ms, &mut self.ends) {
            ended.into_iter().for_each(|key| self.close(key));
        }
        self.archive.expire(&mut self.tables, now);
    }

    /// When [`Hub::expire`] has something to do next, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<u64> {
        let due = [self.ends.next_ms(), self.archive.next_ms()];
        due.into_iter().flatten().min()
    }

    /// Live sessions.
    pub fn session_count(&self) -> usize {
        self.tables.sessions.len()
    }

    /// How many sessions and channels went so far because there were too many.
    pub fn let_go(&self) -> (u64, u64) {
        (self.tables.newcomers.chosen(), self.archive.made_room())
    }

    /// Channels that have readers or hold publications.
    pub fn channel_count(&self) -> usize {
        self.tables.channels.len()
    }

    /// Bytes held by all logs.
    pub fn log_bytes(&self) -> usize {
        self.archive.bytes()
    }

    /// Each thing that is held of others by name, and how much of it; for tests.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        counts::counts(&self.tables, &self.archive, &self.ends)
    }
}
