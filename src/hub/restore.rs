//! The tables written down piece by piece, and new ones put up from that.
//!
//! What a piece looks like as bytes is `snapshot`'s. Streams are not kept: the
//! sessions wake up when their clients come back. Called by the hub alone.

use std::collections::HashMap;

use crate::base::names::Offset;
use crate::base::record::{Damaged, Record, Writer, put_u64};
use crate::base::slots::Key;
use crate::base::time::Time;

use super::channel::Channel;
use super::session::{Session, SessionKey};
use super::snapshot::{SESSION_BYTES, SavedChannel, SavedSession, encode_channel};
use super::tables::Tables;

/// What a hub was restored with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    pub sessions: usize,
    /// Publications of all logs, after they were trimmed.
    pub publications: u64,
}

impl Tables {
    /// Writes all that outlives the process, channel by channel and session by session.
    pub fn save(&self, now: Time, out: &mut Writer<'_>) {
        let mut numbers = HashMap::with_capacity(self.channels.len());
        put_u64(out, self.channels.len() as u64);
        for (key, channel) in self.channels.iter() {
            numbers.insert(key.index(), numbers.len());
            encode_channel(channel, now, out);
        }
        put_u64(out, self.sessions.len() as u64);
        for (_, session) in self.sessions.iter() {
            let subscriptions = session.subscriptions.iter();
            let cursors = subscriptions.filter_map(|subscription| {
                let number = *numbers.get(&subscription.channel)?;
                let cursor = confirmed(session, subscription.channel, subscription.cursor);
                Some((number, cursor))
            });
            let saved = SavedSession {
                id: session.id,
                modern: session.modern,
                had_stream: session.had_stream,
                cursors: cursors.collect(),
            };
            saved.encode(out);
        }
    }

    /// Makes a channel that was read, kept by the rule of this number.
    ///
    /// # Errors
    /// There is one of that name.
    pub fn restore_channel(
        &mut self,
        saved: SavedChannel,
        rule: u8,
    ) -> Result<Key<Channel>, Damaged> {
        if !saved.direct && self.names.contains_key(&saved.name) {
            return Err(Damaged);
        }
        let key = self.create(saved.name, saved.epoch, saved.direct, rule);
        if let Some(channel) = self.channels.get_mut(key) {
            channel.log = saved.log;
            channel.touched = saved.touched;
            channel.passed = channel.log.next();
        }
        Ok(key)
    }

    /// Reads the sessions, whose channels have these keys, and gives each to `make`.
    ///
    /// # Errors
    /// No hub can have written them.
    pub fn restore_sessions(
        &mut self,
        record: &mut Record<'_>,
        channels: &[Key<Channel>],
        mut make: impl FnMut(&mut Tables, &SavedSession),
    ) -> Result<(), Damaged> {
        let mut read = vec![false; channels.len()];
        for _ in 0..record.count(SESSION_BYTES)? {
            let channel = |number: usize| self.channels.get(*channels.get(number)?);
            let saved = SavedSession::decode(record, channel, &mut read)?;
            if self.ids.contains_key(&saved.id) {
                return Err(Damaged);
            }
            make(self, &saved);
        }
        Ok(())
    }

    /// Makes a session that was read, whose channels have these keys.
    pub fn restore_session(
        &mut self,
        saved: &SavedSession,
        channels: &[Key<Channel>],
    ) -> SessionKey {
        // Whose it is will be known when its client comes back.
        let key = self.add_session(saved.id, None);
        if let Some(session) = self.sessions.get_mut(key) {
            session.modern = saved.modern;
            session.had_stream = saved.had_stream;
        }
        if !saved.had_stream {
            self.wait_for_stream(key);
        }
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

/// The cursor as it was before what may not have arrived.
fn confirmed(session: &Session, channel: u32, cursor: Offset) -> Offset {
    let batches = session.batches.as_ref();
    batches.map_or(cursor, |batches| batches.earliest(channel, cursor))
}
