//! How much memory the connections hold of one kind, and which has to give it back.
//!
//! A limit for all together, and a share of it for each address, so that what one
//! holds is at nobody else's cost. It holds no bytes and closes nothing: it is told
//! what each connection holds, and names the one that has to go. Called by the server.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash};

use super::address::{AddressKey, SiteKey};
use super::key_map::KeyMap;

/// How many shares the whole has.
pub const SHARES: usize = 16;

/// How many of them the connections have that count for no address: those of this
/// machine, and of proxies that name nobody. They are many peers in one; the other
/// half is left for everybody else.
pub const OWN_SHARES: usize = SHARES / 2;

/// Maps with room for fewer entries than this never give any back.
const ROOM_KEPT: usize = 64;

/// Whose a connection is: an address, or none.
type Owner = Option<AddressKey>;

/// Who pays when the whole is used up: a /48 of IPv6 as one, since its 65,536
/// networks are one customer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Payer {
    Own,
    Address(AddressKey),
    Site(SiteKey),
}

impl Payer {
    fn of(owner: Owner) -> Payer {
        match owner {
            None => Payer::Own,
            Some(key) => key.site().map_or(Payer::Address(key), Payer::Site),
        }
    }

    /// How much `bytes` are for it, measured by its shares.
    fn weight(self, bytes: usize) -> usize {
        match self {
            Payer::Own => bytes.div_ceil(OWN_SHARES),
            Payer::Address(_) | Payer::Site(_) => bytes,
        }
    }
}

/// A connection that has to go, since it is the largest of whoever has too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    pub holder: u64,
    /// The limit that was passed, in bytes: a share, or the whole.
    pub limit_bytes: usize,
}

/// What each connection holds, each address, and all together. Connections are words
/// of the caller's. Nothing is kept of those that hold nothing.
pub struct Holdings {
    total_max: usize,
    share_max: usize,
    total: usize,
    holders: KeyMap<u64, (Owner, usize)>,
    owners: HashMap<Owner, usize>,
    payers: HashMap<Payer, usize>,
    /// Holders by owner and size, owners by payer and size, payers by weight.
    holder_order: BTreeSet<(Owner, usize, u64)>,
    owner_order: BTreeSet<(Payer, usize, Owner)>,
    payer_order: BTreeSet<(usize, Payer)>,
    /// Owners that hold more than their share.
    over: BTreeSet<Owner>,
}

impl Holdings {
    /// Nobody holds anything. All may hold `total_max` bytes, and an address a sixteenth
    /// of it, but never less than `share_min`: what a single connection may need.
    pub fn new(total_max: usize, share_min: usize) -> Holdings {
        let share_max = (total_max / SHARES).max(share_min);
        Holdings {
            total_max: total_max.max(share_max),
            share_max,
            total: 0,
            holders: KeyMap::default(),
            owners: HashMap::new(),
            payers: HashMap::new(),
            holder_order: BTreeSet::new(),
            owner_order: BTreeSet::new(),
            payer_order: BTreeSet::new(),
            over: BTreeSet::new(),
        }
    }

    /// From now on `holder`, which is `owner`'s, holds `bytes`.
    pub fn set(&mut self, holder: u64, owner: Option<AddressKey>, bytes: usize) {
        let before = match bytes {
            0 => self.holders.remove(&holder),
            _ => self.holders.insert(holder, (owner, bytes)),
        };
        if bytes > 0 && before == Some((owner, bytes)) {
            return;
        }
        if let Some((owner, bytes)) = before {
            self.holder_order.remove(&(owner, bytes, holder));
            self.change(owner, |held| held.saturating_sub(bytes));
        }
        if bytes > 0 {
            self.holder_order.insert((owner, bytes, holder));
            self.change(owner, |held| held + bytes);
        }
        shrink(&mut self.holders);
    }

    fn change(&mut self, owner: Owner, to: impl Fn(usize) -> usize) {
        self.total = to(self.total);
        let payer = Payer::of(owner);
        let (before, after) = alter(&mut self.owners, owner, &to);
        self.owner_order.remove(&(payer, before, owner));
        if after > 0 {
            self.owner_order.insert((payer, after, owner));
        }
        if after > self.share_of(owner) {
            self.over.insert(owner);
        } else if before > self.share_of(owner) {
            self.over.remove(&owner);
        }
        let (before, after) = alter(&mut self.payers, payer, &to);
        self.payer_order.remove(&(payer.weight(before), payer));
        if after > 0 {
            self.payer_order.insert((payer.weight(after), payer));
        }
    }

    /// The connection that has to go first: the largest of an address that has more than
    /// its share; or, while all have more than the whole, the largest of the address
    /// that has the most. `None` when nobody has too much.
    #[inline]
    pub fn excess(&self) -> Option<Excess> {
        // Asked after every call of the server: nearly always the answer.
        if self.over.is_empty() && self.total <= self.total_max {
            return None;
        }
        self.find_excess()
    }

    fn find_excess(&self) -> Option<Excess> {
        let (owner, limit_bytes) = match self.over.first() {
            Some(&owner) => (owner, self.share_of(owner)),
            None => (self.richest()?, self.total_max),
        };
        let held = self.holder_order.range(..=(owner, usize::MAX, u64::MAX));
        let holder = held.last().filter(|(of, ..)| *of == owner)?.2;
        Some(Excess {
            holder,
            limit_bytes,
        })
    }

    /// The owner that holds the most of the payer that holds the most.
    fn richest(&self) -> Option<Owner> {
        let payer = self.payer_order.last()?.1;
        let owners = self.owner_order.range(..=(payer, usize::MAX, None));
        Some(owners.last()?.2)
    }

    fn share_of(&self, owner: Owner) -> usize {
        match owner {
            Some(_) => self.share_max,
            None => self.share_max.max(self.total_max / SHARES * OWN_SHARES),
        }
    }

    /// What `holder` holds, in bytes.
    pub fn of(&self, holder: u64) -> usize {
        self.holders.get(&holder).map_or(0, |(_, bytes)| *bytes)
    }

    /// What all hold together, in bytes.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Whether nobody holds anything.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.owners.is_empty() && self.payers.is_empty()
    }

    /// How many entries it keeps, in all its tables.
    pub fn entries(&self) -> usize {
        let orders = self.holder_order.len() + self.owner_order.len() + self.payer_order.len();
        self.holders.len() + self.owners.len() + self.payers.len() + orders + self.over.len()
    }
}

/// Changes the amount of `key`; what it was, and what it is. Nothing is kept of a 0.
fn alter<K: Hash + Eq>(
    amounts: &mut HashMap<K, usize>,
    key: K,
    to: impl Fn(usize) -> usize,
) -> (usize, usize) {
    let before = amounts.get(&key).copied().unwrap_or(0);
    let after = to(before);
    if after == 0 {
        amounts.remove(&key);
        shrink(amounts);
    } else {
        amounts.insert(key, after);
    }
    (before, after)
}

/// A crowd that left leaves no room behind.
fn shrink<K: Hash + Eq, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    if map.capacity() > ROOM_KEPT && map.len() < map.capacity() / 8 {
        map.shrink_to(2 * map.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Option<AddressKey> {
        AddressKey::of(text.parse().unwrap())
    }

    fn excess(holdings: &Holdings) -> Option<(u64, usize)> {
        let excess = holdings.excess()?;
        Some((excess.holder, excess.limit_bytes))
    }

    #[test]
    fn who_has_more_than_a_share_gives_back_the_largest() {
        let mut holdings = Holdings::new(1_600, 10);
        holdings.set(1, key("192.0.2.1"), 60);
        holdings.set(2, key("192.0.2.1"), 30);
        holdings.set(3, key("192.0.2.2"), 100);
        holdings.set(4, None, 700);
        assert_eq!(excess(&holdings), None);
        holdings.set(2, key("192.0.2.1"), 41);
        assert_eq!(excess(&holdings), Some((1, 100)));
        holdings.set(2, key("192.0.2.1"), 61);
        assert_eq!(excess(&holdings), Some((2, 100)));
        // It turns out to be another's.
        holdings.set(2, key("192.0.2.3"), 61);
        assert_eq!((excess(&holdings), holdings.total()), (None, 921));
        holdings.set(4, None, 801);
        assert_eq!(excess(&holdings), Some((4, 800)));
        for holder in 1..=4 {
            holdings.set(holder, None, 0);
        }
        assert!(holdings.is_empty() && holdings.total() == 0);
        assert!(holdings.holder_order.is_empty() && holdings.owner_order.is_empty());
        assert!(holdings.payer_order.is_empty() && holdings.over.is_empty());
    }

    #[test]
    fn who_has_the_most_pays_for_the_whole() {
        let mut holdings = Holdings::new(1_600, 10);
        for number in 1..=16u64 {
            holdings.set(number, key(&format!("192.0.2.{number}")), 90);
        }
        holdings.set(100, None, 160);
        assert_eq!(excess(&holdings), None);
        // Eight times the share: what this machine holds weighs less.
        holdings.set(100, None, 200);
        assert_eq!(excess(&holdings), Some((16, 1_600)));
        holdings.set(7, key("192.0.2.7"), 91);
        assert_eq!(excess(&holdings), Some((7, 1_600)));
        // Networks of one /48 are one customer, however many they are.
        holdings.set(7, key("192.0.2.7"), 0);
        for number in 0..30u64 {
            holdings.set(200 + number, key(&format!("2001:db8:7:{number}::1")), 4);
        }
        holdings.set(230, key("2001:db8:7:31::1"), 5);
        assert_eq!(excess(&holdings), Some((230, 1_600)));
    }

    #[test]
    fn a_share_is_never_less_than_one_connection_may_need() {
        let mut holdings = Holdings::new(100, 1_000);
        holdings.set(1, key("192.0.2.1"), 1_000);
        assert_eq!(excess(&holdings), None);
        holdings.set(1, key("192.0.2.1"), 1_001);
        assert_eq!(excess(&holdings), Some((1, 1_000)));
    }
}
