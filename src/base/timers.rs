//! Deadlines, many of them, cheap to keep and fired in batches.
//!
//! A deadline is kept under the tick it falls in (rounded up), so everything
//! due within one tick wakes the loop once. An entry is not taken back: its
//! owner remembers its true deadline, and on an early call sets it again
//! ("lazily re-armed"). So each owner keeps at most one entry here however
//! often its deadline moves. Called by the server.

use std::collections::BTreeMap;

/// How finely deadlines are told apart, in milliseconds.
pub const TICK_MS: u64 = 16;

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

    /// Takes out everything due at `now_ms`, one tick's worth a call; `None` when nothing is due.
    pub fn take_due(&mut self, now_ms: u64) -> Option<Vec<K>> {
        let (&tick, _) = self.ticks.first_key_value()?;
        if tick * TICK_MS > now_ms {
            return None;
        }
        let due = self.ticks.remove(&tick)?;
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
