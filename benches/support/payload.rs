//! What a publication bears: which one it is.
//!
//! Digits at a fixed place, so that a reader finds them without reading JSON.
//! Used by `in_memory`.

use std::io::Write;

/// Bytes of data in each publication.
pub const PAYLOAD_BYTES: usize = 128;

/// What stands before the data in a delivery, over a WebSocket.
const BEFORE: &[u8] = b"{\"data\":\"";
const DIGITS: usize = 10;

/// Appends data that bears `sequence`, filled up to [`PAYLOAD_BYTES`].
pub fn write(out: &mut Vec<u8>, sequence: u32) {
    let end = out.len() + PAYLOAD_BYTES;
    write!(out, "{sequence:0DIGITS$}").expect("a vector takes what is written to it");
    out.resize(end, b'x');
}

/// The sequence in the message of a delivery; `None` for any other message.
pub fn read(message: &[u8]) -> Option<u32> {
    let digits = message.strip_prefix(BEFORE)?.get(..DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
