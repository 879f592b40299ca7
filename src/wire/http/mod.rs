//! HTTP/1.1: requests and responses, both ways.
//!
//! Decoders take bytes from the start of a message and say how many they used;
//! they own no bytes. Encoders append to a vector. What is unclear is refused:
//! no message is understood here that another party could understand
//! differently. Called by the server, the webhook and the command line.

// In the order in which they may import one another; each group after those above it.
pub mod error;
pub mod message;

mod head;

mod chunked;

mod framing;
mod request_line;

pub mod date;
pub mod request;

pub mod response;

pub mod client;

#[cfg(test)]
mod inverse_tests;
#[cfg(test)]
mod request_tests;

#[cfg(test)]
mod strictness_tests;

pub use client::{DecodedResponse, ReceivedResponse, ResponseDecoder, encode_request};
pub use date::encode_date;
pub use error::HttpError;
pub use message::{Headers, HttpLimits, Method, Version};
pub use request::{Decoded, Request, RequestDecoder, Waiting, peek};
pub use response::{CONTINUE, Framing, Response, encode_chunk, encode_last_chunk};
