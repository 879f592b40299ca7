//! Listening sockets that another process has opened: the Chloe before, or systemd.
//!
//! Judges what it is given: a socket that does not listen is refused by its
//! name. How they come into this process is `cli`'s. Called by `listener`.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use mio::net::{TcpListener, UnixListener};
use socket2::{Socket, Type};

use super::bind::BindError;

/// Sockets to listen on that are open already.
#[derive(Debug, Default)]
pub struct Given {
    pub sockets: Vec<OwnedFd>,
    /// They stand for `listen_addresses`, `port` and `unix_socket`, whatever
    /// these say. Otherwise those are used that the settings name.
    pub all: bool,
}

/// A given socket, known to listen.
pub(super) enum Adopted {
    Tcp(TcpListener, SocketAddr),
    /// The path is none for a socket without a name in the file system.
    Unix(UnixListener, Option<PathBuf>),
}

/// Makes a listener of each socket.
///
/// # Errors
/// One of them is no listening stream socket of a kind that Chloe serves.
pub(super) fn adopt(sockets: Vec<OwnedFd>) -> Result<Vec<Adopted>, BindError> {
    sockets.into_iter().map(adopt_one).collect()
}

fn adopt_one(socket: OwnedFd) -> Result<Adopted, BindError> {
    let listens = rustix::net::sockopt::socket_acceptconn(&socket).unwrap_or(false);
    let socket = Socket::from(socket);
    let stream = socket.r#type().is_ok_and(|kind| kind == Type::STREAM);
    let address = socket.local_addr().map_err(BindError::Given)?;
    if !listens || !stream || socket.set_nonblocking(true).is_err() {
        return Err(BindError::NotListening(format!("{address:?}")));
    }
    if let Some(address) = address.as_socket() {
        // Accepted sockets inherit it.
        socket.set_tcp_nodelay(true).map_err(BindError::Given)?;
        let listener = std::net::TcpListener::from(socket);
        return Ok(Adopted::Tcp(TcpListener::from_std(listener), address));
    }
    if address.is_unix() {
        let path = address.as_pathname().map(Path::to_owned);
        let listener = std::os::unix::net::UnixListener::from(OwnedFd::from(socket));
        return Ok(Adopted::Unix(UnixListener::from_std(listener), path));
    }
    Err(BindError::NotListening(format!("{address:?}")))
}

/// Takes the listener on `ip` and `port` (0: any) out of `given`, if there is one.
pub(super) fn take_tcp(given: &mut Vec<Adopted>, ip: IpAddr, port: u16) -> Option<TcpListener> {
    let found = given.iter().position(|adopted| match adopted {
        Adopted::Tcp(_, address) => address.ip() == ip && (port == 0 || address.port() == port),
        Adopted::Unix(..) => false,
    })?;
    match given.swap_remove(found) {
        Adopted::Tcp(listener, _) => Some(listener),
        Adopted::Unix(..) => None,
    }
}

/// Takes the listener at `path` out of `given`, if there is one.
pub(super) fn take_unix(given: &mut Vec<Adopted>, path: &Path) -> Option<UnixListener> {
    let found = given.iter().position(|adopted| match adopted {
        Adopted::Unix(_, there) => there.as_deref() == Some(path),
        Adopted::Tcp(..) => false,
    })?;
    match given.swap_remove(found) {
        Adopted::Unix(listener, _) => Some(listener),
        Adopted::Tcp(..) => None,
    }
}
