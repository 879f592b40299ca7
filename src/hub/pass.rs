//! Which readers are owed a look after something was published.
//!
//! A channel that got a publication is dirty. A pass goes over the awake
//! readers of each dirty channel, and can stop anywhere and go on in the next
//! turn. It goes from the last place to the first, because leaving and falling
//! asleep fill a place from the end: whoever is moved by that has been met
//! already, so nobody is missed. The channels that are dirty when a round begins
//! are that round; what is published meanwhile is for the next one. Called by the
//! hub alone.

use std::collections::VecDeque;

use crate::base::names::Offset;
use crate::base::slots::{Key, Slots};

use super::channel::{Channel, Reader};

/// What a pass comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This reader of the channel in the slot is to be looked at.
    Reader(u32, Reader),
    /// All readers of the channel were looked at.
    Passed(Key<Channel>),
}

/// The dirty channels, and where the pass over the first of them stands.
#[derive(Debug, Default)]
pub struct Pass {
    dirty: VecDeque<u32>,
    channel: Option<u32>,
    /// Places below this have not been met.
    place: u32,
    /// Where the channel's log ended when the pass over it began.
    to: Offset,
    /// Bytes published since the round began.
    backlog_bytes: usize,
    /// Channels of the round that have not had their turn.
    round: usize,
}

impl Pass {
    /// Marks the channel in slot `index`, which got a publication of so many
    /// bytes: its readers are met once more.
    pub fn mark(&mut self, index: u32, channel: &mut Channel, bytes: usize) {
        if self.is_through() {
            self.backlog_bytes = 0;
        }
        self.backlog_bytes += bytes;
        if channel.awake() == 0 {
            channel.passed = channel.log.next();
        } else if !channel.dirty {
            channel.dirty = true;
            self.dirty.push_back(index);
        }
    }

    /// How many bytes were published since the round that is under way began;
    /// 0 if none is. No reader that takes what it is given is behind by more
    /// than this and what came in the round before.
    pub fn backlog_bytes(&self) -> usize {
        if self.is_through() {
            return 0;
        }
        self.backlog_bytes
    }

    /// Who is met next, up to `count` of one channel; nobody is met by that.
    pub fn upcoming<'c>(
        &self,
        channels: &'c Slots<Channel>,
        count: usize,
    ) -> impl Iterator<Item = Reader> + use<'c> {
        let (index, place) = match self.channel {
            Some(index) if self.place > 0 => (Some(index), self.place as usize),
            _ => (self.dirty.front().copied(), usize::MAX),
        };
        let channel = index.and_then(|index| channels.at(index));
        let readers = channel.map_or(&[][..], |(_, channel)| channel.awake_readers());
        let to_come = &readers[..place.min(readers.len())];
        to_come.iter().rev().take(count).copied()
    }

    fn is_through(&self) -> bool {
        self.channel.is_none() && self.dirty.is_empty()
    }

    /// What comes next; `None` when all passes are through.
    pub fn next(&mut self, channels: &mut Slots<Channel>) -> Option<Step> {
        loop {
            let Some(index) = self.channel else {
                if self.round == 0 {
                    self.round = self.dirty.len();
                    self.backlog_bytes = 0;
                }
                self.round = self.round.saturating_sub(1);
                let index = self.dirty.pop_front()?;
                let Some(channel) = channels.at_mut(index) else {
                    continue;
                };
                // From here on a publication asks for a pass of its own.
                channel.dirty = false;
                self.channel = Some(index);
                self.place = channel.awake();
                self.to = channel.log.next();
                continue;
            };
            let awake = channels.at(index).map_or(0, |(_, channel)| channel.awake());
            self.place = self.place.min(awake);
            if self.place == 0 {
                self.channel = None;
                let Some((key, channel)) = channels.entry_mut(index) else {
                    continue;
                };
                // Of a channel that took the slot meanwhile it may be too much.
                channel.passed = channel.passed.max(self.to.min(channel.log.next()));
                return Some(Step::Passed(key));
            }
            self.place -= 1;
            let (_, channel) = channels.at(index)?;
            return Some(Step::Reader(index, channel.reader(self.place)));
        }
    }
}
