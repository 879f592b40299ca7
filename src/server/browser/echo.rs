//! A message comes back as it came: the server of `chloe echo`, for conformance tests only.
//!
//! The handshake, the frames, pings and closing are those of every WebSocket,
//! in `router` and `stream`; only what becomes of a message differs. Called by
//! `stream`, if the server is [`Core::echo`].

use crate::base::time::Time;
use crate::wire::websocket::{Event, Opcode, encode_frame};

use crate::server::connection::conn::ConnKey;
use crate::server::core::Core;

/// Sends a message back whole, in one frame, however many it came in.
pub fn answer(core: &mut Core, now: Time, key: ConnKey, event: &Event<'_>) {
    let (opcode, payload) = match event {
        Event::Text(text) => (Opcode::Text, text.as_bytes()),
        Event::Binary(bytes) => (Opcode::Binary, &bytes[..]),
        Event::Ping(_) | Event::Pong(_) | Event::Close { .. } => return,
    };
    if let Some(conn) = core.conns.get_mut(key) {
        conn.waits_since_ms = conn.waits_since_ms.min(now.ms);
        encode_frame(conn.outbox.tail(), opcode, true, payload);
    }
    core.queue_flush(key);
}
