//! What each address has had done for it in one turn of the event loop.
//!
//! The loop gives each connection that has something to read one go. A peer may have
//! thousands of them, and each go may cost a long answer; whoever comes behind them would
//! wait for all. So what is costly counts for whom it is done, and where that is enough
//! for a turn, the other connections of the same party are read in the next one. A turn
//! is told by its time: the loop reads the clock once in each. Called by `pace`.

use std::collections::HashMap;

use crate::base::address::AddressKey;
use crate::base::time::Time;

/// The bytes of answers that are enough for a turn: about a millisecond of work. It is
/// passed by what one connection brings about in its go.
const ENOUGH_BYTES: usize = 512 * 1024;

/// What came over a stream counts so many times: a frame of a few bytes costs as much as
/// some hundred bytes of an answer.
const RECEIVED_COUNTS: usize = 4;

/// What is no longer than this counts nothing: what most send, and are answered. Where
/// very many are ready the loop reads 1 KB of each.
const RECEIVED_FREE_BYTES: usize = 512;
const FREE_BYTES: usize = 1024;

/// The turn.
#[derive(Default)]
pub struct Turn {
    at_ms: u64,
    /// By the keys that stand for parties: an IPv6 /48 is one.
    done: HashMap<AddressKey, usize>,
}

impl Turn {
    /// So many bytes came over a stream of `address` at once.
    pub fn received(&mut self, now: Time, address: Option<AddressKey>, bytes: usize) {
        if bytes > RECEIVED_FREE_BYTES {
            self.count(now, address, RECEIVED_COUNTS.saturating_mul(bytes));
        }
    }

    /// An answer of so many bytes was said to `address`.
    pub fn answered(&mut self, now: Time, address: Option<AddressKey>, bytes: usize) {
        if bytes > FREE_BYTES {
            self.count(now, address, bytes);
        }
    }

    fn count(&mut self, now: Time, address: Option<AddressKey>, bytes: usize) {
        let Some(address) = address else {
            return;
        };
        if self.at_ms != now.ms {
            self.at_ms = now.ms;
            // A crowd leaves no room behind.
            self.done = HashMap::new();
        }
        *self.done.entry(address.party()).or_insert(0) += bytes;
    }

    /// Whether anything that counts was done in the turn of `now`.
    pub fn is_used(&self, now: Time) -> bool {
        self.at_ms == now.ms && !self.done.is_empty()
    }

    /// Whether enough was done for `address` in the turn of `now`.
    pub fn is_over(&self, now: Time, address: Option<AddressKey>) -> bool {
        if !self.is_used(now) {
            return false;
        }
        let done = address.and_then(|address| self.done.get(&address.party()));
        done.is_some_and(|&bytes| bytes >= ENOUGH_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Option<AddressKey> {
        AddressKey::of(text.parse().unwrap())
    }

    #[test]
    fn what_is_done_for_a_party_is_enough_for_a_turn_and_for_that_party() {
        let mut turn = Turn::default();
        let now = Time::default().plus(1_000);
        let (one, other) = (key("192.0.2.1"), key("192.0.2.2"));
        for _ in 0..100_000 {
            turn.answered(now, one, FREE_BYTES);
            turn.received(now, one, RECEIVED_FREE_BYTES);
        }
        assert!(!turn.is_over(now, one), "short ones count nothing");
        turn.answered(now, one, ENOUGH_BYTES - 1);
        assert!(!turn.is_over(now, one));
        turn.received(now, one, 2_000);
        assert!(turn.is_over(now, one));
        assert!(!turn.is_over(now, other) && !turn.is_over(now, None));
        assert!(!turn.is_over(now.plus(1), one), "the next turn");
        // The networks of a /48 have one allowance, and this machine has no limit.
        turn.answered(now.plus(1), key("2001:db8:7:1::1"), ENOUGH_BYTES);
        turn.answered(now.plus(1), None, 10 * ENOUGH_BYTES);
        assert!(turn.is_over(now.plus(1), key("2001:db8:7:2::1")));
        assert!(!turn.is_over(now.plus(1), key("2001:db8:8:1::1")));
        assert!(!turn.is_over(now.plus(1), one) && !turn.is_over(now.plus(1), None));
    }
}
