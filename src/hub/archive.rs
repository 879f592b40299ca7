//! The logs of all channels as one: what is appended to them, and what they keep.
//!
//! It gives each publication its number in the one order of all, makes channels,
//! trims their logs by size, age and promise, and lets go of those that nobody
//! needs. Who reads what is in the tables, which it is handed; what may be
//! published is the hub's to say. Called by the hub alone.

use std::sync::Arc;

use crate::base::names::{Epoch, Life, Moment, Offset, Position};
use crate::base::random::Random;
use crate::base::record::{Damaged, Record, Writer, put_u64};
use crate::base::slots::Key;
use crate::base::time::Time;
use crate::base::timers::Timers;

use super::channel::Channel;
use super::log::{FrameHeader, Log};
use super::pass::Pass;
use super::promises::Promises;
use super::restore::Restored;
use super::retention::{Ages, Retention};
use super::session::SessionKey;
use super::snapshot::{CHANNEL_BYTES, SavedChannel};
use super::sparing::{Sparing, first_polled};
use super::tables::Tables;
use super::unread::Unread;
use super::values::{Head, HubError, HubLimits, Published};

/// The room for a publication's JSON that is kept from one to the next, in bytes.
const JSON_KEPT_BYTES: usize = 64 * 1024;

/// What is known of all logs together.
pub struct Archive {
    frame_header: FrameHeader,
    /// Where the JSON of a publication is written before its length is known.
    json: Vec<u8>,
    retention: Retention,
    /// In which the publications are counted.
    life: Life,
    /// The number of publications accepted so far.
    sequence: u64,
    /// No publication with a sequence above this went with its channel.
    watermark: u64,
    /// Which readers are owed a look at what was appended.
    pub pass: Pass,
    ages: Ages,
    promises: Promises,
    /// What is kept beyond the rules, of which there may be `backlog_max` bytes.
    sparing: Sparing,
    backlog_max: usize,
    session_ttl_ms: u64,
    /// The channels that go when there are too many, and how many went so far.
    unread: Unread,
    made_room: u64,
    random: Random,
}

impl Archive {
    /// Nothing published yet. The life and the epochs come from `random`.
    pub fn new(limits: &HubLimits, frame_header: FrameHeader, mut random: Random) -> Archive {
        Archive {
            frame_header,
            json: Vec::new(),
            ages: Ages::new(&limits.retention),
            retention: limits.retention.clone(),
            sparing: Sparing::default(),
            backlog_max: limits.backlog_bytes,
            session_ttl_ms: limits.session_ttl_ms,
            life: Life::from_random(random.bits()),
            sequence: 0,
            watermark: 0,
            pass: Pass::default(),
            promises: Promises::default(),
            unread: Unread::default(),
            made_room: 0,
            random,
        }
    }

    /// What was published up to now, and nothing after it.
    pub fn moment(&self) -> Moment {
        Moment {
            life: self.life,
            sequence: self.sequence,
        }
    }

    /// Bytes held by all logs.
    pub fn bytes(&self) -> usize {
        self.ages.total()
    }

    /// When [`Archive::expire`] has something to do next, on the monotonic clock.
    pub fn next_ms(&self) -> Option<u64> {
        let due = [
            self.ages.next_ms(&self.retention),
            self.promises.next_ms(),
            self.sparing.next_ms(),
        ];
        due.into_iter().flatten().min()
    }

    /// Makes a channel, empty and under a new epoch.
    pub fn create(&mut self, tables: &mut Tables, name: Arc<str>, direct: bool) -> Key<Channel> {
        let epoch = Epoch::from_random(self.random.bits());
        let rule = self.retention.rule_for(&name, direct);
        let key = tables.create(name, epoch, direct, rule);
        if let Some(channel) = tables.channels.get_mut(key) {
            // What may have been in a channel of that name before. Before its own
            // channel a session had none.
            let lost = if direct {
                self.sequence
            } else {
                self.watermark
            };
            channel.log = Log::starting_at(1, lost);
        }
        key
    }

    /// The channel of this name, which is made if it is not there, however many there are.
    pub fn find_or_create(&mut self, tables: &mut Tables, name: &Arc<str>) -> Key<Channel> {
        match tables.names.get(name) {
            Some(&channel) => channel,
            None => self.create(tables, Arc::clone(name), false),
        }
    }

    /// The channel `name`, which is made if it is not there. If there are `most` already,
    /// one goes that nobody reads.
    ///
    /// # Errors
    /// When each of them is read by somebody.
    pub fn channel_for(
        &mut self,
        tables: &mut Tables,
        name: &str,
        most: usize,
    ) -> Result<Key<Channel>, HubError> {
        if let Some(&channel) = tables.names.get(name) {
            return Ok(channel);
        }
        while tables.names.len() >= most {
            if !self.make_room(tables) {
                return Err(HubError::TooManyChannels(most));
            }
        }
        Ok(self.create(tables, name.into(), false))
    }

    /// The channel is there, and nobody reads it: it may go when there are too many.
    pub fn rest(&mut self, tables: &mut Tables, key: Key<Channel>) {
        self.unread.note(key, &mut tables.channels);
    }

    /// Lets the channel go that was of no use for longest, with what it keeps; false if
    /// there is none that nobody reads.
    pub fn make_room(&mut self, tables: &mut Tables) -> bool {
        let oldest = self.unread.take_oldest(&mut tables.channels);
        let gone = oldest.and_then(|key| tables.remove(key));
        if let Some(channel) = &gone {
            self.made_room += 1;
            self.went(tables, channel);
        }
        gone.is_some()
    }

    /// Channels that went so far because there were too many.
    pub fn made_room(&self) -> u64 {
        self.made_room
    }

    /// Appends a publication to a channel that is there. `encode` writes its
    /// JSON, given the offset, and the epoch if a reader may not know it yet.
    pub fn append(
        &mut self,
        tables: &mut Tables,
        now: Time,
        key: Key<Channel>,
        encode: impl FnOnce(&mut Vec<u8>, Offset, Option<Epoch>),
    ) -> Published {
        self.sequence += 1;
        let channel = tables.channels.get_mut(key);
        let channel = channel.expect("a channel just found");
        let epoch = channel.epoch;
        let before = channel.log.size();
        let offset = channel.log.next();
        self.json.clear();
        // A reader learns the epoch when it subscribes; only the first
        // publication of a life can meet one that does not know it.
        encode(&mut self.json, offset, (offset == 1).then_some(epoch));
        let (header, length) = (self.frame_header)(self.json.len());
        channel
            .log
            .append(&header[..length], &self.json, self.sequence, now.ms);
        if self.json.capacity() > JSON_KEPT_BYTES {
            self.json = Vec::new();
        }
        let bytes = channel.log.size() - before;
        self.ages.appended(key, channel, before);
        self.pass.mark(key.index(), channel, bytes);
        let readers = channel.len();
        self.keep_rule(tables, now.ms, key);
        if self.ages.total() > self.retention.total_bytes {
            self.trim(tables, now);
        }
        Published {
            position: Position { epoch, offset },
            readers,
        }
    }

    /// Where a channel that is there stands. It is kept from now on for as long
    /// as a publication of now would be.
    pub fn promise(&mut self, tables: &mut Tables, now: Time, key: Key<Channel>) -> Head {
        let channel = tables.channels.get_mut(key);
        let channel = channel.expect("a channel just found");
        channel.touched = self.sequence;
        let keep = self.retention.keep(channel.rule.into());
        self.promises.make(now.after(keep.ttl_ms), key, channel);
        let (epoch, offset) = (channel.epoch, channel.log.next() - 1);
        Head {
            position: Position { epoch, offset },
            readers: channel.len(),
        }
    }

    /// Ends subscription `number` of a session, and lets the channel go if
    /// nothing else needs it.
    pub fn leave(&mut self, tables: &mut Tables, key: SessionKey, number: usize) {
        if let Some(channel) = tables.leave(key, number) {
            if let Some(session) = tables.sessions.get_mut(key)
                && let Some(batches) = &mut session.batches
            {
                // The slot may soon be another channel's.
                batches.forget_channel(channel.index());
            }
            if !self.free_if_idle(tables, channel)
                && let Some(left) = tables.channels.get_mut(channel)
                && left.is_empty()
            {
                left.touched = self.sequence;
                self.rest(tables, channel);
            }
        }
    }

    /// Drops what is too old, and lets go of channels whose promise lapsed.
    pub fn expire(&mut self, tables: &mut Tables, now: Time) {
        self.trim(tables, now);
        for key in self.sparing.take_due(now.ms, &mut tables.channels) {
            self.keep_rule(tables, now.ms, key);
        }
        while let Some(lapsed) = self.promises.take_lapsed(now.ms, &mut tables.channels) {
            for key in lapsed {
                self.free_if_idle(tables, key);
            }
        }
    }

    /// Writes how far it has counted, and all logs and sessions.
    pub fn save(&self, tables: &Tables, now: Time, out: &mut Writer<'_>) {
        put_u64(out, self.life.bits());
        put_u64(out, self.sequence);
        put_u64(out, self.watermark);
        tables.save(now, out);
    }

    /// Reads what [`Archive::save`] wrote, which is all that `record` has left. The
    /// sessions end at times that are added to `ends`.
    ///
    /// # Errors
    /// No hub can have written it. [`Archive::clear`] is to follow.
    pub fn restore(
        &mut self,
        tables: &mut Tables,
        ends: &mut Timers<SessionKey>,
        limits: &HubLimits,
        now: Time,
        record: &mut Record<'_>,
    ) -> Result<Restored, Damaged> {
        self.life = Life::from_bits(record.u64()?).ok_or(Damaged)?;
        self.sequence = record.u64()?;
        self.watermark = record.u64()?;
        if self.sequence >= 1 << 62 || self.watermark > self.sequence {
            return Err(Damaged);
        }
        let channels = self.restore_channels(tables, now, record)?;
        tables.restore_sessions(record, &channels, |tables, session| {
            if tables.sessions.len() < limits.sessions {
                let key = tables.restore_session(session, &channels);
                tables.renew(key, now.after(limits.session_ttl_ms), ends);
            }
        })?;
        if !record.is_empty() {
            return Err(Damaged);
        }
        // Only now is it known which of them anybody reads.
        self.tidy(tables, now, channels);
        Ok(tables.restored())
    }

    fn restore_channels(
        &mut self,
        tables: &mut Tables,
        now: Time,
        record: &mut Record<'_>,
    ) -> Result<Vec<Key<Channel>>, Damaged> {
        debug_assert!(tables.channels.is_empty() && tables.sessions.is_empty());
        let count = record.count(CHANNEL_BYTES)?;
        let mut keys = Vec::with_capacity(count);
        for _ in 0..count {
            let saved = SavedChannel::decode(record, now, self.sequence, self.frame_header)?;
            let left_ms = saved.promised_unix_ms.saturating_sub(now.unix_ms);
            let rule = self.retention.rule_for(&saved.name, saved.direct);
            let key = tables.restore_channel(saved, rule)?;
            let channel = tables.channels.get_mut(key).ok_or(Damaged)?;
            self.ages.appended(key, channel, 0);
            if left_ms > 0 {
                // Not longer than if it were promised now: the wall clock may have been set back.
                let most_ms = self.retention.keep(rule.into()).ttl_ms;
                let until_ms = now.after(left_ms.min(most_ms));
                self.promises.make(until_ms, key, channel);
            }
            keys.push(key);
        }
        Ok(keys)
    }

    /// Nothing was ever published, in a life of its own.
    pub fn clear(&mut self) {
        self.life = Life::from_random(self.random.bits());
        self.sequence = 0;
        self.watermark = 0;
        self.unread = Unread::default();
        self.made_room = 0;
        self.pass = Pass::default();
        self.ages = Ages::new(&self.retention);
        self.promises = Promises::default();
        self.sparing = Sparing::default();
    }

    /// Trims what was restored, and lets go of those of `channels` that nothing needs.
    fn tidy(&mut self, tables: &mut Tables, now: Time, channels: Vec<Key<Channel>>) {
        for &key in &channels {
            self.keep_rule(tables, now.ms, key);
        }
        self.trim(tables, now);
        for key in channels {
            if !self.free_if_idle(tables, key) {
                self.rest(tables, key);
            }
        }
    }

    /// Trims the channel to its rule, as far as those who keep up have read it.
    pub fn keep_rule(&mut self, tables: &mut Tables, now_ms: u64, key: Key<Channel>) {
        let Tables {
            channels, sessions, ..
        } = tables;
        let Some(channel) = channels.get_mut(key) else {
            return;
        };
        let keep = self.retention.keep(channel.rule.into());
        let mut excess = keep.excess(&channel.log);
        if excess == 0 && channel.spared.bytes == 0 {
            return;
        }
        let paused = self.sparing.is_paused(now_ms);
        while excess > 0 && channel.log.first() < channel.unread() {
            if !paused && channel.log.first() >= channel.spared.from {
                if now_ms >= channel.spared.until_ms {
                    let found = first_polled(channel, sessions, self.session_ttl_ms, now_ms);
                    (channel.spared.from, channel.spared.until_ms) = found;
                }
                if channel.log.first() >= channel.spared.from {
                    break;
                }
            }
            self.ages.drop_first(channel);
            excess = keep.excess(&channel.log);
        }
        self.sparing
            .set(now_ms, key, &mut channel.spared, excess, self.backlog_max);
    }

    /// Bytes kept beyond the rules.
    pub fn spared_bytes(&self) -> usize {
        self.sparing.bytes()
    }

    /// Whether so much was published ahead of its readers that publishers have to wait.
    pub fn is_ahead(&self) -> bool {
        self.pass.backlog_bytes().max(self.sparing.bytes()) > self.backlog_max
    }

    /// A session has a stream or a poll again: less may have to be kept for it.
    pub fn came_back(&mut self, tables: &mut Tables, key: SessionKey) {
        if self.sparing.bytes() == 0 {
            return;
        }
        let session = tables.sessions.get(key);
        let read = session
            .into_iter()
            .flat_map(|session| &session.subscriptions);
        for subscription in read {
            if let Some((key, channel)) = tables.channels.entry_mut(subscription.channel) {
                self.sparing.hurry(key, &mut channel.spared);
            }
        }
    }

    fn trim(&mut self, tables: &mut Tables, now: Time) {
        let now_ms = now.ms;
        while let Some(emptied) = self
            .ages
            .trim(&self.retention, now_ms, &mut tables.channels)
        {
            self.free_if_idle(tables, emptied);
        }
    }

    /// Whether the channel is gone.
    fn free_if_idle(&mut self, tables: &mut Tables, key: Key<Channel>) -> bool {
        let gone = tables.remove_if_idle(key);
        if let Some(channel) = &gone {
            self.went(tables, channel);
            if tables.channels.is_empty() {
                // What is left in the queue is of channels that are gone.
                self.unread = Unread::default();
            }
        }
        gone.is_some() || tables.channels.get(key).is_none()
    }

    fn went(&mut self, tables: &mut Tables, channel: &Channel) {
        self.ages.forget(channel, &mut tables.channels);
        self.sparing.forget(channel);
        // A session's own channel is asked for by nobody else.
        if !channel.direct {
            self.watermark = self.watermark.max(channel.log.last_sequence());
        }
    }

    /// Channels in the queue of those that may go, of use or not.
    pub fn resting(&self) -> usize {
        self.unread.len()
    }

    /// Entries of logs by age, and of channels by promise, of use or not.
    pub fn timed(&self) -> usize {
        self.ages.entries() + self.promises.len()
    }
}
