//! A channel: its log, and who reads it.
//!
//! The readers stand in one dense vector, those with a stream attached in
//! front. So a pass over the readers never meets a sleeping session, and
//! joining, leaving, waking and falling asleep each swap at most two places.
//! Knows nothing of sessions beyond their slot. Called by the hub alone.

use std::sync::Arc;

use crate::base::address::AddressKey;
use crate::base::names::{Epoch, Moment, Offset, Since};

use super::log::Log;
use super::readership::Readership;

/// One reader: the session's slot, and which of its subscriptions this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    pub session: u32,
    pub subscription: u32,
}

/// A reader that now stands in another place and has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    pub reader: Reader,
    pub place: u32,
}

/// What a log keeps beyond its rule, for readers between two polls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spared {
    /// None of them has yet to read anything before this.
    pub from: Offset,
    /// Until then it is known so; 0 when there was none of them.
    pub until_ms: u64,
    /// About how much is kept beyond the rule, for them and for a pass that is under way.
    pub bytes: usize,
    /// It stands in the queue of channels that keep more than their rule says.
    pub is_noted: bool,
}

/// A channel. It lives as long as it has readers or something in its log, or is kept.
#[derive(Debug)]
pub struct Channel {
    pub name: Arc<str>,
    pub epoch: Epoch,
    pub log: Log,
    /// The session's own channel: its messages go to one session.
    pub direct: bool,
    /// The number of the rule that says how long and how much it keeps.
    pub rule: u8,
    /// Waiting for a pass over its readers.
    pub dirty: bool,
    /// Its oldest publication stands in the hub's queue of ages.
    pub aging: bool,
    /// Somebody was told where it stands: it is not forgotten before this time,
    /// unless the room is needed for another.
    pub promised_until_ms: Option<u64>,
    /// Every reader whose socket keeps up was given what is before this.
    pub passed: Offset,
    /// Whom it is kept for beyond its rule.
    pub spared: Spared,
    /// It stands in the hub's queue of channels that nobody reads.
    pub resting: bool,
    /// How many publications the server had accepted when it was last read, or asked for.
    pub touched: u64,
    /// Whether its readers count against the shares of their addresses. `/all` and
    /// a session's own channel come with each session, and do not.
    pub counted: bool,
    /// Whose readers it has, if it is counted.
    pub readership: Readership,
    /// The address of one of its readers, as a rule the first, that it counts for where
    /// there are nearly too many channels.
    pub opener: Option<AddressKey>,
    readers: Vec<Reader>,
    awake: u32,
}

impl Channel {
    /// An empty channel.
    pub fn new(name: Arc<str>, epoch: Epoch, direct: bool) -> Channel {
        Channel {
            name,
            epoch,
            log: Log::default(),
            direct,
            rule: 0,
            dirty: false,
            aging: false,
            promised_until_ms: None,
            passed: 1,
            spared: Spared::default(),
            resting: false,
            touched: 0,
            counted: false,
            readership: Readership::Nobody,
            opener: None,
            readers: Vec::new(),
            awake: 0,
        }
    }

    /// How many sessions read it, asleep or awake.
    pub fn len(&self) -> usize {
        self.readers.len()
    }

    /// Whether nobody reads it.
    pub fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    /// How many readers are awake; they stand at places below this.
    pub fn awake(&self) -> u32 {
        self.awake
    }

    /// All of them, in the order of their places.
    pub fn readers(&self) -> &[Reader] {
        &self.readers
    }

    /// The first offset that a reader who keeps up may not have been given yet.
    pub fn unread(&self) -> Offset {
        match self.awake {
            0 => self.log.next(),
            _ => self.passed,
        }
    }

    /// By how many publications accepted it was last of use to anybody.
    pub fn last_used(&self) -> u64 {
        self.touched.max(self.log.last_sequence())
    }

    /// The first offset behind `since`; `None` if something behind that may be gone.
    /// `present` is the server's own moment.
    pub fn behind(&self, since: Since, present: Moment) -> Option<Offset> {
        match since {
            Since::Position(position) => {
                let wanted = position.offset.saturating_add(1);
                let held = self.log.first()..=self.log.next();
                (position.epoch == self.epoch && held.contains(&wanted)).then_some(wanted)
            }
            Since::Moment(moment) => {
                let known = moment.life == present.life && moment.sequence <= present.sequence;
                let whole = known && self.log.lost() <= moment.sequence;
                whole.then(|| self.log.behind(moment.sequence))
            }
        }
    }

    /// Those that are awake, in the order of their places.
    pub fn awake_readers(&self) -> &[Reader] {
        &self.readers[..self.awake as usize]
    }

    /// Who stands at `place`.
    pub fn reader(&self, place: u32) -> Reader {
        self.readers[place as usize]
    }

    /// Adds a sleeping reader and returns its place.
    pub fn join(&mut self, reader: Reader) -> u32 {
        self.readers.push(reader);
        (self.readers.len() - 1) as u32
    }

    /// Removes the (sleeping) reader at `place`.
    pub fn leave(&mut self, place: u32) -> Option<Moved> {
        assert!(
            place >= self.awake,
            "a reader falls asleep before it leaves"
        );
        self.readers.swap_remove(place as usize);
        let reader = *self.readers.get(place as usize)?;
        Some(Moved { reader, place })
    }

    /// Moves the reader at `place` in front. Returns its new place and who made room.
    pub fn wake(&mut self, place: u32) -> (u32, Option<Moved>) {
        if place < self.awake {
            return (place, None);
        }
        let to = self.awake;
        self.awake += 1;
        (to, self.swap(place, to))
    }

    /// Moves the reader at `place` behind those that are awake.
    pub fn sleep(&mut self, place: u32) -> (u32, Option<Moved>) {
        if place >= self.awake {
            return (place, None);
        }
        self.awake -= 1;
        let to = self.awake;
        (to, self.swap(place, to))
    }

    /// The subscription of the reader at `place` is now `subscription`.
    pub fn renumber(&mut self, place: u32, subscription: u32) {
        self.readers[place as usize].subscription = subscription;
    }

    fn swap(&mut self, from: u32, to: u32) -> Option<Moved> {
        if from == to {
            return None;
        }
        self.readers.swap(from as usize, to as usize);
        Some(Moved {
            reader: self.readers[from as usize],
            place: from,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_awake_stand_in_front_through_every_move() {
        let mut channel = Channel::new("c".into(), Epoch::from_random(1), false);
        let mut places: Vec<u32> = (0..6)
            .map(|session| {
                channel.join(Reader {
                    session,
                    subscription: 0,
                })
            })
            .collect();
        let mut awake = [false; 6];
        for step in [3usize, 1, 5, 3, 0, 1, 2, 5, 4, 0, 3] {
            let (to, moved) = if awake[step] {
                channel.sleep(places[step])
            } else {
                channel.wake(places[step])
            };
            awake[step] = !awake[step];
            places[step] = to;
            if let Some(moved) = moved {
                places[moved.reader.session as usize] = moved.place;
            }
            for session in 0..6 {
                assert_eq!(channel.reader(places[session]).session, session as u32);
                assert_eq!(places[session] < channel.awake(), awake[session]);
            }
        }
    }
}
