//! How long and how much the logs keep.
//!
//! One entry in a heap for each channel that holds anything, under the age of
//! its oldest publication as it was when the entry was made. Entries are put
//! right when they come up, so keeping and dropping are cheap whatever the
//! number of channels. Called by the hub alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::base::slots::{Key, Slots};

use super::channel::Channel;

/// What a channel keeps at least for readers a moment behind, whatever the history settings.
pub const LOG_FLOOR: usize = 128;

/// The limits of what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Publications a channel.
    pub size: usize,
    /// Milliseconds a publication is kept.
    pub ttl_ms: u64,
    /// Bytes a channel, frames and their entries.
    pub bytes: usize,
    /// Bytes of all channels together; the oldest go first.
    pub total_bytes: usize,
}

/// The ages of what is held, oldest first.
#[derive(Default)]
pub struct Ages {
    heap: BinaryHeap<Reverse<(u64, Key<Channel>)>>,
    total: usize,
}

impl Ages {
    /// Bytes held by all logs together.
    pub fn total(&self) -> usize {
        self.total
    }

    /// When the next publication may be too old, on the monotonic clock.
    pub fn next_ms(&self, retention: &Retention) -> Option<u64> {
        let Reverse((oldest_ms, _)) = self.heap.peek()?;
        Some(oldest_ms.saturating_add(retention.ttl_ms))
    }

    /// Takes note of an append that made the log of `channel` grow from `before` bytes,
    /// and trims it to the limits of one channel.
    pub fn appended(
        &mut self,
        retention: &Retention,
        key: Key<Channel>,
        channel: &mut Channel,
        before: usize,
    ) {
        self.total += channel.log.size() - before;
        let most = retention.size.max(LOG_FLOOR) as u64;
        while channel.log.next() - channel.log.first() > most
            || (channel.log.size() > retention.bytes
                && channel.log.next() - channel.log.first() > 1)
        {
            self.drop_first(channel);
        }
        if !channel.aging
            && let Some(oldest_ms) = channel.log.oldest_ms()
        {
            channel.aging = true;
            self.heap.push(Reverse((oldest_ms, key)));
        }
    }

    /// Drops what is too old or too much in all. Returns a channel whose log
    /// came to be empty by it; call again until there is none.
    pub fn trim(
        &mut self,
        retention: &Retention,
        now_ms: u64,
        channels: &mut Slots<Channel>,
    ) -> Option<Key<Channel>> {
        while let Some(&Reverse((noted_ms, key))) = self.heap.peek() {
            let crowded = self.total > retention.total_bytes;
            if !crowded && noted_ms.saturating_add(retention.ttl_ms) > now_ms {
                return None;
            }
            self.heap.pop();
            let Some(channel) = channels.get_mut(key) else {
                continue;
            };
            if channel.log.oldest_ms() == Some(noted_ms) {
                self.drop_oldest(retention, now_ms, channel);
            }
            match channel.log.oldest_ms() {
                Some(oldest_ms) => self.heap.push(Reverse((oldest_ms, key))),
                None => {
                    channel.aging = false;
                    return Some(key);
                }
            }
        }
        None
    }

    /// Forgets the log of a channel that is about to go.
    pub fn forget(&mut self, channel: &Channel) {
        self.total -= channel.log.size();
    }

    fn drop_oldest(&mut self, retention: &Retention, now_ms: u64, channel: &mut Channel) {
        while let Some(oldest_ms) = channel.log.oldest_ms() {
            let old = oldest_ms.saturating_add(retention.ttl_ms) <= now_ms;
            let next_in_line = self.heap.peek().map_or(u64::MAX, |Reverse((ms, _))| *ms);
            let crowded = self.total > retention.total_bytes && oldest_ms <= next_in_line;
            if !old && !crowded {
                return;
            }
            self.drop_first(channel);
        }
    }

    fn drop_first(&mut self, channel: &mut Channel) {
        let before = channel.log.size();
        channel.log.drop_first();
        self.total -= before - channel.log.size();
    }
}
