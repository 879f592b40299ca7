//! Channels that are kept because somebody was told where they stand.
//!
//! Whoever asks where a channel stands is told a position to go on from later.
//! So the channel has to live until then, with its epoch and its count, though nobody
//! may read it meanwhile. It is kept for as long as a publication would be: behind that
//! nothing could be recovered anyway. Where there are too many channels it goes all the
//! same, and whoever comes with the position is told of the loss. Called by the hub alone.

use crate::base::slots::{Key, Slots};
use crate::base::timers::Timers;

use super::channel::Channel;

/// When the channels that are kept may go. One entry for each of them.
#[derive(Default)]
pub struct Promises {
    ends: Timers<Key<Channel>>,
}

impl Promises {
    /// Keeps `channel` until `until_ms` at least.
    pub fn make(&mut self, until_ms: u64, key: Key<Channel>, channel: &mut Channel) {
        match channel.promised_until_ms.replace(until_ms) {
            None => self.ends.set(until_ms, key),
            // Its entry is put right when it comes up.
            Some(before_ms) => channel.promised_until_ms = Some(before_ms.max(until_ms)),
        }
    }

    /// The channels that are not kept any longer, some at a time; `None` when
    /// there are none. Each may be idle.
    pub fn take_lapsed(
        &mut self,
        now_ms: u64,
        channels: &mut Slots<Channel>,
    ) -> Option<Vec<Key<Channel>>> {
        let mut due = self.ends.take_due(now_ms)?;
        due.retain(|&key| {
            let Some(channel) = channels.get_mut(key) else {
                return false;
            };
            match channel.promised_until_ms {
                Some(until_ms) if until_ms > now_ms => {
                    self.ends.set(until_ms, key);
                    false
                }
                _ => {
                    channel.promised_until_ms = None;
                    true
                }
            }
        });
        Some(due)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// When the next one may lapse, on the monotonic clock.
    pub fn next_ms(&self) -> Option<u64> {
        self.ends.next_ms()
    }
}
