//! Inbound bytes of one connection that could not be used yet, up to a limit.
//!
//! An idle connection owns no buffer: bytes are decoded straight from the event
//! loop's scratch space, and only an unfinished rest is kept here. Called by
//! the server's connections.

/// The rest of an unfinished request or frame. Empty, it is one word and owns
/// no memory: every connection has one, and few have anything in it.
#[derive(Default, Debug)]
pub struct Buffer {
    #[allow(clippy::box_collection, reason = "empty, it is a third as large")]
    bytes: Option<Box<Vec<u8>>>,
}

/// A rest in a vector eight times as large as it and as this gives the room back.
const KEPT_BYTES: usize = 1024;

/// More bytes are waiting than the buffer's limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Buffer {
    /// Bytes kept.
    pub fn len(&self) -> usize {
        self.bytes.as_ref().map_or(0, |bytes| bytes.len())
    }

    /// The memory that it takes, in bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.as_ref().map_or(0, |bytes| bytes.capacity())
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_none()
    }

    /// Keeps `bytes` behind what is kept already.
    ///
    /// # Errors
    /// [`Full`] if that would be more than `limit` bytes; nothing is added then.
    pub fn push(&mut self, bytes: &[u8], limit: usize) -> Result<(), Full> {
        if self.len().saturating_add(bytes.len()) > limit {
            return Err(Full);
        }
        if !bytes.is_empty() {
            let kept = self.bytes.get_or_insert_default();
            kept.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// What is kept, taken out whole; the buffer is empty afterwards. Whoever
    /// decodes it gives the unused rest back with [`Buffer::restore`].
    pub fn take(&mut self) -> Vec<u8> {
        self.bytes.take().map_or_else(Vec::new, |bytes| *bytes)
    }

    /// Gives back bytes that [`Buffer::take`] took, less the first `used`.
    pub fn restore(&mut self, mut bytes: Vec<u8>, used: usize) {
        debug_assert!(self.is_empty(), "taken, then given back");
        if used < bytes.len() {
            bytes.drain(..used);
            if bytes.capacity() / 8 > bytes.len().max(KEPT_BYTES) {
                bytes.shrink_to_fit();
            }
            self.bytes = Some(Box::new(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_kept_and_the_rest_comes_back() {
        let mut buffer = Buffer::default();
        assert_eq!(buffer.push(b"abcd", 6), Ok(()));
        assert_eq!(buffer.push(b"efg", 6), Err(Full));
        let bytes = buffer.take();
        buffer.restore(bytes, 3);
        assert_eq!(buffer.take(), b"d");
        buffer.restore(b"xy".to_vec(), 2);
        assert!(buffer.is_empty());
        assert_eq!(buffer.push(b"", 6), Ok(()));
        assert!(buffer.is_empty());
        assert_eq!(size_of::<Buffer>(), 8);
        buffer.restore(vec![7; 1 << 20], (1 << 20) - 1);
        assert_eq!((buffer.len(), buffer.capacity()), (1, 1));
    }
}
