//! Deadlines, many of them, cheap to keep and fired in batches.
//!
//! A deadline is kept under the tick it falls in (rounded up), so everything
//! due within one tick wakes the loop once. An entry is not taken back: its
//! owner remembers its true deadline, and on an early call sets it again
//! ("lazily re-armed"). An owner whose deadline also moves ahead remembers its
//! entries in an [`Alarm`], so that it has few of them however often that happens.
//! Called by the hub and the server.

use std::collections::BTreeMap;

/// How finely deadlines are told apart, in milliseconds.
pub const TICK_MS: u64 = 16;

/// The most that is taken out at once.
pub const BATCH: usize = 1_024;

/// The two earliest entries that an owner has in the timers: as ticks, which 32 bits
/// count for two years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    next: u32,
    then: u32,
}

/// No entry.
const NEVER: u32 = u32::MAX;

impl Default for Alarm {
    fn default() -> Self {
        Alarm {
            next: NEVER,
            then: NEVER,
        }
    }
}

impl Alarm {
    /// Whether an entry has to be set for a deadline at `at_ms`, which is noted as set
    /// then; else one that is there comes in time.
    pub fn set(&mut self, at_ms: u64) -> bool {
        let tick = tick_of(at_ms);
        let earlier = tick < self.next;
        if earlier {
            (self.next, self.then) = (tick, self.next);
        }
        earlier
    }

    /// An entry of the owner came up. False if the owner has no entry that is due: it is
    /// of before the deadline moved ahead. Set anew, each would live on.
    pub fn take(&mut self, now_ms: u64) -> bool {
        let due = u64::from(self.next) * TICK_MS <= now_ms && self.next != NEVER;
        if due {
            (self.next, self.then) = (self.then, NEVER);
        }
        due
    }
}

fn tick_of(at_ms: u64) -> u32 {
    u32::try_from(at_ms.div_ceil(TICK_MS)).map_or(NEVER - 1, |tick| tick.min(NEVER - 1))
}

/// Deadlines of things named by `K`.
#[derive(Debug)]
pub struct Timers<K> {
    ticks: BTreeMap<u64, Vec<K>>,
    len: usize,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Timers {
            ticks: BTreeMap::new(),
            len: 0,
        }
    }
}

impl<K> Timers<K> {
    /// Calls `key` back at `at_ms` on the monotonic clock, or up to a tick later.
    pub fn set(&mut self, at_ms: u64, key: K) {
        self.ticks
            .entry(at_ms.div_ceil(TICK_MS))
            .or_default()
            .push(key);
        self.len += 1;
    }

    /// The next time something is due, if anything is set.
    pub fn next_ms(&self) -> Option<u64> {
        self.ticks.keys().next().map(|tick| tick * TICK_MS)
    }

    /// Takes out what is due at `now_ms`, of one tick and at most [`BATCH`] a call; `None`
    /// when nothing is due. A crowd whose time comes at once so takes several turns of the
    /// event loop, if the caller asks only so often in each.
    pub fn take_due(&mut self, now_ms: u64) -> Option<Vec<K>> {
        let mut first = self.ticks.first_entry()?;
        if *first.key() * TICK_MS > now_ms {
            return None;
        }
        let due = match first.get().len().checked_sub(BATCH) {
            Some(rest @ 1..) => first.get_mut().split_off(rest),
            _ => first.remove(),
        };
        self.len -= due.len();
        Some(due)
    }

    /// What is to be called back, in the order of time; a key as often as it is set.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.ticks.values().flatten()
    }

    /// Entries set and not yet fired.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_comes_in_batches() {
        let mut timers = Timers::default();
        let count = 2 * BATCH + 10;
        (0..count).for_each(|number| timers.set(100, number));
        let sizes = std::iter::from_fn(|| timers.take_due(200)).map(|due| due.len());
        assert_eq!(sizes.collect::<Vec<_>>(), [BATCH, BATCH, 10]);
        assert!(timers.is_empty() && timers.next_ms().is_none());
    }

    /// A deadline that moves ahead again and again, and back.
    #[test]
    fn an_owner_has_few_entries_however_its_deadline_moves() {
        let (mut timers, mut alarm) = (Timers::default(), Alarm::default());
        let mut now_ms = 0;
        for step in 0..10_000u64 {
            for at_ms in [now_ms + 75_000, now_ms + 10_000, now_ms + step % 3 * 20] {
                if alarm.set(at_ms) {
                    timers.set(at_ms, ());
                }
            }
            now_ms += 70;
            while let Some(due) = timers.take_due(now_ms) {
                due.iter().for_each(|()| _ = alarm.take(now_ms));
            }
            assert!(timers.len() <= 10, "step {step}: {}", timers.len());
        }
    }

    #[test]
    fn an_alarm_knows_what_it_waits_for() {
        let mut alarm = Alarm::default();
        assert!(!alarm.take(u64::MAX));
        assert!(alarm.set(1_000) && !alarm.set(2_000) && alarm.set(500));
        assert!(!alarm.take(400) && alarm.take(512));
        assert!(!alarm.set(1_000), "it is there yet");
        assert!(alarm.take(1_008) && !alarm.take(1_008));
        assert!(alarm.set(2_000));
    }

    #[test]
    fn nothing_fires_early_and_a_tick_fires_at_once() {
        let mut timers = Timers::default();
        timers.set(100, "a");
        timers.set(101, "b");
        timers.set(1_000, "c");
        assert_eq!(timers.take_due(99), None);
        let next = timers.next_ms().unwrap();
        assert!((101..=101 + TICK_MS).contains(&next));
        assert_eq!(timers.take_due(next), Some(vec!["a", "b"]));
        assert_eq!(timers.take_due(next), None);
        assert_eq!(timers.len(), 1);
        assert_eq!(timers.take_due(u64::MAX / 2), Some(vec!["c"]));
        assert!(timers.is_empty() && timers.next_ms().is_none());
    }
}
