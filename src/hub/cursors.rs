//! What a session is owed, and how its cursors move when some of it is written.
//!
//! The reading half of the tables; who stands where is `tables`. Called by the
//! hub alone, whose methods of the same names say what each does.

use smallvec::SmallVec;

use std::sync::Arc;

use crate::base::names::{Offset, Position};

use super::pending::{Pending, Run};
use super::session::{SessionKey, Stream, Unconfirmed};
use super::tables::Tables;
use super::values::Gap;

impl Tables {
    /// What the session is owed, oldest first.
    pub fn pending(&self, key: SessionKey) -> impl Iterator<Item = Run<'_>> {
        self.sessions
            .get(key)
            .map(|session| Pending::of(&self.channels, session))
            .into_iter()
            .flatten()
    }

    /// The whole backlog, if it is of one channel, which it nearly always is:
    /// what `pending` gives then, without merging anything.
    pub fn only_run(&self, key: SessionKey) -> Option<Run<'_>> {
        let session = self.sessions.get(key)?;
        let mut only = None;
        for (number, subscription) in session.subscriptions.iter().enumerate() {
            let (_, channel) = self.channels.at(subscription.channel)?;
            if subscription.cursor < channel.log.next() {
                if only.is_some() {
                    return None;
                }
                only = Some((number, &channel.log, subscription.cursor));
            }
        }
        let (subscription, log, cursor) = only?;
        let (from, to) = (cursor.max(log.first()), log.next());
        Some(Run {
            subscription,
            from,
            to,
            bytes: log.frames(from, to),
        })
    }

    /// All of the run that `only_run` gave, up to `to`, is written.
    pub fn pass_run(&mut self, key: SessionKey, subscription: usize, to: Offset) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.subscriptions[subscription].cursor = to;
        }
    }

    /// Whether the session is owed anything.
    pub fn is_behind(&self, key: SessionKey) -> bool {
        self.sessions.get(key).is_some_and(|session| {
            session.subscriptions.iter().any(|subscription| {
                let channel = self.channels.at(subscription.channel);
                channel.is_some_and(|(_, channel)| subscription.cursor < channel.log.next())
            })
        })
    }

    /// Takes note that the first `written` bytes of what was pending are
    /// written, and returns how many publications that delivers. The rest of a
    /// frame that was cut is appended to `rest`: it counts as delivered, and
    /// the caller owes it.
    pub fn advance(&mut self, key: SessionKey, mut written: usize, rest: &mut Vec<u8>) -> u64 {
        let Some(session) = self.sessions.get(key) else {
            return 0;
        };
        let mut cursors: SmallVec<[(usize, Offset); 4]> = SmallVec::new();
        let mut delivered = 0;
        for run in Pending::of(&self.channels, session) {
            if written == 0 {
                break;
            }
            let mut to = run.to;
            if written < run.bytes.len() {
                let slot = session.subscriptions[run.subscription].channel;
                let Some((_, channel)) = self.channels.at(slot) else {
                    break;
                };
                let (offset, tail) = channel.log.split(run.from, written);
                let cut = tail.len() < channel.log.frames(offset, offset + 1).len();
                if cut {
                    rest.extend_from_slice(tail);
                }
                to = offset + u64::from(cut);
            }
            written -= written.min(run.bytes.len());
            delivered += to - run.from;
            cursors.push((run.subscription, to));
        }
        if let Some(session) = self.sessions.get_mut(key) {
            for (number, cursor) in cursors {
                session.subscriptions[number].cursor = cursor;
            }
        }
        delivered
    }

    /// If publications the session had not read are gone, moves its cursor
    /// behind them and says what is missing; call until there is none.
    pub fn take_gap(&mut self, key: SessionKey) -> Option<Gap> {
        let session = self.sessions.get_mut(key)?;
        for subscription in &mut session.subscriptions {
            let Some((_, channel)) = self.channels.at(subscription.channel) else {
                continue;
            };
            let first = channel.log.first();
            if subscription.cursor < first {
                let missed = first - subscription.cursor;
                subscription.cursor = first;
                return Some(Gap {
                    channel: Arc::clone(&channel.name),
                    missed,
                    position: Position {
                        epoch: channel.epoch,
                        offset: first - 1,
                    },
                });
            }
        }
        None
    }

    /// Remembers where the session's cursors stand, before a batch is given to
    /// a stream that may fail. The number of the batch, if it is to have one.
    pub fn mark_unconfirmed(&mut self, key: SessionKey, stream: Stream, numbered: bool) -> u32 {
        let Some(session) = self.sessions.get_mut(key) else {
            return 0;
        };
        session.again = false;
        let mut batch = 0;
        if numbered {
            session.batch = session.batch.wrapping_add(1).max(1);
            batch = session.batch;
        }
        let marks = session.subscriptions.iter().map(|s| Unconfirmed {
            stream: Some(stream),
            batch,
            channel: s.channel,
            cursor: s.cursor,
        });
        session.unconfirmed.get_or_insert_default().extend(marks);
        batch
    }

    /// The batch was written to `stream`.
    pub fn confirm(&mut self, key: SessionKey, stream: Stream) {
        let mut written = self.take_marks(key, |mark| mark.stream == Some(stream));
        written.retain_mut(|mark| {
            mark.stream = None;
            mark.batch != 0
        });
        if let Some(session) = self.sessions.get_mut(key)
            && !written.is_empty()
        {
            session.unconfirmed.get_or_insert_default().extend(written);
        }
    }

    /// The client has got the batch of this number, and no other.
    pub fn acknowledge(&mut self, key: SessionKey, batch: u32) {
        self.take_marks(key, |mark| mark.batch == batch && batch != 0);
        self.rewind_all(key);
        if let Some(session) = self.sessions.get_mut(key) {
            // A number that the process before this one gave is not given again.
            session.batch = session.batch.max(batch);
        }
    }

    /// Whether a batch is being written to any stream.
    pub fn is_batch_out(&self, key: SessionKey) -> bool {
        let session = self.sessions.get(key);
        let mut marks = session.iter().flat_map(|session| &session.unconfirmed);
        marks.any(|marks| marks.iter().any(|mark| mark.stream.is_some()))
    }

    /// The client asks anew, and has not got what it does not say that it got.
    pub fn rewind_all(&mut self, key: SessionKey) {
        let session = self.sessions.get_mut(key);
        if let Some(marks) = session.and_then(|session| session.unconfirmed.take()) {
            self.take_back(key, *marks);
        }
    }

    /// The batch was not written to `stream`: the session gets it again.
    pub fn rewind(&mut self, key: SessionKey, stream: Stream) {
        let marks = self.take_marks(key, |mark| mark.stream == Some(stream));
        self.take_back(key, marks);
    }

    fn take_back(&mut self, key: SessionKey, marks: Vec<Unconfirmed>) {
        for mark in marks {
            if let Some(session) = self.sessions.get_mut(key)
                && let Some(number) = session.find(mark.channel)
            {
                let subscription = &mut session.subscriptions[number];
                subscription.cursor = subscription.cursor.min(mark.cursor);
            }
        }
    }

    fn take_marks(
        &mut self,
        key: SessionKey,
        of: impl FnMut(&Unconfirmed) -> bool,
    ) -> Vec<Unconfirmed> {
        let session = self.sessions.get_mut(key);
        let Some(marks) = session.and_then(|session| session.unconfirmed.take()) else {
            return Vec::new();
        };
        let (taken, others): (Vec<_>, Vec<_>) = marks.into_iter().partition(of);
        if !others.is_empty()
            && let Some(session) = self.sessions.get_mut(key)
        {
            session.unconfirmed = Some(Box::new(others));
        }
        taken
    }
}
