//! How a command reaches the Chloe that runs with the same settings.
//!
//! Where it listens follows from the settings; the first place that answers is
//! taken. Opens a stream and speaks nothing over it. Called by `client` and
//! `listen`.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::failure::Failure;
use super::places::is_set;
use crate::config::Config;

/// How long a connection to this host, or to another in its network, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A place where Chloe may listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Place {
    /// The value of the header field Host.
    pub fn authority(&self) -> String {
        match self {
            Place::Tcp(address) => address.to_string(),
            Place::Unix(_) => "localhost".to_owned(),
        }
    }

    fn connect(&self) -> io::Result<Stream> {
        match self {
            Place::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, CONNECT_TIMEOUT)?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Place::Unix(path) => UnixStream::connect(path).map(Stream::Unix),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => write!(f, "{address}"),
            Place::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A connection to Chloe.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// How long a read may wait for the first byte; `None` for ever.
    ///
    /// # Errors
    /// That of the system; a zero duration is one.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_read_timeout(timeout),
            Stream::Unix(stream) => stream.set_read_timeout(timeout),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects to where Chloe listens by these settings.
///
/// # Errors
/// [`Failure::NotRunning`] if nobody listens there.
pub fn connect(config: &Config) -> Result<(Place, Stream), Failure> {
    let places = places(config);
    if places.is_empty() {
        return Err(Failure::Usage(
            "port is 0, so Chloe took a free one when it started: its log says which; give it \
             with --port"
                .to_owned(),
        ));
    }
    let mut trouble = None;
    for place in &places {
        match place.connect() {
            Ok(stream) => return Ok((place.clone(), stream)),
            Err(error) if is_nobody(&error) => {}
            Err(error) => trouble = trouble.or(Some((place, error))),
        }
    }
    Err(match trouble {
        Some((place, error)) => Failure::Failed(format!(
            "cannot reach Chloe at {place}: {error}; check port and listen_addresses"
        )),
        None => Failure::NotRunning(format!(
            "Chloe does not run: nobody listens on {}; chloe start starts it",
            join(&places)
        )),
    })
}

/// Where Chloe may listen, this host's own addresses first: who comes from them
/// may do more.
fn places(config: &Config) -> Vec<Place> {
    let addresses = config.listen_addresses.iter();
    let mut addresses: Vec<IpAddr> = addresses
        .filter_map(|address| address.parse().ok())
        .map(|address| match address {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            address => address,
        })
        .collect();
    addresses.sort_by_key(|address| !address.is_loopback());
    let tcp = addresses.into_iter().filter(|_| config.port != 0);
    let tcp = tcp.map(|address| Place::Tcp((address, config.port).into()));
    let unix = is_set(&config.unix_socket).then(|| Place::Unix(config.unix_socket.clone()));
    tcp.chain(unix).collect()
}

/// Whether the error says that nobody listens there, or that there is no there.
fn is_nobody(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, ConnectionRefused, NetworkUnreachable, NotFound};
    matches!(
        error.kind(),
        AddrNotAvailable | ConnectionRefused | NetworkUnreachable | NotFound
    )
}

fn join(places: &[Place]) -> String {
    let places: Vec<String> = places.iter().map(Place::to_string).collect();
    places.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(addresses: &[&str], port: u16, unix_socket: &str) -> String {
        join(&places(&Config {
            listen_addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
            port,
            unix_socket: unix_socket.into(),
            ..Config::default()
        }))
    }

    #[test]
    fn a_command_looks_where_the_server_listens() {
        assert_eq!(shown(&["0.0.0.0", "::"], 1, ""), "127.0.0.1:1 or [::1]:1");
        assert_eq!(shown(&["10.0.0.7", "::"], 1, ""), "[::1]:1 or 10.0.0.7:1");
        assert_eq!(shown(&[], 1, "/run/chloe.sock"), "/run/chloe.sock");
        assert_eq!(shown(&["::1"], 0, "/s"), "/s");
        assert_eq!(shown(&["::1"], 0, ""), "");
    }
}
