//! What is pending for a session, and what was written.
//!
//! Called by the fan-out.

use std::num::NonZeroU32;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::names::{Offset, Position};
use crate::base::time::Time;

use super::batches::{Batches, Mark};
use super::pass::Step;
use super::pending::{Pending, Run};
use super::session::{SessionKey, Stream};
use super::state::Hub;
use super::values::Gap;

/// How many readers with nothing pending are looked at for one that is returned: about
/// what one write costs.
pub(super) const LOOKS_MAX: usize = 64;

impl Hub {
    /// The next awake session with something pending after what was published,
    /// each at most once for each pass; `None` when the passes are through. Where many
    /// channels have the same readers, all but the first pass find that they were given
    /// everything: then one of many such readers is given out, so that a turn ends there.
    pub fn next_reader(&mut self, now: Time) -> Option<(SessionKey, Stream)> {
        let mut looks = 0;
        while let Some(step) = self.archive.pass.next(&mut self.tables.channels) {
            match step {
                Step::Reader(channel, reader) => {
                    looks += 1;
                    let owed = self.tables.owed(channel, reader);
                    if owed.is_some() {
                        return owed;
                    }
                    if looks >= LOOKS_MAX
                        && let Some((key, session)) = self.tables.sessions.at(reader.session)
                        && let Some(stream) = session.stream()
                    {
                        return Some((key, stream));
                    }
                }
                Step::Passed(channel) => {
                    self.archive.keep_rule(&mut self.tables, now.ms, channel);
                }
            }
        }
        None
    }

    /// The streams of those that [`Hub::next_reader`] comes to next, up to
    /// `count`; they are not met by that.
    pub fn upcoming(&self, count: usize) -> impl Iterator<Item = Stream> + '_ {
        let readers = self.archive.pass.upcoming(&self.tables.channels, count);
        readers.filter_map(|reader| self.tables.sessions.at(reader.session)?.1.stream())
    }

    /// What is pending for the session, oldest first.
    pub fn pending(&self, key: SessionKey) -> impl Iterator<Item = Run<'_>> {
        self.tables
            .sessions
            .get(key)
            .map(|session| Pending::of(&self.tables.channels, session))
            .into_iter()
            .flatten()
    }

    /// The whole backlog, if it is one slice of one channel's log, which it nearly always is.
    pub fn only_run(&self, key: SessionKey) -> Option<Run<'_>> {
        let session = self.tables.sessions.get(key)?;
        let mut only = None;
        for (number, subscription) in session.subscriptions.iter().enumerate() {
            let (_, channel) = self.tables.channels.at(subscription.channel)?;
            if subscription.cursor < channel.log.next() {
                if only.is_some() {
                    return None;
                }
                only = Some((number, &channel.log, subscription.cursor));
            }
        }
        let (subscription, log, cursor) = only?;
        Run::rest_of(subscription, log, cursor.max(log.first()))
    }

    /// All of the run that [`Hub::only_run`] gave is written.
    pub fn pass_run(&mut self, key: SessionKey, subscription: usize, to: Offset) {
        if let Some(session) = self.tables.sessions.get_mut(key) {
            session.subscriptions[subscription].cursor = to;
        }
    }

    /// Whether anything is pending for the session.
    pub fn is_behind(&self, key: SessionKey) -> bool {
        self.tables.sessions.get(key).is_some_and(|session| {
            session.subscriptions.iter().any(|subscription| {
                let channel = self.tables.channels.at(subscription.channel);
                channel.is_some_and(|(_, channel)| subscription.cursor < channel.log.next())
            })
        })
    }

    /// Takes note that the first `written` bytes of what was pending are
    /// written, and returns how many publications that delivers. The rest of a
    /// frame that was cut is appended to `rest`: it counts as delivered, and
    /// the caller owes it.
    pub fn advance(&mut self, key: SessionKey, mut written: usize, rest: &mut Vec<u8>) -> u64 {
        let Some(session) = self.tables.sessions.get(key) else {
            return 0;
        };
        let mut cursors: SmallVec<[(usize, Offset); 4]> = SmallVec::new();
        let mut delivered = 0;
        for run in Pending::of(&self.tables.channels, session) {
            if written == 0 {
                break;
            }
            let mut to = run.to;
            if written < run.bytes.len() {
                let slot = session.subscriptions[run.subscription].channel;
                let Some((_, channel)) = self.tables.channels.at(slot) else {
                    break;
                };
                let (offset, tail) = channel.log.split(run.from, written);
                let cut = tail.len() < channel.log.get(offset).frame.len();
                if cut {
                    rest.extend_from_slice(tail);
                }
                to = offset + u64::from(cut);
            }
            written -= written.min(run.bytes.len());
            delivered += to - run.from;
            cursors.push((run.subscription, to));
        }
        if let Some(session) = self.tables.sessions.get_mut(key) {
            for (number, cursor) in cursors {
                session.subscriptions[number].cursor = cursor;
            }
        }
        delivered
    }

    /// If publications the session had not read are gone, moves its cursor
    /// behind them and says what is missing; call until there is none.
    pub fn take_gap(&mut self, key: SessionKey) -> Option<Gap> {
        let session = self.tables.sessions.get_mut(key)?;
        for subscription in &mut session.subscriptions {
            let Some((_, channel)) = self.tables.channels.at(subscription.channel) else {
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

    /// Remembers where the session's cursors stand, before a batch is written to `stream`,
    /// which may fail. If its client acknowledges it by a number, returns that; else 0.
    pub fn begin_batch(&mut self, key: SessionKey, stream: Stream, numbered: bool) -> u32 {
        let Some(session) = self.tables.sessions.get_mut(key) else {
            return 0;
        };
        session.again = false;
        let mut number = None;
        if numbered {
            session.batch = session.batch.wrapping_add(1).max(1);
            number = NonZeroU32::new(session.batch);
        }
        let marks = session.subscriptions.iter();
        let marks = marks.map(|subscription| (subscription.channel, subscription.cursor));
        let batches = session.batches.get_or_insert_default();
        batches.begin(stream, number, marks);
        number.map_or(0, NonZeroU32::get)
    }

    /// Whether a batch is being written: what comes behind it has to wait.
    pub fn is_batch_out(&self, key: SessionKey) -> bool {
        let batches = self
            .session(key)
            .and_then(|session| session.batches.as_ref());
        batches.is_some_and(|batches| batches.is_writing())
    }

    /// The batch was written to `stream`. Unless it has a number, it counts as read.
    pub fn batch_written(&mut self, key: SessionKey, stream: Stream) {
        self.with_batches(key, |batches| {
            batches.written(stream);
            Vec::new()
        });
    }

    /// The batch was not written to `stream`: the cursors go back.
    pub(super) fn take_back(&mut self, key: SessionKey, stream: Stream) {
        self.with_batches(key, |batches| batches.lost(stream));
    }

    /// The client says that the batch of this number is the last that it got:
    /// what was given to it since, it gets again.
    pub(super) fn acknowledge(&mut self, key: SessionKey, number: u32) {
        self.with_batches(key, |batches| batches.acknowledged(NonZeroU32::new(number)));
        if let Some(session) = self.tables.sessions.get_mut(key) {
            // A number that the process before this one gave is not given again.
            session.batch = session.batch.max(number);
        }
    }

    /// The client asks anew, and has not got what it does not say that it got.
    pub(super) fn all_batches_lost(&mut self, key: SessionKey) {
        self.with_batches(key, |batches| batches.acknowledged(None));
    }

    /// Does `step`, which says where cursors go back to.
    fn with_batches(&mut self, key: SessionKey, step: impl FnOnce(&mut Batches) -> Vec<Mark>) {
        let Some(session) = self.tables.sessions.get_mut(key) else {
            return;
        };
        let Some(batches) = &mut session.batches else {
            return;
        };
        let marks = step(batches);
        if batches.is_empty() {
            session.batches = None;
        }
        for (channel, before) in marks {
            if let Some(number) = session.find(channel) {
                let subscription = &mut session.subscriptions[number];
                subscription.cursor = subscription.cursor.min(before);
            }
        }
    }
}
