//! The channel table and the session table, and who stands where in which.
//!
//! A subscription is known on both sides: the session holds its cursor and its
//! place in the channel, the channel holds the session's slot at that place.
//! Everything that moves one end puts the other right, here and nowhere else.
//! Called by the hub alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::base::names::{Epoch, Position, SessionId};
use crate::base::slots::{Key, Slots};
use crate::base::timers::Timers;

use super::channel::{Channel, Moved, Reader};
use super::session::{Rest, Session, SessionKey, Stream, Subscription};
use super::values::{Asking, Standing};

/// Both tables with their indexes.
#[derive(Default)]
pub struct Tables {
    pub channels: Slots<Channel>,
    pub names: HashMap<Arc<str>, Key<Channel>>,
    pub sessions: Slots<Session>,
    pub ids: HashMap<SessionId, SessionKey>,
}

impl Tables {
    /// Adds a channel, kept by the rule of this number. A direct one has no
    /// entry under its name.
    pub fn create(&mut self, name: Arc<str>, epoch: Epoch, direct: bool, rule: u8) -> Key<Channel> {
        let mut channel = Channel::new(Arc::clone(&name), epoch, direct);
        channel.rule = rule;
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
        let channel = self.channels.remove(key)?;
        if !channel.direct {
            self.names.remove(&channel.name);
        }
        Some(channel)
    }

    /// How many channels there would be if each of `names` were one.
    pub fn count_with<'n>(&self, names: impl Iterator<Item = &'n str>) -> usize {
        let new: HashSet<&str> = names
            .filter(|name| !self.names.contains_key(*name))
            .collect();
        self.names.len() + new.len()
    }

    /// Subscribes the session at the channel's head. Returns the number of the
    /// subscription; `None` if either is gone.
    pub fn join(&mut self, key: SessionKey, channel_key: Key<Channel>) -> Option<usize> {
        let session = self.sessions.get_mut(key)?;
        let channel = self.channels.get_mut(channel_key)?;
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
        self.put_right(moved);
        Some(number)
    }

    /// Removes subscription `number` of a session, and returns the channel it was to.
    pub fn leave(&mut self, key: SessionKey, number: usize) -> Option<Key<Channel>> {
        self.step(key, number, Channel::sleep);
        let session = self.sessions.get_mut(key)?;
        let gone = session.subscriptions.swap_remove(number);
        if let Some(&filled) = session.subscriptions.get(number)
            && let Some(channel) = self.channels.at_mut(filled.channel)
        {
            channel.renumber(filled.place, number as u32);
        }
        let moved = self.channels.at_mut(gone.channel)?.leave(gone.place);
        self.put_right(moved);
        Some(self.channels.at(gone.channel)?.0)
    }

    /// Wakes the session in all its channels.
    pub fn wake(&mut self, key: SessionKey) {
        self.each(key, Channel::wake);
    }

    /// Puts the session to sleep in all its channels.
    pub fn sleep(&mut self, key: SessionKey) {
        self.each(key, Channel::sleep);
    }

    /// Where a subscription stands.
    pub fn standing(&self, key: SessionKey, number: usize) -> Option<(&Channel, Position)> {
        let subscription = self.sessions.get(key)?.subscriptions.get(number)?;
        let (_, channel) = self.channels.at(subscription.channel)?;
        let position = Position {
            epoch: channel.epoch,
            offset: subscription.cursor - 1,
        };
        Some((channel, position))
    }

    /// Sets a cursor behind `since`, or as near as the log allows.
    pub fn seek(&mut self, key: SessionKey, number: usize, since: Position) -> Option<Standing> {
        let session = self.sessions.get_mut(key)?;
        let subscription = session.subscriptions.get_mut(number)?;
        let (_, channel) = self.channels.at(subscription.channel)?;
        let (first, next) = (channel.log.first(), channel.log.next());
        let wanted = since.offset.saturating_add(1);
        let recovered = since.epoch == channel.epoch && (first..=next).contains(&wanted);
        // Of another life of the channel the client has seen nothing of this
        // one: it gets what there is.
        subscription.cursor = if recovered { wanted } else { first };
        Some(Standing {
            position: Position {
                epoch: channel.epoch,
                offset: subscription.cursor - 1,
            },
            recovered,
        })
    }

    /// Where a subscription stands, after it was set behind `since` if that is given.
    pub fn stand(
        &mut self,
        key: SessionKey,
        number: usize,
        since: Option<Position>,
        recovered: bool,
    ) -> Option<Standing> {
        match since {
            Some(since) => self.seek(key, number, since),
            None => {
                let (_, position) = self.standing(key, number)?;
                Some(Standing {
                    position,
                    recovered,
                })
            }
        }
    }

    /// As [`Tables::stand`], for each subscription, by what was seen of its channel.
    pub fn resume(
        &mut self,
        key: SessionKey,
        positions: &[(&str, Position)],
        asking: Asking,
    ) -> Vec<(Arc<str>, Standing)> {
        self.rewind_all(key);
        let count = self.sessions.get(key).map_or(0, |s| s.subscriptions.len());
        let mut standings = Vec::with_capacity(count);
        for number in 0..count {
            let Some((channel, _)) = self.standing(key, number) else {
                continue;
            };
            let (name, epoch) = (Arc::clone(&channel.name), channel.epoch);
            let given = positions.iter().find(|(channel, _)| **channel == *name);
            // A poll that crosses the answer to its subscription names another
            // life of the channel yet: it acknowledges nothing.
            let given = given.filter(|(_, at)| asking != Asking::Poll || at.epoch == epoch);
            // That channel begins with its first publication, of which no
            // answer tells: who lost it knows nothing of the channel.
            let unseen = (channel.direct && !positions.is_empty()).then_some(Position {
                epoch: channel.epoch,
                offset: 0,
            });
            let since = given.map(|(_, position)| *position).or(unseen);
            if let Some(standing) = self.stand(key, number, since, asking == Asking::Fresh) {
                if let Some(since) = since.filter(|_| asking == Asking::Poll) {
                    self.owe_gap(key, number, since);
                }
                standings.push((name, standing));
            }
        }
        standings
    }

    /// If what is behind `since` is gone, sets the cursor there all the same:
    /// the gap is told when it is read over. Of this life of the channel a client
    /// that names another one has seen nothing.
    pub fn owe_gap(&mut self, key: SessionKey, number: usize, since: Position) {
        if let Some(session) = self.sessions.get_mut(key)
            && let Some(subscription) = session.subscriptions.get_mut(number)
            && let Some((_, channel)) = self.channels.at(subscription.channel)
        {
            let same = since.epoch == channel.epoch;
            let seen = if same { since.offset } else { 0 };
            subscription.cursor = subscription.cursor.min(seen.saturating_add(1));
        }
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

    /// How many sessions read the channel `name`.
    pub fn readers(&self, name: &str) -> usize {
        let key = self.names.get(name);
        let channel = key.and_then(|&key| self.channels.get(key));
        channel.map_or(0, Channel::len)
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
