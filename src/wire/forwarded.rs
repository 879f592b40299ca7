//! Whose request a proxy passes on: `X-Forwarded-For` and `Forwarded`.
//!
//! Each proxy adds the address of its own peer at the right end, so the fields
//! are read from the right, as far as those who wrote are trusted; what stands
//! further left anybody may have made up. Called by the server, and by `config`
//! to judge `trusted_proxies`.

use std::net::IpAddr;

use super::http::Headers;

/// Addresses that begin alike: `10.0.0.0/8`, `fd00::/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many of the first bits count.
    bits: u8,
}

impl Network {
    /// The network that `text` spells, in CIDR notation (RFC 4632, 3.1); `None` if it spells none.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => most,
        };
        (bits <= most).then_some(Network { address, bits })
    }

    /// Whether `address` is in it. An IPv4 address is one in either spelling.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

/// Whom a request was passed on for, as the proxies say that are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// They say nothing of it, or name trusted proxies alone.
    Unsaid,
    /// The last address that is none of a trusted proxy itself.
    Named(IpAddr),
    /// In its place stands no address, or the two fields name different ones.
    Nameless,
}

/// Whom a trusted proxy passed the request on for. A proxy adds to one of the two fields,
/// as a rule, and passes on what a visitor has put in the other: of two that differ,
/// nobody can tell which is made up, so neither is believed.
pub fn client(headers: &Headers<'_>, is_trusted: impl Fn(IpAddr) -> bool) -> Client {
    let common: Vec<&str> = headers.get_all("X-Forwarded-For").collect();
    let standard: Vec<&str> = headers.get_all("Forwarded").collect();
    match (
        last(&common, &is_trusted, whole),
        last(&standard, &is_trusted, node),
    ) {
        (Client::Unsaid, said) | (said, Client::Unsaid) => said,
        (one, other) if one == other => one,
        _ => Client::Nameless,
    }
}

/// The client by one of the fields; `node` finds in an element who is named, if one is.
fn last(
    values: &[&str],
    is_trusted: impl Fn(IpAddr) -> bool,
    node: impl Fn(&str) -> Option<&str>,
) -> Client {
    let elements = values.iter().rev().flat_map(|value| value.rsplit(','));
    for element in elements {
        let Some(node) = node(element.trim()) else {
            return Client::Unsaid;
        };
        match address(node) {
            None => return Client::Nameless,
            Some(address) if is_trusted(address) => {}
            Some(address) => return Client::Named(address),
        }
    }
    Client::Unsaid
}

/// An element of `X-Forwarded-For` is the node.
fn whole(element: &str) -> Option<&str> {
    Some(element)
}

/// The node of `for=` in an element of `Forwarded` (RFC 7239, 4 and 5.2).
fn node(element: &str) -> Option<&str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.rfind(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    Some(value.trim().trim_matches('"'))
}

/// An address as proxies write it: alone, in brackets, or with a port (RFC 7239, 6).
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let host = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => text.split_once(':')?.0,
    };
    let address: IpAddr = host.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::super::http::{Decoded, RequestDecoder};
    use super::*;

    #[test]
    fn networks_contain_what_begins_alike() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1", "::1", "::2"),
            ("0.0.0.0/0", "1.2.3.4", "::1"),
        ] {
            let network = Network::parse(network).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{outside}");
        }
        for text in [
            "",
            "10",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "::/129",
            "a/8",
            "1.2.3.4:80",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    fn client_of(fields: &str) -> Option<String> {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut decoder = RequestDecoder::default();
        let decoded = decoder.decode(text.as_bytes(), &Default::default());
        let Ok(Decoded::Request { request, .. }) = decoded else {
            panic!("a request: {fields:?}");
        };
        let own = Network::parse("10.0.0.0/8").unwrap();
        match client(&request.headers, |address| own.contains(address)) {
            Client::Unsaid => None,
            Client::Nameless => Some("nameless".to_owned()),
            Client::Named(address) => Some(address.to_string()),
        }
    }

    #[test]
    fn the_last_who_is_no_proxy_of_ours_is_the_client() {
        for (fields, found) in [
            ("", None),
            ("X-Forwarded-For: 1.2.3.4\r\n", Some("1.2.3.4")),
            ("X-Forwarded-For: 9.9.9.9, 1.2.3.4\r\n", Some("1.2.3.4")),
            (
                "X-Forwarded-For: 9.9.9.9,1.2.3.4 , 10.0.0.7\r\n",
                Some("1.2.3.4"),
            ),
            (
                "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 1.2.3.4\r\n",
                Some("1.2.3.4"),
            ),
            ("X-Forwarded-For: 1.2.3.4:555\r\n", Some("1.2.3.4")),
            ("X-Forwarded-For: ::ffff:1.2.3.4\r\n", Some("1.2.3.4")),
            ("X-Forwarded-For: 2001:db8::1\r\n", Some("2001:db8::1")),
            (
                "X-Forwarded-For: [2001:db8::1]:555\r\n",
                Some("2001:db8::1"),
            ),
            ("X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n", None),
            ("X-Forwarded-For: 1.2.3.4, nonsense\r\n", Some("nameless")),
            ("X-Forwarded-For: 1.2.3.4, unknown\r\n", Some("nameless")),
            ("X-Forwarded-For: 1.2.3.4,\r\n", Some("nameless")),
            ("Forwarded: for=1.2.3.4;proto=http\r\n", Some("1.2.3.4")),
            (
                "Forwarded: for=9.9.9.9, proto=https; For=\"[2001:db8::1]:55\", for=10.0.0.1\r\n",
                Some("2001:db8::1"),
            ),
            ("Forwarded: for=_hidden\r\n", Some("nameless")),
            ("Forwarded: proto=https;host=a\r\n", None),
            // One of them the visitor may have made up.
            (
                "Forwarded: for=9.9.9.9\r\nX-Forwarded-For: 1.2.3.4\r\n",
                Some("nameless"),
            ),
            (
                "X-Forwarded-For: nonsense\r\nForwarded: for=9.9.9.9\r\n",
                Some("nameless"),
            ),
            (
                "Forwarded: for=8.8.8.8, for=1.2.3.4\r\nX-Forwarded-For: 9.9.9.9, 1.2.3.4\r\n",
                Some("1.2.3.4"),
            ),
            (
                "Forwarded: proto=https\r\nX-Forwarded-For: 1.2.3.4\r\n",
                Some("1.2.3.4"),
            ),
            (
                "Forwarded: for=1.2.3.4\r\nX-Forwarded-For: 10.0.0.1\r\n",
                Some("1.2.3.4"),
            ),
        ] {
            assert_eq!(client_of(fields).as_deref(), found, "{fields}");
        }
    }
}
