//! Whose session goes when there are too many.
//!
//! A session that never had a stream or a poll costs its client one request, so
//! it is the first to go: each address has a queue of those, oldest first. Entries
//! of sessions that ended or got a stream are dropped when they come up, and a queue
//! with many of them is cleaned. Sessions of WebSockets never stand in one. Called by
//! the hub alone, which ends who is chosen.

use std::collections::{BTreeMap, VecDeque};

use crate::base::address::AddressKey;
use crate::base::slots::Slots;

use super::holdings::{CROWD, Holdings};
use super::session::{Rest, Session, SessionKey};
use super::values::{HubError, HubLimits};

/// How many places of the session table are looked at for one newcomer.
const LOOKED_AT: u32 = 512;

/// How many sessions that may go are compared.
const COMPARED: usize = 32;

/// Entries beyond twice the sessions of an address, at which its queue is cleaned.
const SLACK: usize = 4;

/// The sessions that never had a stream, and where the last look ended.
#[derive(Default)]
pub struct Newcomers {
    /// Those of one IPv6 /48 stand side by side.
    queues: BTreeMap<Option<AddressKey>, VecDeque<SessionKey>>,
    hand: u32,
    /// Sessions that were chosen so far.
    chosen: u64,
}

impl Newcomers {
    /// The session came, without a stream, and counts for `address`.
    pub fn push(
        &mut self,
        address: Option<AddressKey>,
        key: SessionKey,
        sessions: &Slots<Session>,
        holdings: &Holdings,
    ) {
        self.queues.entry(address).or_default().push_back(key);
        self.clean(address, sessions, holdings);
    }

    /// Sessions that went for others so far.
    pub fn chosen(&self) -> u64 {
        self.chosen
    }

    /// Who has to go before a session of `address` can come; nobody if there is room.
    ///
    /// # Errors
    /// There is no room, in the share of the address or in all, and none may go.
    pub fn make_room(
        &mut self,
        address: Option<AddressKey>,
        sessions: &Slots<Session>,
        holdings: &Holdings,
        limits: &HubLimits,
    ) -> Result<Option<SessionKey>, HubError> {
        let (goes, full) = if !holdings.has_room_for_session(address) {
            let full = HubError::TooManySessionsOfAddress(limits.sessions_per_address);
            let of_address = self.take_oldest(address, sessions);
            let goes = of_address.or_else(|| self.take_one_of_site(address, sessions));
            (goes, full)
        } else if sessions.len() >= limits.sessions {
            let full = HubError::TooManySessions(limits.sessions);
            (self.choose(address, sessions, holdings), full)
        } else {
            return Ok(None);
        };
        self.chosen += u64::from(goes.is_some());
        goes.map(Some).ok_or(full)
    }

    /// Cleans the queue of an address, if too many of its entries are of no use. To be
    /// called whenever it has a session less.
    pub fn clean(
        &mut self,
        address: Option<AddressKey>,
        sessions: &Slots<Session>,
        holdings: &Holdings,
    ) {
        let Some(queue) = self.queues.get_mut(&address) else {
            return;
        };
        let held = holdings.sessions_of(address);
        if held > 0 && queue.len() <= 2 * held + SLACK {
            return;
        }
        queue.retain(|&key| waits(sessions, key, address));
        if queue.is_empty() {
            self.queues.remove(&address);
        } else if queue.capacity() > 4 * queue.len() + 64 {
            queue.shrink_to(2 * queue.len());
        }
    }

    /// The oldest session of `address` that never had a stream, out of its queue.
    fn take_oldest(
        &mut self,
        address: Option<AddressKey>,
        sessions: &Slots<Session>,
    ) -> Option<SessionKey> {
        let queue = self.queues.get_mut(&address)?;
        while let Some(key) = queue.pop_front() {
            if waits(sessions, key, address) {
                return Some(key);
            }
        }
        self.queues.remove(&address);
        None
    }

    /// One that never had a stream, of the IPv6 /48 of `address`.
    fn take_one_of_site(
        &mut self,
        address: Option<AddressKey>,
        sessions: &Slots<Session>,
    ) -> Option<SessionKey> {
        let party = address?.party();
        let site = party.site()?;
        loop {
            let (&next, _) = self.queues.range(Some(party)..).next()?;
            if next?.site() != Some(site) {
                return None;
            }
            // A queue that is of no use is gone after this.
            if let Some(key) = self.take_oldest(next, sessions) {
                return Some(key);
            }
        }
    }

    /// Who goes for a newcomer of `address` when there are too many in all: of the
    /// party with the most sessions the oldest that never had a stream, or, of an IPv6
    /// /48, that of one of its networks. If the largest have none: one that never had a
    /// stream, or else one that sleeps, of a party with many more sessions than the
    /// newcomer's.
    fn choose(
        &mut self,
        address: Option<AddressKey>,
        sessions: &Slots<Session>,
        holdings: &Holdings,
    ) -> Option<SessionKey> {
        let crowds = holdings.crowds();
        let mut crowds = crowds.iter();
        let oldest = crowds.find_map(|party| {
            let of_address = self.take_oldest(*party, sessions);
            of_address.or_else(|| self.take_one_of_site(*party, sessions))
        });
        oldest.or_else(|| self.look_around(address, sessions, holdings))
    }

    fn look_around(
        &mut self,
        address: Option<AddressKey>,
        sessions: &Slots<Session>,
        holdings: &Holdings,
    ) -> Option<SessionKey> {
        let enough = CROWD.max(2 * (holdings.sessions_of_party(address) + 1));
        let (mut best, mut compared) = (None, 0);
        for _ in 0..LOOKED_AT.min(sessions.width()) {
            self.hand = (self.hand + 1) % sessions.width();
            let Some((key, session)) = sessions.at(self.hand) else {
                continue;
            };
            let Rest::Asleep { ends_ms } = session.rest() else {
                continue;
            };
            let held = holdings.sessions_of_party(session.address);
            if session.had_stream && held < enough {
                continue;
            }
            let merit = (session.had_stream, usize::MAX - held, ends_ms);
            if best.is_none_or(|(least, _)| merit < least) {
                best = Some((merit, key));
            }
            compared += 1;
            if compared == COMPARED {
                break;
            }
        }
        best.map(|(_, key)| key)
    }

    /// Entries in all queues, of use or not.
    pub fn len(&self) -> usize {
        self.queues.values().map(VecDeque::len).sum()
    }
}

/// Whether the session is there, counts for `address`, and never had a stream.
fn waits(sessions: &Slots<Session>, key: SessionKey, address: Option<AddressKey>) -> bool {
    let session = sessions.get(key);
    session.is_some_and(|session| !session.had_stream && session.address == address)
}
