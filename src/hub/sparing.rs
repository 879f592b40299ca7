//! What a log keeps beyond its rule, until those who keep up have read it.
//!
//! The rule of a channel says how much history it keeps. What was just published stays
//! beyond that: until the pass over the readers is through, and for readers between two
//! polls for [`POLL_MS`] after their last answer. A reader whose socket is full does not
//! keep up, and is told a gap where the history is too short for it. How much is kept so
//! is counted here; that publishers wait for it is the server's business. Called by
//! `archive` alone.

use std::collections::VecDeque;

use crate::base::names::Offset;
use crate::base::slots::{Key, Slots};

use super::channel::{Channel, Spared};
use super::session::{Rest, Session};

/// For so long after an answer a session that polls is waited for.
pub const POLL_MS: u64 = 2_000;

/// So long publishers wait for sessions that poll, before these lose something.
pub const WAIT_MS: u64 = 1_000;

/// So long they are not waited for after that: who polls slowly on purpose holds
/// publishers up for a tenth of the time at most.
const PAUSE_MS: u64 = 9 * WAIT_MS;

/// The channels that keep more than their rule says.
#[derive(Default)]
pub struct Sparing {
    /// Each of them once, with when it is to be looked at.
    channels: VecDeque<(u64, Key<Channel>)>,
    bytes: usize,
    /// Since when too much is kept for those who poll.
    full_since_ms: Option<u64>,
    /// Nobody who polls is waited for before this.
    paused_until_ms: u64,
}

impl Sparing {
    /// How many bytes are kept beyond all rules.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When [`Sparing::take_due`] has something, on the monotonic clock.
    pub fn next_ms(&self) -> Option<u64> {
        let front = self.channels.front().map(|(at_ms, _)| *at_ms);
        let full = self.full_since_ms.map(|since_ms| since_ms + WAIT_MS);
        front.into_iter().chain(full).min()
    }

    /// The channels that are to be looked at now.
    pub fn take_due(&mut self, now_ms: u64, channels: &mut Slots<Channel>) -> Vec<Key<Channel>> {
        if self.full_since_ms.is_some_and(|ms| ms + WAIT_MS <= now_ms) {
            self.full_since_ms = None;
            self.paused_until_ms = now_ms + PAUSE_MS;
        }
        let mut due = Vec::new();
        while let Some(&(at_ms, key)) = self.channels.front()
            && (at_ms <= now_ms || self.is_paused(now_ms))
        {
            self.channels.pop_front();
            if let Some(channel) = channels.get_mut(key) {
                channel.spared.is_noted = false;
                due.push(key);
            }
        }
        due
    }

    /// Somebody who polls has come: the channel is looked at as soon as may be.
    pub fn hurry(&mut self, key: Key<Channel>, spared: &mut Spared) {
        if spared.bytes > 0 && spared.until_ms > 0 {
            (spared.until_ms, spared.is_noted) = (0, true);
            self.channels.push_front((0, key));
        }
    }

    /// Whether those who poll are not waited for.
    pub fn is_paused(&self, now_ms: u64) -> bool {
        now_ms < self.paused_until_ms
    }

    /// The channel keeps so many bytes beyond its rule. It is looked at again after a
    /// while, unless a pass over its readers ends before. As long as all channels keep
    /// more than `most`, publishers wait.
    pub fn set(
        &mut self,
        now_ms: u64,
        key: Key<Channel>,
        spared: &mut Spared,
        bytes: usize,
        most: usize,
    ) {
        let before = std::mem::replace(&mut spared.bytes, bytes);
        self.bytes = self.bytes + bytes - before;
        if bytes > 0 && !spared.is_noted {
            spared.is_noted = true;
            self.channels.push_back((now_ms + POLL_MS, key));
        }
        match self.bytes > most {
            true => _ = self.full_since_ms.get_or_insert(now_ms),
            false => self.full_since_ms = None,
        }
    }

    /// The channel is gone.
    pub fn forget(&mut self, channel: &Channel) {
        self.bytes -= channel.spared.bytes;
    }
}

/// The first offset that a session between two polls has yet to read, as far as `channel`
/// has such readers, and until when they are waited for.
pub fn first_polled(
    channel: &Channel,
    sessions: &Slots<Session>,
    session_ttl_ms: u64,
    now_ms: u64,
) -> (Offset, u64) {
    let asleep = channel.readers()[channel.awake() as usize..].iter();
    let waited_for = asleep.filter_map(|reader| {
        let (_, session) = sessions.at(reader.session)?;
        let until_ms = polls_until_ms(session, session_ttl_ms)?;
        let subscription = session.subscriptions.get(reader.subscription as usize)?;
        (until_ms > now_ms).then_some((subscription.cursor, until_ms))
    });
    waited_for.fold((channel.log.next(), 0), |(from, until_ms), (cursor, ms)| {
        let first = match until_ms {
            0 => ms,
            _ => ms.min(until_ms),
        };
        (from.min(cursor), first)
    })
}

/// Until when a session is waited for that was answered a poll.
fn polls_until_ms(session: &Session, session_ttl_ms: u64) -> Option<u64> {
    match session.rest() {
        Rest::Asleep { ends_ms } if session.answered => {
            Some((ends_ms + POLL_MS).saturating_sub(session_ttl_ms))
        }
        _ => None,
    }
}
