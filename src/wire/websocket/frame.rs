//! One frame: its header, its mask, its bytes (RFC 6455, section 5).
//!
//! It knows nothing of messages: fragments, UTF-8 and limits are `message`'s.
//! Called by the message decoder and by everything that writes frames.

use super::close::{self, CONTROL_BYTES_MAX};

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xa => Opcode::Pong,
            _ => return None,
        })
    }

    /// Whether it may come between the fragments of a message.
    pub fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// Which end of the connection one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads masked frames, writes unmasked ones.
    Server,
    /// Writes masked frames, reads unmasked ones.
    Client,
}

/// What stands before a frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub fin: bool,
    pub opcode: Opcode,
    /// Present in what a client sends.
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub payload_bytes: u64,
}

/// What is wrong with a header. All of it is answered with close code 1002.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A reserved bit is set, though no extension was agreed on.
    ReservedBits,
    /// The opcode has no meaning.
    ReservedOpcode(u8),
    /// A control frame in fragments.
    FragmentedControl,
    /// A control frame of more than 125 bytes.
    LongControl,
    /// A client's frame without a mask.
    NotMasked,
    /// A server's frame with a mask.
    Masked,
    /// The length is written longer than need be, or has its highest bit set.
    Length,
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            FrameError::ReservedBits => "A reserved bit is set, but no extension was agreed on.",
            FrameError::ReservedOpcode(bits) => {
                return write!(
                    f,
                    "The opcode {bits:#x} is reserved: send text, or control frames."
                );
            }
            FrameError::FragmentedControl => "A control frame must not be fragmented.",
            FrameError::LongControl => "A control frame holds 125 bytes at most.",
            FrameError::NotMasked => "A client must mask its frames.",
            FrameError::Masked => "A server must not mask its frames.",
            FrameError::Length => "The length must be written in as few bytes as it needs.",
        })
    }
}

impl std::error::Error for FrameError {}

/// The header at the start of `input` and its width in bytes; `None` if more
/// bytes are needed. What is wrong is told with the first byte that shows it.
///
/// # Errors
/// [`FrameError`]; the connection is beyond repair then.
pub fn decode_header(input: &[u8], role: Role) -> Result<Option<(Header, usize)>, FrameError> {
    let Some(&first) = input.first() else {
        return Ok(None);
    };
    let (fin, opcode) = decode_first(first)?;
    let Some(&second) = input.get(1) else {
        return Ok(None);
    };
    // Section 5.1: a server closes on a frame without a mask, a client on one with.
    let is_masked = second & 0x80 != 0;
    match role {
        Role::Server if !is_masked => return Err(FrameError::NotMasked),
        Role::Client if is_masked => return Err(FrameError::Masked),
        Role::Server | Role::Client => {}
    }
    let short = second & 0x7f;
    if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
        return Err(FrameError::LongControl);
    }
    let Some((payload_bytes, after_length)) = decode_length(short, input)? else {
        return Ok(None);
    };
    let (mask, width) = if is_masked {
        let Some(mask) = input[after_length..].first_chunk::<4>() else {
            return Ok(None);
        };
        (Some(*mask), after_length + 4)
    } else {
        (None, after_length)
    };
    let header = Header {
        fin,
        opcode,
        mask,
        payload_bytes,
    };
    Ok(Some((header, width)))
}

fn decode_first(byte: u8) -> Result<(bool, Opcode), FrameError> {
    // Section 5.2: reserved bits and opcodes fail the connection.
    if byte & 0x70 != 0 {
        return Err(FrameError::ReservedBits);
    }
    let bits = byte & 0x0f;
    let opcode = Opcode::from_bits(bits).ok_or(FrameError::ReservedOpcode(bits))?;
    let fin = byte & 0x80 != 0;
    // Section 5.5: control frames are 125 bytes at most and not fragmented.
    if opcode.is_control() && !fin {
        return Err(FrameError::FragmentedControl);
    }
    Ok((fin, opcode))
}

/// The payload's length and where it ends. Section 5.2: "the minimal number of
/// bytes MUST be used", and the highest bit of 64 must be 0.
fn decode_length(short: u8, input: &[u8]) -> Result<Option<(u64, usize)>, FrameError> {
    let (length, width, least) = match short {
        126 => {
            let Some(bytes) = input[2..].first_chunk::<2>() else {
                return Ok(None);
            };
            (u64::from(u16::from_be_bytes(*bytes)), 2, 126)
        }
        127 => {
            let Some(bytes) = input[2..].first_chunk::<8>() else {
                return Ok(None);
            };
            (u64::from_be_bytes(*bytes), 8, 0x1_0000)
        }
        _ => (u64::from(short), 0, 0),
    };
    if length < least || length > i64::MAX as u64 {
        return Err(FrameError::Length);
    }
    Ok(Some((length, 2 + width)))
}

/// Takes the mask off `payload`, or puts it on, in place. `offset` is how many
/// bytes of the same frame came before. Eight bytes a step, which the compiler
/// makes wider still (section 5.3).
pub fn apply_mask(payload: &mut [u8], mask: [u8; 4], offset: usize) {
    let mut turned = mask;
    turned.rotate_left(offset % 4);
    let [a, b, c, d] = turned;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut blocks = payload.chunks_exact_mut(8);
    for block in &mut blocks {
        let bytes: &mut [u8; 8] = block.try_into().expect("blocks are of eight bytes");
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, mask) in blocks
        .into_remainder()
        .iter_mut()
        .zip(turned.iter().cycle())
    {
        *byte ^= mask;
    }
}

/// Appends a frame as a server sends it.
pub fn encode_frame(out: &mut Vec<u8>, opcode: Opcode, fin: bool, payload: &[u8]) {
    let (header, width) = encode_header(opcode, fin, payload.len());
    out.reserve(width + payload.len());
    out.extend_from_slice(&header[..width]);
    out.extend_from_slice(payload);
}

/// The header of a whole text message of `payload_bytes` as a server sends it:
/// so many of the bytes as the number says.
pub fn encode_text_header(payload_bytes: usize) -> ([u8; 10], usize) {
    encode_header(Opcode::Text, true, payload_bytes)
}

/// Appends a whole, unfragmented frame as a client sends it.
pub fn encode_masked_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: [u8; 4]) {
    let (mut header, width) = encode_header(opcode, true, payload.len());
    header[1] |= 0x80;
    out.reserve(width + 4 + payload.len());
    out.extend_from_slice(&header[..width]);
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], mask, 0);
}

/// Appends a server's close frame; a reason that does not fit is cut.
pub fn encode_close_frame(out: &mut Vec<u8>, code: u16, reason: &str) {
    encode_frame(out, Opcode::Close, true, &close::encode_close(code, reason));
}

fn encode_header(opcode: Opcode, fin: bool, payload_bytes: usize) -> ([u8; 10], usize) {
    debug_assert!(!opcode.is_control() || (fin && payload_bytes <= CONTROL_BYTES_MAX));
    let mut header = [0; 10];
    header[0] = u8::from(fin) << 7 | opcode as u8;
    let width = match payload_bytes {
        0..=125 => {
            header[1] = payload_bytes as u8;
            2
        }
        126..=0xffff => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(payload_bytes as u16).to_be_bytes());
            4
        }
        _ => {
            header[1] = 127;
            header[2..].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
            10
        }
    };
    (header, width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_are_read_and_faults_told_at_their_first_byte() {
        use FrameError::*;
        let cases: [(&[u8], Role, FrameError); 17] = [
            (b"\xc1", Role::Server, ReservedBits),
            (b"\xa1", Role::Server, ReservedBits),
            (b"\x91", Role::Server, ReservedBits),
            (b"\xf8", Role::Server, ReservedBits),
            (b"\x83", Role::Server, ReservedOpcode(3)),
            (b"\x87", Role::Server, ReservedOpcode(7)),
            (b"\x8b", Role::Server, ReservedOpcode(11)),
            (b"\x8f", Role::Server, ReservedOpcode(15)),
            (b"\x08", Role::Server, FragmentedControl),
            (b"\x09", Role::Server, FragmentedControl),
            (b"\x89\xfe", Role::Server, LongControl),
            (b"\x88\xff", Role::Server, LongControl),
            (b"\x81\x05", Role::Server, NotMasked),
            (b"\x81\x85", Role::Client, Masked),
            (b"\x81\xfe\x00\x7d", Role::Server, Length),
            (
                b"\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff",
                Role::Client,
                Length,
            ),
            (
                b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00",
                Role::Server,
                Length,
            ),
        ];
        for (bytes, role, error) in cases {
            for cut in 0..bytes.len() {
                assert_eq!(decode_header(&bytes[..cut], role), Ok(None), "{bytes:x?}");
            }
            assert_eq!(decode_header(bytes, role), Err(error), "{bytes:x?}");
        }
    }

    #[test]
    fn lengths_are_written_in_as_few_bytes_as_they_need() {
        for (length, width) in [
            (0, 2),
            (125, 2),
            (126, 4),
            (65535, 4),
            (65536, 10),
            (1 << 40, 10),
        ] {
            let (header, found) = encode_text_header(length);
            assert_eq!(found, width);
            let decoded = decode_header(&header[..width], Role::Client)
                .unwrap()
                .unwrap();
            assert_eq!(decoded.0.payload_bytes, length as u64);
            assert_eq!(decoded.1, width);
        }
    }

    proptest! {
        #[test]
        fn a_mask_taken_off_in_two_parts_is_off(payload: Vec<u8>, mask: [u8; 4], cut: prop::sample::Index) {
            let mut masked = payload.clone();
            apply_mask(&mut masked, mask, 0);
            for (at, (&byte, &before)) in masked.iter().zip(&payload).enumerate() {
                prop_assert_eq!(byte, before ^ mask[at % 4]);
            }
            let cut = cut.index(payload.len() + 1);
            let (first, second) = masked.split_at_mut(cut);
            apply_mask(first, mask, 0);
            apply_mask(second, mask, cut);
            prop_assert_eq!(masked, payload);
        }

        #[test]
        fn frames_are_read_as_they_are_written(fin: bool, mask: Option<[u8; 4]>, payload in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            let role = match mask {
                Some(mask) => {
                    encode_masked_frame(&mut out, Opcode::Binary, &payload, mask);
                    Role::Server
                }
                None => {
                    encode_frame(&mut out, Opcode::Binary, fin, &payload);
                    Role::Client
                }
            };
            let (header, width) = decode_header(&out, role).unwrap().unwrap();
            let expected = Header {
                fin: fin || mask.is_some(),
                opcode: Opcode::Binary,
                mask,
                payload_bytes: payload.len() as u64,
            };
            prop_assert_eq!(header, expected);
            apply_mask(&mut out[width..], mask.unwrap_or_default(), 0);
            prop_assert_eq!(&out[width..], &payload[..]);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = decode_header(&bytes, Role::Server);
            let _ = decode_header(&bytes, Role::Client);
        }
    }
}
