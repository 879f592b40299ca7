//! A piece of a channel's log: publications one behind the other in contiguous bytes.
//!
//! A log is cut into segments so that nothing ever moves more than one of them: growing
//! copies at most [`SEGMENT_BYTES`], and what is gone is given back segment by segment.
//! Each publication is kept once, as the WebSocket frame that most readers are sent; its
//! entry knows where the JSON begins in it, which all other transports are made from.
//! Another rendition of the same publications (of event streams, or compressed) would be
//! a second pair of `bytes` and ends beside this one, filled for the entries that its
//! first reader meets. A segment knows no readers and no limits. Called by `log` alone.

use crate::base::names::Offset;

/// A segment is not appended to beyond this, unless it holds nothing yet.
pub const SEGMENT_BYTES: usize = 256 * 1024;

/// Dead bytes below this are not worth moving the live ones for.
const COMPACT_FROM_BYTES: usize = 4096;

/// What is remembered of a publication beside its bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where its frame ends in the segment's bytes, and in the lowest eight bits the length
    /// of its frame's header, behind which the JSON begins: a word for both.
    end_and_header: u64,
    /// Its place in the order in which the server accepted all publications.
    sequence: u64,
    /// When it was appended, on the monotonic clock.
    at_ms: u64,
}

impl Entry {
    fn end(&self) -> usize {
        (self.end_and_header >> 8) as usize
    }

    fn header(&self) -> usize {
        (self.end_and_header & 0xff) as usize
    }
}

/// What an entry costs beside its bytes, for the limits in bytes.
pub const ENTRY_BYTES: usize = size_of::<Entry>();

/// A publication as it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publication<'a> {
    /// The WebSocket frame.
    pub frame: &'a [u8],
    /// The JSON in it.
    pub json: &'a [u8],
    /// Its place in the order in which the server accepted all publications.
    pub sequence: u64,
    /// When it was appended, on the monotonic clock.
    pub at_ms: u64,
}

/// Some publications in a row. Empty, it owns no memory.
#[derive(Debug)]
pub struct Segment {
    bytes: Vec<u8>,
    /// Those that are gone included, until they are compacted away.
    entries: Vec<Entry>,
    /// How many of `entries`, from the first, are gone.
    dead: usize,
    /// The offset of `entries[0]`, or of the next append when there is none.
    base: Offset,
}

impl Segment {
    /// An empty segment whose next publication gets the offset `first`.
    pub fn starting_at(first: Offset) -> Segment {
        Segment {
            bytes: Vec::new(),
            entries: Vec::new(),
            dead: 0,
            base: first,
        }
    }

    /// The oldest offset held; equal to [`Segment::next`] when none is.
    pub fn first(&self) -> Offset {
        self.base + self.dead as u64
    }

    /// The offset behind the newest.
    pub fn next(&self) -> Offset {
        self.base + self.entries.len() as u64
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.dead == self.entries.len()
    }

    /// Whether a publication of so many bytes belongs into the next segment.
    pub fn is_full(&self, more: usize) -> bool {
        !self.bytes.is_empty() && self.bytes.len() + more > SEGMENT_BYTES
    }

    /// Appends a publication.
    pub fn append(&mut self, header: &[u8], json: &[u8], sequence: u64, at_ms: u64) {
        debug_assert!(!json.is_empty(), "a publication has bytes");
        let end = self.bytes.len() + header.len() + json.len();
        self.reserve(end);
        self.bytes.extend_from_slice(header);
        self.bytes.extend_from_slice(json);
        self.entries.push(Entry {
            end_and_header: (end as u64) << 8 | header.len() as u64,
            sequence,
            at_ms,
        });
    }

    /// Makes room up to `end`: twice what there is, but no more than a whole segment.
    fn reserve(&mut self, end: usize) {
        if end > self.bytes.capacity() {
            let doubled = (2 * self.bytes.capacity()).min(SEGMENT_BYTES);
            let more = end.max(doubled) - self.bytes.len();
            self.bytes.reserve_exact(more);
        }
    }

    /// The publication of this offset, which is held.
    pub fn get(&self, offset: Offset) -> Publication<'_> {
        let index = self.index(offset);
        let entry = &self.entries[index];
        let frame = &self.bytes[self.start(index)..entry.end()];
        Publication {
            frame,
            json: &frame[entry.header()..],
            sequence: entry.sequence,
            at_ms: entry.at_ms,
        }
    }

    /// The frames from `from` to before `to`; both are held, or the end.
    pub fn frames(&self, from: Offset, to: Offset) -> &[u8] {
        &self.bytes[self.start(self.index(from))..self.start(self.index(to))]
    }

    /// The frames from `from` on; `None` if that is not held here.
    #[inline]
    pub fn tail(&self, from: Offset) -> Option<&[u8]> {
        let index = from.checked_sub(self.base)? as usize;
        self.bytes.get(self.start(index)..)
    }

    /// The offset of the publication in which the byte `count` bytes behind the start of
    /// `from` lies, and the bytes of its frame from there on.
    pub fn split(&self, from: Offset, count: usize) -> (Offset, &[u8]) {
        let at = self.start(self.index(from)) + count;
        let index = self.entries.partition_point(|entry| entry.end() <= at);
        let end = self.entries[index].end();
        (self.base + index as u64, &self.bytes[at..end])
    }

    /// The place of `offset` in the order of all publications.
    pub fn sequence(&self, offset: Offset) -> u64 {
        self.entries[self.index(offset)].sequence
    }

    /// The sequence of the newest publication held.
    pub fn last_sequence(&self) -> Option<u64> {
        let held = self.entries[self.dead..].last();
        held.map(|entry| entry.sequence)
    }

    /// The first offset held whose sequence is above `sequence`.
    pub fn behind(&self, sequence: u64) -> Offset {
        let held = &self.entries[self.dead..];
        self.first() + held.partition_point(|entry| entry.sequence <= sequence) as u64
    }

    /// The first offset at or behind `from` whose sequence is not below `sequence`.
    pub fn first_at(&self, from: Offset, sequence: u64) -> Offset {
        // Runs between channels are short as a rule: step, do not search.
        let rest = self.entries[self.index(from)..].iter();
        from + rest.take_while(|entry| entry.sequence < sequence).count() as u64
    }

    /// When the oldest publication held was appended.
    pub fn oldest_ms(&self) -> Option<u64> {
        self.entries.get(self.dead).map(|entry| entry.at_ms)
    }

    /// Drops the oldest publication. Returns its sequence and the length of its frame.
    pub fn drop_first(&mut self) -> Option<(u64, usize)> {
        let before = self.dead_bytes();
        let sequence = self.entries.get(self.dead)?.sequence;
        self.dead += 1;
        let dead_bytes = self.dead_bytes();
        if self.is_empty() {
            *self = Segment::starting_at(self.next());
        } else if dead_bytes >= COMPACT_FROM_BYTES && dead_bytes > self.bytes.len() / 2 {
            self.compact(dead_bytes);
        }
        Some((sequence, dead_bytes - before))
    }

    /// Moves the live bytes to the front. Amortised: a byte is moved at most
    /// once for each byte that died before it.
    fn compact(&mut self, dead_bytes: usize) {
        self.bytes.drain(..dead_bytes);
        self.entries.drain(..self.dead);
        for entry in &mut self.entries {
            entry.end_and_header -= (dead_bytes as u64) << 8;
        }
        self.base += self.dead as u64;
        self.dead = 0;
        if self.bytes.capacity() > 4 * self.bytes.len() + COMPACT_FROM_BYTES {
            self.bytes.shrink_to(2 * self.bytes.len());
            self.entries.shrink_to(2 * self.entries.len());
        }
    }

    /// How many of the bytes belong to publications that are gone.
    fn dead_bytes(&self) -> usize {
        self.start(self.dead)
    }

    fn index(&self, offset: Offset) -> usize {
        (offset - self.base) as usize
    }

    fn start(&self, index: usize) -> usize {
        match index.checked_sub(1) {
            None => 0,
            Some(before) => self.entries[before].end(),
        }
    }

    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
