//! What each address holds of the hub: sessions, subscriptions, channels.
//!
//! Counts only. It also knows the addresses with many sessions, so that room is made at
//! the cost of those when there are too many in all; whose session goes is chosen in
//! `newcomers`. Sessions that count for no address have no shares, and are counted
//! together. Called by the hub alone.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use smallvec::SmallVec;

use crate::base::address::AddressKey;
use crate::base::shares::Shares;

use super::values::HubLimits;

/// A party with this many sessions is a crowd.
pub const CROWD: usize = 16;

/// So many of the largest crowds are told apart.
const TOLD_APART: usize = 32;

/// What each address holds.
pub struct Holdings {
    sessions: Shares,
    /// Sessions that count for no address.
    exempt: usize,
    /// The parties with many sessions (an IPv6 /48 is one), by the power of two that those
    /// reach: an entry moves seldom, and the order is good enough to choose by.
    crowds: BTreeSet<(u32, Option<AddressKey>)>,
    /// Subscriptions, but for those that come with each session.
    pub subscriptions: Shares,
    /// Channels that an address alone reads.
    pub channels: Shares,
    /// Channels that are read and have this opener. There is no share of them: who has
    /// the most opens no others when there is little room.
    pub opened: Shares,
}

impl Holdings {
    /// Nobody holds anything.
    pub fn new(limits: &HubLimits) -> Holdings {
        Holdings {
            sessions: Shares::new(limits.sessions_per_address),
            exempt: 0,
            crowds: BTreeSet::new(),
            subscriptions: Shares::new(limits.subscriptions_per_address),
            channels: Shares::new(limits.channels_per_address()),
            opened: Shares::new(usize::MAX),
        }
    }

    /// A session of `address` came.
    pub fn session_came(&mut self, address: Option<AddressKey>) {
        self.change(address, |holdings| match address {
            Some(address) => holdings.sessions.count(address, 1),
            None => holdings.exempt += 1,
        });
    }

    /// A session of `address` went.
    pub fn session_went(&mut self, address: Option<AddressKey>) {
        self.change(address, |holdings| match address {
            Some(address) => holdings.sessions.give_back(address, 1),
            None => holdings.exempt -= 1,
        });
    }

    /// How many sessions count for `address`.
    pub fn sessions_of(&self, address: Option<AddressKey>) -> usize {
        address.map_or(self.exempt, |address| self.sessions.of(address))
    }

    /// How many sessions count for the party of `address`.
    pub fn sessions_of_party(&self, address: Option<AddressKey>) -> usize {
        address.map_or(self.exempt, |address| self.sessions.of_party(address))
    }

    /// Whether one more session of `address` is within its share.
    pub fn has_room_for_session(&self, address: Option<AddressKey>) -> bool {
        address.is_none_or(|address| self.sessions.room(address) > 0)
    }

    /// The parties with the most sessions, the first first.
    pub fn crowds(&self) -> SmallVec<[Option<AddressKey>; TOLD_APART]> {
        let largest = self.crowds.iter().rev().take(TOLD_APART);
        let mut largest: SmallVec<[_; TOLD_APART]> = largest.map(|(_, address)| *address).collect();
        largest.sort_by_key(|party| Reverse(self.sessions_of_party(*party)));
        largest
    }

    /// How many entries there are of sessions, subscriptions and channels.
    pub fn entries(&self) -> [usize; 3] {
        let sessions = self.sessions.entries() + self.exempt + self.crowds.len();
        [
            sessions,
            self.subscriptions.entries(),
            self.channels.entries(),
        ]
    }

    /// Whether nobody holds anything.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        let shares = [
            &self.sessions,
            &self.subscriptions,
            &self.channels,
            &self.opened,
        ];
        self.exempt == 0 && self.crowds.is_empty() && shares.iter().all(|shares| shares.is_empty())
    }

    fn change(&mut self, address: Option<AddressKey>, step: impl FnOnce(&mut Holdings)) {
        let before = rank(self.sessions_of_party(address));
        step(self);
        let after = rank(self.sessions_of_party(address));
        if before == after {
            return;
        }
        let party = address.map(AddressKey::party);
        if let Some(before) = before {
            self.crowds.remove(&(before, party));
        }
        if let Some(after) = after {
            self.crowds.insert((after, party));
        }
    }
}

/// How large a crowd of so many sessions is, roughly; `None` if it is none.
fn rank(sessions: usize) -> Option<u32> {
    (sessions >= CROWD).then(|| sessions.ilog2())
}
