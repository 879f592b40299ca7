//! Whether everything came: each once, in its sender's order, to every reader.
//!
//! The common case, the next one in order, is one comparison. What is late is
//! remembered, so that a lost one, a doubled one and one out of order are told
//! apart. Used by `load`.

use std::collections::HashSet;

use super::payload::Stamp;

/// What each reader has got of each publisher.
pub struct Tally {
    publishers: usize,
    /// The next sequence expected, by reader and publisher.
    next: Vec<u32>,
    /// Skipped so far, as reader, publisher and sequence.
    missing: HashSet<(usize, usize, u32)>,
    /// Publications that reached a reader, each counted once.
    pub delivered: u64,
    /// Those that came once more.
    pub doubled: u64,
    /// Those that came after a later one.
    pub disordered: u64,
}

impl Tally {
    /// For so many readers and publishers.
    pub fn new(readers: usize, publishers: usize) -> Tally {
        Tally {
            publishers,
            next: vec![0; readers * publishers],
            missing: HashSet::new(),
            delivered: 0,
            doubled: 0,
            disordered: 0,
        }
    }

    /// `reader` got the publication with `stamp`.
    pub fn note(&mut self, reader: usize, stamp: Stamp) {
        let next = &mut self.next[reader * self.publishers + stamp.publisher];
        if stamp.sequence >= *next {
            for skipped in *next..stamp.sequence {
                self.missing.insert((reader, stamp.publisher, skipped));
            }
            *next = stamp.sequence + 1;
            self.delivered += 1;
        } else if self
            .missing
            .remove(&(reader, stamp.publisher, stamp.sequence))
        {
            self.disordered += 1;
            self.delivered += 1;
        } else {
            self.doubled += 1;
        }
    }
}
