//! Close codes and the payload of close frames (RFC 6455, section 7.4).
//!
//! When to close is the transport's business. Called by the message decoder
//! and by the WebSocket transport.

use std::fmt;

/// The purpose of the connection is fulfilled.
pub const NORMAL: u16 = 1000;
/// The server goes down, or the page was left.
pub const GOING_AWAY: u16 = 1001;
/// The peer broke the protocol.
pub const PROTOCOL_ERROR: u16 = 1002;
/// The peer sent a kind of message that is not taken, such as a binary one.
pub const UNSUPPORTED_DATA: u16 = 1003;
/// The peer sent text that is not UTF-8.
pub const INVALID_PAYLOAD: u16 = 1007;
/// The peer did what is not allowed and no other code fits.
pub const POLICY_VIOLATION: u16 = 1008;
/// The message is too big.
pub const MESSAGE_TOO_BIG: u16 = 1009;
/// Something went wrong on this side.
pub const INTERNAL_ERROR: u16 = 1011;
/// The server starts anew: connect again.
pub const SERVICE_RESTART: u16 = 1012;
/// The server is overloaded: connect again later.
pub const TRY_AGAIN_LATER: u16 = 1013;

/// The longest payload of a control frame (RFC 6455, section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// What the peer says in its close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// Why it closes; `None` if it does not say.
    pub code: Option<u16>,
    /// The same in words, may be empty.
    pub reason: &'a str,
}

/// What is wrong with the payload of a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseError {
    /// One byte: half a code.
    Short,
    /// A code that must not be sent.
    Code(u16),
    /// The reason is not UTF-8.
    Utf8,
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseError::Short => {
                f.write_str("A close frame holds nothing, or two bytes of code and a reason.")
            }
            CloseError::Code(code) => write!(f, "The close code {code} must not be sent."),
            CloseError::Utf8 => f.write_str("The reason of a close frame must be UTF-8."),
        }
    }
}

impl std::error::Error for CloseError {}

/// Whether a peer may send `code`. RFC 6455, section 7.4.2: 1000 to 2999 are
/// the protocol's own, of which only those in IANA's registry are in use, and
/// 1004, 1005, 1006 and 1015 never stand in a frame; 3000 to 4999 are free.
pub fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads the payload of a close frame (RFC 6455, section 5.5.1).
///
/// # Errors
/// [`CloseError`] if the peer broke the rules in its last words.
pub fn decode_close(payload: &[u8]) -> Result<Close<'_>, CloseError> {
    let (code, reason) = match payload {
        [] => {
            return Ok(Close {
                code: None,
                reason: "",
            });
        }
        [_] => return Err(CloseError::Short),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !may_be_sent(code) {
        return Err(CloseError::Code(code));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| CloseError::Utf8)?;
    Ok(Close {
        code: Some(code),
        reason,
    })
}

/// The payload of a close frame; a reason that does not fit is cut at a character.
pub fn encode_close(code: u16, reason: &str) -> Vec<u8> {
    debug_assert!(may_be_sent(code), "{code} must not be sent");
    let mut end = reason.len().min(CONTROL_BYTES_MAX - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_that_the_registry_allows() {
        let valid = [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999,
            4000, 4999,
        ];
        let invalid = [
            0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
        ];
        for code in valid {
            let payload = encode_close(code, "é");
            assert_eq!(
                decode_close(&payload),
                Ok(Close {
                    code: Some(code),
                    reason: "é"
                })
            );
        }
        for code in invalid {
            assert_eq!(
                decode_close(&u16::to_be_bytes(code)),
                Err(CloseError::Code(code))
            );
        }
    }

    #[test]
    fn payloads_are_checked() {
        assert_eq!(
            decode_close(b""),
            Ok(Close {
                code: None,
                reason: ""
            })
        );
        assert_eq!(decode_close(b"\x03"), Err(CloseError::Short));
        assert_eq!(decode_close(b"\x03\xe8\xff"), Err(CloseError::Utf8));
        assert_eq!(
            decode_close(b"\x03\xe8\xc3"),
            Err(CloseError::Utf8),
            "a cut character"
        );
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let payload = encode_close(NORMAL, &"é".repeat(100));
        assert_eq!(payload.len(), 124);
        let close = decode_close(&payload).unwrap();
        assert_eq!(close.reason, "é".repeat(61));
    }
}
