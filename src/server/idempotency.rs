//! What was published under which key, remembered for a while.
//!
//! A publisher that does not know whether its request arrived repeats it with
//! the same key; it is then answered as it was, and nothing is published again.
//! The table knows neither requests nor channels' readers, and decides nothing:
//! it tells what it knows of a key. Called by the app's side of the server.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::base::time::Time;
use crate::hub::Published;

/// The longest key, in bytes. Names and UUIDs are far below.
pub const KEY_BYTES_MAX: usize = 255;

/// What a key is for. Keys of two kinds never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `Idempotency-Key`: a whole request.
    Request,
    /// `webhook-id` of a signed request; who replays it cannot change it.
    Webhook,
    /// `id`: one publication.
    Publication,
}

/// A key as its publisher chose it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub kind: Kind,
    pub text: Arc<str>,
}

/// What became of one publication in one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The channel, as the answer names it.
    pub channel: Box<str>,
    pub published: Published,
}

/// What became of one publication in all its channels.
pub type Outcome = Arc<[Receipt]>;

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it is new, or it was long ago.
    Nothing,
    /// The same was published under it, and this came of it.
    Same(Arc<[Outcome]>),
    /// Something else was published under it.
    Other,
}

struct Entry {
    fingerprint: u64,
    outcomes: Arc<[Outcome]>,
    /// The `webhook-timestamp` of a signed request.
    signed_s: Option<u64>,
}

/// The table. Bounded by time and by the publications that its answers tell of.
pub struct Idempotency {
    ttl_ms: u64,
    most: usize,
    entries: HashMap<Key, Entry>,
    /// When each key was noted, oldest first.
    ages: VecDeque<(u64, Key)>,
    weight: usize,
    forgotten_s: Option<u64>,
}

impl Idempotency {
    /// An empty table that remembers at most `most` publications, and none for
    /// longer than `ttl_ms`. The newest key is always remembered.
    pub fn new(ttl_ms: u64, most: usize) -> Idempotency {
        Idempotency {
            ttl_ms,
            most,
            entries: HashMap::new(),
            ages: VecDeque::new(),
            weight: 0,
            forgotten_s: None,
        }
    }

    /// What is known of `key`, if its content has this fingerprint.
    pub fn find(&mut self, now: Time, key: &Key, fingerprint: u64) -> Known {
        self.forget(now, self.most);
        match self.entries.get(key) {
            None => Known::Nothing,
            Some(entry) if entry.fingerprint == fingerprint => {
                Known::Same(Arc::clone(&entry.outcomes))
            }
            Some(_) => Known::Other,
        }
    }

    /// Takes note of what was published under a key that is new.
    pub fn note(
        &mut self,
        now: Time,
        key: Key,
        fingerprint: u64,
        outcomes: Arc<[Outcome]>,
        signed_s: Option<u64>,
    ) {
        let weight = weight(&outcomes);
        // Room is made first, so that the newest is never what goes.
        self.forget(now, self.most.saturating_sub(weight));
        let entry = Entry {
            fingerprint,
            outcomes,
            signed_s,
        };
        let before = self.entries.insert(key.clone(), entry);
        debug_assert!(before.is_none(), "a key is noted once");
        self.weight += weight;
        self.ages.push_back((now.ms, key));
    }

    /// Whether a signed request of this time may be one whose id was forgotten:
    /// then it cannot be told from a replay.
    pub fn may_be_forgotten(&self, signed_s: u64) -> bool {
        self.forgotten_s
            .is_some_and(|latest_s| signed_s <= latest_s)
    }

    /// Drops what is too old, and the oldest until the rest weighs no more than `most`.
    fn forget(&mut self, now: Time, most: usize) {
        while let Some((noted_ms, key)) = self.ages.front() {
            if noted_ms.saturating_add(self.ttl_ms) > now.ms && self.weight <= most {
                return;
            }
            if let Some(entry) = self.entries.remove(key) {
                self.weight -= weight(&entry.outcomes);
                self.forgotten_s = self.forgotten_s.max(entry.signed_s);
            }
            self.ages.pop_front();
        }
    }
}

/// What an answer counts for: a key that tells of many publications is no small thing.
fn weight(outcomes: &[Outcome]) -> usize {
    let receipts: usize = outcomes.iter().map(|outcome| outcome.len()).sum();
    receipts.max(1)
}

/// A number that tells contents apart. Not for use against people with the
/// secret, who could publish whatever they like.
pub fn fingerprint(content: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::names::{Epoch, Position};

    fn key(kind: Kind, text: &str) -> Key {
        let text = text.into();
        Key { kind, text }
    }

    fn outcomes(publications: usize) -> Arc<[Outcome]> {
        let receipt = |offset| Receipt {
            channel: "news".into(),
            published: Published {
                position: Position {
                    epoch: Epoch::from_random(1),
                    offset,
                },
                readers: 0,
            },
        };
        let outcome = |offset| Outcome::from([receipt(offset)]);
        (1..=publications as u64).map(outcome).collect()
    }

    #[test]
    fn a_key_is_known_with_its_content_until_its_time_is_over() {
        let mut table = Idempotency::new(1_000, 10);
        let now = Time::default().plus(5_000);
        let (one, other) = (key(Kind::Request, "k"), key(Kind::Publication, "k"));
        assert_eq!(table.find(now, &one, 7), Known::Nothing);
        table.note(now, one.clone(), 7, outcomes(2), None);
        assert_eq!(table.find(now.plus(999), &one, 7), Known::Same(outcomes(2)));
        assert_eq!(table.find(now.plus(999), &one, 8), Known::Other);
        assert_eq!(table.find(now, &other, 7), Known::Nothing, "another kind");
        assert_eq!(table.find(now.plus(1_000), &one, 7), Known::Nothing);
        assert_eq!((table.entries.len(), table.weight), (0, 0));
    }

    #[test]
    fn the_oldest_go_first_and_the_newest_stays_whatever_it_weighs() {
        let mut table = Idempotency::new(1_000, 3);
        let now = Time::default();
        for text in ["a", "b", "c"] {
            table.note(now, key(Kind::Request, text), 1, outcomes(1), None);
        }
        table.note(now, key(Kind::Request, "d"), 1, outcomes(2), None);
        let known = |table: &mut Idempotency| -> String {
            let all = ["a", "b", "c", "d", "e"].into_iter();
            all.filter(|text| table.entries.contains_key(&key(Kind::Request, text)))
                .collect()
        };
        assert_eq!(known(&mut table), "cd");
        table.note(now, key(Kind::Request, "e"), 1, outcomes(50), None);
        assert_eq!(known(&mut table), "e");
        assert_eq!((table.weight, table.ages.len()), (50, 1));
    }

    #[test]
    fn what_was_signed_before_the_latest_that_was_forgotten_is_suspect() {
        let mut table = Idempotency::new(1_000, 2);
        let now = Time::default();
        for (text, signed_s) in [("a", 100), ("b", 90), ("c", 110)] {
            let id = key(Kind::Webhook, text);
            table.note(now, id, 1, outcomes(1), Some(signed_s));
        }
        assert!(table.may_be_forgotten(100));
        assert!(!table.may_be_forgotten(101));
        table.find(now.plus(1_000), &key(Kind::Webhook, "x"), 1);
        assert!(table.may_be_forgotten(110), "also when its time is over");
    }
}
