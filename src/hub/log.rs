//! A channel's log: publications one behind the other in contiguous bytes.
//!
//! Each publication is kept once, as the frame that goes on the wire, so what a
//! reader is behind by is one slice, whatever the number of readers. The log
//! knows neither its readers nor what a frame means. Called by the hub alone.

use std::collections::VecDeque;

use crate::base::names::Offset;

/// What is remembered of a publication beside its bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where its bytes end, counted from the first byte the log ever held.
    end: u64,
    /// Its place in the order in which the server accepted all publications.
    sequence: u64,
    /// When it was appended, on the monotonic clock.
    at_ms: u64,
}

/// What is remembered of a publication, as it outlives the process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Remembered {
    /// The length of its bytes.
    pub length: usize,
    /// Its place in the order in which the server accepted all publications.
    pub sequence: u64,
    /// When it was appended, on the monotonic clock.
    pub at_ms: u64,
}

/// What an entry costs beside its bytes, for the limits in bytes.
pub const ENTRY_BYTES: usize = size_of::<Entry>();

/// Dead bytes below this are not worth moving the live ones for.
const COMPACT_FROM_BYTES: usize = 4096;

/// The retained part of a channel's publications. Empty, it owns no memory.
#[derive(Debug)]
pub struct Log {
    bytes: Vec<u8>,
    /// How many of `bytes` belong to entries that are gone.
    dead: usize,
    /// The position, counted from the first byte ever, of `bytes[0]`.
    base: u64,
    entries: VecDeque<Entry>,
    /// The offset of `entries[0]`, or of the next append when there is none.
    first: Offset,
    /// Nothing of the channel with a sequence above this has been let go.
    lost: u64,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            bytes: Vec::new(),
            dead: 0,
            base: 0,
            entries: VecDeque::new(),
            first: 1,
            lost: 0,
        }
    }
}

impl Log {
    /// A log whose oldest publication has the offset `first`. The bytes of the
    /// publications stand in `bytes`, one behind the other. Nothing with a sequence
    /// above `lost` has been let go.
    pub fn restored(first: Offset, lost: u64, remembered: Vec<Remembered>, bytes: Vec<u8>) -> Log {
        let mut end = 0;
        let entries = remembered.into_iter().map(|entry| {
            end += entry.length as u64;
            Entry {
                end,
                sequence: entry.sequence,
                at_ms: entry.at_ms,
            }
        });
        let entries: Vec<Entry> = entries.collect();
        assert_eq!(end, bytes.len() as u64, "each byte is one publication's");
        Log {
            first,
            lost,
            entries: entries.into(),
            bytes,
            ..Log::default()
        }
    }

    /// An empty log whose next publication gets the offset `first`. What was in it
    /// before, or in another of that name, had a sequence of `lost` at most.
    pub fn starting_at(first: Offset, lost: u64) -> Log {
        Log {
            first,
            lost,
            ..Log::default()
        }
    }

    /// What is remembered of each publication held, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = Remembered> {
        let mut start = self.base + self.dead as u64;
        self.entries.iter().map(move |entry| {
            let length = (entry.end - start) as usize;
            start = entry.end;
            Remembered {
                length,
                sequence: entry.sequence,
                at_ms: entry.at_ms,
            }
        })
    }

    /// The oldest offset still held; equal to [`Log::next`] when none is.
    pub fn first(&self) -> Offset {
        self.first
    }

    /// The offset that the next publication will get.
    pub fn next(&self) -> Offset {
        self.first + self.entries.len() as u64
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is held, in bytes, with what remembering it costs.
    pub fn size(&self) -> usize {
        self.bytes.len() - self.dead + self.entries.len() * ENTRY_BYTES
    }

    /// The greatest sequence that something had which is let go, or may have had.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The sequence of the newest publication; of one that may have been, if none is held.
    pub fn last_sequence(&self) -> u64 {
        self.entries
            .back()
            .map_or(self.lost, |entry| entry.sequence)
    }

    /// The first offset whose sequence is above `sequence`, of those that are held.
    pub fn behind(&self, sequence: u64) -> Offset {
        let entries = &self.entries;
        self.first + entries.partition_point(|entry| entry.sequence <= sequence) as u64
    }

    /// When the oldest publication held was appended.
    pub fn oldest_ms(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.at_ms)
    }

    /// Appends what `encode` writes for the offset it is given, and returns that offset.
    pub fn append(
        &mut self,
        now_ms: u64,
        sequence: u64,
        encode: impl FnOnce(&mut Vec<u8>, Offset),
    ) -> Offset {
        let offset = self.next();
        let before = self.bytes.len();
        encode(&mut self.bytes, offset);
        assert!(self.bytes.len() > before, "a publication has bytes");
        self.entries.push_back(Entry {
            end: self.base + self.bytes.len() as u64,
            sequence,
            at_ms: now_ms,
        });
        offset
    }

    /// The bytes of the publications from `from` to before `to`; both must be held (or the end).
    pub fn frames(&self, from: Offset, to: Offset) -> &[u8] {
        debug_assert!(self.first <= from && from <= to && to <= self.next());
        &self.bytes[self.start_of(from)..self.start_of(to)]
    }

    /// The offset of the publication in which the byte `count` bytes behind the
    /// start of `from` lies, and the bytes of it from there on.
    pub fn split(&self, from: Offset, count: usize) -> (Offset, &[u8]) {
        let position = self.base + (self.start_of(from) + count) as u64;
        let index = self.entries.partition_point(|entry| entry.end <= position);
        let start = (position - self.base) as usize;
        let end = (self.entries[index].end - self.base) as usize;
        (self.first + index as u64, &self.bytes[start..end])
    }

    /// The place of `offset` in the order of all publications.
    pub fn sequence(&self, offset: Offset) -> u64 {
        self.entries[(offset - self.first) as usize].sequence
    }

    /// The first offset at or behind `from` whose sequence is not below `sequence`.
    pub fn first_at(&self, from: Offset, sequence: u64) -> Offset {
        // Runs between channels are short as a rule: step, do not search.
        let start = (from - self.first) as usize;
        let before = self
            .entries
            .iter()
            .skip(start)
            .take_while(|entry| entry.sequence < sequence)
            .count();
        from + before as u64
    }

    /// Drops the oldest publication.
    pub fn drop_first(&mut self) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        self.first += 1;
        self.lost = entry.sequence;
        self.dead = (entry.end - self.base) as usize;
        if self.entries.is_empty() {
            self.base = entry.end;
            self.dead = 0;
            self.bytes = Vec::new();
            self.entries = VecDeque::new();
        } else if self.dead >= COMPACT_FROM_BYTES && self.dead > self.bytes.len() / 2 {
            self.compact();
        }
    }

    /// Moves the live bytes to the front. Amortised: a byte is moved at most
    /// once for each byte that died before it.
    fn compact(&mut self) {
        self.bytes.drain(..self.dead);
        self.base += self.dead as u64;
        self.dead = 0;
        if self.bytes.capacity() > 4 * self.bytes.len() + COMPACT_FROM_BYTES {
            self.bytes.shrink_to(2 * self.bytes.len());
        }
    }

    fn start_of(&self, offset: Offset) -> usize {
        let index = (offset - self.first) as usize;
        match index.checked_sub(1) {
            None => self.dead,
            Some(before) => (self.entries[before].end - self.base) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(log: &mut Log, sequence: u64, text: &str) -> Offset {
        log.append(sequence, sequence, |bytes, _| {
            bytes.extend_from_slice(text.as_bytes());
        })
    }

    #[test]
    fn what_a_reader_is_behind_by_is_one_slice() {
        let mut log = Log::default();
        assert_eq!(append(&mut log, 10, "one"), 1);
        assert_eq!(append(&mut log, 12, "two"), 2);
        assert_eq!(append(&mut log, 15, "three"), 3);
        assert_eq!(log.frames(1, log.next()), b"onetwothree");
        assert_eq!(log.frames(2, 3), b"two");
        assert_eq!(log.frames(4, 4), b"");
        assert_eq!(log.split(1, 4), (2, &b"wo"[..]));
        assert_eq!(log.split(2, 3), (3, &b"three"[..]));
        assert_eq!(log.first_at(1, 13), 3);
        assert_eq!(log.sequence(2), 12);
        let behind = [0, 9, 10, 11, 12, 14, 15, 99].map(|sequence| log.behind(sequence));
        assert_eq!(behind, [1, 1, 2, 2, 3, 3, 4, 4]);
        assert_eq!((log.lost(), log.last_sequence()), (0, 15));
        log.drop_first();
        assert_eq!((log.lost(), log.behind(0), log.behind(12)), (10, 2, 3));
    }

    #[test]
    fn dropping_the_oldest_keeps_the_rest_readable_through_compaction() {
        let mut log = Log::default();
        let mut held = VecDeque::new();
        for number in 0..2_000u64 {
            let text = format!("publication {number} {}", "x".repeat(number as usize % 40));
            append(&mut log, number, &text);
            held.push_back(text);
            if held.len() > 50 {
                log.drop_first();
                held.pop_front();
            }
            let all: String = held.iter().map(String::as_str).collect();
            assert_eq!(log.frames(log.first(), log.next()), all.as_bytes());
        }
        assert!(
            log.bytes.capacity() < 64 * 1024,
            "dead bytes are given back"
        );
        assert_eq!(log.next(), 2_001);
    }

    #[test]
    fn an_empty_log_owns_nothing_and_goes_on_counting() {
        let mut log = Log::default();
        append(&mut log, 1, "one");
        log.drop_first();
        assert!(log.is_empty());
        assert_eq!((log.size(), log.bytes.capacity()), (0, 0));
        assert_eq!((log.first(), log.next()), (2, 2));
        assert_eq!((log.lost(), log.last_sequence(), log.behind(0)), (1, 1, 2));
        assert_eq!(append(&mut log, 2, "two"), 2);
        assert_eq!(log.frames(2, 3), b"two");
        log.drop_first();
        log.drop_first();
        assert_eq!(log.next(), 3);
    }
}
