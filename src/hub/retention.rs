//! How long and how much the logs keep.
//!
//! Channels are kept by rules: one for all, and others for those whose names
//! begin in a certain way. For each rule there is a heap with one entry for
//! each channel that holds anything, under the age of its oldest publication as
//! it was when the entry was made. Within a rule the oldest is also the first
//! to be too old. Entries are put right when they come up, so keeping and
//! dropping are cheap whatever the number of channels. Called by the hub alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::base::slots::{Key, Slots};

use super::channel::Channel;
use super::log::Log;

/// What a channel keeps at least for readers a moment behind, whatever the history settings.
pub const LOG_FLOOR: usize = 128;

/// The most rules for prefixes: a channel remembers the number of its rule in a byte.
pub const RULES_MAX: usize = 100;

/// What one channel keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Publications; fewer than [`LOG_FLOOR`] count as that many.
    pub size: usize,
    /// Milliseconds a publication is kept.
    pub ttl_ms: u64,
    /// Bytes, frames and their entries.
    pub bytes: usize,
}

impl Keep {
    /// About how many bytes of `log` are beyond it; 0 when it holds.
    pub fn excess(&self, log: &Log) -> usize {
        let most = self.size.max(LOG_FLOOR);
        let (count, bytes) = (log.len(), log.size());
        let by_count = match count > most {
            true => (bytes / count * (count - most)).max(1),
            false => 0,
        };
        match count > 1 {
            true => by_count.max(bytes.saturating_sub(self.bytes)),
            false => 0,
        }
    }
}

/// The limits of what is kept.
#[derive(Clone, Debug)]
pub struct Retention {
    /// What a channel keeps that no rule is about.
    pub keep: Keep,
    /// What channels keep whose names begin with the text; the longest text
    /// wins. There are few of them.
    pub prefixes: Vec<(Box<str>, Keep)>,
    /// Bytes of all channels together; the oldest go first.
    pub total_bytes: usize,
}

impl Retention {
    /// The number of the rule for a channel, which a session's own never has.
    pub fn rule_for(&self, name: &str, direct: bool) -> u8 {
        match direct {
            true => 0,
            false => self.rule_of(name),
        }
    }

    /// The number of the rule for a channel called `name`.
    pub fn rule_of(&self, name: &str) -> u8 {
        let rules = self.prefixes.iter().enumerate();
        rules
            .filter(|(_, (prefix, _))| name.starts_with(&**prefix))
            .max_by_key(|(_, (prefix, _))| prefix.len())
            .map_or(0, |(number, _)| number as u8 + 1)
    }

    /// The rule of this number.
    pub fn keep(&self, rule: usize) -> &Keep {
        match rule.checked_sub(1) {
            None => &self.keep,
            Some(number) => &self.prefixes[number].1,
        }
    }
}

/// Channels by the age of the oldest that they hold.
type Heap = BinaryHeap<Reverse<(u64, Key<Channel>)>>;

/// Entries beyond twice the channels there are, at which those of no use are dropped.
const SLACK: usize = 64;

/// The ages of what is held, oldest first, for each rule.
pub struct Ages {
    heaps: Vec<Heap>,
    total: usize,
}

impl Ages {
    /// No ages yet, for the rules of `retention`.
    pub fn new(retention: &Retention) -> Ages {
        assert!(retention.prefixes.len() <= RULES_MAX, "validated before");
        Ages {
            heaps: vec![Heap::default(); retention.prefixes.len() + 1],
            total: 0,
        }
    }

    /// Bytes held by all logs together.
    pub fn total(&self) -> usize {
        self.total
    }

    /// How many entries there are, of channels that are gone as well.
    pub fn entries(&self) -> usize {
        self.heaps.iter().map(BinaryHeap::len).sum()
    }

    /// When the next publication may be too old, on the monotonic clock.
    pub fn next_ms(&self, retention: &Retention) -> Option<u64> {
        self.next_end(retention).map(|(end_ms, _)| end_ms)
    }

    /// Takes note of an append that made the log of `channel` grow from `before` bytes.
    pub fn appended(&mut self, key: Key<Channel>, channel: &mut Channel, before: usize) {
        self.total += channel.log.size() - before;
        let rule = usize::from(channel.rule);
        if !channel.aging
            && let Some(oldest_ms) = channel.log.oldest_ms()
        {
            channel.aging = true;
            self.heaps[rule].push(Reverse((oldest_ms, key)));
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
        while let Some(rule) = self.next_rule(retention, now_ms) {
            let Reverse((noted_ms, key)) = self.heaps[rule].pop()?;
            let Some(channel) = channels.get_mut(key) else {
                continue;
            };
            if channel.log.oldest_ms() == Some(noted_ms) {
                self.drop_oldest(retention, now_ms, channel);
                if channel.log.first() >= channel.unread()
                    && channel.log.oldest_ms() == Some(noted_ms)
                {
                    // Its readers have not been given it: they are, in this turn or the next.
                    self.heaps[rule].push(Reverse((noted_ms, key)));
                    return None;
                }
            }
            match channel.log.oldest_ms() {
                Some(oldest_ms) => self.heaps[rule].push(Reverse((oldest_ms, key))),
                None => {
                    channel.aging = false;
                    return Some(key);
                }
            }
        }
        None
    }

    /// Forgets the log of a channel that has gone. When most entries are of channels that
    /// went, as those of sessions that are told something once, they are dropped.
    pub fn forget(&mut self, channel: &Channel, channels: &mut Slots<Channel>) {
        self.total -= channel.log.size();
        let heap = &mut self.heaps[usize::from(channel.rule)];
        if heap.len() > 2 * channels.len() + SLACK {
            heap.retain(|Reverse((_, key))| channels.get(*key).is_some());
            heap.shrink_to(2 * heap.len() + SLACK);
        }
    }

    /// The rule whose oldest entry is to be looked at: what is too old goes
    /// before what is too much.
    fn next_rule(&self, retention: &Retention, now_ms: u64) -> Option<usize> {
        let (end_ms, rule) = self.next_end(retention)?;
        if end_ms <= now_ms {
            return Some(rule);
        }
        let crowded = self.total > retention.total_bytes;
        crowded.then(|| self.oldest().map(|(_, rule)| rule))?
    }

    /// When the first entry comes to its end, and whose rule that is.
    fn next_end(&self, retention: &Retention) -> Option<(u64, usize)> {
        let fronts = self.fronts();
        fronts
            .map(|(ms, rule)| (ms.saturating_add(retention.keep(rule).ttl_ms), rule))
            .min()
    }

    /// The age of the oldest entry of all, and its rule.
    fn oldest(&self) -> Option<(u64, usize)> {
        self.fronts().min()
    }

    fn fronts(&self) -> impl Iterator<Item = (u64, usize)> {
        let heaps = self.heaps.iter().enumerate();
        heaps.filter_map(|(rule, heap)| heap.peek().map(|Reverse((ms, _))| (*ms, rule)))
    }

    fn drop_oldest(&mut self, retention: &Retention, now_ms: u64, channel: &mut Channel) {
        let ttl_ms = retention.keep(usize::from(channel.rule)).ttl_ms;
        let next_in_line = self.oldest().map_or(u64::MAX, |(ms, _)| ms);
        while let Some(oldest_ms) = channel.log.oldest_ms() {
            let old = oldest_ms.saturating_add(ttl_ms) <= now_ms;
            let crowded = self.total > retention.total_bytes && oldest_ms <= next_in_line;
            let unread = channel.log.first() >= channel.unread();
            if unread || (!old && !crowded) {
                return;
            }
            self.drop_first(channel);
        }
    }

    /// Drops the oldest publication of a channel.
    pub fn drop_first(&mut self, channel: &mut Channel) {
        let before = channel.log.size();
        channel.log.drop_first();
        self.total -= before - channel.log.size();
    }
}
