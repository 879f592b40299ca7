//! Closing without losing the last answer.
//!
//! A TCP socket that is closed while bytes of the peer wait unread sends a
//! reset, and the reset may overtake the answer just written: a browser then
//! shows a broken connection in place of a 400. So the write side is shut, what
//! still comes is read and dropped, and the socket is closed at the peer's end,
//! or when a bound is reached (RFC 9112 section 9.6). Called by `net` alone.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};

use super::socket::{Socket, Stage, Stream};
use crate::base::time::Time;
use crate::server::ConnKey;

/// A peer that reads its answer has ended long before; one that does not
/// delays our own end by no more than this.
const LINGER_MS: u64 = 1_000;
/// What a peer may send after it was told to stop: the body of a refused
/// request, on its way when the refusal was written.
const LINGER_BYTES: usize = 1024 * 1024;
/// How many may linger, as a rule. Beyond, the oldest is closed as it stands.
pub(super) const LINGER_SOCKETS: usize = 4_096;

struct Closing {
    stream: Stream,
    bytes_left: usize,
}

/// The sockets that are being closed.
pub(super) struct Lingering {
    sockets_max: usize,
    closing: HashMap<ConnKey, Closing>,
    /// Oldest first, with deadlines. Those that ended early stay until they are first.
    order: VecDeque<(u64, ConnKey)>,
}

impl Lingering {
    /// Room for `sockets_max` at once.
    pub(super) fn new(sockets_max: usize) -> Lingering {
        Lingering {
            sockets_max,
            closing: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Begins to close `socket`. Returns a stream that is ready to be dropped, if any.
    pub(super) fn begin(
        &mut self,
        now: Time,
        key: ConnKey,
        socket: Socket,
        scratch: &mut [u8],
    ) -> Option<Stream> {
        let may_hold_an_answer = socket.inbound && socket.stage == Stage::Open;
        if !may_hold_an_answer || socket.stream.shutdown_write().is_err() {
            return Some(socket.stream);
        }
        let mut closing = Closing {
            stream: socket.stream,
            bytes_left: LINGER_BYTES,
        };
        if socket.readable && closing.drain(scratch) {
            return Some(closing.stream);
        }
        self.closing.insert(key, closing);
        self.order.push_back((now.after(LINGER_MS), key));
        if self.order.len() > self.sockets_max {
            return self.pop_oldest();
        }
        None
    }

    /// The kernel has news of `key`. Returns its stream when that ends it.
    pub(super) fn handle_event(&mut self, key: ConnKey, scratch: &mut [u8]) -> Option<Stream> {
        if !self.closing.get_mut(&key)?.drain(scratch) {
            return None;
        }
        self.closing.remove(&key).map(|closing| closing.stream)
    }

    /// The next stream whose time is over.
    pub(super) fn poll_expired(&mut self, now: Time) -> Option<Stream> {
        while let Some(&(deadline, key)) = self.order.front() {
            if deadline > now.ms && self.closing.contains_key(&key) {
                return None;
            }
            if let Some(stream) = self.pop_oldest() {
                return Some(stream);
            }
        }
        None
    }

    /// When [`Lingering::poll_expired`] has something to do.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.order.front().map(|&(deadline, _)| deadline)
    }

    /// Whether nothing lingers.
    pub(super) fn is_empty(&self) -> bool {
        self.closing.is_empty()
    }

    fn pop_oldest(&mut self) -> Option<Stream> {
        let (_, key) = self.order.pop_front()?;
        self.closing.remove(&key).map(|closing| closing.stream)
    }
}

impl Closing {
    /// Reads and drops what has come. Whether the socket may be closed now.
    fn drain(&mut self, scratch: &mut [u8]) -> bool {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return true,
                Ok(count) if count >= self.bytes_left => return true,
                Ok(count) => self.bytes_left -= count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::slots::Key;
    use mio::net::UnixStream;
    use std::io::Write;

    fn pair() -> (Socket, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Socket::accepted(Stream::Unix(ours)), theirs)
    }

    fn time(ms: u64) -> Time {
        Time::default().plus(ms)
    }

    #[test]
    fn it_reads_on_until_the_peer_ends() {
        let (mut lingering, mut scratch) = (Lingering::new(8), [0; 16]);
        let (mut socket, mut peer) = pair();
        let key = Key::from_u64(1);
        peer.write_all(b"a body that nobody wants").unwrap();
        socket.readable = true;
        assert!(
            lingering
                .begin(time(0), key, socket, &mut scratch)
                .is_none()
        );
        let end = peer.read(&mut [0; 1]).unwrap();
        assert_eq!(end, 0, "the peer is told that no more comes");
        peer.write_all(b"more of it").unwrap();
        assert!(lingering.handle_event(key, &mut scratch).is_none());
        drop(peer);
        assert!(lingering.handle_event(key, &mut scratch).is_some());
        assert!(lingering.is_empty());
        assert!(lingering.poll_expired(time(0)).is_none());
        assert_eq!(lingering.deadline(), None, "what ended early is forgotten");
    }

    #[test]
    fn time_bytes_and_number_are_bounded() {
        let (mut lingering, mut scratch) = (Lingering::new(8), [0; 65_536]);
        let (socket, _silent) = pair();
        let key = Key::from_u64(1);
        assert!(
            lingering
                .begin(time(5), key, socket, &mut scratch)
                .is_none()
        );
        assert_eq!(lingering.deadline(), Some(5 + LINGER_MS));
        assert!(lingering.poll_expired(time(LINGER_MS)).is_none());
        assert!(lingering.poll_expired(time(5 + LINGER_MS)).is_some());

        let (socket, mut talker) = pair();
        assert!(
            lingering
                .begin(time(0), key, socket, &mut scratch)
                .is_none()
        );
        let mut sent = 0;
        while lingering.handle_event(key, &mut scratch).is_none() {
            sent += talker.write(&[0; 65_536]).unwrap();
            assert!(
                sent <= LINGER_BYTES + 65_536,
                "a peer that talks on is cut off"
            );
        }

        let mut lingering = Lingering::new(8);
        let mut peers = Vec::new();
        for index in 0..10 {
            let (socket, peer) = pair();
            let oldest = lingering.begin(time(0), Key::from_u64(index), socket, &mut scratch);
            assert_eq!(oldest.is_some(), index >= 8, "at {index}");
            peers.push(peer);
        }
    }

    #[test]
    fn who_has_ended_or_was_called_by_us_is_closed_at_once() {
        let mut scratch = [0; 16];
        let (mut finished, _peer) = pair();
        finished.stage = Stage::Finished;
        let (mut outbound, _app) = pair();
        outbound.inbound = false;
        let mut lingering = Lingering::new(8);
        for socket in [finished, outbound] {
            assert!(
                lingering
                    .begin(time(0), Key::from_u64(1), socket, &mut scratch)
                    .is_some()
            );
        }
    }
}
