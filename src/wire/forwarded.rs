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

/// The address that a trusted proxy passed the request on for: the last one that
/// is none of a trusted proxy itself. `None` if there is none, or what stands
/// in its place is no address.
pub fn client(headers: &Headers<'_>, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let common: Vec<&str> = headers.get_all("X-Forwarded-For").collect();
    if !common.is_empty() {
        return last(&common, is_trusted, address);
    }
    let standard: Vec<&str> = headers.get_all("Forwarded").collect();
    last(&standard, is_trusted, |element| address(node(element)?))
}

fn last(
    values: &[&str],
    is_trusted: impl Fn(IpAddr) -> bool,
    read: impl Fn(&str) -> Option<IpAddr>,
) -> Option<IpAddr> {
    let elements = values.iter().rev().flat_map(|value| value.rsplit(','));
    for element in elements {
        let address = read(element.trim())?;
        if !is_trusted(address) {
            return Some(address);
        }
    }
    None
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
        client(&request.headers, |address| own.contains(address)).map(|ip| ip.to_string())
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
            ("X-Forwarded-For: 1.2.3.4, nonsense\r\n", None),
            ("X-Forwarded-For: 1.2.3.4, unknown\r\n", None),
            ("X-Forwarded-For: 1.2.3.4,\r\n", None),
            ("Forwarded: for=1.2.3.4;proto=http\r\n", Some("1.2.3.4")),
            (
                "Forwarded: for=9.9.9.9, proto=https; For=\"[2001:db8::1]:55\", for=10.0.0.1\r\n",
                Some("2001:db8::1"),
            ),
            ("Forwarded: for=_hidden\r\n", None),
            (
                "Forwarded: for=9.9.9.9\r\nX-Forwarded-For: 1.2.3.4\r\n",
                Some("1.2.3.4"),
            ),
        ] {
            assert_eq!(client_of(fields).as_deref(), found, "{fields}");
        }
    }
}
