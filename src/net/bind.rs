//! Opening the listening sockets, and saying what is wrong when that fails.
//!
//! Called by `listener`; [`BindError`] goes up to `cli`, which prints it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::{fs, net};

use mio::net::{TcpListener, UnixListener};
use rustix::fs::Mode;
use rustix::process::umask;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// How many connections may wait to be accepted. The kernel cuts it down to
/// `net.core.somaxconn`; after a restart every browser comes back at once.
const BACKLOG: i32 = 4_096;

/// Why Chloe cannot listen. Its Display is a sentence that says what to do.
#[derive(Debug)]
pub enum BindError {
    /// An entry of `listen_addresses` is no IP address.
    NotAnAddress(String),
    /// A TCP address cannot be listened on.
    Tcp(SocketAddr, io::Error),
    /// Something that is no socket stands at the path of `unix_socket`.
    NotASocket(PathBuf),
    /// The socket at the path of `unix_socket` is served by another program.
    UnixInUse(PathBuf),
    /// The Unix socket cannot be made.
    Unix(PathBuf, io::Error),
    /// No address is left to listen on.
    Nowhere,
    /// The system gives no event queue.
    Poll(io::Error),
    /// A socket that this process was given is none to listen on.
    NotListening(String),
    /// A socket that this process was given cannot be used.
    Given(io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindError::NotAnAddress(text) => write!(
                f,
                "listen_addresses: \"{text}\" is not an IP address; write for instance \"127.0.0.1\" or \"::1\", without a port"
            ),
            BindError::Tcp(address, error) => fmt_tcp(f, *address, error),
            BindError::NotASocket(path) => write!(
                f,
                "cannot listen on the Unix socket {}: another kind of file is there; remove it, or set unix_socket to another path",
                path.display()
            ),
            BindError::UnixInUse(path) => write!(
                f,
                "cannot listen on the Unix socket {}: a running program (another Chloe?) serves it; stop that one, or set unix_socket to another path",
                path.display()
            ),
            BindError::Unix(path, error) => fmt_unix(f, path, error),
            BindError::Nowhere => write!(
                f,
                "there is no address to listen on; give listen_addresses one that this host has, such as \"0.0.0.0\", or set unix_socket"
            ),
            BindError::NotListening(address) => write!(
                f,
                "a socket that Chloe was given to listen on ({address}) does not listen; in a systemd socket unit use ListenStream, and Accept=no"
            ),
            BindError::Given(error) => write!(
                f,
                "a socket that Chloe was given to listen on cannot be used: {error}"
            ),
            BindError::Poll(error) => {
                write!(f, "the system gives Chloe no event queue: {error}")
            }
        }
    }
}

fn fmt_tcp(f: &mut fmt::Formatter<'_>, address: SocketAddr, error: &io::Error) -> fmt::Result {
    write!(f, "cannot listen on {address}: ")?;
    match error.kind() {
        io::ErrorKind::AddrInUse => write!(
            f,
            "port {} is in use by another program (another Chloe?); stop that one, or set port to a free one",
            address.port()
        ),
        io::ErrorKind::PermissionDenied if address.port() < 1024 => write!(
            f,
            "ports below 1024 need a right that Chloe does not have; set port to 1024 or more, or allow it with: setcap cap_net_bind_service=+ep /path/to/chloe"
        ),
        io::ErrorKind::AddrNotAvailable => write!(
            f,
            "this host does not have the address {}; take it out of listen_addresses",
            address.ip()
        ),
        _ => write!(f, "{error}; check port and listen_addresses"),
    }
}

fn fmt_unix(f: &mut fmt::Formatter<'_>, path: &Path, error: &io::Error) -> fmt::Result {
    write!(f, "cannot listen on the Unix socket {}: ", path.display())?;
    match error.kind() {
        io::ErrorKind::NotFound => write!(f, "its folder does not exist; make it first"),
        io::ErrorKind::PermissionDenied => write!(
            f,
            "Chloe may not write there; give it the right, or set unix_socket to another path"
        ),
        io::ErrorKind::InvalidInput => write!(f, "the path is too long (107 bytes at most)"),
        _ => write!(f, "{error}; set unix_socket to another path"),
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BindError::Tcp(_, error)
            | BindError::Unix(_, error)
            | BindError::Poll(error)
            | BindError::Given(error) => Some(error),
            _ => None,
        }
    }
}

/// Listens on a TCP address.
///
/// # Errors
/// Those of socket, bind and listen.
pub(super) fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // "::" alone would take IPv4 as well, and "0.0.0.0" beside it would fail.
        socket.set_only_v6(true)?;
    }
    // A restart need not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it on Linux: one system call less for each.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(net::TcpListener::from(socket)))
}

/// Whether `error` says that the host lacks the whole family of an address.
pub(super) fn is_family_missing(error: &io::Error) -> bool {
    // EAFNOSUPPORT: built without it. EADDRNOTAVAIL for "::": switched off.
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// Listens on a Unix socket. A file left by a Chloe that died is replaced.
///
/// # Errors
/// See [`BindError`].
pub(super) fn unix(path: &Path) -> Result<(UnixListener, SocketFile), BindError> {
    let listener = match bind_unix(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path)?;
            bind_unix(path)
        }
        other => other,
    }
    .map_err(|error| BindError::Unix(path.to_owned(), error))?;
    let file = SocketFile::at(path).map_err(|error| BindError::Unix(path.to_owned(), error))?;
    Ok((listener, file))
}

/// Lets every user of the host connect: the proxy runs as another user, and the
/// TCP port is as open. Who wants it closer closes the folder.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let address = SockAddr::unix(path)?;
    // The file has its mode, 0666, from its creation: by its path another file
    // could be meant by then. No file of Chloe depends on the umask, so nothing
    // that another thread makes in this moment is any more open by it.
    let before = umask(Mode::from_raw_mode(0o111));
    let bound = socket.bind(&address);
    umask(before);
    bound?;
    socket.listen(BACKLOG)?;
    let listener = std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(socket));
    Ok(UnixListener::from_std(listener))
}

/// Removes the socket file at `path` if nobody listens behind it.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let failed = |error| BindError::Unix(path.to_owned(), error);
    if !fs::symlink_metadata(path)
        .map_err(failed)?
        .file_type()
        .is_socket()
    {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    match try_connect(path) {
        // One with a full backlog is not waited for: somebody has it open.
        Ok(()) => Err(BindError::UnixInUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(BindError::UnixInUse(path.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            log::info!("event=stale_socket_replaced path={}", path.display());
            fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

fn try_connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// The file of our Unix socket. Dropped, it is removed, unless another program
/// has put its own there meanwhile.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    /// The one that was bound at `path`.
    fn at(path: &Path) -> io::Result<SocketFile> {
        Ok(SocketFile {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }
}

impl SocketFile {
    /// The file of a socket that the process before has bound; ours from now on.
    pub(super) fn taken_over(path: &Path) -> Option<SocketFile> {
        SocketFile::at(path).ok()
    }

    /// Leaves the file where it is: another process goes on with the socket.
    pub(super) fn leave(&mut self) {
        self.identity = (0, 0);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            let path = self.path.display();
            log::warn!("event=socket_file_left path={path} reason=\"{error}\"");
        }
    }
}

/// Device and inode: which file it is, whatever its name.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
