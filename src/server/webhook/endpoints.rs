//! The addresses of the app: resolved when needed, tried in turn.
//!
//! Asks for one resolution at a time and resolves nothing itself. A name may
//! have several addresses of which only some work (`localhost` is `::1` and
//! `127.0.0.1`, and many an app listens on one): the one that worked last is
//! tried first. Called by `Webhook`.

use std::net::{IpAddr, SocketAddr};

/// More addresses than that of one name are not tried: each costs a connect timeout.
const ADDRESSES_MAX: usize = 16;

/// What is known of where the app is.
pub struct Addresses {
    host: String,
    port: u16,
    /// The host is an address itself; there is nothing to resolve.
    literal: bool,
    /// Empty: not known.
    known: Vec<SocketAddr>,
    resolving: bool,
}

impl Addresses {
    /// The addresses of `host` (a name, or an IPv4 or IPv6 address, brackets allowed).
    pub fn new(host: &str, port: u16) -> Addresses {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let literal = bare.parse::<IpAddr>().ok();
        Addresses {
            host: bare.to_owned(),
            port,
            literal: literal.is_some(),
            known: literal
                .into_iter()
                .map(|ip| SocketAddr::new(ip, port))
                .collect(),
            resolving: false,
        }
    }

    /// All known addresses, the one that worked last first. Empty: resolve first.
    pub fn in_turn(&self) -> Vec<SocketAddr> {
        self.known.clone()
    }

    /// Whether there is an address to try.
    pub fn is_known(&self) -> bool {
        !self.known.is_empty()
    }

    /// Host and port to resolve, if they are not being resolved already.
    pub fn ask(&mut self) -> Option<(String, u16)> {
        if self.resolving || self.is_known() {
            return None;
        }
        self.resolving = true;
        Some((self.host.clone(), self.port))
    }

    /// The outcome of the resolution that was asked for. False if it gave no address.
    pub fn resolved(&mut self, mut addresses: Vec<SocketAddr>) -> bool {
        self.resolving = false;
        if self.literal {
            return true;
        }
        addresses.truncate(ADDRESSES_MAX);
        self.known = addresses;
        self.is_known()
    }

    /// `address` took a connection: it is tried first from now on.
    pub fn worked(&mut self, address: SocketAddr) {
        if let Some(index) = self.known.iter().position(|&known| known == address) {
            self.known[..=index].rotate_right(1);
        }
    }

    /// None took a connection: the name may have moved, so it is resolved anew.
    pub fn all_failed(&mut self) {
        if !self.literal {
            self.known.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_resolved_once_at_a_time_and_anew_when_all_failed() {
        let mut addresses = Addresses::new("app.example", 80);
        assert_eq!(addresses.ask(), Some(("app.example".into(), 80)));
        assert_eq!(addresses.ask(), None);
        assert!(!addresses.resolved(vec![]));
        assert!(addresses.ask().is_some());
        assert!(addresses.resolved(vec![address("192.0.2.1:80")]));
        assert_eq!(addresses.ask(), None);
        addresses.all_failed();
        assert!(addresses.in_turn().is_empty());
        assert!(addresses.ask().is_some());
    }

    #[test]
    fn the_one_that_worked_comes_first_and_the_others_keep_their_order() {
        let [a, b, c] = ["192.0.2.1:1", "192.0.2.2:1", "[::1]:1"].map(address);
        let mut addresses = Addresses::new("app.example", 1);
        addresses.resolved(vec![a, b, c]);
        addresses.worked(c);
        assert_eq!(addresses.in_turn(), [c, a, b]);
        addresses.worked(address("192.0.2.9:1"));
        assert_eq!(addresses.in_turn(), [c, a, b]);
    }

    #[test]
    fn a_literal_needs_no_resolution() {
        for (host, expected) in [
            ("127.0.0.1", "127.0.0.1:7"),
            ("::1", "[::1]:7"),
            ("[::1]", "[::1]:7"),
        ] {
            let mut addresses = Addresses::new(host, 7);
            assert_eq!(addresses.ask(), None);
            addresses.all_failed();
            assert_eq!(addresses.in_turn(), [address(expected)]);
        }
    }
}
