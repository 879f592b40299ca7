//! Frames of a WebSocket as a client gets them, found and no more.
//!
//! Cheaper than Chloe's own codec, since it trusts what it reads: nothing is
//! checked but the width. Used by readers and publishers.

/// A server's frame (RFC 6455, 5.2): not masked.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub opcode: u8,
    pub payload: &'a [u8],
    /// Bytes with the header.
    pub width: usize,
}

pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// The frame at the start of `bytes`, if it is whole.
pub fn first(bytes: &[u8]) -> Option<Frame<'_>> {
    let (opcode, short) = (bytes.first()? & 0x0f, *bytes.get(1)?);
    let (start, length): (usize, usize) = match short {
        126 => {
            let length = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
            (4, usize::from(length))
        }
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (10, usize::try_from(length).ok()?)
        }
        short => (2, usize::from(short)),
    };
    let width = start.checked_add(length)?;
    Some(Frame {
        opcode,
        payload: bytes.get(start..width)?,
        width,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chloe::wire::websocket::{Opcode, encode_frame};

    #[test]
    fn frames_of_every_width_are_found_when_they_are_whole() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'a'; length];
            let mut bytes = Vec::new();
            encode_frame(&mut bytes, Opcode::Text, true, &payload);
            let width = bytes.len();
            assert_eq!(first(&bytes[..width - 1]), None, "{length}");
            bytes.push(0x89);
            let frame = first(&bytes).unwrap();
            let expected = Frame {
                opcode: 1,
                payload: &payload,
                width,
            };
            assert_eq!(frame, expected, "{length}");
        }
        assert_eq!(first(b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }
}
