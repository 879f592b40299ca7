//! How many connections each address has.
//!
//! The address is that of whoever is really there: behind a proxy that is
//! trusted, the one it passes requests on for. This machine itself is not
//! counted, and of an IPv6 address the first 64 bits are, which one customer
//! has for himself. Called by the server when connections come and go, and by
//! the router for requests through proxies.

use std::net::IpAddr;

use crate::base::address::AddressKey;
use crate::base::shares::Shares;
use crate::config::Config;
use crate::wire::forwarded::{self, Client, Network};
use crate::wire::http::Request;

use crate::server::connection::peer::Peer;

/// How many connections each address has, and which peers are proxies.
pub struct Addresses {
    trusted: Vec<Network>,
    connections: Shares,
}

/// So many of all connections may be one address': a part of 4, where the system has files
/// for few. A /48 may have half.
const PARTS: usize = 4;

/// The most connections of one address.
pub fn share(config: &Config) -> usize {
    let part = (config.connections_max / PARTS).max(1);
    config.connections_per_address_max.min(part)
}

impl Addresses {
    /// No connections yet, with the limits of `config`.
    pub fn new(config: &Config) -> Addresses {
        let trusted = config.trusted_proxies.iter();
        Addresses {
            trusted: trusted.filter_map(|text| Network::parse(text)).collect(),
            connections: Shares::within(share(config), (config.connections_max / 2).max(1)),
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

    /// The address for which a proxy passes the request on; `None` if the peer is
    /// no proxy that is trusted, or names no address.
    pub fn client(&self, peer: Peer, request: &Request<'_>) -> Option<IpAddr> {
        if !self.is_proxy(peer) {
            return None;
        }
        match self.forwarded(request) {
            Client::Named(address) => Some(address),
            Client::Unsaid | Client::Nameless => None,
        }
    }

    fn forwarded(&self, request: &Request<'_>) -> Client {
        forwarded::client(&request.headers, |address| self.is_trusted(address))
    }

    /// Whom a request of a proxy that is trusted counts for; nobody if it says nothing of
    /// that, or names this machine. All whose address cannot be read have one share together.
    pub fn of_proxied(&self, request: &Request<'_>) -> Option<AddressKey> {
        match self.forwarded(request) {
            Client::Unsaid => None,
            Client::Named(address) if address.is_loopback() => None,
            Client::Named(address) => Some(AddressKey::of(address).unwrap_or(AddressKey::NAMELESS)),
            Client::Nameless => Some(AddressKey::NAMELESS),
        }
    }

    /// Counts one more connection for `key`; false, and not counted, if it has as
    /// many as it may.
    pub fn enter(&mut self, key: AddressKey) -> bool {
        self.connections.take(key, 1)
    }

    /// A connection of `key` is gone.
    pub fn leave(&mut self, key: AddressKey) {
        self.connections.give_back(key, 1);
    }

    /// How many entries there are, those of each /48 included.
    pub fn entries(&self) -> usize {
        self.connections.entries()
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }
}
