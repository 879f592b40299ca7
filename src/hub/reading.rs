//! What a session is owed, and what it was given.
//!
//! Called by the fan-out.

use crate::base::names::Offset;
use crate::base::time::Time;

use super::hub::Hub;
use super::pass::Step;
use super::pending::Run;
use super::session::{SessionKey, Stream};
use super::values::Gap;

/// How many readers that are owed nothing are looked at for one that is given out: about
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

    /// What the session is owed, oldest first.
    pub fn pending(&self, key: SessionKey) -> impl Iterator<Item = Run<'_>> {
        self.tables.pending(key)
    }

    /// The whole backlog, if it is one slice of one channel's log, which it nearly always is.
    pub fn only_run(&self, key: SessionKey) -> Option<Run<'_>> {
        self.tables.only_run(key)
    }

    /// All of the run that [`Hub::only_run`] gave is written.
    pub fn pass_run(&mut self, key: SessionKey, subscription: usize, to: Offset) {
        self.tables.pass_run(key, subscription, to);
    }

    /// Whether the session is owed anything.
    pub fn is_behind(&self, key: SessionKey) -> bool {
        self.tables.is_behind(key)
    }

    /// Takes note that the first `written` bytes of what was pending are
    /// written, and returns how many publications that delivers. The rest of a
    /// frame that was cut is appended to `rest`: it counts as delivered, and
    /// the caller owes it.
    pub fn advance(&mut self, key: SessionKey, written: usize, rest: &mut Vec<u8>) -> u64 {
        self.tables.advance(key, written, rest)
    }

    /// If publications the session had not read are gone, moves its cursor
    /// behind them and says what is missing; call until there is none.
    pub fn take_gap(&mut self, key: SessionKey) -> Option<Gap> {
        self.tables.take_gap(key)
    }

    /// Remembers where the session's cursors stand, before a batch is given to
    /// `stream`, which may fail. If its client acknowledges it by a number,
    /// returns that; else 0.
    pub fn mark_unconfirmed(&mut self, key: SessionKey, stream: Stream, numbered: bool) -> u32 {
        self.tables.mark_unconfirmed(key, stream, numbered)
    }

    /// Whether a batch is being written: what comes behind it has to wait.
    pub fn is_batch_out(&self, key: SessionKey) -> bool {
        self.tables.is_batch_out(key)
    }

    /// The batch was written to `stream`. Unless it has a number, it counts as read.
    pub fn confirm(&mut self, key: SessionKey, stream: Stream) {
        self.tables.confirm(key, stream);
    }

    /// The client says that the batch of this number is the last that it got:
    /// what was given to it since, it gets again.
    pub fn acknowledge(&mut self, key: SessionKey, batch: u32) {
        self.tables.acknowledge(key, batch);
    }

    /// The batch was not written to `stream`: the session gets it again.
    pub fn rewind(&mut self, key: SessionKey, stream: Stream) {
        self.tables.rewind(key, stream);
    }
}
