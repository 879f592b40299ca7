//! WebSocket: one stream for everything (RFC 6455).
//!
//! The session begins with the handshake; each text message is an envelope,
//! each delivery a text frame, written straight from the channel's log: that is
//! why publications are logged as frames. Framing itself is `wire/websocket`.
//! Called by the server.

use super::contract::{Call, Reply, Unusable};
use crate::hub::Gap;
use crate::wire::envelope;
use crate::wire::websocket::{Opcode, encode_frame};

/// Where the handshake is asked for.
pub const PATH: &str = "/chloe/websocket";

/// Reads a text message.
///
/// # Errors
/// When it is no envelope, or one that lacks what its type needs.
pub fn read(text: &str) -> Result<Call<'_>, Unusable> {
    Call::from_envelope(envelope::decode(text)?, false)
}

/// Appends the frame of a reply.
pub fn reply(out: &mut Vec<u8>, reply: &Reply, id: Option<&str>) {
    let mut json = Vec::with_capacity(128);
    reply.encode(&mut json, id);
    encode_frame(out, Opcode::Text, true, &json);
}

/// Appends the frame that tells of a gap.
pub fn gap(out: &mut Vec<u8>, gap: &Gap) {
    let mut json = Vec::with_capacity(128);
    envelope::encode_gap(&mut json, &gap.channel, gap.missed, gap.position);
    encode_frame(out, Opcode::Text, true, &json);
}

/// Appends the sign of life that a client of the new kind waits for.
pub fn heartbeat(out: &mut Vec<u8>) {
    encode_frame(out, Opcode::Text, true, envelope::HEARTBEAT.as_bytes());
}

/// The frames in a piece of a channel's log, one by one, headers and all.
pub fn frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (header, payload) = header(bytes)?;
        let (frame, rest) = bytes.split_at_checked(header + payload)?;
        bytes = rest;
        Some(frame)
    })
}

/// The JSON of a delivery's frame without its leading `{`: what the other
/// transports put words of their own in front of.
pub fn suffix(frame: &[u8]) -> &[u8] {
    let start = header(frame).map_or(0, |(length, _)| length + 1);
    frame.get(start..).unwrap_or_default()
}

/// The length of a server's frame header, and of the payload behind it (RFC 6455, 5.2).
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? & 0x7f {
        126 => {
            let length: [u8; 2] = bytes.get(2..4)?.try_into().ok()?;
            Some((4, usize::from(u16::from_be_bytes(length))))
        }
        127 => {
            let length: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
            Some((10, usize::try_from(u64::from_be_bytes(length)).ok()?))
        }
        short => Some((2, usize::from(short))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_taken_apart_into_what_was_put_in() {
        let lengths = [1, 2, 125, 126, 127, 65_535, 65_536, 70_000];
        let mut log = Vec::new();
        for length in lengths {
            encode_frame(&mut log, Opcode::Text, true, &vec![b'{'; length]);
        }
        let suffixes: Vec<usize> = frames(&log).map(|frame| suffix(frame).len() + 1).collect();
        assert_eq!(suffixes, lengths);
        assert_eq!(frames(&log).map(<[u8]>::len).sum::<usize>(), log.len());
        assert_eq!(frames(&log[..log.len() - 1]).count(), lengths.len() - 1);
    }
}
