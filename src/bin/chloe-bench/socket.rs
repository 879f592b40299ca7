//! Where a server is, and sockets to it that do not block.
//!
//! Connections are spread over addresses of loopback, since one address has no
//! more than some 28,000 ports. Used by readers and publishers.

use std::io::{Error, ErrorKind, Result, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections from one source address.
const CONNECTIONS_PER_SOURCE: usize = 25_000;

/// A server's address, as a URL names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    pub address: SocketAddr,
    /// Host and port as written, for the field Host.
    pub authority: String,
    /// Path and query, if the URL has any but `/`.
    pub path: Option<String>,
}

impl Location {
    /// Reads `http://`, `ws://` or `tcp://`, or a bare host and port.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(url: &str) -> std::result::Result<Location, String> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("tcp", url));
        if !matches!(scheme, "http" | "ws" | "tcp") {
            return Err(format!("{url}: http, ws or tcp is needed, not '{scheme}'"));
        }
        let cut = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(cut);
        let with_port = match authority.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
            _ => format!("{authority}:80"),
        };
        let mut addresses = with_port
            .to_socket_addrs()
            .map_err(|error| format!("{url}: {error}"))?;
        // Readers come from addresses of IPv4.
        let address = addresses.find(SocketAddr::is_ipv4);
        Ok(Location {
            address: address.ok_or_else(|| format!("{url}: no IPv4 address of that name"))?,
            authority: authority.to_owned(),
            path: (!matches!(path, "" | "/")).then(|| path.to_owned()),
        })
    }
}

/// Begins to connect the connection `number` to `server`.
///
/// # Errors
/// There is no socket, or no port, to be had.
pub fn connect(number: usize, server: SocketAddr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source(number, server.ip()) {
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    match socket.connect(&server.into()) {
        Err(error)
            if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
        {
            Err(error)
        }
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// The address that connection `number` comes from; `None` leaves it to the system.
fn source(number: usize, server: IpAddr) -> Option<Ipv4Addr> {
    let source = u8::try_from(number / CONNECTIONS_PER_SOURCE + 1).unwrap_or(u8::MAX);
    let is_local = server == IpAddr::V4(Ipv4Addr::LOCALHOST);
    (is_local && source > 1).then(|| Ipv4Addr::new(127, 0, 0, source))
}

/// Whether the connection stands by now.
///
/// # Errors
/// It failed.
pub fn is_connected(stream: &TcpStream) -> Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    Ok(stream.peer_addr().is_ok())
}

/// Writes few bytes to a socket that has room for them.
///
/// # Errors
/// It has no room, or is broken.
pub fn write_whole(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    match stream.write(bytes) {
        Ok(count) if count == bytes.len() => Ok(()),
        Ok(_) => Err(Error::other("a socket has no room for a few bytes")),
        Err(error) => Err(error),
    }
}

/// Whether an error of a read says only that there is nothing for now.
pub fn is_for_now(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_spread() {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(source(24_999, here), None);
        assert_eq!(source(25_000, here), Some(Ipv4Addr::new(127, 0, 0, 2)));
        assert_eq!(source(99_999, here), Some(Ipv4Addr::new(127, 0, 0, 4)));
        assert_eq!(source(99_999, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))), None);
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = connect(25_000, listener.local_addr().unwrap()).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip(), Ipv4Addr::new(127, 0, 0, 2));
        drop(stream);
    }

    #[test]
    fn addresses_are_read() {
        let location = Location::parse("ws://127.0.0.1:8901/sub?id=bench").unwrap();
        assert_eq!(location.address, "127.0.0.1:8901".parse().unwrap());
        assert_eq!(location.authority, "127.0.0.1:8901");
        assert_eq!(location.path.as_deref(), Some("/sub?id=bench"));
        let bare = Location::parse("127.0.0.1").unwrap();
        assert_eq!(bare.address.port(), 80);
        for plain in ["http://127.0.0.1:1/", "tcp://127.0.0.1:1", "127.0.0.1:1"] {
            assert_eq!(Location::parse(plain).unwrap().path, None, "{plain}");
        }
        for wrong in ["wss://127.0.0.1:1", "http://127.0.0.1:x", "ws://[::1]:80/"] {
            assert!(Location::parse(wrong).is_err(), "{wrong}");
        }
    }
}
