//! The JSON message that browser and server speak, whatever carries it.
//!
//! No policy and no state: text in, values out, and back. Called by the
//! transports and by the server's fan-out.

pub mod json;
pub mod strict;

mod decode;
mod encode;

#[cfg(test)]
mod decode_tests;

pub use decode::{Envelope, EnvelopeError, ID_BYTES_MAX, Id, Unreadable, decode};
pub use encode::{
    ChannelState, Connected, DataRef, HEARTBEAT, encode_accepted, encode_connect,
    encode_connect_old, encode_delivery, encode_error, encode_gap, encode_subscribed,
    encode_unsubscribed,
};
