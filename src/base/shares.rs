//! How much each address has of something that is limited.
//!
//! One counter for an address, and one for an IPv6 /48, which may have as much as
//! [`SITE_SHARES`] addresses: whoever rents one machine gets 65,536 networks of 64
//! bits with it. Nothing is kept of addresses that have nothing. It does not say what
//! follows when a share is used up. Called by whoever holds the limited thing.

use std::collections::HashMap;
use std::hash::Hash;

use super::address::{AddressKey, SiteKey};

/// How many shares the networks of one IPv6 /48 have together.
pub const SITE_SHARES: usize = 16;

/// Maps with room for fewer entries than this never give any back.
const ROOM_KEPT: usize = 64;

/// What each address has, in units of the caller's.
pub struct Shares {
    most: usize,
    most_of_site: usize,
    addresses: HashMap<AddressKey, usize>,
    sites: HashMap<SiteKey, usize>,
}

impl Shares {
    /// Nobody has anything; an address may have `most`.
    pub fn new(most: usize) -> Shares {
        Shares::within(most, usize::MAX)
    }

    /// As [`Shares::new`]; and a /48 may have `most_of_site`, if that is less than its 16
    /// shares.
    pub fn within(most: usize, most_of_site: usize) -> Shares {
        Shares {
            most,
            most_of_site: most.saturating_mul(SITE_SHARES).min(most_of_site),
            addresses: HashMap::new(),
            sites: HashMap::new(),
        }
    }

    /// Counts `amount` more for `key`; false, and nothing is counted, if its share or that
    /// of its /48 does not have room for it.
    pub fn take(&mut self, key: AddressKey, amount: usize) -> bool {
        let fits = self.room(key) >= amount;
        if fits {
            self.count(key, amount);
        }
        fits
    }

    /// Counts `amount` more for `key`, whether there is room or not.
    pub fn count(&mut self, key: AddressKey, amount: usize) {
        if amount > 0 {
            *self.addresses.entry(key).or_insert(0) += amount;
            if let Some(site) = key.site() {
                *self.sites.entry(site).or_insert(0) += amount;
            }
        }
    }

    /// `key` has `amount` less than before.
    pub fn give_back(&mut self, key: AddressKey, amount: usize) {
        subtract(&mut self.addresses, key, amount);
        if let Some(site) = key.site() {
            subtract(&mut self.sites, site, amount);
        }
    }

    /// What `key` has.
    pub fn of(&self, key: AddressKey) -> usize {
        self.addresses.get(&key).copied().unwrap_or(0)
    }

    /// What everybody has who is counted together with `key`: its /48, or itself alone.
    pub fn of_party(&self, key: AddressKey) -> usize {
        match key.site() {
            Some(site) => self.sites.get(&site).copied().unwrap_or(0),
            None => self.of(key),
        }
    }

    /// How much more `key` may take.
    pub fn room(&self, key: AddressKey) -> usize {
        let own = self.most.saturating_sub(self.of(key));
        match key.site() {
            Some(_) => own.min(self.most_of_site.saturating_sub(self.of_party(key))),
            None => own,
        }
    }

    /// How many addresses have anything.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// How many entries it keeps, those of each /48 included.
    pub fn entries(&self) -> usize {
        self.addresses.len() + self.sites.len()
    }

    /// Whether nobody has anything.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.sites.is_empty()
    }
}

fn subtract<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: K, amount: usize) {
    if let Some(count) = counts.get_mut(&key) {
        debug_assert!(*count >= amount, "more is given back than was taken");
        *count = count.saturating_sub(amount);
        if *count == 0 {
            counts.remove(&key);
        }
    }
    // A crowd that left leaves no room behind.
    if counts.capacity() > ROOM_KEPT && counts.len() < counts.capacity() / 8 {
        counts.shrink_to(2 * counts.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn key(text: &str) -> AddressKey {
        AddressKey::of(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn shares_are_limited_by_address_and_given_back() {
        let mut shares = Shares::new(3);
        let (one, other) = (key("192.0.2.1"), key("192.0.2.2"));
        assert!(shares.take(one, 2));
        assert!(!shares.take(one, 2));
        assert!(shares.take(other, 3));
        assert_eq!((shares.of(one), shares.room(one)), (2, 1));
        shares.give_back(one, 2);
        assert!(shares.take(one, 3));
        shares.give_back(one, 3);
        shares.give_back(other, 3);
        assert!(shares.is_empty());
    }

    #[test]
    fn a_48_has_sixteen_shares() {
        let mut shares = Shares::new(10);
        let network = |number: usize| key(&format!("2001:db8:7:{number:x}::1"));
        for number in 1..=16 {
            assert!(shares.take(network(number), 10), "{number}");
        }
        assert!(!shares.take(network(17), 1));
        assert!(shares.take(key("2001:db8:8::1"), 10));
        shares.give_back(network(3), 4);
        assert!(shares.take(network(17), 4));
        assert_eq!(shares.of_party(network(99)), 160);
        assert_eq!(shares.of_party(key("192.0.2.1")), 0);
        assert!(!shares.take(network(18), 1));
    }

    #[test]
    fn a_crowd_that_left_leaves_no_room_behind() {
        let mut shares = Shares::new(1);
        let keys = || (1..5_000u32).filter_map(|n| AddressKey::of(IpAddr::from(n.to_be_bytes())));
        keys().for_each(|key| assert!(shares.take(key, 1)));
        keys().for_each(|key| shares.give_back(key, 1));
        assert!(shares.is_empty() && shares.addresses.capacity() < 200);
    }
}
