//! WebSocket, RFC 6455: handshake, frames, messages, close codes.
//!
//! Both ends: the server's for browsers, the client's for `chloe listen`. No
//! extensions. No sockets and no timers: pings and the close handshake are the
//! transport's business. Called by the WebSocket transport and the command line.

// In the order in which they may import one another.
pub mod close;

pub mod frame;

pub mod message;

pub mod handshake;

pub use close::Close;
pub use frame::{
    Opcode, Role, encode_close_frame, encode_frame, encode_masked_frame, encode_text_header,
};
pub use handshake::{Accept, HandshakeError, accept};
pub use message::{Event, MessageDecoder, WebSocketError, WebSocketLimits};

#[cfg(test)]
mod tests;
