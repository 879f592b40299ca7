//! The channel table and the session table, and who stands where in which.
//!
//! A subscription is known on both sides: the session holds its cursor and its
//! place in the channel, the channel holds the session's slot at that place.
//! Everything that moves one end puts the other right, here and nowhere else.
//! Called by the hub alone.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::address::AddressKey;
use crate::base::key_map::KeyMap;
use crate::base::names::{ALL_CHANNEL, Epoch, SessionId};
use crate::base::slots::{Key, Slots};
use crate::base::timers::Timers;

use super::channel::{Channel, Moved, Reader};
use super::holdings::Holdings;
use super::newcomers::Newcomers;
use super::readership::Readership;
use super::session::{Rest, Session, SessionKey, Stream, Subscription};
use super::values::HubLimits;

/// Both tables with their indexes, and what each address has in them.
pub struct Tables {
    pub channels: Slots<Channel>,
    pub names: HashMap<Arc<str>, Key<Channel>>,
    pub sessions: Slots<Session>,
    pub ids: KeyMap<SessionId, SessionKey>,
    pub holdings: Holdings,
    pub newcomers: Newcomers,
    /// How many channels have readers, without those of one session: these have to stay.
    pub read: usize,
}

impl Tables {
    /// Nothing yet. The shares of addresses are those of `limits`.
    pub fn new(limits: &HubLimits) -> Tables {
        Tables {
            channels: Slots::default(),
            names: HashMap::new(),
            sessions: Slots::default(),
            ids: KeyMap::default(),
            holdings: Holdings::new(limits),
            newcomers: Newcomers::default(),
            read: 0,
        }
    }

    /// Adds a channel, kept by the rule of this number. A direct one has no
    /// entry under its name.
    pub fn create(&mut self, name: Arc<str>, epoch: Epoch, direct: bool, rule: u8) -> Key<Channel> {
        let mut channel = Channel::new(Arc::clone(&name), epoch, direct);
        channel.rule = rule;
        channel.counted = !direct && *name != *ALL_CHANNEL;
        let key = self.channels.insert(channel);
        if !direct {
            self.names.insert(name, key);
        }
        key
    }

    /// Removes a channel that nobody reads and that keeps nothing for later.
    pub fn remove_if_idle(&mut self, key: Key<Channel>) -> Option<Channel> {
        let channel = self.channels.get(key)?;
        let kept = channel.promised_until_ms.is_some() || !channel.log.is_empty();
        if !channel.is_empty() || (kept && !channel.direct) {
            return None;
        }
        self.remove(key)
    }

    /// Removes a channel that nobody reads, and all that it keeps.
    pub fn remove(&mut self, key: Key<Channel>) -> Option<Channel> {
        let channel = self.channels.remove(key)?;
        debug_assert!(channel.is_empty(), "a reader would be left with nothing");
        if !channel.direct {
            self.names.remove(&channel.name);
        }
        Some(channel)
    }

    /// Adds a session that counts for `address` and reads nothing yet.
    pub fn add_session(&mut self, id: SessionId, address: Option<AddressKey>) -> SessionKey {
        let mut session = Session::new(id, 0);
        session.address = address;
        let key = self.sessions.insert(session);
        self.ids.insert(id, key);
        self.holdings.session_came(address);
        key
    }

    /// Removes a session that reads nothing any more.
    pub fn remove_session(&mut self, key: SessionKey) -> Option<Session> {
        let session = self.sessions.remove(key)?;
        debug_assert!(session.subscriptions.is_empty());
        self.ids.remove(&session.id);
        self.holdings.session_went(session.address);
        let address = session.address;
        self.newcomers
            .clean(address, &self.sessions, &self.holdings);
        Some(session)
    }

    /// Subscribes the session at the channel's head. Returns the number of the
    /// subscription; `None` if either is gone.
    pub fn join(&mut self, key: SessionKey, channel_key: Key<Channel>) -> Option<usize> {
        let session = self.sessions.get_mut(key)?;
        let channel = self.channels.get_mut(channel_key)?;
        let address = session.address;
        if channel.is_empty() && !channel.direct {
            self.read += 1;
        }
        let number = session.subscriptions.len();
        let mut place = channel.join(Reader {
            session: key.index(),
            subscription: number as u32,
        });
        let mut moved = None;
        if session.stream().is_some() {
            (place, moved) = channel.wake(place);
        }
        session.subscriptions.push(Subscription {
            channel: channel_key.index(),
            place,
            cursor: channel.log.next(),
        });
        let readership = channel.readership.with(address);
        let opens = channel.opener.is_none();
        self.put_right(moved);
        self.count_subscription(channel_key.index(), address, true);
        self.set_readership(channel_key.index(), readership);
        if opens {
            self.find_opener(channel_key.index(), address);
        }
        Some(number)
    }

    /// Removes subscription `number` of a session, and returns the channel it was to.
    pub fn leave(&mut self, key: SessionKey, number: usize) -> Option<Key<Channel>> {
        self.step(key, number, Channel::sleep);
        let session = self.sessions.get_mut(key)?;
        let address = session.address;
        let gone = session.subscriptions.swap_remove(number);
        if let Some(&filled) = session.subscriptions.get(number)
            && let Some(channel) = self.channels.at_mut(filled.channel)
        {
            channel.renumber(filled.place, number as u32);
        }
        let moved = self.channels.at_mut(gone.channel)?.leave(gone.place);
        self.put_right(moved);
        self.count_subscription(gone.channel, address, false);
        let (key, channel) = self.channels.at(gone.channel)?;
        let (is_empty, opener) = (channel.is_empty(), channel.opener);
        if is_empty && !channel.direct {
            self.read -= 1;
        }
        // Of one address alone it stays, whichever of its readers leaves.
        if is_empty || channel.readership == Readership::Several {
            self.look_through(gone.channel);
        }
        if opener.is_some() && (is_empty || opener == address) {
            self.find_opener(gone.channel, address);
        }
        Some(key)
    }

    /// Wakes the session in all its channels.
    pub fn wake(&mut self, key: SessionKey) {
        self.each(key, Channel::wake);
    }

    /// Puts the session to sleep in all its channels.
    pub fn sleep(&mut self, key: SessionKey) {
        self.each(key, Channel::sleep);
    }

    /// The channel of the session's own messages, if it had any.
    pub fn own_channel(&self, key: SessionKey) -> Option<Key<Channel>> {
        let mut subscriptions = self.sessions.get(key)?.subscriptions.iter();
        subscriptions.find_map(|subscription| {
            let (key, channel) = self.channels.at(subscription.channel)?;
            channel.direct.then_some(key)
        })
    }

    /// The session of a reader and its stream, if something is owed to it in `channel`.
    pub fn owed(&self, channel: u32, reader: Reader) -> Option<(SessionKey, Stream)> {
        let (key, session) = self.sessions.at(reader.session)?;
        let stream = session.stream()?;
        let cursor = session.subscriptions[reader.subscription as usize].cursor;
        let (_, channel) = self.channels.at(channel)?;
        (cursor < channel.log.next()).then_some((key, stream))
    }

    /// The session's client connected the new way.
    pub fn set_modern(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.modern = true;
        }
    }

    /// The session lives until `ends_ms`, if it is asleep. Awake, it has its
    /// whole time again from when it falls asleep.
    pub fn renew(&mut self, key: SessionKey, ends_ms: u64, ends: &mut Timers<SessionKey>) {
        if let Some(session) = self.sessions.get_mut(key)
            && session.stream().is_none()
        {
            session.set_rest(Rest::Asleep { ends_ms });
            if !session.timed {
                session.timed = true;
                ends.set(ends_ms, key);
            }
        }
    }

    /// The sessions that slept for too long, some at a time; `None` when there are none.
    pub fn take_ended(
        &mut self,
        now_ms: u64,
        ends: &mut Timers<SessionKey>,
    ) -> Option<Vec<SessionKey>> {
        let mut due = ends.take_due(now_ms)?;
        due.retain(|&key| {
            let Some(session) = self.sessions.get_mut(key) else {
                return false;
            };
            session.timed = false;
            let Rest::Asleep { ends_ms } = session.rest() else {
                return false;
            };
            if ends_ms <= now_ms {
                return true;
            }
            session.timed = true;
            ends.set(ends_ms, key);
            false
        });
        Some(due)
    }

    fn each(
        &mut self,
        key: SessionKey,
        step: impl Fn(&mut Channel, u32) -> (u32, Option<Moved>) + Copy,
    ) {
        let count = self.sessions.get(key).map_or(0, |s| s.subscriptions.len());
        for number in 0..count {
            self.step(key, number, step);
        }
    }

    fn step(
        &mut self,
        key: SessionKey,
        number: usize,
        step: impl Fn(&mut Channel, u32) -> (u32, Option<Moved>),
    ) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let subscription = &mut session.subscriptions[number];
        if let Some(channel) = self.channels.at_mut(subscription.channel) {
            let (place, moved) = step(channel, subscription.place);
            subscription.place = place;
            self.put_right(moved);
        }
    }

    fn put_right(&mut self, moved: Option<Moved>) {
        if let Some(moved) = moved
            && let Some(session) = self.sessions.at_mut(moved.reader.session)
        {
            session.subscriptions[moved.reader.subscription as usize].place = moved.place;
        }
    }
}
