//! The tables taken down as plain values, and new ones put up from them.
//!
//! What the values look like as bytes is `snapshot`. Streams are not kept: the
//! sessions wake up when their clients come back. Called by the hub alone.

use std::collections::HashMap;

use crate::base::names::Offset;
use crate::base::slots::Key;
use crate::base::time::Time;

use super::channel::Channel;
use super::promises::Promises;
use super::retention::{Ages, Retention};
use super::session::{Session, SessionKey};
use super::snapshot::{SavedChannel, SavedSession, Snapshot};
use super::tables::Tables;

/// What a hub was restored with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    pub sessions: usize,
    /// Publications of all logs, after they were trimmed.
    pub publications: u64,
}

impl Tables {
    /// All that outlives the process. `sequence` is the number of publications so far.
    pub fn snapshot(&self, now: Time, sequence: u64) -> Snapshot<'_> {
        let mut numbers = HashMap::with_capacity(self.channels.len());
        let mut channels = Vec::with_capacity(self.channels.len());
        for (key, channel) in self.channels.iter() {
            numbers.insert(key.index(), channels.len());
            let saved = SavedChannel::of(channel, now);
            channels.push(saved);
        }
        let sessions = self.sessions.iter().map(|(_, session)| {
            let subscriptions = session.subscriptions.iter();
            let cursors = subscriptions.filter_map(|subscription| {
                let number = *numbers.get(&subscription.channel)?;
                let cursor = confirmed(session, subscription.channel, subscription.cursor);
                Some((number, cursor))
            });
            SavedSession {
                id: session.id,
                modern: session.modern,
                cursors: cursors.collect(),
            }
        });
        Snapshot {
            sequence,
            sessions: sessions.collect(),
            channels,
        }
    }

    /// Makes the channels of a snapshot, trimmed to the limits of one channel each.
    pub fn restore_channels(
        &mut self,
        now: Time,
        saved: &Snapshot<'_>,
        retention: &Retention,
        ages: &mut Ages,
        promises: &mut Promises,
    ) -> Vec<Key<Channel>> {
        debug_assert!(self.channels.is_empty() && self.sessions.is_empty());
        let mut keys = Vec::with_capacity(saved.channels.len());
        for saved in &saved.channels {
            let rule = retention.rule_for(&saved.name, saved.direct);
            let key = self.create(saved.name.clone(), saved.epoch, saved.direct, rule);
            if let Some(channel) = self.channels.get_mut(key) {
                channel.log = saved.log(now);
                ages.appended(retention, key, channel, 0);
                let left_ms = saved.promised_unix_ms.saturating_sub(now.unix_ms);
                if left_ms > 0 {
                    // Not longer than if it were promised now: the wall clock may have been set back.
                    let most_ms = retention.keep(rule.into()).ttl_ms;
                    promises.make(now.after(left_ms.min(most_ms)), key, channel);
                }
            }
            keys.push(key);
        }
        keys
    }

    /// Makes a session of a snapshot, whose channels have these keys.
    pub fn restore_session(
        &mut self,
        saved: &SavedSession,
        channels: &[Key<Channel>],
    ) -> SessionKey {
        let mut session = Session::new(saved.id, 0);
        session.modern = saved.modern;
        let key = self.sessions.insert(session);
        self.ids.insert(saved.id, key);
        for &(channel, cursor) in &saved.cursors {
            if let Some(number) = self.join(key, channels[channel])
                && let Some(session) = self.sessions.get_mut(key)
            {
                session.subscriptions[number].cursor = cursor;
            }
        }
        key
    }

    /// Empties the logs up to what those that are awake have yet to read.
    pub fn forget_read(&mut self) {
        let (sessions, keys) = (&self.sessions, self.channels.iter());
        let keys: Vec<Key<Channel>> = keys.map(|(key, _)| key).collect();
        for key in keys {
            let Some(channel) = self.channels.get_mut(key) else {
                continue;
            };
            let cursors = channel.awake_readers().iter().filter_map(|reader| {
                let (_, session) = sessions.at(reader.session)?;
                let subscription = session.subscriptions.get(reader.subscription as usize)?;
                Some(subscription.cursor)
            });
            let read_to = cursors.min().unwrap_or(Offset::MAX);
            while !channel.log.is_empty() && channel.log.first() < read_to {
                channel.log.drop_first();
            }
        }
    }

    /// What there is now.
    pub fn restored(&self) -> Restored {
        let logs = self.channels.iter().map(|(_, channel)| &channel.log);
        Restored {
            sessions: self.sessions.len(),
            publications: logs.map(|log| log.next() - log.first()).sum(),
        }
    }
}

/// The cursor as it was before what is still being written.
fn confirmed(session: &Session, channel: u32, cursor: Offset) -> Offset {
    let marks = session.unconfirmed.iter().flat_map(|marks| marks.iter());
    let marks = marks.filter(|mark| mark.channel == channel);
    marks.map(|mark| mark.cursor).fold(cursor, Offset::min)
}
