//! The logs of all channels as one: what is appended to them, and what they keep.
//!
//! It gives each publication its number in the one order of all, makes channels,
//! trims their logs by size, age and promise, and lets go of those that nobody
//! needs. Who reads what is in the tables, which it is handed; what may be
//! published is the hub's to say. Called by the hub alone.

use std::sync::Arc;

use crate::base::names::{Epoch, Offset, Position};
use crate::base::random::Random;
use crate::base::record::{Damaged, Record};
use crate::base::slots::Key;
use crate::base::time::Time;

use super::channel::Channel;
use super::pass::Pass;
use super::promises::Promises;
use super::retention::{Ages, Retention};
use super::session::SessionKey;
use super::tables::Tables;
use super::values::{Head, Published};

/// What is known of all logs together.
pub struct Archive {
    retention: Retention,
    /// The number of publications accepted so far.
    sequence: u64,
    /// Which readers are owed a look at what was appended.
    pub pass: Pass,
    ages: Ages,
    promises: Promises,
    random: Random,
}

impl Archive {
    /// Nothing published yet. Epochs come from `random`.
    pub fn new(retention: Retention, random: Random) -> Archive {
        Archive {
            ages: Ages::new(&retention),
            retention,
            sequence: 0,
            pass: Pass::default(),
            promises: Promises::default(),
            random,
        }
    }

    /// The number of publications accepted so far.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Bytes held by all logs.
    pub fn bytes(&self) -> usize {
        self.ages.total()
    }

    /// When [`Archive::expire`] has something to do next, on the monotonic clock.
    pub fn next_ms(&self) -> Option<u64> {
        let due = [self.ages.next_ms(&self.retention), self.promises.next_ms()];
        due.into_iter().flatten().min()
    }

    /// Makes a channel, empty and under a new epoch.
    pub fn create(&mut self, tables: &mut Tables, name: Arc<str>, direct: bool) -> Key<Channel> {
        let epoch = Epoch::from_random(self.random.bits());
        let rule = self.retention.rule_for(&name, direct);
        tables.create(name, epoch, direct, rule)
    }

    /// Appends a publication to a channel that is there. `encode` writes its
    /// frame, given the offset, and the epoch if a reader may not know it yet.
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
        let offset = channel.log.append(now.ms, self.sequence, |bytes, offset| {
            // A reader learns the epoch when it subscribes; only the first
            // publication of a life can meet one that does not know it.
            encode(bytes, offset, (offset == 1).then_some(epoch));
        });
        let bytes = channel.log.size() - before;
        self.ages.appended(&self.retention, key, channel, before);
        self.pass.mark(key.index(), channel, bytes);
        let readers = channel.len();
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
                && let Some(unconfirmed) = &mut session.unconfirmed
            {
                // The slot may soon be another channel's.
                unconfirmed.retain(|mark| mark.channel != channel.index());
            }
            self.free_if_idle(tables, channel);
        }
    }

    /// Drops what is too old, and lets go of channels whose promise lapsed.
    pub fn expire(&mut self, tables: &mut Tables, now: Time) {
        self.trim(tables, now);
        while let Some(lapsed) = self.promises.take_lapsed(now.ms, &mut tables.channels) {
            for key in lapsed {
                self.free_if_idle(tables, key);
            }
        }
    }

    /// Reads the channels of a hub that accepted `sequence` publications, and
    /// makes them, nobody's readers yet.
    ///
    /// # Errors
    /// No hub can have written them. [`Archive::clear`] is to follow.
    pub fn restore(
        &mut self,
        tables: &mut Tables,
        now: Time,
        record: &mut Record<'_>,
        sequence: u64,
    ) -> Result<Vec<Key<Channel>>, Damaged> {
        self.sequence = sequence;
        let (ages, promises) = (&mut self.ages, &mut self.promises);
        tables.restore_channels(now, record, sequence, &self.retention, ages, promises)
    }

    /// Nothing was ever published.
    pub fn clear(&mut self) {
        self.sequence = 0;
        self.pass = Pass::default();
        self.ages = Ages::new(&self.retention);
        self.promises = Promises::default();
    }

    /// Trims what was restored, and lets go of those of `channels` that nothing needs.
    pub fn tidy(&mut self, tables: &mut Tables, now: Time, channels: Vec<Key<Channel>>) {
        self.trim(tables, now);
        for key in channels {
            self.free_if_idle(tables, key);
        }
    }

    fn trim(&mut self, tables: &mut Tables, now: Time) {
        let retention = &self.retention;
        while let Some(emptied) = self.ages.trim(retention, now.ms, &mut tables.channels) {
            if let Some(channel) = tables.remove_if_idle(emptied) {
                self.ages.forget(&channel);
            }
        }
    }

    fn free_if_idle(&mut self, tables: &mut Tables, key: Key<Channel>) {
        if let Some(channel) = tables.remove_if_idle(key) {
            self.ages.forget(&channel);
        }
    }
}
