//! Streams to peers, and the table that finds one by its connection's key.
//!
//! Knows what the kernel last said about each stream (readable, writable,
//! ended); decides nothing. Called by `net`, `listener` and `linger`.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::event::{Event, Source};
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use crate::server::ConnKey;

/// Bytes to and from one peer. Never blocks.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Begins a connection to `address`. Its outcome is told by [`Stream::connected`].
    ///
    /// # Errors
    /// The system refuses even to try.
    pub(super) fn connect(address: SocketAddr) -> io::Result<Stream> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Stream::Tcp(stream))
    }

    /// Registers once, for both directions, for the whole life of the stream.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match self {
            Stream::Tcp(stream) => stream.register(registry, token, both),
            Stream::Unix(stream) => stream.register(registry, token, both),
        }
    }

    /// What became of [`Stream::connect`]; `None` while it is under way.
    pub(super) fn connected(&self) -> Option<io::Result<()>> {
        let Stream::Tcp(stream) = self else {
            return Some(Ok(()));
        };
        match stream.take_error() {
            Ok(Some(error)) | Err(error) => return Some(Err(error)),
            Ok(None) => {}
        }
        match stream.peer_addr() {
            Ok(_) => Some(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Tells the peer that nothing more will come.
    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(bytes),
            Stream::Unix(stream) => stream.read(bytes),
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

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write_vectored(slices),
            Stream::Unix(stream) => stream.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a socket stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// We are connecting; nothing may be read or written.
    Connecting,
    /// Both directions, as far as we know.
    Open,
    /// The peer has sent its last byte, and the server knows it.
    Finished,
}

/// A stream and what is known of it.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: Stream,
    pub(super) stage: Stage,
    /// A peer came to us; `false` for our own connections to the app.
    pub(super) inbound: bool,
    /// The kernel may hold bytes, an end or an error that we have not taken.
    pub(super) readable: bool,
    /// The kernel said that the peer's end or an error stands behind the bytes:
    /// reading stops only there, since no further event would tell.
    pub(super) ending: bool,
    /// The kernel said that nothing can be written to the peer any more: the connection is
    /// broken, or closed both ways. What may stand before that was not taken yet.
    pub(super) broken: bool,
    /// The last write was not refused.
    pub(super) writable: bool,
    /// It stands in the loop's ready list.
    pub(super) queued: bool,
}

impl Socket {
    /// A connection that a peer has made.
    pub(super) fn accepted(stream: Stream) -> Socket {
        Socket {
            stream,
            stage: Stage::Open,
            inbound: true,
            readable: false,
            ending: false,
            broken: false,
            writable: true,
            queued: false,
        }
    }

    /// A connection that we are making.
    pub(super) fn connecting(stream: Stream) -> Socket {
        Socket {
            stage: Stage::Connecting,
            inbound: false,
            writable: false,
            ..Socket::accepted(stream)
        }
    }

    /// Takes note of what the kernel tells. Whether there may be something to read.
    pub(super) fn take_event(&mut self, event: &Event) -> bool {
        let ended = event.is_error() || event.is_read_closed();
        let news = match self.stage {
            Stage::Connecting => event.is_writable() || ended,
            Stage::Open => event.is_readable() || ended,
            // A half-closed socket is readable for ever; only an error is new.
            Stage::Finished => event.is_error(),
        };
        if news {
            self.readable |= event.is_readable() || ended;
            self.ending |= ended;
            self.broken |= event.is_error() || event.is_write_closed();
        }
        self.writable |= event.is_writable() && self.stage != Stage::Connecting;
        news
    }
}

/// So many connections may be read as far as `turn_read_bytes` in one turn.
const WHOLE_READS: usize = 16;

/// Each is read as far as this, however many are ready.
const READ_BYTES_MIN: usize = 1024;

/// How far each of `ready` connections is read in a turn, where one alone is read as far
/// as `most` bytes. What comes last waits for all others, and a thousand that each send
/// without end would be a turn of seconds.
pub(super) fn read_share(most: usize, ready: usize) -> usize {
    let share = most.saturating_mul(WHOLE_READS) / ready.max(1);
    share.clamp(READ_BYTES_MIN, most.max(READ_BYTES_MIN))
}

/// Puts the socket of `key` in the list of those that may have something to read.
pub(super) fn enqueue(ready: &mut VecDeque<ConnKey>, key: ConnKey, socket: &mut Socket) {
    if !socket.queued {
        socket.queued = true;
        ready.push_back(key);
    }
}

/// The sockets of the server's connections, in the server's slots.
#[derive(Default)]
pub(super) struct Sockets {
    slots: Vec<Option<(ConnKey, Socket)>>,
}

impl Sockets {
    /// Puts `socket` where `key` says. The server frees a slot only when it has
    /// seen the socket's end or asked for it, so the place is free.
    pub(super) fn insert(&mut self, key: ConnKey, socket: Socket) {
        let index = key.index() as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        debug_assert!(self.slots[index].is_none(), "one socket in a slot");
        self.slots[index] = Some((key, socket));
    }

    /// The socket of `key`, unless it is gone.
    pub(super) fn get_mut(&mut self, key: ConnKey) -> Option<&mut Socket> {
        match self.slots.get_mut(key.index() as usize)? {
            Some((owner, socket)) if *owner == key => Some(socket),
            _ => None,
        }
    }

    /// Takes the socket of `key` out.
    pub(super) fn remove(&mut self, key: ConnKey) -> Option<Socket> {
        self.get_mut(key)?;
        let (_, socket) = self.slots.get_mut(key.index() as usize)?.take()?;
        Some(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::slots::Key;

    fn socket() -> Socket {
        Socket::accepted(Stream::Unix(UnixStream::pair().unwrap().0))
    }

    #[test]
    fn a_stale_key_finds_no_socket() {
        let mut sockets = Sockets::default();
        let (old, new) = (Key::from_u64(3), Key::from_u64((1 << 32) | 3));
        sockets.insert(old, socket());
        assert!(sockets.get_mut(new).is_none());
        assert!(sockets.remove(new).is_none());
        assert!(sockets.remove(old).is_some());
        sockets.insert(new, socket());
        assert!(sockets.get_mut(old).is_none());
        assert!(sockets.remove(old).is_none());
        assert!(sockets.get_mut(new).is_some());
        assert!(sockets.get_mut(Key::from_u64(77)).is_none());
    }

    #[test]
    fn many_that_are_ready_at_once_make_no_long_turn() {
        for (ready, share) in [
            (0, 65_536),
            (1, 65_536),
            (16, 65_536),
            (32, 32_768),
            (1_000, 1_048),
            (100_000, 1_024),
        ] {
            assert_eq!(read_share(65_536, ready), share, "{ready}");
        }
        assert_eq!(read_share(1_024, 1), 1_024);
        assert_eq!(read_share(1 << 24, 1), 1 << 24);
    }
}
