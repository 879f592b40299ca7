//! What a publication bears: who sent it, which of the sender's it is, and when.
//!
//! Digits at fixed places, so that a reader finds them without reading JSON.
//! Used by `publisher`, which writes it, and by `reader`.

use std::io::Write;

/// Bytes of data in each publication.
pub const PAYLOAD_BYTES: usize = 128;

/// What stands before the data in a delivery, over a WebSocket.
const BEFORE: &[u8] = b"{\"data\":\"";
const PUBLISHER_DIGITS: usize = 3;
const SEQUENCE_DIGITS: usize = 10;
const SENT_DIGITS: usize = 12;

/// The part that is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub publisher: usize,
    /// Counts from 0 for each publisher.
    pub sequence: u32,
    /// Microseconds on the load's own clock.
    pub sent_us: u64,
}

/// Appends data that bears `stamp`, filled up to [`PAYLOAD_BYTES`].
pub fn write(out: &mut Vec<u8>, stamp: Stamp) {
    let end = out.len() + PAYLOAD_BYTES;
    write!(
        out,
        "{:0PUBLISHER_DIGITS$}{:0SEQUENCE_DIGITS$}{:0SENT_DIGITS$}",
        stamp.publisher, stamp.sequence, stamp.sent_us
    )
    .expect("a vector takes what is written to it");
    out.resize(end, b'x');
}

/// The stamp in the message of a delivery; `None` for any other message.
pub fn read(message: &[u8]) -> Option<Stamp> {
    let data = message.strip_prefix(BEFORE)?;
    let (publisher, data) = number(data, PUBLISHER_DIGITS)?;
    let (sequence, data) = number(data, SEQUENCE_DIGITS)?;
    let (sent_us, _) = number(data, SENT_DIGITS)?;
    Some(Stamp {
        publisher: publisher as usize,
        sequence: sequence as u32,
        sent_us,
    })
}

fn number(text: &[u8], digits: usize) -> Option<(u64, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    let mut value = 0;
    for digit in number {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(digit - b'0');
    }
    Some((value, rest))
}
