//! Whose peers are counted together: the key of an address.
//!
//! One customer usually has one IPv4 address, or one IPv6 /64 (RFC 6177). Many can
//! get a whole /48 for nothing, so what counts addresses also counts by
//! [`AddressKey::site`]. It does not say whose address a request is of: the server
//! knows its proxies. Called by the server, and by the hub, which counts by it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;

/// An IPv4 address, or the first half of an IPv6 one, in eight bytes. The two
/// cannot meet: no host has an IPv6 address that begins with 32 zero bits
/// (RFC 4291, 2.4 and 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressKey(NonZeroU64);

/// The /48 that an IPv6 /64 is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteKey(u64);

impl AddressKey {
    /// The first in their order.
    pub const LEAST: AddressKey = AddressKey(NonZeroU64::MIN);

    /// Who came through a proxy that does not say from where in a way that can be read: all
    /// of them together. No host has this address (RFC 791, 3.2: "this network").
    pub const NAMELESS: AddressKey = AddressKey(NonZeroU64::MIN);

    /// The key of `address`; none for addresses that no host has.
    pub fn of(address: IpAddr) -> Option<AddressKey> {
        let bits = match address.to_canonical() {
            IpAddr::V4(address) => u64::from(u32::from(address)),
            IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
        };
        NonZeroU64::new(bits).map(AddressKey)
    }

    /// The key as a number, never 0.
    pub fn to_u64(self) -> u64 {
        self.0.get()
    }

    /// The key that [`AddressKey::to_u64`] gave; none for 0.
    pub fn from_u64(number: u64) -> Option<AddressKey> {
        NonZeroU64::new(number).map(AddressKey)
    }

    /// The /48 around an IPv6 /64; none for IPv4.
    pub fn site(self) -> Option<SiteKey> {
        let bits = self.0.get();
        (bits > u64::from(u32::MAX)).then_some(SiteKey(bits >> 16))
    }

    /// What stands for everybody who is counted together: the first /64 of the /48,
    /// or an IPv4 address itself.
    pub fn party(self) -> AddressKey {
        match self.site() {
            Some(SiteKey(bits)) => NonZeroU64::new(bits << 16).map_or(self, AddressKey),
            None => self,
        }
    }
}

impl fmt::Display for AddressKey {
    /// The address, of IPv6 the network.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.0.get()) {
            Ok(_) if *self == AddressKey::NAMELESS => f.write_str("nameless"),
            Ok(bits) => Ipv4Addr::from(bits).fmt(f),
            Err(_) => write!(f, "{}/64", Ipv6Addr::from(u128::from(self.0.get()) << 64)),
        }
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
        assert_eq!(AddressKey::NAMELESS.to_string(), "nameless");
        assert_eq!(key("192.0.2.1").unwrap().to_string(), "192.0.2.1");
        assert_eq!(key("2001:db8::1").unwrap().to_string(), "2001:db8::/64");
        assert_eq!(size_of::<Option<AddressKey>>(), 8);
        let number = key("2001:db8::1").map_or(0, AddressKey::to_u64);
        assert_eq!(AddressKey::from_u64(number), key("2001:db8::1"));
    }

    #[test]
    fn a_site_is_the_first_48_bits_of_ipv6() {
        let site = |text| key(text).and_then(AddressKey::site);
        assert_eq!(site("192.0.2.1"), None);
        assert_eq!(site("2001:db8:7::1"), site("2001:db8:7:ffff::1"));
        assert_ne!(site("2001:db8:7::1"), site("2001:db8:8::1"));
        let party = |text| key(text).map(AddressKey::party);
        assert_eq!(party("192.0.2.1"), key("192.0.2.1"));
        assert_eq!(party("2001:db8:7:ffff::1"), key("2001:db8:7::1"));
        assert_eq!(
            party("2001:db8:7::1").and_then(AddressKey::site),
            site("2001:db8:7::1")
        );
    }
}
