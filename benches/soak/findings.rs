//! What went wrong, and how much went well: what all threads of the soak count.
//!
//! Counts and sentences; nothing is decided here. Used by every part of the soak.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

/// Sentences that are kept of what was not expected.
const SENTENCES_MAX: usize = 20;

/// A number that many threads raise.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a visitor's own numbers in the app say of one life: how many messages
/// it sent, and how many came.
type Ledger = Mutex<HashMap<u64, u32>>;

/// All that is found.
#[derive(Default)]
pub struct Findings {
    /// Sessions that began.
    pub lives: Counter,
    /// Connections that were broken on purpose, and sessions that went on.
    pub broken: Counter,
    pub resumed: Counter,
    /// Times that a visitor did not read for some seconds.
    pub dozed: Counter,
    pub published: Counter,
    pub delivered: Counter,
    /// Deliveries that never came, and of which Chloe said nothing.
    pub lost: Counter,
    pub doubled: Counter,
    /// Losses that Chloe told, as a gap or by `"recovered":false`.
    pub told_lost: Counter,
    /// Messages to the app that were answered.
    pub accepted: Counter,
    pub app_lost: Counter,
    pub app_doubled: Counter,
    sent: Ledger,
    taken: Ledger,
    surprises: Counter,
    sentences: Mutex<Vec<String>>,
}

impl Findings {
    /// Something that must not happen.
    pub fn surprise(&self, sentence: String) {
        self.surprises.add(1);
        let mut sentences = self.sentences.lock().expect("nobody panicked");
        if sentences.len() < SENTENCES_MAX {
            eprintln!("soak: {sentence}");
            sentences.push(sentence);
        }
    }

    /// The visitor of `life` had `count` messages answered, and will send no more.
    pub fn sent(&self, life: u64, count: u32) {
        let mut sent = self.sent.lock().expect("nobody panicked");
        sent.insert(life, count);
    }

    /// The app got message `number` of `life`, the first being 1.
    pub fn taken(&self, life: u64, number: u32) {
        let mut taken = self.taken.lock().expect("nobody panicked");
        let last = taken.entry(life).or_insert(0);
        if number <= *last {
            self.app_doubled.add(1);
            self.surprise(format!("life {life}: the app got message {number} again"));
        } else {
            let skipped = number - *last - 1;
            if skipped > 0 {
                self.app_lost.add(u64::from(skipped));
                self.surprise(format!(
                    "life {life}: message {number} came after {last} to the app"
                ));
            }
            *last = number;
        }
    }

    /// Compares what was sent with what the app took, when both are over.
    pub fn settle(&self) {
        let sent = self.sent.lock().expect("nobody panicked");
        let taken = self.taken.lock().expect("nobody panicked");
        for (life, count) in sent.iter() {
            let came = taken.get(life).copied().unwrap_or(0);
            if came < *count {
                self.app_lost.add(u64::from(count - came));
                self.surprise(format!(
                    "life {life}: the app got {came} messages, {count} were accepted"
                ));
            }
        }
    }

    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        let wrong = [
            &self.lost,
            &self.doubled,
            &self.told_lost,
            &self.app_lost,
            &self.app_doubled,
            &self.surprises,
        ];
        wrong.iter().all(|counter| counter.get() == 0)
    }

    pub fn to_json(&self) -> Value {
        json!({
            "lives": self.lives.get(),
            "broken": self.broken.get(),
            "resumed": self.resumed.get(),
            "dozed": self.dozed.get(),
            "published": self.published.get(),
            "delivered": self.delivered.get(),
            "lost": self.lost.get(),
            "doubled": self.doubled.get(),
            "told_lost": self.told_lost.get(),
            "accepted": self.accepted.get(),
            "app_lost": self.app_lost.get(),
            "app_doubled": self.app_doubled.get(),
            "surprises": self.surprises.get(),
            "sentences": *self.sentences.lock().expect("nobody panicked"),
        })
    }
}
