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
use crate::base::shares::{SITE_SHARES, Shares};

use super::values::HubLimits;

/// An address with this many sessions is a crowd.
pub const CROWD: usize = 16;

/// So many of the largest crowds are told apart.
const TOLD_APART: usize = 32;

/// What each address holds.
pub struct Holdings {
    sessions: Shares,
    /// Sessions that count for no address.
    exempt: usize,
    /// The addresses with many sessions, by the power of two that those reach: an entry
    /// moves seldom, and the order is good enough to choose by.
    crowds: BTreeSet<(u32, Option<AddressKey>)>,
    /// Subscriptions, but for those that come with each session.
    pub subscriptions: Shares,
    /// Channels that an address alone reads.
    pub channels: Shares,
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

    /// How much of a crowd `address` is: the sessions that it has, or its part of those of
    /// its /48, of which each network may have few.
    pub fn crowd_of(&self, address: Option<AddressKey>) -> usize {
        let of_site = address.map_or(0, |address| self.sessions.of_site(address) / SITE_SHARES);
        self.sessions_of(address).max(of_site)
    }

    /// Whether one more session of `address` is within its share.
    pub fn has_room_for_session(&self, address: Option<AddressKey>) -> bool {
        address.is_none_or(|address| self.sessions.room(address) > 0)
    }

    /// Those with the most sessions, the first first.
    pub fn crowds(&self) -> SmallVec<[Option<AddressKey>; TOLD_APART]> {
        let largest = self.crowds.iter().rev().take(TOLD_APART);
        let mut largest: SmallVec<[_; TOLD_APART]> = largest.map(|(_, address)| *address).collect();
        largest.sort_by_key(|address| Reverse(self.sessions_of(*address)));
        largest
    }

    /// Whether nobody holds anything.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        let shares = [&self.sessions, &self.subscriptions, &self.channels];
        self.exempt == 0 && self.crowds.is_empty() && shares.iter().all(|shares| shares.is_empty())
    }

    fn change(&mut self, address: Option<AddressKey>, step: impl FnOnce(&mut Holdings)) {
        let before = rank(self.sessions_of(address));
        step(self);
        let after = rank(self.sessions_of(address));
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.crowds.remove(&(before, address));
        }
        if let Some(after) = after {
            self.crowds.insert((after, address));
        }
    }
}

/// How large a crowd of so many sessions is, roughly; `None` if it is none.
fn rank(sessions: usize) -> Option<u32> {
    (sessions >= CROWD).then(|| sessions.ilog2())
}
