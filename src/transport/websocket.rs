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
