//! What was published under which key, remembered for a while.
//!
//! A publisher that does not know whether its request arrived repeats it with
//! the same key; it is then answered as it was, and nothing is published again.
//! The table knows neither requests nor channels' readers, and decides nothing:
//! it tells what it knows of a key. It outlives the process by `state`. Called
//! by the app's side of the server.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::base::names::{Epoch, Position};
use crate::base::record::{Damaged, Record, Writer, put_bytes, put_u8, put_u64};
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

    /// Forgets what is too old. Nothing is to be told of it.
    pub fn expire(&mut self, now: Time) {
        self.forget(now, self.most);
        if self.entries.is_empty() {
            // A burst leaves no room behind.
            (self.entries, self.ages) = (HashMap::new(), VecDeque::new());
        }
    }

    /// When [`Idempotency::expire`] has something to do next, on the monotonic clock.
    pub fn next_ms(&self) -> Option<u64> {
        let (noted_ms, _) = self.ages.front()?;
        Some(noted_ms.saturating_add(self.ttl_ms))
    }

    /// How many keys are known.
    pub fn len(&self) -> usize {
        self.entries.len().max(self.ages.len())
    }

    /// Whether a signed request of this time may be one whose id was forgotten:
    /// then it cannot be told from a replay.
    pub fn may_be_forgotten(&self, signed_s: u64) -> bool {
        self.forgotten_s
            .is_some_and(|latest_s| signed_s <= latest_s)
    }

    /// Writes what is known to `out`, oldest first.
    pub fn save(&self, now: Time, out: &mut Writer<'_>) {
        put_time(out, self.forgotten_s);
        put_u64(out, self.entries.len() as u64);
        let entries = self.ages.iter().filter_map(|(noted_ms, key)| {
            let entry = self.entries.get(key)?;
            Some((noted_ms, key, entry))
        });
        for (&noted_ms, key, entry) in entries {
            put_u8(out, key.kind as u8);
            put_bytes(out, key.text.as_bytes());
            put_u64(out, now.to_unix_ms(noted_ms));
            put_u64(out, entry.fingerprint);
            put_time(out, entry.signed_s);
            put_u64(out, entry.outcomes.len() as u64);
            for outcome in entry.outcomes.iter() {
                put_u64(out, outcome.len() as u64);
                outcome.iter().for_each(|receipt| receipt.encode(out));
            }
        }
    }

    /// Takes over what the process before knew, into a table that is empty. Each
    /// key is known for as long as it would have been there.
    pub fn restore(&mut self, now: Time, saved: Saved) {
        self.forgotten_s = saved.forgotten_s;
        for (noted_unix_ms, key, entry) in saved.entries {
            self.weight += weight(&entry.outcomes);
            self.ages
                .push_back((now.from_unix_ms(noted_unix_ms), key.clone()));
            self.entries.insert(key, entry);
        }
        self.forget(now, self.most);
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

/// A number that tells contents apart, whatever process asks. `parts` are hashed
/// with their lengths, so that it matters where one ends.
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// What [`Idempotency::save`] wrote: when each key was noted, by the wall clock,
/// and what is known of it.
pub struct Saved {
    forgotten_s: Option<u64>,
    entries: Vec<(u64, Key, Entry)>,
}

/// The least that a key and a receipt take.
const ENTRY_BYTES: usize = 50;
const RECEIPT_BYTES: usize = 32;

impl Saved {
    /// # Errors
    /// No table can have written it.
    pub fn decode(record: &mut Record<'_>) -> Result<Saved, Damaged> {
        let forgotten_s = time(record)?;
        let count = record.count(ENTRY_BYTES)?;
        let mut entries = Vec::with_capacity(count);
        let mut known = HashSet::with_capacity(count);
        for _ in 0..count {
            let (noted_unix_ms, key, entry) = Entry::decode(record)?;
            if !known.insert(key.clone()) {
                return Err(Damaged);
            }
            entries.push((noted_unix_ms, key, entry));
        }
        Ok(Saved {
            forgotten_s,
            entries,
        })
    }
}

impl Entry {
    fn decode(record: &mut Record<'_>) -> Result<(u64, Key, Entry), Damaged> {
        let kind = match record.u8()? {
            kind if kind == Kind::Request as u8 => Kind::Request,
            kind if kind == Kind::Webhook as u8 => Kind::Webhook,
            kind if kind == Kind::Publication as u8 => Kind::Publication,
            _ => return Err(Damaged),
        };
        let text: Arc<str> = record.text()?.into();
        let noted_unix_ms = record.u64()?;
        let fingerprint = record.u64()?;
        let signed_s = time(record)?;
        let outcomes = (0..record.count(8)?)
            .map(|_| {
                let receipts = 0..record.count(RECEIPT_BYTES)?;
                receipts.map(|_| Receipt::decode(record)).collect()
            })
            .collect::<Result<Arc<[Outcome]>, Damaged>>()?;
        // The key of one publication has the outcome of one.
        let alone = kind != Kind::Publication || outcomes.len() == 1;
        if !alone || !(1..=KEY_BYTES_MAX).contains(&text.len()) {
            return Err(Damaged);
        }
        let entry = Entry {
            fingerprint,
            outcomes,
            signed_s,
        };
        Ok((noted_unix_ms, Key { kind, text }, entry))
    }
}

impl Receipt {
    fn encode(&self, out: &mut Writer<'_>) {
        let Published { position, readers } = self.published;
        put_bytes(out, self.channel.as_bytes());
        put_u64(out, position.epoch.bits());
        put_u64(out, position.offset);
        put_u64(out, readers as u64);
    }

    fn decode(record: &mut Record<'_>) -> Result<Receipt, Damaged> {
        Ok(Receipt {
            channel: record.text()?.into(),
            published: Published {
                position: Position {
                    epoch: Epoch::from_bits(record.u64()?).ok_or(Damaged)?,
                    offset: record.u64()?,
                },
                readers: usize::try_from(record.u64()?).map_err(|_| Damaged)?,
            },
        })
    }
}

fn put_time(out: &mut Writer<'_>, at_s: Option<u64>) {
    put_u8(out, u8::from(at_s.is_some()));
    put_u64(out, at_s.unwrap_or(0));
}

fn time(record: &mut Record<'_>) -> Result<Option<u64>, Damaged> {
    match (record.u8()?, record.u64()?) {
        (0, _) => Ok(None),
        (1, at_s) => Ok(Some(at_s)),
        _ => Err(Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::names::{Epoch, Position};
    use crate::base::record;

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
    fn what_is_saved_is_known_for_the_rest_of_its_time() {
        let mut table = Idempotency::new(1_000, 10);
        let now = Time::default().plus(5_000);
        table.note(now, key(Kind::Webhook, "old"), 1, outcomes(1), Some(70));
        let later = now.plus(400);
        table.note(later, key(Kind::Request, "k"), 2, outcomes(3), None);
        table.note(later, key(Kind::Publication, "k"), 3, outcomes(1), None);
        let bytes = record::written(|out| table.save(later, out));
        for cut in 0..bytes.len() {
            assert!(
                record::read(&bytes[..cut], Saved::decode).is_err(),
                "cut at {cut}"
            );
        }
        // The next process has a clock of its own, and began a while later.
        let next = Time {
            ms: 86_400_007,
            unix_ms: later.unix_ms + 599,
        };
        let mut other = Idempotency::new(1_000, 10);
        other.restore(next, record::read(&bytes, Saved::decode).unwrap());
        let (one, two) = (key(Kind::Request, "k"), key(Kind::Publication, "k"));
        let old = key(Kind::Webhook, "old");
        assert_eq!(other.find(next, &old, 1), Known::Same(outcomes(1)));
        assert_eq!(other.find(next.plus(1), &old, 1), Known::Nothing);
        assert!(other.may_be_forgotten(70) && !other.may_be_forgotten(71));
        assert_eq!(
            other.find(next.plus(400), &one, 2),
            Known::Same(outcomes(3))
        );
        assert_eq!(other.find(next.plus(400), &two, 2), Known::Other);
        assert_eq!(other.find(next.plus(401), &one, 2), Known::Nothing);
        assert_eq!((other.entries.len(), other.weight), (0, 0));
    }

    #[test]
    fn a_smaller_table_takes_over_the_newest() {
        let mut table = Idempotency::new(1_000, 10);
        let now = Time::default();
        for text in ["a", "b", "c"] {
            let id = key(Kind::Webhook, text);
            table.note(now, id, 1, outcomes(1), Some(text.as_bytes()[0].into()));
        }
        let bytes = record::written(|out| table.save(now, out));
        let mut small = Idempotency::new(1_000, 2);
        small.restore(now, record::read(&bytes, Saved::decode).unwrap());
        let known = |text| small.entries.contains_key(&key(Kind::Webhook, text));
        assert_eq!(["a", "b", "c"].map(known), [false, true, true]);
        assert!(small.may_be_forgotten(b'a'.into()));
    }

    #[test]
    fn a_fingerprint_is_the_same_in_each_process_and_heeds_where_a_part_ends() {
        let of = |parts: &[&str]| fingerprint(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(of(&["json", "[]"]), 0x8a17_9d67_5a8b_daff);
        assert_ne!(of(&["a", "bc"]), of(&["ab", "c"]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
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
