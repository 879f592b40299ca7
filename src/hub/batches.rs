//! Answers to polls that may have been lost, and what their session gets again then.
//!
//! An answer is written to a connection that may break; even when it is written, nobody
//! knows that it arrived before its client says so. So the cursors are kept as they were
//! before each batch. A batch is one of these:
//!
//! | state | becomes | by |
//! |---|---|---|
//! | writing | unacknowledged, if it has a number; else read | [`Batches::written`] |
//! | writing | lost | [`Batches::lost`]: its connection broke |
//! | unacknowledged | read | [`Batches::acknowledged`] with its number |
//! | writing, unacknowledged | lost | another number, or a poll that names none |
//!
//! What is read is forgotten; what is lost is given again: the cursors go back. A client
//! of the legacy wire has no numbers. Called by the hub alone.

use std::num::NonZeroU32;

use smallvec::SmallVec;

use crate::base::names::Offset;

/// The thing that a batch is written to, as [`super::Stream`].
type Stream = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Writing {
        stream: Stream,
        number: Option<NonZeroU32>,
    },
    Unacknowledged {
        number: NonZeroU32,
    },
}

/// Where a cursor stood before a batch: the channel's slot, and the offset.
pub type Mark = (u32, Offset);

#[derive(Clone, Debug)]
struct Batch {
    state: State,
    marks: SmallVec<[Mark; 2]>,
}

/// The batches of a session that may yet turn out not to have arrived.
#[derive(Clone, Debug, Default)]
pub struct Batches(Vec<Batch>);

impl Batches {
    /// A batch is about to be written to `stream`; the cursors stand at `marks`.
    pub fn begin(
        &mut self,
        stream: Stream,
        number: Option<NonZeroU32>,
        marks: impl Iterator<Item = Mark>,
    ) {
        self.0.push(Batch {
            state: State::Writing { stream, number },
            marks: marks.collect(),
        });
    }

    /// The batch was written to `stream`.
    pub fn written(&mut self, stream: Stream) {
        self.0.retain_mut(|batch| match batch.state {
            State::Writing { stream: to, number } if to == stream => match number {
                Some(number) => {
                    batch.state = State::Unacknowledged { number };
                    true
                }
                None => false,
            },
            _ => true,
        });
    }

    /// The batch was not written to `stream`: where the cursors go back to.
    pub fn lost(&mut self, stream: Stream) -> Vec<Mark> {
        self.take(|state| matches!(state, State::Writing { stream: to, .. } if to == stream))
    }

    /// The client has got the batch of this number, and none of those it was given since:
    /// where the cursors go back to.
    pub fn acknowledged(&mut self, number: Option<NonZeroU32>) -> Vec<Mark> {
        self.0.retain(|batch| {
            let own = match batch.state {
                State::Writing { number, .. } => number,
                State::Unacknowledged { number } => Some(number),
            };
            own.is_none() || own != number
        });
        self.take(|_| true)
    }

    /// Whether a batch is being written.
    pub fn is_writing(&self) -> bool {
        let mut states = self.0.iter().map(|batch| batch.state);
        states.any(|state| matches!(state, State::Writing { .. }))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The session reads this channel no more, whose slot may soon be another's.
    pub fn forget_channel(&mut self, slot: u32) {
        for batch in &mut self.0 {
            batch.marks.retain(|(channel, _)| *channel != slot);
        }
    }

    /// Where the cursor of a channel would go back to, if all of them were lost.
    pub fn earliest(&self, slot: u32, cursor: Offset) -> Offset {
        let marks = self.0.iter().flat_map(|batch| &batch.marks);
        let marks = marks.filter(|(channel, _)| *channel == slot);
        marks.map(|(_, before)| *before).fold(cursor, Offset::min)
    }

    fn take(&mut self, which: impl Fn(State) -> bool) -> Vec<Mark> {
        let mut marks = Vec::new();
        self.0.retain(|batch| {
            let taken = which(batch.state);
            if taken {
                marks.extend(batch.marks.iter().copied());
            }
            !taken
        });
        marks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two batches, of which the first is written: 1 to stream 10, 2 to stream 20.
    fn batches(numbered: bool) -> Batches {
        let mut batches = Batches::default();
        let number = |number| numbered.then(|| NonZeroU32::new(number)).flatten();
        batches.begin(10, number(1), [(7, 1), (8, 5)].into_iter());
        batches.written(10);
        batches.begin(20, number(2), [(7, 3), (8, 5)].into_iter());
        batches
    }

    #[test]
    fn an_unnumbered_batch_is_read_when_it_is_written() {
        let mut batches = batches(false);
        assert!(batches.is_writing());
        assert_eq!(batches.earliest(7, 9), 3);
        assert_eq!(batches.lost(10), []);
        assert_eq!(batches.lost(20), [(7, 3), (8, 5)]);
        assert!(batches.is_empty());
    }

    #[test]
    fn a_numbered_batch_is_read_when_its_number_comes_back() {
        let acknowledged = |number| batches(true).acknowledged(NonZeroU32::new(number));
        assert_eq!(acknowledged(2), [(7, 1), (8, 5)], "1 was not");
        assert_eq!(acknowledged(1), [(7, 3), (8, 5)]);
        for number in [0, 3] {
            assert_eq!(acknowledged(number), [(7, 1), (8, 5), (7, 3), (8, 5)]);
        }
        let mut batches = batches(true);
        batches.written(20);
        assert!(!batches.is_writing());
        assert_eq!(batches.lost(20), []);
        assert_eq!(batches.earliest(7, 9), 1);
        batches.forget_channel(7);
        assert_eq!(batches.earliest(7, 9), 9);
        assert_eq!(batches.acknowledged(NonZeroU32::new(2)), [(8, 5)]);
        assert!(batches.is_empty());
    }
}
