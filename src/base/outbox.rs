//! Outbound bytes of one connection, up to a limit, and how they are written.
//!
//! Holds what is said to one connection alone: HTTP answers, acks, pongs, the
//! rest of a half-written frame. Publications never pass through it: they are
//! written from their channel's log. Called by the server and its upstream connections.

use std::io::{self, Write};

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Nothing is left.
    All,
    /// The peer takes no more for now; some bytes are left.
    Blocked,
}

/// A queue of bytes. Empty, it is one word and owns no memory: every connection
/// has one, and few have anything in it.
#[derive(Default, Debug)]
pub struct Outbox {
    queue: Option<Box<Queue>>,
}

#[derive(Default, Debug)]
struct Queue {
    bytes: Vec<u8>,
    /// So many are written already.
    start: usize,
}

impl Outbox {
    /// Bytes not yet written.
    pub fn len(&self) -> usize {
        let queue = self.queue.as_ref();
        queue.map_or(0, |queue| queue.bytes.len() - queue.start)
    }

    /// The memory that it takes, in bytes.
    pub fn capacity(&self) -> usize {
        let queue = self.queue.as_ref();
        queue.map_or(0, |queue| queue.bytes.capacity())
    }

    /// Whether all is written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes not yet written.
    pub fn as_slice(&self) -> &[u8] {
        match &self.queue {
            Some(queue) => &queue.bytes[queue.start..],
            None => &[],
        }
    }

    /// The vector to append to, for encoders that write into one. What stands
    /// in it already is not theirs.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.queue.get_or_insert_default().bytes
    }

    /// Appends `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        self.tail().extend_from_slice(bytes);
    }

    /// Marks the first `count` bytes as written; gives the memory back when none are left.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "no more is written than there was");
        let Some(queue) = &mut self.queue else {
            return;
        };
        queue.start += count;
        if queue.start == queue.bytes.len() {
            self.queue = None;
        } else if queue.start > 64 * 1024 && queue.start > queue.bytes.len() / 2 {
            // Amortised: each byte is moved at most once for each byte written.
            queue.bytes.drain(..queue.start);
            queue.start = 0;
        }
    }

    /// Writes until nothing is left or the writer would block.
    ///
    /// # Errors
    /// Any error of the writer but `WouldBlock` and `Interrupted`; a writer that
    /// takes nothing is `WriteZero`.
    pub fn write_to(&mut self, writer: &mut impl Write) -> io::Result<Written> {
        while !self.is_empty() {
            match writer.write(self.as_slice()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.consume(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Written::Blocked);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Written::All)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Narrow {
        room: usize,
        got: Vec<u8>,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(self.room).min(3);
            self.room -= count;
            self.got.extend_from_slice(&bytes[..count]);
            Ok(count)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_does_not_fit_waits_and_nothing_is_written_twice() {
        let mut outbox = Outbox::default();
        outbox.push(b"hello ");
        let mut writer = Narrow {
            room: 4,
            got: Vec::new(),
        };
        assert_eq!(outbox.write_to(&mut writer).unwrap(), Written::Blocked);
        outbox.push(b"world");
        writer.room = 100;
        assert_eq!(outbox.write_to(&mut writer).unwrap(), Written::All);
        assert_eq!(writer.got, b"hello world");
        assert!(outbox.queue.is_none());
        assert_eq!(size_of::<Outbox>(), 8);
    }
}
