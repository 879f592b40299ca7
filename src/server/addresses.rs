//! How many connections each address has.
//!
//! The address is that of whoever is really there: behind a proxy that is
//! trusted, the one it passes requests on for. This machine itself is not
//! counted, and of an IPv6 address the first 64 bits are, which one customer
//! has for himself. Called by the server when connections come and go, and by
//! the router for requests through proxies.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU64;

use crate::config::Config;
use crate::wire::forwarded::{self, Network};
use crate::wire::http::Request;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Tcp(SocketAddr),
    /// Through the Unix socket.
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => address.ip().to_canonical().fmt(f),
            Peer::Unix => write!(f, "unix"),
        }
    }
}

impl Peer {
    /// Whether the peer came over the loopback interface. A Unix socket is
    /// there for a proxy, which speaks for anybody.
    pub fn is_loopback(self) -> bool {
        match self {
            Peer::Unix => false,
            Peer::Tcp(address) => address.ip().to_canonical().is_loopback(),
        }
    }
}

/// Whose connections are counted together, in eight bytes: an IPv4 address, or
/// the first half of an IPv6 one. The two cannot meet: no host has an IPv6
/// address that begins with 32 zero bits (RFC 4291, 2.4 and 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressKey(NonZeroU64);

impl fmt::Display for AddressKey {
    /// The address, of IPv6 the network.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.0.get()) {
            Ok(bits) => Ipv4Addr::from(bits).fmt(f),
            Err(_) => write!(f, "{}/64", Ipv6Addr::from(u128::from(self.0.get()) << 64)),
        }
    }
}

impl AddressKey {
    /// The key of `address`; none for addresses that no host has.
    pub fn of(address: IpAddr) -> Option<AddressKey> {
        let bits = match address.to_canonical() {
            IpAddr::V4(address) => u64::from(u32::from(address)),
            IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
        };
        NonZeroU64::new(bits).map(AddressKey)
    }
}

/// The addresses that have connections, and how many. Nothing is kept of others.
pub struct Addresses {
    most: u32,
    trusted: Vec<Network>,
    counts: HashMap<AddressKey, u32>,
}

impl Addresses {
    /// No connections yet, with the limits of `config`.
    pub fn new(config: &Config) -> Addresses {
        let trusted = config.trusted_proxies.iter();
        Addresses {
            most: u32::try_from(config.connections_per_address_max).unwrap_or(u32::MAX),
            trusted: trusted.filter_map(|text| Network::parse(text)).collect(),
            counts: HashMap::new(),
        }
    }

    /// Whether what the peer says about whose requests it passes on is believed.
    pub fn is_proxy(&self, peer: Peer) -> bool {
        match peer {
            // The socket's file is there for a proxy alone.
            Peer::Unix => true,
            Peer::Tcp(address) => self.is_trusted(address.ip()),
        }
    }

    /// Whom a new connection counts for; nobody if its peer is this machine, or
    /// a proxy, of whose requests each may be another's.
    pub fn of_peer(&self, peer: Peer) -> Option<AddressKey> {
        match peer {
            Peer::Tcp(address) if !peer.is_loopback() && !self.is_proxy(peer) => {
                AddressKey::of(address.ip())
            }
            Peer::Tcp(_) | Peer::Unix => None,
        }
    }

    /// Whom a request of a proxy counts for; nobody if it names no address, or
    /// this machine's.
    pub fn of_request(&self, peer: Peer, request: &Request<'_>) -> Option<AddressKey> {
        if !self.is_proxy(peer) {
            return None;
        }
        let client = forwarded::client(&request.headers, |address| self.is_trusted(address))?;
        AddressKey::of(client).filter(|_| !client.is_loopback())
    }

    /// Counts one more for `key`; false, and not counted, if it has as many as it may.
    pub fn enter(&mut self, key: AddressKey) -> bool {
        let count = self.counts.entry(key).or_insert(0);
        if *count >= self.most {
            return false;
        }
        *count += 1;
        true
    }

    /// One of `key` is gone.
    pub fn leave(&mut self, key: AddressKey) {
        if let Some(count) = self.counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&key);
            }
        }
        // A crowd that left leaves no room behind.
        if self.counts.capacity() > 64 && self.counts.len() < self.counts.capacity() / 8 {
            self.counts.shrink_to(2 * self.counts.len());
        }
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Option<AddressKey> {
        AddressKey::of(text.parse().unwrap())
    }

    #[test]
    fn one_customer_is_one_address() {
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1:2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!((key("0.0.0.0"), key("::1")), (None, None));
        assert_eq!(key("192.0.2.1").unwrap().to_string(), "192.0.2.1");
        assert_eq!(key("2001:db8::1").unwrap().to_string(), "2001:db8::/64");
        assert_eq!(size_of::<Option<AddressKey>>(), 8);
    }

    #[test]
    fn who_leaves_is_forgotten() {
        let config = Config {
            connections_per_address_max: 2,
            ..Config::default()
        };
        let mut addresses = Addresses::new(&config);
        let one = key("192.0.2.1").unwrap();
        assert!(addresses.enter(one) && addresses.enter(one));
        assert!(!addresses.enter(one));
        addresses.leave(one);
        assert!(addresses.enter(one));
        let others = 1..5_000u32;
        for number in others.clone() {
            assert!(addresses.enter(AddressKey(NonZeroU64::from(
                std::num::NonZeroU32::new(number).unwrap()
            ))));
        }
        for number in others {
            let key = AddressKey::of(IpAddr::from(number.to_be_bytes())).unwrap();
            addresses.leave(key);
        }
        assert_eq!(addresses.counts.len(), 1);
        assert!(addresses.counts.capacity() < 200);
    }
}
