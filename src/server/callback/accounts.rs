//! What each address has of the relay: messages queued, exchanges under way, and
//! sessions whose turn it may be.
//!
//! Of those that wait for a lane, the address with the fewest exchanges is next;
//! of several, the one that has waited longest. So an address that hangs or sends
//! much takes its own share, whatever the number of its sessions. This machine
//! itself (no address) may be a proxy that nobody named: it has no share of the
//! queue, and its sessions are limited each by itself. Called by `queue`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::limits::CallbackLimits;
use crate::base::address::{AddressKey, SiteKey};
use crate::base::names::SessionId;

/// Whose a message counts as; none is this machine itself.
pub type Owner = Option<AddressKey>;

/// The place of a session among those that wait for a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    pub owner: Owner,
    pub number: u64,
    pub session: SessionId,
}

#[derive(Default)]
struct Account {
    messages: usize,
    bytes: usize,
    /// Exchanges under way, those that hang included.
    out: usize,
    turns: BTreeMap<u64, SessionId>,
}

impl Account {
    /// Its place among those that wait for a lane, if it does.
    fn place(&self) -> Option<(usize, u64)> {
        let (&first, _) = self.turns.first_key_value()?;
        Some((self.out, first))
    }

    fn is_empty(&self) -> bool {
        self.messages == 0 && self.out == 0 && self.turns.is_empty()
    }
}

/// What the networks of one IPv6 /48 have together: whoever has one has 65,536 addresses.
#[derive(Default)]
struct Site {
    messages: usize,
    bytes: usize,
    out: usize,
}

/// A /48 may have as much of the queue as so many addresses: half of it.
const SITE_SHARES: usize = 5;

/// All accounts. Nothing is kept of an address that has nothing.
pub struct Accounts {
    messages_max: usize,
    bytes_max: usize,
    lanes: usize,
    half_of_lanes: usize,
    accounts: HashMap<Owner, Account>,
    sites: HashMap<SiteKey, Site>,
    ready: BTreeSet<(usize, u64, Owner)>,
}

impl Accounts {
    /// Nobody has anything.
    pub fn new(limits: &CallbackLimits) -> Accounts {
        Accounts {
            messages_max: limits.address_messages(),
            bytes_max: limits.address_bytes(),
            lanes: limits.lanes.max(1),
            half_of_lanes: limits.half_of_lanes(),
            accounts: HashMap::new(),
            sites: HashMap::new(),
            ready: BTreeSet::new(),
        }
    }

    /// Whether a message of so many bytes is within the share of `owner`. The
    /// only message of an address is, however long.
    pub fn has_room(&self, owner: Owner, bytes: usize) -> bool {
        if owner.is_none() {
            return true;
        }
        if self.site(owner).is_some_and(|site| {
            site.messages >= SITE_SHARES * self.messages_max
                || site.bytes + bytes > SITE_SHARES * self.bytes_max
        }) {
            return false;
        }
        self.accounts.get(&owner).is_none_or(|account| {
            account.messages == 0
                || (account.messages < self.messages_max && account.bytes + bytes <= self.bytes_max)
        })
    }

    fn site(&self, owner: Owner) -> Option<&Site> {
        self.sites.get(&owner?.site()?)
    }

    /// Changes what the /48 of `owner` has, if it is of one.
    fn change_site(&mut self, owner: Owner, change: impl FnOnce(&mut Site)) {
        let Some(key) = owner.and_then(AddressKey::site) else {
            return;
        };
        let site = self.sites.entry(key).or_default();
        change(site);
        if site.messages + site.out == 0 {
            self.sites.remove(&key);
        }
    }

    /// Exchanges of `owner` that are under way.
    pub fn out(&self, owner: Owner) -> usize {
        self.accounts.get(&owner).map_or(0, |account| account.out)
    }

    /// Whether a session waits for nothing but a lane.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The sessions that may be next, best first: one of each address, and
    /// `depth` of this machine, each of which may be another's. Not those of an
    /// address whose exchanges, those that hang included, are as many as half of
    /// the lanes, or as all lanes if nobody else is there.
    pub fn turns(&self, depth: usize) -> impl Iterator<Item = Turn> {
        let most = match self.accounts.len() {
            ..=1 => self.lanes,
            _ => self.half_of_lanes,
        };
        let may = move |&&(out, _, owner): &&(usize, u64, Owner)| {
            let out = self.site(owner).map_or(out, |site| site.out);
            owner.is_none() || out < most
        };
        self.ready
            .iter()
            .filter(may)
            .flat_map(move |&(_, _, owner)| {
                let depth = if owner.is_none() { depth } else { 1 };
                let account = self.accounts.get(&owner);
                let turns = account.into_iter().flat_map(|account| &account.turns);
                turns.take(depth).map(move |(&number, &session)| Turn {
                    owner,
                    number,
                    session,
                })
            })
    }

    /// One more message is queued.
    pub fn add_message(&mut self, owner: Owner, bytes: usize) {
        self.change_site(owner, |site| {
            site.messages += 1;
            site.bytes += bytes;
        });
        self.change(owner, |account| {
            account.messages += 1;
            account.bytes += bytes;
        });
    }

    /// A message has left the queue.
    pub fn remove_message(&mut self, owner: Owner, bytes: usize) {
        self.change_site(owner, |site| {
            site.messages -= 1;
            site.bytes -= bytes;
        });
        self.change(owner, |account| {
            account.messages -= 1;
            account.bytes -= bytes;
        });
    }

    /// A session waits for a lane.
    pub fn add_turn(&mut self, turn: Turn) {
        self.change(turn.owner, |account| {
            account.turns.insert(turn.number, turn.session);
        });
    }

    /// It does so no longer.
    pub fn remove_turn(&mut self, owner: Owner, number: u64) {
        self.change(owner, |account| {
            account.turns.remove(&number);
        });
    }

    /// An exchange begins: it is this session's turn.
    pub fn begin(&mut self, turn: Turn) {
        self.change_site(turn.owner, |site| site.out += 1);
        self.change(turn.owner, |account| {
            account.turns.remove(&turn.number);
            account.out += 1;
        });
    }

    /// An exchange is over.
    pub fn end(&mut self, owner: Owner) {
        self.change_site(owner, |site| site.out -= 1);
        self.change(owner, |account| account.out -= 1);
    }

    /// Whether nobody has anything.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.ready.is_empty()
    }

    fn change(&mut self, owner: Owner, change: impl FnOnce(&mut Account)) {
        let account = self.accounts.entry(owner).or_default();
        let before = account.place();
        change(account);
        let (after, empty) = (account.place(), account.is_empty());
        if before != after {
            if let Some((out, turn)) = before {
                self.ready.remove(&(out, turn, owner));
            }
            if let Some((out, turn)) = after {
                self.ready.insert((out, turn, owner));
            }
        }
        if empty {
            self.accounts.remove(&owner);
        }
    }
}
