//! Whether everything came: each once, in its sender's order, to every reader.
//!
//! The common case, the next one in order, is one comparison. What is late is
//! remembered, so that a lost one, a doubled one and one out of order are told
//! apart. Used by `worker`.

use std::collections::HashSet;

use crate::stamp::Stamp;

/// Publications of one publisher that may be on their way at the same time.
const WINDOW: usize = 4_096;
/// Gaps beyond that are counted as lost, and what comes late as doubled.
const MISSING_MAX: usize = 4_000_000;

/// What each reader of a process has got of each publisher.
pub struct Tally {
    readers: u32,
    publishers: usize,
    /// The next sequence expected, by reader and publisher.
    next: Vec<u32>,
    /// Skipped so far, as reader, publisher and sequence.
    missing: HashSet<(usize, usize, u32)>,
    /// How many readers have it, by publisher and sequence within the window.
    reached: Vec<u32>,
    /// What was sent before is of another run.
    since_us: u64,
    /// Publications that reached a reader, each counted once.
    pub delivered: u64,
    /// Those that came once more.
    pub doubled: u64,
    /// Those that came after a later one.
    pub disordered: u64,
    /// Publications that all readers of this process have.
    pub completed: u64,
}

impl Tally {
    /// For so many readers and publishers. `counted` of the readers, those that do
    /// not stall, make a publication complete.
    pub fn new(readers: usize, counted: usize, publishers: usize, since_us: u64) -> Tally {
        Tally {
            readers: counted as u32,
            publishers,
            next: vec![0; readers * publishers],
            missing: HashSet::new(),
            reached: vec![0; publishers * WINDOW],
            since_us,
            delivered: 0,
            doubled: 0,
            disordered: 0,
            completed: 0,
        }
    }

    /// `reader` got the publication with `stamp`; whether it is one of this run.
    pub fn note(&mut self, reader: usize, stamp: Stamp) -> bool {
        if stamp.sent_us < self.since_us || stamp.publisher >= self.publishers {
            return false;
        }
        let next = &mut self.next[reader * self.publishers + stamp.publisher];
        if stamp.sequence >= *next {
            for skipped in *next..stamp.sequence {
                if self.missing.len() < MISSING_MAX {
                    self.missing.insert((reader, stamp.publisher, skipped));
                }
            }
            *next = stamp.sequence + 1;
        } else if !self.missing.is_empty()
            && self
                .missing
                .remove(&(reader, stamp.publisher, stamp.sequence))
        {
            self.disordered += 1;
        } else {
            self.doubled += 1;
            return true;
        }
        self.delivered += 1;
        let place = stamp.publisher * WINDOW + stamp.sequence as usize % WINDOW;
        let reached = &mut self.reached[place];
        *reached += 1;
        if *reached == self.readers {
            *reached = 0;
            self.completed += 1;
        }
        true
    }

    /// What is on its way counts as lost; its places are used anew.
    pub fn forget_incomplete(&mut self) {
        self.reached.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_doubled_and_disordered_are_told_apart() {
        let mut tally = Tally::new(2, 2, 2, 10);
        let mut note = |reader, publisher, sequence| {
            let stamp = Stamp {
                publisher,
                sequence,
                sent_us: 10,
            };
            assert!(tally.note(reader, stamp));
            let of = (tally.delivered, tally.doubled, tally.disordered);
            (of, tally.completed)
        };
        assert_eq!(note(0, 0, 0), ((1, 0, 0), 0));
        assert_eq!(note(1, 0, 0), ((2, 0, 0), 1));
        assert_eq!(note(0, 1, 2), ((3, 0, 0), 1));
        assert_eq!(note(0, 1, 2), ((3, 1, 0), 1));
        assert_eq!(note(0, 1, 0), ((4, 1, 1), 1));
        assert_eq!(note(0, 1, 0), ((4, 2, 1), 1));
        assert_eq!(note(1, 1, 0), ((5, 2, 1), 2));
        let early = Stamp {
            sent_us: 9,
            ..Stamp::default()
        };
        assert!(!tally.note(0, early));
    }
}
