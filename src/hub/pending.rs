//! What a session has not been given yet, in the order in which it was accepted.
//!
//! Merges the logs that a session reads into runs: each run is one slice of one
//! channel's log. With one channel behind, which is nearly always so, the whole
//! backlog is one run. Reads only. Called by the hub alone.

use smallvec::SmallVec;

use crate::base::names::Offset;
use crate::base::slots::Slots;

use super::channel::Channel;
use super::log::{Log, Publication};
use super::session::Session;

/// Publications of one channel that follow each other in accepted order.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Which of the session's subscriptions they belong to.
    pub subscription: usize,
    /// The first offset, and the one behind the last.
    pub from: Offset,
    pub to: Offset,
    /// Their frames, one behind the other.
    pub bytes: &'a [u8],
    log: &'a Log,
}

impl<'a> Run<'a> {
    /// All that `log` holds from `from` on, if it is one slice, as of this subscription.
    pub fn rest_of(subscription: usize, log: &'a Log, from: Offset) -> Option<Run<'a>> {
        Some(Run {
            subscription,
            from,
            to: log.next(),
            bytes: log.tail(from)?,
            log,
        })
    }

    /// Its publications one by one.
    pub fn publications(&self) -> impl Iterator<Item = Publication<'a>> + use<'a> {
        let log = self.log;
        (self.from..self.to).map(move |offset| log.get(offset))
    }
}

struct Head<'a> {
    subscription: usize,
    log: &'a Log,
    cursor: Offset,
}

impl Head<'_> {
    fn sequence(&self) -> u64 {
        self.log.sequence(self.cursor)
    }
}

/// The runs a session is behind by, oldest first.
pub struct Pending<'a> {
    heads: SmallVec<[Head<'a>; 4]>,
}

impl<'a> Pending<'a> {
    /// The backlog of `session`.
    pub fn of(channels: &'a Slots<Channel>, session: &Session) -> Pending<'a> {
        let mut heads = SmallVec::new();
        for (number, subscription) in session.subscriptions.iter().enumerate() {
            let Some((_, channel)) = channels.at(subscription.channel) else {
                continue;
            };
            if subscription.cursor < channel.log.next() {
                heads.push(Head {
                    subscription: number,
                    log: &channel.log,
                    cursor: subscription.cursor.max(channel.log.first()),
                });
            }
        }
        Pending { heads }
    }
}

impl<'a> Iterator for Pending<'a> {
    type Item = Run<'a>;

    fn next(&mut self) -> Option<Run<'a>> {
        let oldest = match self.heads.len() {
            0 => return None,
            1 => 0,
            _ => {
                let numbered = self.heads.iter().enumerate();
                numbered.min_by_key(|(_, head)| head.sequence())?.0
            }
        };
        let others = self.heads.iter().enumerate();
        let limit = others
            .filter(|(number, _)| *number != oldest)
            .map(|(_, head)| head.sequence())
            .min();
        let head = &mut self.heads[oldest];
        let from = head.cursor;
        let to = match limit {
            None => head.log.next(),
            Some(sequence) => head.log.first_at(from, sequence),
        };
        let (bytes, to) = head.log.frames(from, to);
        let run = Run {
            subscription: head.subscription,
            from,
            to,
            bytes,
            log: head.log,
        };
        head.cursor = to;
        if to == head.log.next() {
            self.heads.swap_remove(oldest);
        }
        Some(run)
    }
}
