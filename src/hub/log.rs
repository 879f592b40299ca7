//! A channel's log: its publications, in segments.
//!
//! What a reader is behind by is a slice of a segment, whatever the number of readers.
//! The log knows neither its readers nor what a publication means, and drops only what
//! it is told to. Called by the hub alone.

use std::collections::VecDeque;

use crate::base::names::Offset;

use super::segment::Segment;
pub use super::segment::{ENTRY_BYTES, Publication};

/// The header that makes a WebSocket frame of a text of so many bytes, and its length.
/// Logs hold frames, of which the hub knows no more than this.
pub type FrameHeader = fn(usize) -> ([u8; 10], usize);

/// The retained part of a channel's publications. Empty, it owns no memory.
#[derive(Debug)]
pub struct Log {
    /// Segments that are full, oldest first. Only the first may be partly gone, and
    /// none is empty.
    full: VecDeque<Segment>,
    /// The one that is appended to.
    open: Segment,
    /// Nothing of the channel with a sequence above this has been let go.
    lost: u64,
    /// What is held, in bytes, with what remembering it costs.
    size: usize,
}

impl Default for Log {
    fn default() -> Self {
        Log::starting_at(1, 0)
    }
}

impl Log {
    /// An empty log whose next publication gets the offset `first`. What was in it
    /// before, or in another of that name, had a sequence of `lost` at most.
    pub fn starting_at(first: Offset, lost: u64) -> Log {
        Log {
            full: VecDeque::new(),
            open: Segment::starting_at(first),
            lost,
            size: 0,
        }
    }

    /// The oldest offset still held; equal to [`Log::next`] when none is.
    pub fn first(&self) -> Offset {
        self.oldest().first()
    }

    /// The offset that the next publication will get.
    pub fn next(&self) -> Offset {
        self.open.next()
    }

    /// How many publications are held.
    pub fn len(&self) -> usize {
        (self.next() - self.first()) as usize
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.full.is_empty()
    }

    /// What is held, in bytes, with what remembering it costs.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The greatest sequence that something had which is let go, or may have had.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The sequence of the newest publication; of one that may have been, if none is held.
    pub fn last_sequence(&self) -> u64 {
        let newest = self.open.last_sequence();
        let newest = newest.or_else(|| self.full.back()?.last_sequence());
        newest.unwrap_or(self.lost)
    }

    /// The first offset whose sequence is above `sequence`, of those that are held.
    pub fn behind(&self, sequence: u64) -> Offset {
        let number = self
            .full
            .partition_point(|segment| segment.last_sequence() <= Some(sequence));
        self.segment(number).behind(sequence)
    }

    /// When the oldest publication held was appended.
    pub fn oldest_ms(&self) -> Option<u64> {
        self.oldest().oldest_ms()
    }

    /// Appends a publication: its JSON, and the header that makes a frame of it.
    pub fn append(&mut self, header: &[u8], json: &[u8], sequence: u64, now_ms: u64) {
        if self.open.is_full(header.len() + json.len()) {
            let next = Segment::starting_at(self.next());
            self.full.push_back(std::mem::replace(&mut self.open, next));
        }
        self.open.append(header, json, sequence, now_ms);
        self.size += header.len() + json.len() + ENTRY_BYTES;
    }

    /// The publications held from `from` on, oldest first.
    pub fn publications(&self, from: Offset) -> impl Iterator<Item = Publication<'_>> {
        let start = self.number_of(from);
        (start..=self.full.len()).flat_map(move |number| {
            let segment = self.segment(number);
            (segment.first().max(from)..segment.next()).map(|offset| segment.get(offset))
        })
    }

    /// Frames from `from` on, in one slice, and the offset behind the last: all to before
    /// `to`, or fewer, since a slice ends where a segment does. Both offsets are held, or
    /// the end; none is given only if they are equal.
    pub fn frames(&self, from: Offset, to: Offset) -> (&[u8], Offset) {
        debug_assert!(self.first() <= from && from <= to && to <= self.next());
        let segment = self.segment_of(from);
        let to = to.min(segment.next());
        (segment.frames(from, to), to)
    }

    /// All frames from `from` on, if they are in one slice, as nearly always: most readers
    /// have nothing before the segment that is appended to.
    #[inline]
    pub fn tail(&self, from: Offset) -> Option<&[u8]> {
        self.open.tail(from)
    }

    /// How many bytes the frames from `from` on have, which is held, or the end.
    pub fn bytes_from(&self, from: Offset) -> usize {
        let parts = self.number_of(from)..=self.full.len();
        let parts = parts.map(|number| self.segment(number));
        let tails = parts.map(|part| part.tail(part.first().max(from)));
        tails.flatten().map(<[u8]>::len).sum()
    }

    /// The offset of the publication in which the byte `count` bytes behind the
    /// start of `from` lies, and the bytes of it from there on. They are of one slice.
    pub fn split(&self, from: Offset, count: usize) -> (Offset, &[u8]) {
        self.segment_of(from).split(from, count)
    }

    /// The publication of this offset, which is held.
    pub fn get(&self, offset: Offset) -> Publication<'_> {
        self.segment_of(offset).get(offset)
    }

    /// The place of `offset` in the order of all publications.
    pub fn sequence(&self, offset: Offset) -> u64 {
        self.segment_of(offset).sequence(offset)
    }

    /// The first offset at or behind `from` whose sequence is not below `sequence`, or
    /// where the segment of `from` ends.
    pub fn first_at(&self, from: Offset, sequence: u64) -> Offset {
        self.segment_of(from).first_at(from, sequence)
    }

    /// Drops the oldest publication.
    pub fn drop_first(&mut self) {
        let oldest = match self.full.front_mut() {
            Some(segment) => segment,
            None => &mut self.open,
        };
        if let Some((sequence, frame_bytes)) = oldest.drop_first() {
            self.lost = sequence;
            self.size -= frame_bytes + ENTRY_BYTES;
        }
        if self.full.front().is_some_and(Segment::is_empty) {
            self.full.pop_front();
        }
        if self.full.is_empty() {
            self.full = VecDeque::new();
        }
    }

    fn oldest(&self) -> &Segment {
        self.full.front().unwrap_or(&self.open)
    }

    fn segment(&self, number: usize) -> &Segment {
        self.full.get(number).unwrap_or(&self.open)
    }

    /// The number of the segment that holds `offset`.
    fn number_of(&self, offset: Offset) -> usize {
        self.full
            .partition_point(|segment| segment.next() <= offset)
    }

    fn segment_of(&self, offset: Offset) -> &Segment {
        // Nearly every reader is near the end.
        if self.full.is_empty() || offset >= self.open.first() {
            return &self.open;
        }
        self.segment(self.number_of(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::super::segment::SEGMENT_BYTES;
    use super::*;

    fn append(log: &mut Log, sequence: u64, text: &str) {
        log.append(b"", text.as_bytes(), sequence, sequence);
    }

    fn all(log: &Log, mut from: Offset) -> Vec<u8> {
        let mut bytes = Vec::new();
        while from < log.next() {
            let (frames, to) = log.frames(from, log.next());
            bytes.extend_from_slice(frames);
            from = to;
        }
        bytes
    }

    #[test]
    fn what_a_reader_is_behind_by_is_one_slice() {
        let mut log = Log::default();
        for (sequence, text) in [(10, "one"), (12, "two"), (15, "three")] {
            append(&mut log, sequence, text);
        }
        assert_eq!(log.frames(1, log.next()), (&b"onetwothree"[..], 4));
        assert_eq!(log.frames(2, 3), (&b"two"[..], 3));
        assert_eq!(log.frames(4, 4), (&b""[..], 4));
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
    fn a_publication_is_a_frame_and_the_json_in_it() {
        let mut log = Log::default();
        log.append(b"HH", b"{}", 7, 9);
        let held = log.get(1);
        assert_eq!((held.frame, held.json), (&b"HH{}"[..], &b"{}"[..]));
        assert_eq!((held.sequence, held.at_ms), (7, 9));
        assert_eq!(log.size(), 4 + ENTRY_BYTES);
    }

    /// Against a plain list: everything that is asked of a log, while it grows over
    /// several segments and shrinks again.
    #[test]
    fn a_log_of_many_segments_is_as_one_list() {
        let mut log = Log::default();
        let mut held: VecDeque<(u64, String)> = VecDeque::new();
        for number in 1..=3_000u64 {
            let length = [10, 900, 3_000, SEGMENT_BYTES + 5][usize::from(number % 500 == 0) * 3]
                + (number as usize * 7) % 900;
            let text = format!("{number} {}", "x".repeat(length));
            append(&mut log, 2 * number, &text);
            held.push_back((2 * number, text));
            let most = if number < 2_000 { 900 } else { 40 };
            while held.len() > most {
                log.drop_first();
                held.pop_front();
            }
            if number % 97 != 0 {
                continue;
            }
            let first = log.first();
            assert_eq!(
                (first, log.len()),
                (number + 1 - held.len() as u64, held.len())
            );
            let text: String = held.iter().map(|(_, text)| text.as_str()).collect();
            assert!(all(&log, first) == text.as_bytes());
            let listed = log.publications(first).map(|one| one.sequence);
            assert!(listed.eq(held.iter().map(|(sequence, _)| *sequence)));
            for (place, (sequence, text)) in held.iter().enumerate() {
                let offset = first + place as u64;
                assert_eq!(log.sequence(offset), *sequence);
                assert_eq!(log.behind(*sequence), offset + 1);
                assert_eq!(log.split(offset, 1).1, &text.as_bytes()[1..]);
            }
            let size = text.len() + held.len() * ENTRY_BYTES;
            assert_eq!(log.size(), size);
            let behind = held.iter().skip(held.len() / 3);
            let bytes: usize = behind.map(|(_, text)| text.len()).sum();
            assert_eq!(log.bytes_from(first + held.len() as u64 / 3), bytes);
            assert_eq!(log.bytes_from(log.next()), 0);
            let capacity: usize = log
                .full
                .iter()
                .chain([&log.open])
                .map(Segment::capacity)
                .sum();
            assert!(
                capacity <= 2 * size + 2 * SEGMENT_BYTES,
                "{capacity} of {size}"
            );
        }
    }

    #[test]
    fn an_empty_log_owns_nothing_and_goes_on_counting() {
        let mut log = Log::default();
        append(&mut log, 1, "one");
        log.drop_first();
        assert!(log.is_empty());
        assert_eq!((log.size(), log.open.capacity()), (0, 0));
        assert_eq!((log.first(), log.next()), (2, 2));
        assert_eq!((log.lost(), log.last_sequence(), log.behind(0)), (1, 1, 2));
        append(&mut log, 2, "two");
        assert_eq!(log.frames(2, 3), (&b"two"[..], 3));
        log.drop_first();
        log.drop_first();
        assert_eq!(log.next(), 3);
    }
}
