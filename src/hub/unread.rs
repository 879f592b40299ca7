//! The channels that nobody reads, by when they were last of use.
//!
//! They are kept for those who come back, for as long as there is room: when there
//! are too many channels the one goes that was longest neither published to nor read.
//! There is one entry for each of them, under the time as it was when the entry was
//! made, counted in publications; it is put right when it comes up. Called by the hub alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::base::slots::{Key, Slots};

use super::channel::Channel;

/// Entries beyond twice the channels there are, at which those of no use are dropped.
const SLACK: usize = 64;

/// The queue.
#[derive(Default)]
pub struct Unread {
    entries: BinaryHeap<Reverse<(u64, Key<Channel>)>>,
}

impl Unread {
    /// Nobody reads the channel any more, or yet.
    pub fn note(&mut self, key: Key<Channel>, channels: &mut Slots<Channel>) {
        if let Some(channel) = channels.get_mut(key)
            && !channel.resting
            && channel.is_empty()
        {
            channel.resting = true;
            self.entries.push(Reverse((channel.last_used(), key)));
        }
        if self.entries.len() > 2 * channels.len() + SLACK {
            self.entries
                .retain(|Reverse((_, key))| match channels.get_mut(*key) {
                    Some(channel) => {
                        channel.resting = channel.is_empty();
                        channel.resting
                    }
                    None => false,
                });
            self.entries.shrink_to(2 * self.entries.len() + SLACK);
        }
    }

    /// The one that was of no use for longest; it has to go, for it is out of the queue.
    pub fn take_oldest(&mut self, channels: &mut Slots<Channel>) -> Option<Key<Channel>> {
        while let Some(Reverse((noted, key))) = self.entries.pop() {
            let Some(channel) = channels.get_mut(key) else {
                continue;
            };
            channel.resting = channel.is_empty();
            let last_used = channel.last_used();
            if channel.resting && last_used == noted {
                return Some(key);
            }
            if channel.resting {
                self.entries.push(Reverse((last_used, key)));
            }
        }
        None
    }

    /// Entries, of use or not.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}
