//! Who is at the other end of a connection that came in: a TCP address, or the Unix socket.
//!
//! A plain value. Whom the peer speaks for, if it is a proxy, is read by `addresses`.
//! Made by the event loop, read by all that asks who a request comes from.

use std::fmt;
use std::net::SocketAddr;

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
