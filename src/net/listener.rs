//! The listening sockets, and accepting without starving or spinning.
//!
//! Called by `net` alone.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};

use super::bind::{self, BindError, SocketFile};
use super::given::{self, Adopted, Given};
use super::socket::Stream;
use crate::base::time::Time;
use crate::config::Config;
use crate::server::Peer;

/// How long accepting rests when the system has no file or memory to give.
/// A socket that closes ends the rest sooner.
const PAUSE_MS: u64 = 1_000;

enum Kind {
    Tcp(TcpListener),
    /// With its file, if that is ours to remove.
    Unix(UnixListener, Option<SocketFile>),
}

struct Listener {
    kind: Kind,
    /// Connections may wait.
    ready: bool,
}

/// All that Chloe listens on.
pub(super) struct Listeners {
    list: Vec<Listener>,
    /// Whose turn it is: a flood on one must not keep the others waiting.
    next: usize,
    paused_until: Option<u64>,
}

impl Listeners {
    /// Opens every address of `listen_addresses`, and the Unix socket; what is
    /// open already is taken from `given`.
    ///
    /// # Errors
    /// The first that cannot be opened. What was opened before is closed again.
    pub(super) fn bind(config: &Config, given: Given) -> Result<Listeners, BindError> {
        let all = given.all;
        let mut open = given::adopt(given.sockets)?;
        let mut kinds = Vec::new();
        if all {
            kinds.extend(open.drain(..).map(serve_given));
        } else {
            kinds = bind_addresses(&config.listen_addresses, config.port, &mut open)?;
            if let Some(path) = unix_socket_path(config) {
                kinds.push(bind_unix(path, &mut open)?);
            }
        }
        if kinds.is_empty() {
            return Err(BindError::Nowhere);
        }
        let list = kinds
            .into_iter()
            .map(|kind| Listener { kind, ready: false });
        Ok(Listeners {
            list: list.collect(),
            next: 0,
            paused_until: None,
        })
    }

    /// Registers each with the token that `token` gives for its number.
    pub(super) fn register(
        &mut self,
        registry: &Registry,
        token: impl Fn(usize) -> Token,
    ) -> io::Result<()> {
        for (number, listener) in self.list.iter_mut().enumerate() {
            let token = token(number);
            match &mut listener.kind {
                Kind::Tcp(listener) => listener.register(registry, token, Interest::READABLE)?,
                Kind::Unix(listener, _) => {
                    listener.register(registry, token, Interest::READABLE)?;
                }
            }
        }
        Ok(())
    }

    /// The TCP addresses, with their ports as the system gave them.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let tcp = self
            .list
            .iter()
            .filter_map(|listener| match &listener.kind {
                Kind::Tcp(listener) => listener.local_addr().ok(),
                Kind::Unix(..) => None,
            });
        tcp.collect()
    }

    /// The kernel says that connections wait at listener `number`.
    pub(super) fn handle_ready(&mut self, number: usize) {
        if let Some(listener) = self.list.get_mut(number) {
            listener.ready = true;
        }
    }

    /// The next connection that waits; `None` when none does, or during a pause.
    pub(super) fn accept(&mut self, now: Time) -> Option<(Stream, Peer)> {
        while let Some(listener) = self.next_ready() {
            match listener.kind.accept() {
                Ok(accepted) => return Some(accepted),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => listener.ready = false,
                Err(error) if is_about_one_peer(&error) => {}
                Err(error) => self.pause(now, &error),
            }
        }
        None
    }

    /// Whether [`Listeners::accept`] may still have something.
    pub(super) fn is_ready(&self) -> bool {
        self.paused_until.is_none() && self.list.iter().any(|listener| listener.ready)
    }

    /// A socket has been closed: there is a file to give again.
    pub(super) fn resume(&mut self) {
        self.paused_until = None;
    }

    /// Ends a pause whose time is over.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        if self.paused_until.is_some_and(|until| until <= now.ms) {
            self.paused_until = None;
        }
    }

    /// When [`Listeners::handle_timeout`] has something to do.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.paused_until
    }

    /// The sockets once more, for another process.
    pub(super) fn try_clone(&self) -> io::Result<Vec<OwnedFd>> {
        let sockets = self.list.iter().map(|listener| match &listener.kind {
            Kind::Tcp(listener) => listener.as_fd().try_clone_to_owned(),
            Kind::Unix(listener, _) => listener.as_fd().try_clone_to_owned(),
        });
        sockets.collect()
    }

    /// Stops listening for good, and removes the Unix socket's file, unless
    /// another process goes on with the sockets.
    pub(super) fn close(&mut self, registry: &Registry, handed_over: bool) {
        for mut listener in self.list.drain(..) {
            // The other process holds the sockets open: closing them here does
            // not take them out of the queue.
            let _ = match &mut listener.kind {
                Kind::Tcp(socket) => registry.deregister(socket),
                Kind::Unix(socket, file) => {
                    if let Some(file) = file.as_mut().filter(|_| handed_over) {
                        file.leave();
                    }
                    registry.deregister(socket)
                }
            };
        }
        self.paused_until = None;
    }

    fn next_ready(&mut self) -> Option<&mut Listener> {
        if self.paused_until.is_some() {
            return None;
        }
        let count = self.list.len();
        let found = (0..count)
            .map(|step| (self.next + step) % count)
            .find(|&number| self.list[number].ready)?;
        self.next = found + 1;
        self.list.get_mut(found)
    }

    /// Out of files or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM), or an error that
    /// nobody foresaw: trying again at once would spin. The clients we have are not harmed.
    fn pause(&mut self, now: Time, error: &io::Error) {
        self.paused_until = Some(now.after(PAUSE_MS));
        log::warn!(
            "event=accept_paused reason=\"{error}\" hint=\"raise the limit of open files: ulimit -n, or LimitNOFILE in systemd\""
        );
    }
}

impl Kind {
    fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Kind::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                Ok((Stream::Tcp(stream), Peer::Tcp(address)))
            }
            Kind::Unix(listener, _) => {
                let (stream, _) = listener.accept()?;
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

/// Whether accept failed for the connection it had taken up, which is gone with
/// it: the peer gave up, its network broke, a firewall forbade it (accept(2)).
fn is_about_one_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::TimedOut
    )
}

/// Serves a socket that systemd opened; its file is systemd's as well.
fn serve_given(adopted: Adopted) -> Kind {
    match adopted {
        Adopted::Tcp(listener, address) => {
            log::info!("event=listening address={address} given=true");
            Kind::Tcp(listener)
        }
        Adopted::Unix(listener, path) => {
            let path = path.unwrap_or_default();
            log::info!("event=listening unix_socket={} given=true", path.display());
            Kind::Unix(listener, None)
        }
    }
}

fn bind_unix(path: &Path, open: &mut Vec<Adopted>) -> Result<Kind, BindError> {
    let (listener, file) = match given::take_unix(open, path) {
        Some(listener) => (listener, SocketFile::taken_over(path)),
        None => {
            let (listener, file) = bind::unix(path)?;
            (listener, Some(file))
        }
    };
    log::info!("event=listening unix_socket={}", path.display());
    Ok(Kind::Unix(listener, file))
}

fn bind_addresses(
    addresses: &[String],
    port: u16,
    open: &mut Vec<Adopted>,
) -> Result<Vec<Kind>, BindError> {
    let mut kinds = Vec::new();
    let mut skipped = None;
    // With port 0 the system chooses once, and the other addresses follow if they can.
    let mut chosen = port;
    for text in addresses {
        let ip: IpAddr = text
            .parse()
            .map_err(|_| BindError::NotAnAddress(text.clone()))?;
        let listener = match bind_tcp((ip, chosen).into(), open) {
            Err(error) if port == 0 && error.kind() == io::ErrorKind::AddrInUse => {
                bind::tcp((ip, 0).into())
            }
            other => other,
        };
        match listener {
            Ok(listener) => {
                let address = listener.local_addr().unwrap_or((ip, chosen).into());
                log::info!("event=listening address={address}");
                chosen = address.port();
                kinds.push(Kind::Tcp(listener));
            }
            Err(error) if ip.is_unspecified() && bind::is_family_missing(&error) => {
                log::info!(
                    "event=not_listening address={ip} reason=\"this host does not have it\""
                );
                skipped = Some(BindError::Tcp((ip, chosen).into(), error));
            }
            Err(error) => return Err(BindError::Tcp((ip, chosen).into(), error)),
        }
    }
    match skipped {
        Some(error) if kinds.is_empty() => Err(error),
        _ => Ok(kinds),
    }
}

fn bind_tcp(address: SocketAddr, open: &mut Vec<Adopted>) -> io::Result<TcpListener> {
    match given::take_tcp(open, address.ip(), address.port()) {
        Some(listener) => Ok(listener),
        None => bind::tcp(address),
    }
}

fn unix_socket_path(config: &Config) -> Option<&Path> {
    let path = Path::new(&config.unix_socket);
    (!path.as_os_str().is_empty()).then_some(path)
}
