//! Messages out of frames: fragments, control frames between them, UTF-8, limits.
//!
//! It answers nothing itself: pongs and closing are the transport's business.
//! Called by the WebSocket transport and the command line.
//!
//! ```
//! use chloe::wire::websocket::{Event, MessageDecoder, Role, WebSocketLimits};
//! let mut decoder = MessageDecoder::new(Role::Client);
//! let mut input = *b"\x81\x02hi\x81\x7e";
//! let limits = WebSocketLimits::default();
//! let (used, event) = decoder.decode(&mut input, &limits).unwrap();
//! assert_eq!((used, event), (4, Some(Event::Text("hi".into()))));
//! // Two bytes are left, and more are needed: the caller keeps them.
//! assert_eq!(decoder.decode(&mut input[4..], &limits), Ok((0, None)));
//! ```

use std::borrow::Cow;
use std::fmt;

use super::close::{self, Close, CloseError};
use super::frame::{FrameError, Header, Opcode, Role, apply_mask, decode_header};

/// What one message may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSocketLimits {
    /// Bytes of payload, over all of its fragments.
    pub message_bytes: usize,
    /// Frames, however small.
    pub fragments: u32,
}

impl Default for WebSocketLimits {
    fn default() -> Self {
        WebSocketLimits {
            message_bytes: 65_536,
            fragments: 1024,
        }
    }
}

/// What came. A message in one frame that is there whole is borrowed from the
/// input; one that came in parts is owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    Text(Cow<'a, str>),
    Binary(Cow<'a, [u8]>),
    /// To be answered with a pong of the same payload, of at most 125 bytes.
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    /// The peer's last word; whatever follows it is ignored.
    Close {
        code: Option<u16>,
        reason: &'a str,
    },
}

/// Why the connection fails. Its sentence fits into a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebSocketError {
    /// A frame breaks the rules by itself.
    Frame(FrameError),
    /// A close frame does.
    Close(CloseError),
    /// A continuation of nothing.
    UnexpectedContinuation,
    /// A new message before the end of the one before.
    ExpectedContinuation,
    /// Text that is not UTF-8.
    InvalidUtf8,
    /// More than [`WebSocketLimits::message_bytes`].
    MessageTooBig { bytes_max: usize },
    /// More than [`WebSocketLimits::fragments`].
    TooManyFragments { fragments_max: u32 },
}

impl WebSocketError {
    /// The code of the close frame that answers it (RFC 6455, section 7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            WebSocketError::InvalidUtf8 | WebSocketError::Close(CloseError::Utf8) => {
                close::INVALID_PAYLOAD
            }
            WebSocketError::MessageTooBig { .. } => close::MESSAGE_TOO_BIG,
            WebSocketError::TooManyFragments { .. } => close::POLICY_VIOLATION,
            WebSocketError::Frame(_)
            | WebSocketError::Close(CloseError::Short | CloseError::Code(_))
            | WebSocketError::UnexpectedContinuation
            | WebSocketError::ExpectedContinuation => close::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WebSocketError::Frame(error) => error.fmt(f),
            WebSocketError::Close(error) => error.fmt(f),
            WebSocketError::UnexpectedContinuation => {
                f.write_str("A continuation must follow a frame that is not final.")
            }
            WebSocketError::ExpectedContinuation => {
                f.write_str("Finish the fragmented message before you begin another.")
            }
            WebSocketError::InvalidUtf8 => f.write_str("A text message must be UTF-8."),
            WebSocketError::MessageTooBig { bytes_max } => {
                write!(f, "The message is too big: send {bytes_max} bytes at most.")
            }
            WebSocketError::TooManyFragments { fragments_max } => {
                write!(f, "Send a message in {fragments_max} frames at most.")
            }
        }
    }
}

impl std::error::Error for WebSocketError {}

impl From<FrameError> for WebSocketError {
    fn from(error: FrameError) -> Self {
        WebSocketError::Frame(error)
    }
}

impl From<CloseError> for WebSocketError {
    fn from(error: CloseError) -> Self {
        WebSocketError::Close(error)
    }
}

/// Reads one connection's frames. Between messages it owns no memory.
#[derive(Debug)]
pub struct MessageDecoder {
    role: Role,
    /// After a close frame or an error nothing more is read.
    is_finished: bool,
    partial: Option<Box<Partial>>,
}

/// A message of which some has come.
#[derive(Debug)]
struct Partial {
    body: Body,
    /// Payload announced by the headers so far.
    bytes: u64,
    fragments: u32,
    /// The frame whose payload is still coming.
    frame: Option<OpenFrame>,
}

#[derive(Debug)]
struct OpenFrame {
    fin: bool,
    mask: Option<[u8; 4]>,
    seen: usize,
    remaining: u64,
}

impl MessageDecoder {
    /// The decoder of that end of a connection which `role` names.
    pub fn new(role: Role) -> MessageDecoder {
        MessageDecoder {
            role,
            is_finished: false,
            partial: None,
        }
    }

    /// The memory that the parts of an unfinished message take, in bytes.
    pub fn held_bytes(&self) -> usize {
        let partial = self.partial.as_ref();
        partial.map_or(0, |partial| match &partial.body {
            Body::Text { text, .. } => text.capacity(),
            Body::Binary(bytes) => bytes.capacity(),
        })
    }

    /// Reads at most one frame from the start of `input`, which it unmasks in
    /// place. Returns how many bytes it is done with, and what they meant, if
    /// they ended something. Call it again with the rest until it returns
    /// `(0, None)`: then more bytes are needed, and the caller keeps the rest
    /// (a header or a control frame, never more than 130 bytes).
    ///
    /// # Errors
    /// [`WebSocketError`], as soon as a byte proves it: close the connection
    /// with its code. The limits are checked before any memory is taken.
    pub fn decode<'a>(
        &mut self,
        input: &'a mut [u8],
        limits: &WebSocketLimits,
    ) -> Result<(usize, Option<Event<'a>>), WebSocketError> {
        if self.is_finished {
            return Ok((input.len(), None));
        }
        let decoded = self.decode_frame(input, limits);
        if matches!(decoded, Err(_) | Ok((_, Some(Event::Close { .. })))) {
            self.is_finished = true;
            self.partial = None;
        }
        decoded
    }

    fn decode_frame<'a>(
        &mut self,
        input: &'a mut [u8],
        limits: &WebSocketLimits,
    ) -> Result<(usize, Option<Event<'a>>), WebSocketError> {
        if self
            .partial
            .as_ref()
            .is_some_and(|partial| partial.frame.is_some())
        {
            return self.continue_frame(input);
        }
        let Some((header, width)) = decode_header(input, self.role)? else {
            return Ok((0, None));
        };
        let rest = &mut input[width..];
        if header.opcode.is_control() {
            return decode_control(header, width, rest);
        }
        let bytes = self.check(header, limits)?;
        let length = usize::try_from(header.payload_bytes).unwrap_or(usize::MAX);
        if header.fin && self.partial.is_none() && length <= rest.len() {
            let event = whole_message(header, &mut rest[..length])?;
            return Ok((width + length, Some(event)));
        }
        let partial = self.partial.get_or_insert_with(|| {
            Box::new(Partial {
                body: Body::new(header.opcode),
                bytes: 0,
                fragments: 0,
                frame: None,
            })
        });
        partial.bytes = bytes;
        partial.fragments += 1;
        partial.frame = Some(OpenFrame {
            fin: header.fin,
            mask: header.mask,
            seen: 0,
            remaining: header.payload_bytes,
        });
        let (used, event) = self.continue_frame(rest)?;
        Ok((width + used, event))
    }

    /// Checks a data frame's header against what came before and against the
    /// limits; returns the message's bytes so far, this frame's among them.
    fn check(&self, header: Header, limits: &WebSocketLimits) -> Result<u64, WebSocketError> {
        // RFC 6455, section 5.4: a message's fragments are not interleaved with another's.
        let is_continuation = header.opcode == Opcode::Continuation;
        let (bytes, fragments) = match &self.partial {
            None if is_continuation => return Err(WebSocketError::UnexpectedContinuation),
            Some(_) if !is_continuation => return Err(WebSocketError::ExpectedContinuation),
            None => (0, 0),
            Some(partial) => (partial.bytes, partial.fragments),
        };
        let bytes = header.payload_bytes.saturating_add(bytes);
        if bytes > limits.message_bytes as u64 {
            let bytes_max = limits.message_bytes;
            return Err(WebSocketError::MessageTooBig { bytes_max });
        }
        if fragments >= limits.fragments {
            let fragments_max = limits.fragments;
            return Err(WebSocketError::TooManyFragments { fragments_max });
        }
        Ok(bytes)
    }

    /// Takes what `input` holds of the open frame's payload.
    fn continue_frame<'a>(
        &mut self,
        input: &mut [u8],
    ) -> Result<(usize, Option<Event<'a>>), WebSocketError> {
        let partial = self.partial.as_mut().expect("a frame is open");
        let frame = partial.frame.as_mut().expect("a frame is open");
        let used = usize::try_from(frame.remaining)
            .unwrap_or(usize::MAX)
            .min(input.len());
        let payload = &mut input[..used];
        if let Some(mask) = frame.mask {
            apply_mask(payload, mask, frame.seen);
        }
        partial.body.append(payload)?;
        frame.seen = frame.seen.wrapping_add(used);
        frame.remaining -= used as u64;
        if frame.remaining > 0 {
            return Ok((used, None));
        }
        let is_final = frame.fin;
        partial.frame = None;
        if !is_final {
            return Ok((used, None));
        }
        let partial = self.partial.take().expect("it was there above");
        Ok((used, Some(partial.body.finish()?)))
    }
}

/// Reads a control frame once it is there whole.
fn decode_control(
    header: Header,
    width: usize,
    rest: &mut [u8],
) -> Result<(usize, Option<Event<'_>>), WebSocketError> {
    let length = header.payload_bytes as usize;
    let Some(payload) = rest.get_mut(..length) else {
        return Ok((0, None));
    };
    if let Some(mask) = header.mask {
        apply_mask(payload, mask, 0);
    }
    let event = match header.opcode {
        Opcode::Ping => Event::Ping(payload),
        Opcode::Pong => Event::Pong(payload),
        _ => {
            let Close { code, reason } = close::decode_close(payload)?;
            Event::Close { code, reason }
        }
    };
    Ok((width + length, Some(event)))
}

fn whole_message(header: Header, payload: &mut [u8]) -> Result<Event<'_>, WebSocketError> {
    if let Some(mask) = header.mask {
        apply_mask(payload, mask, 0);
    }
    if header.opcode == Opcode::Binary {
        return Ok(Event::Binary(Cow::Borrowed(payload)));
    }
    match std::str::from_utf8(payload) {
        Ok(text) => Ok(Event::Text(Cow::Borrowed(text))),
        Err(_) => Err(WebSocketError::InvalidUtf8),
    }
}

/// The payload of a message as it comes together. It grows with the bytes that
/// came, not with those that were announced.
#[derive(Debug)]
enum Body {
    /// Text, and the bytes of a character that is not whole yet.
    Text {
        text: String,
        cut: [u8; 4],
        cut_bytes: usize,
    },
    Binary(Vec<u8>),
}

impl Body {
    fn new(opcode: Opcode) -> Body {
        match opcode {
            Opcode::Binary => Body::Binary(Vec::new()),
            _ => Body::Text {
                text: String::new(),
                cut: [0; 4],
                cut_bytes: 0,
            },
        }
    }

    /// Fails on the first byte after which the text can no longer become UTF-8.
    fn append(&mut self, mut bytes: &[u8]) -> Result<(), WebSocketError> {
        let (text, cut, cut_bytes) = match self {
            Body::Binary(all) => {
                all.extend_from_slice(bytes);
                return Ok(());
            }
            Body::Text {
                text,
                cut,
                cut_bytes,
            } => (text, cut, cut_bytes),
        };
        while *cut_bytes > 0
            && let Some((&byte, rest)) = bytes.split_first()
        {
            bytes = rest;
            cut[*cut_bytes] = byte;
            *cut_bytes += 1;
            if let (character, 0) = valid_prefix(&cut[..*cut_bytes])? {
                text.push_str(character);
                *cut_bytes = 0;
            }
        }
        let (valid, cut_at_end) = valid_prefix(bytes)?;
        text.push_str(valid);
        if cut_at_end > 0 {
            cut[..cut_at_end].copy_from_slice(&bytes[valid.len()..]);
            *cut_bytes = cut_at_end;
        }
        Ok(())
    }

    fn finish(self) -> Result<Event<'static>, WebSocketError> {
        match self {
            Body::Binary(bytes) => Ok(Event::Binary(Cow::Owned(bytes))),
            Body::Text {
                text, cut_bytes: 0, ..
            } => Ok(Event::Text(Cow::Owned(text))),
            Body::Text { .. } => Err(WebSocketError::InvalidUtf8),
        }
    }
}

/// The whole characters of `bytes`, and how many bytes of a cut one (at most
/// three) follow them.
fn valid_prefix(bytes: &[u8]) -> Result<(&str, usize), WebSocketError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok((text, 0)),
        Err(error) if error.error_len().is_some() => Err(WebSocketError::InvalidUtf8),
        Err(error) => {
            let valid = &bytes[..error.valid_up_to()];
            let text = std::str::from_utf8(valid).map_err(|_| WebSocketError::InvalidUtf8)?;
            Ok((text, bytes.len() - valid.len()))
        }
    }
}
